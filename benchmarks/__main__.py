"""`python -m benchmarks`: takes the measurements one after the other and prints one table.

The figures are reported, not tested: a missed bar is a verdict in the table and no failure.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import anyio
from rich.console import Console
from rich.table import Table

from benchmarks import (
    approval,
    embedded,
    fallback,
    lookups,
    memory,
    rate,
    recording,
    stall,
    startup,
    status,
    stops,
    tokens,
    watching,
)
from benchmarks.table import Row

MEASUREMENTS: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "startup": startup.rows,
    "status": status.rows,
    "approval": approval.rows,
    "tokens": tokens.rows,
    "watching": watching.rows,
    "lookups": lookups.rows,
    "embedded": embedded.rows,
    "rate": rate.rows,
    "fallback": fallback.rows,
    "stall": stall.rows,
    "recording": recording.rows,
    "stops": stops.rows,
    "memory": memory.rows,
}
# Too long to wait for among the others: each is taken when it is asked for by its name.
LONG = {"memory"}
DECIMALS = {"x": 2, "ms": 1, "s": 1, "%": 1, "requests": 2, "MB": 1}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measured figures beside their peers."
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help="take this measurement alone")
    only: str | None = parser.parse_args().only
    wanted = [only] if only else [name for name in MEASUREMENTS if name not in LONG]
    Console().print(table(anyio.run(measure, wanted)))
    for name in [] if only else sorted(LONG):
        sys.stderr.write(f"left out because it is long: {name} (--only {name} takes it)\n")


async def measure(names: Sequence[str]) -> list[Row]:
    """The rows of the measurements *names*, which never overlap."""
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"measuring {name} ...\n")
        began = monotonic()
        rows += await MEASUREMENTS[name]()
        sys.stderr.write(f"  took {monotonic() - began:.0f} s\n")
    return rows


def table(rows: Sequence[Row]) -> Table:
    """*rows* with their verdicts."""
    drawn = Table("what", "measured", "bar", "verdict", box=None, pad_edge=False)
    for column in drawn.columns[1:3]:
        column.justify = "right"
    for row in rows:
        drawn.add_row(row.name, _figure(row, row.measured), _bar(row), _verdict(row))
    return drawn


def _figure(row: Row, value: float) -> str:
    decimals = DECIMALS.get(row.unit, 0) if row.decimals is None else row.decimals
    return f"{value:,.{decimals}f} {row.unit}"


def _bar(row: Row) -> str:
    if row.bar is None:
        return ""
    return f"{'≥' if row.is_floor else '≤'} {_figure(row, row.bar)}"


def _verdict(row: Row) -> str:
    if row.bar is None:
        return ""
    return "holds" if row.holds else "MISSED"


if __name__ == "__main__":
    main()
