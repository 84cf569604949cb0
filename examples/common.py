"""What the examples share: the options of their command lines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import portanet as pn
from portanet.errors import PortanetError


def read_options(
    arguments: Sequence[str] | None,
    description: str,
    *,
    epochs: int,
    epochs_help: str,
    output: str,
    more: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    check: Callable[[argparse.ArgumentParser, argparse.Namespace], None] = lambda parser, options: None,
) -> argparse.Namespace:
    """Read the command line, switch to the backend that it asks for, and seed the random numbers.

    Parameters
    ----------
    arguments
        What stands behind the script's name; None for the process's own arguments.
    description
        What the example does, for its help.
    epochs, epochs_help
        How many there are unless the command line says otherwise, and what one of them is.
    output
        The folder for the pictures unless the command line names another.
    more, check
        Add options of the example's own, and look at what came.

    Returns
    -------
    argparse.Namespace
        With ``backend``, ``seed``, ``epochs`` and ``output``. A mistake ends the program with a message and status 2.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--backend",
        help="numpy, cupy, torch, jax, array-api-strict or auto (default: PORTANET_BACKEND, or numpy)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--epochs", type=int, default=epochs, help=f"{epochs_help} (default {epochs})")
    parser.add_argument(
        "--output", type=Path, default=Path(output), help=f"folder for the pictures (default {output})"
    )
    more(parser)
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")
    try:
        if options.backend is not None:
            pn.set_backend(options.backend)
        pn.manual_seed(options.seed)
        check(parser, options)
    except PortanetError as error:
        parser.error(str(error))
    return options
