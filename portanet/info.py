"""What ``python -m portanet info`` tells: versions, backends, devices, and why something is not available."""

from __future__ import annotations

import os
import platform
import textwrap
import warnings
from importlib.metadata import PackageNotFoundError, version

from portanet.backend import BackendReport, available_backends, default_device
from portanet.backend.switch import ENVIRONMENT_VARIABLE
from portanet.errors import PortanetError
from portanet.threads import get_num_threads

__all__ = ["describe_installation"]

THREAD_VARIABLES = ("PORTANET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
WIDTH = 100
LABEL_WIDTH = 18


def describe_installation() -> str:
    """Versions, the backend in use, and every backend with its devices or the reason why it is not available.

    Finding out may import every array library that is installed, which can take some seconds.

    Returns
    -------
    str
        Some lines for a person to read.

    Examples
    --------
    >>> from portanet.info import describe_installation
    >>> describe_installation().splitlines()[0].split()[0]
    'portanet'
    """
    lines = [
        _labelled("portanet", _own_version()),
        _labelled("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        _labelled("platform", platform.platform()),
        _labelled("threads", _threads()),
        _labelled(ENVIRONMENT_VARIABLE, _wanted() or "not set"),
        _labelled("backend in use", _backend_in_use()),
        "",
    ]
    for report in available_backends():
        lines += _backend_lines(report)
    return "\n".join(lines)


def _own_version() -> str:
    try:
        return version("portanet")
    except PackageNotFoundError:
        return "not installed as a package; run `pip install -e .` in its folder"


def _threads() -> str:
    limits = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    return ", ".join([str(get_num_threads()), *limits])


def _wanted() -> str:
    return os.environ.get(ENVIRONMENT_VARIABLE, "").strip()


def _backend_in_use() -> str:
    """The device where new arrays are made; a fallback's reason stands with its backend below, once."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            place = default_device()
    except PortanetError as error:
        return f"none. {error}"
    wanted = _wanted().partition(":")[0]
    instead = f", since {wanted} is not available" if wanted not in ("", "auto", place.backend) else ""
    return f"{place.backend} on {place.name}{instead}"


def _backend_lines(report: BackendReport) -> list[str]:
    name = f"{report.name} {report.version or ''}".strip()
    if report.for_tests_only:
        name += " (for tests)"
    lines = [name]
    if report.unavailability is None:
        lines += _indented("devices", ", ".join(device.name for device in report.devices))
    problem = report.unavailability or report.limitation
    if problem is not None:
        label = "not available" if report.unavailability else "no accelerator"
        lines += _indented(label, f"{problem.cause}. {problem.detail}")
        lines += _indented("remedy", problem.remedy)
    return lines


def _labelled(label: str, text: str) -> str:
    return f"{label:<{LABEL_WIDTH}} {text}"


def _indented(label: str, text: str) -> list[str]:
    first = f"  {label:<{LABEL_WIDTH - 2}} "
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
