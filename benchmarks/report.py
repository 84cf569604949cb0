"""Tables of what was measured: on the screen, as markdown, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, YARDSTICK
from benchmarks.turns import QUIET, Row, Spread
from benchmarks.workloads import WORKLOADS, NetworkTraining, Update

__all__ = ["as_markdown", "as_text", "facts_as_text", "write"]

MEASURED = "portanet"
"""The contender that has a budget in every workload."""


def facts_as_text(facts: dict[str, str]) -> str:
    """Lay the machine's facts out in two columns."""
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {fact}" for name, fact in facts.items())


def yardstick_of(row: Row) -> str | None:
    """Return whom the ratios of `row` refer to: the workload's yardstick where it ran, else the first that did."""
    names = row.timed()
    wanted = WORKLOADS[row.workload].budgets[0].yardstick
    return wanted if wanted in names else (names[0] if names else None)


def headings(row: Row) -> tuple[str, ...]:
    """Return the names of the columns."""
    ratio = f"x {yardstick_of(row) or WORKLOADS[row.workload].budgets[0].yardstick}"
    return ("contender", "median", "min", "max", ratio, "range", "differs by", "what it is")


def cells(row: Row) -> list[tuple[str, ...]]:
    """Return one line of cells for each contender that was timed."""
    yardstick = yardstick_of(row)
    if yardstick is None:
        return []
    unit = WORKLOADS[row.workload].unit
    factor = {"us": 1e6, "ms": 1e3}[unit]
    lines = []
    for name in row.timed():
        time, ratio = row.seconds(name), row.ratios(name, yardstick)
        lines.append(
            (
                name,
                *(
                    f"{value * factor:.{1 if value * factor >= 10 else 3}f} {unit}"
                    for value in as_values(time)
                ),
                f"{ratio.median:.3f}",
                f"{ratio.low:.3f} to {ratio.high:.3f}",
                f"{row.differences[name]:.0e}",
                CONTENDERS[name].description,
            )
        )
    return lines


def as_values(spread: Spread) -> tuple[float, float, float]:
    """Return median, smallest, largest."""
    return spread.median, spread.low, spread.high


def title(row: Row) -> str:
    """Return the heading of a row."""
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    return f"{row.workload}  {WORKLOADS[row.workload].title}, {threads}"


def remarks(row: Row) -> list[str]:
    """Return what a reader must know beside the table: the budget, the noise, who is missing."""
    lines = []
    yardstick = yardstick_of(row)
    if yardstick is not None:
        timed = row.timed()
        for budget in WORKLOADS[row.workload].budgets:
            if budget.contender not in timed or budget.yardstick not in timed:
                continue
            ratio = row.ratios(budget.contender, budget.yardstick).median
            verdict = "kept" if ratio <= budget.ratio else "missed"
            if not row.reliable():
                verdict = "too disturbed to judge"
            lines.append(
                f"wanted: {budget.contender} at most {budget.ratio} x {budget.yardstick}; found {ratio:.3f}: {verdict}"
            )
        if yardstick != YARDSTICK and {MEASURED, YARDSTICK} <= set(timed):
            tuned = row.ratios(MEASURED, YARDSTICK).median
            lines.append(
                f"beside {YARDSTICK}, which knows what every call costs, {MEASURED} takes {tuned:.3f} x"
            )
        lines += memory_remarks(row)
        if "handwritten-again" in timed and YARDSTICK in timed:
            again = row.ratios("handwritten-again", YARDSTICK)
            median, low, high = (100 * (value - 1) for value in as_values(again))
            lines.append(
                f"noise: two processes that run the same code differ by {median:+.1f} % in the median, "
                f"{low:+.1f} to {high:+.1f} % in single rounds"
            )
        disturbed = row.disturbed().count(True)
        counted = len(row.counted_rounds())
        lines.append(
            f"rounds: {len(row.rounds)}, of which {disturbed} disturbed (other processes took more than {QUIET} "
            f"cores); {counted} counted"
        )
        if not row.reliable():
            lines.append(
                "WARNING: hardly a round was undisturbed, so disturbed ones are counted too: run it again"
            )
    lines += [f"left out: {name}: {reason}" for name, reason in row.left_out.items()]
    lines += [f"FAILED: {failure}" for failure in row.failures]
    return lines


def memory_remarks(row: Row) -> list[str]:
    """Return what the jobs took of the memory, beyond what their libraries take."""
    if not row.memory:
        return []
    figures = ", ".join(f"{name} {found / 1e6:.0f} MB" for name, found in row.memory.items())
    lines = [f"peak memory of the first steps: {figures}"]
    workload = WORKLOADS[row.workload]
    budget = workload.memory_budget if isinstance(workload, NetworkTraining) else None
    if budget is not None and {budget.contender, budget.yardstick} <= set(row.memory):
        ratio = row.memory[budget.contender] / row.memory[budget.yardstick]
        verdict = "kept" if ratio <= budget.ratio else "missed"
        lines.append(
            f"wanted: {budget.contender} at most {budget.ratio} x the memory of {budget.yardstick}; found {ratio:.3f}: "
            f"{verdict}"
        )
    return lines


def as_text(row: Row) -> str:
    """Lay a row out for the screen."""
    lines = [headings(row), *cells(row)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = []
    for line in lines:
        figures = [cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)]
        table.append("  ".join([line[0].ljust(widths[0]), *figures, line[-1]]))
    return "\n".join([title(row), *table, *remarks(row), ""])


def as_markdown(facts: dict[str, str], imports: str, rows: list[Row]) -> str:
    """Lay everything out as a page."""
    lines = ["# Measured side by side", ""]
    lines += [f"- {name}: {fact}" for name, fact in facts.items()]
    lines += ["", imports]
    for row in rows:
        lines += [
            "",
            f"## {title(row)}",
            "",
            "| " + " | ".join(headings(row)) + " |",
            "|" + " --- |" * len(headings(row)),
        ]
        lines += ["| " + " | ".join(line) + " |" for line in cells(row)]
        lines += ["", *(f"- {remark}" for remark in remarks(row))]
    return "\n".join(lines) + "\n"


def as_data(facts: dict[str, str], imports: str, rows: list[Row]) -> dict[str, Any]:
    """Return everything, every single burst included, in a form that JSON can hold."""
    found = []
    for row in rows:
        data = asdict(row)
        if isinstance(WORKLOADS[row.workload], Update):
            del data["evidence"]  # a thousand parameters, of no interest once they agree
        data["title"] = WORKLOADS[row.workload].title
        data["budgets"] = [asdict(budget) for budget in WORKLOADS[row.workload].budgets]
        data["disturbed"] = row.disturbed()
        yardstick = yardstick_of(row)
        if yardstick is not None:
            data["yardstick"] = yardstick
            data["summary"] = {
                name: {"seconds": asdict(row.seconds(name)), "ratio": asdict(row.ratios(name, yardstick))}
                for name in row.timed()
            }
        found.append(data)
    return {"machine": facts, "imports": imports, "rows": found}


def write(folder: Path, facts: dict[str, str], imports: str, rows: list[Row]) -> list[Path]:
    """Write `<date>-<commit>.json` and `.md` into `folder`, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{facts['date'][:16].replace(':', '')}-{facts['commit'].split()[0]}"
    data, page = folder / f"{stem}.json", folder / f"{stem}.md"
    data.write_text(json.dumps(as_data(facts, imports, rows), indent=1) + "\n")
    page.write_text(as_markdown(facts, imports, rows))
    return [data, page]
