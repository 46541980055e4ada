"""A run's figures as CSV resources: what the columns are, and how a cell is made safe.

Readers are handed in; where the figures come from is theirs to know.
"""

import csv
import io
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

from mcp.server import MCPServer

from benchgate.domain.contract import Series
from benchgate.domain.results import RunResult, result_of
from benchgate.domain.runs import RunSnapshot
from benchgate.domain.text import one_line
from benchgate.gate.names import SERIES_URI, SUMMARY_URI
from benchgate.gate.resources.lookups import looked_up

CSV_TYPE = "text/csv"
# A spreadsheet takes a cell that begins so for a formula, in full width too.
FORMULA_STARTS = frozenset("=+-@")

Cell = str | int | float | bool | datetime | None

SUMMARY_COLUMNS = (
    "run_id",
    "template_name",
    "status",
    "reason",
    "metrics",
    "total_queries",
    "average_qps",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "error_rate",
    "duration_seconds",
    "estimated_cost",
)
SERIES_COLUMNS = (
    "timestamp",
    "elapsed_seconds",
    "warmup",
    "qps",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "error_rate",
    "active_connections",
)


def summary_csv(result: RunResult) -> str:
    """One run on one line; `metrics` tells whether its figures are final, partial or none."""
    final, partial = result.summary_metrics, result.partial_metrics
    figures = final or partial
    row: tuple[Cell, ...] = (
        result.run_id,
        result.template_name,
        result.status,
        result.reason,
        "final" if final else "partial" if partial else "none",
        figures.total_queries if figures else None,
        figures.average_qps if figures else None,
        figures.p50_latency_ms if figures else None,
        figures.p95_latency_ms if figures else None,
        figures.p99_latency_ms if figures else None,
        figures.error_rate if figures else None,
        result.duration_seconds,
        result.estimated_cost,
    )
    return _csv(SUMMARY_COLUMNS, [row])


def series_csv(series: Series) -> str:
    """One second of a run on each line, in its order."""
    return _csv(
        SERIES_COLUMNS,
        (
            (
                point.timestamp,
                point.elapsed_seconds,
                point.warmup,
                point.ops_per_sec,
                point.p50_latency,
                point.p95_latency,
                point.p99_latency,
                point.error_rate,
                point.active_connections,
            )
            for point in series.snapshots
        ),
    )


def register(
    server: MCPServer[Any],
    read_snapshot: Callable[[str], Awaitable[RunSnapshot]],
    read_series: Callable[[str], Awaitable[Series]],
) -> None:
    """Offer both files of every run on *server*."""

    @server.resource(
        SUMMARY_URI,
        name="run_summary",
        title="Summary of a run",
        description="The measured figures of one run, as CSV",
        mime_type=CSV_TYPE,
    )
    async def summary(run_id: str) -> str:
        return summary_csv(result_of(await looked_up(read_snapshot, run_id, noun="run")))

    @server.resource(
        SERIES_URI,
        name="run_series",
        title="One-second series of a run",
        description="QPS, latencies and errors of each second of one run, as CSV",
        mime_type=CSV_TYPE,
    )
    async def series(run_id: str) -> str:
        return series_csv(await looked_up(read_series, run_id, noun="run"))


def _csv(columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> str:
    """RFC 4180, with a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Cell) -> str | int | float | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return _defused(value) if isinstance(value, str) else value


def _defused(text: str) -> str:
    """*text* on one line, with an apostrophe before what a spreadsheet would calculate."""
    line = one_line(text)
    start = unicodedata.normalize("NFKC", line[:1])[:1]
    return f"'{line}" if start in FORMULA_STARTS else line
