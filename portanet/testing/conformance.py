"""The conformance kit: everything that the framework expects of a backend, tried on one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from portanet.backend import Backend, backend_named, register_backend, use_backend
from portanet.dtypes import float32, float64
from portanet.errors import ConformanceError, LackingFunctionError, OptionError
from portanet.testing import functions, kernels, records
from portanet.testing.samples import DIFFERENTIABLE, EVERY_SAMPLE

__all__ = ["ConformanceReport", "Finding", "check_backend"]


@dataclass(frozen=True)
class Finding:
    """One thing that a backend does not do as it must.

    Parameters
    ----------
    check : str
        What was looked at: ``"record"``, ``"values"``, ``"raw arrays"``, ``"single precision"``, ``"gradient"``,
        ``"second gradient"``, ``"no gradient"`` or ``"kernel"``.
    subject : str
        The function, the kernel, or the promise of the record.
    error : Exception
        What happened; its notes name the sample.
    """

    check: str
    subject: str
    error: Exception

    def __str__(self) -> str:
        kind = "" if isinstance(self.error, AssertionError) else f"{type(self.error).__name__}: "
        lines = [*getattr(self.error, "__notes__", ()), f"{kind}{self.error}"]
        told = " ".join(" ".join(lines).split())
        return f"{self.subject}, {self.check}: {told[:600]}"


@dataclass
class ConformanceReport:
    """What :func:`check_backend` tried, and what it found. Print it.

    Parameters
    ----------
    backend : str
        The name of the backend.
    seed : int
        Draws the same inputs again.
    tried : int
        The number of checks.
    findings : list of Finding
        Those that failed.
    skipped : dict of str to str
        Functions that could not be tried, each with the reason.
    """

    backend: str
    seed: int
    tried: int = 0
    findings: list[Finding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"backend {self.backend!r}: {self.tried} checks, {len(self.findings)} failed (seed {self.seed})"
        ]
        lines += [f"- {finding}" for finding in self.findings]
        for reason in dict.fromkeys(self.skipped.values()):
            names = [name for name, why in self.skipped.items() if why == reason]
            lines.append(f"{len(names)} functions were not tried, for {reason}: {', '.join(names)}")
        return "\n".join(lines)


def check_backend(
    backend: str | Backend,
    *,
    only: Sequence[str] | None = None,
    gradients: bool = True,
    samples: int | None = None,
    seed: int | None = None,
    strict: bool = True,
) -> ConformanceReport:
    """Try every function, gradient and kernel of the framework on a backend.

    The record's promises come first. Values are then compared with NumPy's or with formulas written in NumPy,
    gradients of the first and second order with finite differences, and kernels with the ops that they replace; all on
    fresh random inputs of many shapes, in double precision, which the backend's first device must have.

    Parameters
    ----------
    backend : str or Backend
        A name that ``portanet.set_backend`` takes, or a record, which is registered under its name if it is new.
    only : sequence of str, optional
        Names of functions or kernels; default: all of them, and the record.
    gradients : bool, default True
        Whether to check gradients. A library that compiles each function for each shape takes many minutes for them.
    samples : int, optional
        How many samples of each function to try; default: all.
    seed : int, optional
        Draws the inputs; default: a fresh one, which the report names.
    strict : bool, default True
        Raise if anything failed.

    Returns
    -------
    ConformanceReport
        What was tried and what failed.

    Raises
    ------
    ConformanceError
        With the report, if anything failed and ``strict`` is True.
    BackendUnavailableError
        If the backend cannot run here.
    OptionError
        If ``only`` names what there is not, or another backend has the record's name.

    Examples
    --------
    >>> from portanet.testing import check_backend
    >>> print(check_backend("numpy", only=["tanh", "matmul"], seed=1))
    backend 'numpy': 11 checks, 0 failed (seed 1)
    """
    record = backend_named(backend) if isinstance(backend, str) else register_backend(backend)
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    report = ConformanceReport(record.name, seed)
    rng = np.random.default_rng(seed)
    with use_backend(record.name, strict=True):
        _check_names(record, only)
        for check in (
            *_of_record(record, rng),
            *_of_functions(rng, gradients, samples),
            *_of_kernels(record, rng),
        ):
            if only is not None and check.subject not in only:
                continue
            if check.needs is not None:
                report.skipped[check.subject] = f"{check.needs} is not installed"
                continue
            try:
                check.run()
            except LackingFunctionError:
                report.skipped[check.subject] = "the backend has no such function"
                continue
            except Exception as error:
                report.findings.append(Finding(check.kind, check.subject, error))
            report.tried += 1
    if strict and report.findings:
        raise ConformanceError(str(report))
    return report


class _Check(NamedTuple):
    """Something to try: what is looked at, of what, the call that raises if it fails, a library that is missing."""

    kind: str
    subject: str
    run: Callable[[], object]
    needs: str | None = None


def _check_names(record: Backend, only: Sequence[str] | None) -> None:
    known = {function.__name__ for function in EVERY_SAMPLE} | set(record.kernels)
    unknown = sorted(set(only or ()) - known)
    if unknown:
        raise OptionError(
            f"only: there is no function or kernel {', '.join(map(repr, unknown))}. Names are those of the ops, such "
            "as 'tanh' or 'matmul'."
        )


def _of_record(record: Backend, rng: Any) -> Iterator[_Check]:
    for promise in records.PROMISES:
        yield _Check("record", promise.__name__.replace("_", " "), partial(promise, record, rng))


def _of_functions(rng: Any, gradients: bool, samples: int | None) -> Iterator[_Check]:
    for function in EVERY_SAMPLE:
        kinds: dict[str, functions.Check] = {
            "values": functions.check_values,
            "raw arrays": functions.check_raw_arrays,
        }
        if function not in DIFFERENTIABLE:
            kinds["no gradient"] = functions.check_no_gradient
        elif gradients:
            kinds["single precision"] = functions.check_single_precision
            kinds["gradient"] = functions.check_gradient
            kinds["second gradient"] = functions.check_second_gradient
        needs = functions.missing_library(function)
        for kind, check in kinds.items():
            run = partial(functions.try_samples, check, function, rng, samples)
            yield _Check(kind, function.__name__, run, needs)


def _of_kernels(record: Backend, rng: Any) -> Iterator[_Check]:
    for name in record.kernels:
        if name not in kernels.RULES:
            yield _Check("kernel", name, partial(kernels.check_kernel, record, name, rng))
            continue
        for dtype in (float32, float64):
            yield _Check("kernel", name, partial(kernels.check_rule, record, name, dtype, rng))
