"""`python -m benchmarks`: time hand-written NumPy, portanet and PyTorch in turns, and print the ratios."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine, report
from benchmarks.contenders import CONTENDERS
from benchmarks.import_time import measure_imports
from benchmarks.turns import Row, measure
from benchmarks.workloads import WORKLOADS, Update


def names_from(known: list[str], what: str) -> Callable[[str], list[str]]:
    """Return a parser of comma-separated names that must all be in `known`."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"no such {what}: {text!r}; choose from {', '.join(known)}")
        return names

    return parse


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=names_from(list(WORKLOADS), "workload"),
        default=list(WORKLOADS),
        metavar="W1,W3",
        help="the workloads to run: " + "; ".join(f"{w.name} {w.title}" for w in WORKLOADS.values()),
    )
    parser.add_argument(
        "--contenders",
        type=names_from(list(CONTENDERS), "contender"),
        metavar="A,B",
        help="who takes part, of "
        + ", ".join(CONTENDERS)
        + " (default: those that make sense in each workload)",
    )
    parser.add_argument("--rounds", type=positive, default=15, help="undisturbed rounds wanted (default 15)")
    parser.add_argument(
        "--sittings", type=positive, default=3, help="how often all processes are started afresh (default 3)"
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=machine.available_cores(),
        help="threads for everyone (default: the cores that this process may use); W6 also runs on one",
    )
    parser.add_argument("--burst", type=float, default=0.2, help="seconds in a burst, about (default 0.2)")
    parser.add_argument(
        "--write", action="store_true", help="write JSON and a markdown page into benchmarks/results/"
    )
    return parser.parse_args()


def main() -> int:
    """Run what was asked for; return 1 if a contender crashed or computed something else than the others."""
    arguments = parse_arguments()
    facts = machine.describe()
    print(report.facts_as_text(facts), end="\n\n", flush=True)
    live = sys.stderr.isatty()

    def tell(progress: str) -> None:
        if live:
            print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)

    imports = measure_imports(arguments.rounds).as_text()
    print(imports, end="\n\n", flush=True)
    rows: list[Row] = []
    for name in arguments.only:
        alone = isinstance(WORKLOADS[name], Update)
        for threads in sorted({1, arguments.threads} if alone else {arguments.threads}):
            names = arguments.contenders or [c.name for c in CONTENDERS.values() if name in c.by_default]
            row = measure(name, names, threads, arguments.rounds, arguments.sittings, arguments.burst, tell)
            rows.append(row)
            tell("")
            print(report.as_text(row), flush=True)
    if arguments.write:
        for path in report.write(Path(__file__).parent / "results", facts, imports, rows):
            print(f"written: {path}")
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
