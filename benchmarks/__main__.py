"""`python -m benchmarks`: takes the measurements one after the other and prints one table.

The figures are reported, not tested: a missed bar is a verdict in the table and no failure.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence

import anyio
from rich.console import Console
from rich.table import Table

from benchmarks import approval, lookups, startup, status, tokens, watching
from benchmarks.table import Row

MEASUREMENTS: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "startup": startup.rows,
    "status": status.rows,
    "approval": approval.rows,
    "tokens": tokens.rows,
    "watching": watching.rows,
    "lookups": lookups.rows,
}
DECIMALS = {"x": 2, "ms": 1, "s": 1, "%": 1, "requests": 2}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measured figures beside their peers."
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help="take this measurement alone")
    only: str | None = parser.parse_args().only
    Console().print(table(anyio.run(measure, [only] if only else list(MEASUREMENTS))))


async def measure(names: Sequence[str]) -> list[Row]:
    """The rows of the measurements *names*, which never overlap."""
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"measuring {name} ...\n")
        rows += await MEASUREMENTS[name]()
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
    return f"{value:,.{DECIMALS.get(row.unit, 0)}f} {row.unit}"


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
