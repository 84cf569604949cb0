"""Estimators for scikit-learn: networks that work in its pipelines, searches and cross-validation.

Needs scikit-learn (``pip install 'portanet[sklearn]'``), which is imported when an estimator is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portanet.late import late_names

if TYPE_CHECKING:
    from portanet.sklearn.estimators import NetClassifier, NetRegressor

__all__ = ["NetClassifier", "NetRegressor"]

_find, __dir__ = late_names(__name__, ["estimators", "net", "recipe", "inputs"])


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except ImportError as error:
        if (error.name or "").split(".")[0] != "sklearn":
            raise
        raise ImportError(
            f"portanet.sklearn.{name} needs scikit-learn 1.6 or later, which cannot be imported here ({error}). "
            "Install it with: pip install 'portanet[sklearn]'"
        ) from error
