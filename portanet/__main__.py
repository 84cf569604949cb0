"""The command line: ``python -m portanet info``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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
        The exit code: 0 after a command that succeeded, or after the help. A command that does not exist exits with 2.
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
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        print(describe_installation())
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
