"""What estimators are given beyond scikit-learn's own checks: columns that are no numbers, weights of samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_array

from portanet.errors import DataError, ShapeError

__all__ = ["checked_weights", "refuse_what_is_no_number"]

_REMEDIES = {
    "X": "Encode such a column first, for example by sklearn.preprocessing.OneHotEncoder in a "
    "sklearn.compose.ColumnTransformer.",
    "y": "For classes take NetClassifier.",
}


def refuse_what_is_no_number(name: str, table: Any, cause: Exception | None = None) -> None:
    """Raise an error that says where the first value stands that is no number, if there is one.

    Parameters
    ----------
    name : {"X", "y"}
        What the user calls the table.
    table : array-like
        With one axis or two; a DataFrame's columns are called by their names.
    cause : Exception, optional
        What scikit-learn said, which names no column.

    Raises
    ------
    DataError
        If there is such a value.
    """
    values = np.asarray(table)
    if values.ndim not in (1, 2) or values.dtype.kind not in "OSTU" or not values.size:  # objects and text
        return
    columns = list(getattr(table, "columns", range(1, 1 + values.shape[-1])))
    for place, column in enumerate(values.astype(object).reshape(len(values), -1).T):
        for row, value in enumerate(column, start=1):
            if not _is_number(value, cause):
                where = f", column {columns[place]!r}" if values.ndim == 2 else ""
                raise DataError(
                    f"{name}: expected numbers, got {value!r} in row {row}{where}, counted from 1. {_REMEDIES[name]}"
                ) from cause


def _is_number(value: Any, cause: Exception | None) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        # Of values that are missing scikit-learn speaks itself; it stumbles only over an <NA> among Python's objects.
        return value is None or (str(value) == "<NA>" and isinstance(cause, ValueError))
    return True


def checked_weights(sample_weight: Any, X: Any) -> Any:
    """Weights of samples in the data type of the features, with a mean of 1.

    Raises
    ------
    ShapeError
        If there is not one for each sample.
    DataError
        If one is negative, or all are zero.
    """
    shape = np.asarray(sample_weight).shape
    if shape != (len(X),):
        raise ShapeError(f"sample_weight: expected one for each sample, shape ({len(X)},), got {shape}.")
    weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.min() < 0 or not weights.any():
        raise DataError("sample_weight: expected weights of at least 0, not all of them zero.")
    weights = weights / weights.max()  # their sum could be infinite
    return (weights / weights.mean()).astype(X.dtype)
