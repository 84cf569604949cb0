"""The command line: ``python -m portanet info``, ``python -m portanet check BACKEND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from portanet.errors import PortanetError
from portanet.info import describe_installation

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands behind ``python -m portanet``. Default: the process's own arguments.

    Returns
    -------
    int
        The exit code: 0 after a command that succeeded, or after the help; 1 if a check failed or the backend cannot
        run here. A command that does not exist exits with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m portanet",
        description="Portanet: write the model once, train it on the array library at hand.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser(
        "info",
        help="versions, backends and devices, and why a backend is not available",
        description="Print versions, the backend in use, and every backend: its devices, or what is wrong.",
    )
    check = commands.add_parser(
        "check",
        help="try every function, gradient and kernel on a backend",
        description="Try every function, gradient and kernel of the framework on a backend.",
    )
    check.add_argument("backend", help="the name that set_backend takes")
    check.add_argument("--only", nargs="+", metavar="NAME", help="functions or kernels; default: all")
    check.add_argument("--samples", type=int, metavar="N", help="how many samples of each; default: all")
    check.add_argument("--no-gradients", action="store_true", help="values only")
    check.add_argument("--seed", type=int, help="draws the inputs; default: a fresh one, which is printed")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        print(describe_installation())
    elif chosen.command == "check":
        return _check(chosen)
    else:
        parser.print_help()
    return 0


def _check(chosen: argparse.Namespace) -> int:
    from portanet.testing import check_backend

    try:
        report = check_backend(
            chosen.backend,
            only=chosen.only,
            gradients=not chosen.no_gradients,
            samples=chosen.samples,
            seed=chosen.seed,
            strict=False,
        )
    except PortanetError as error:
        print(error, file=sys.stderr)
        return 1
    print(report)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
