"""Reports of workers as a test writes them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.messages import FailureCount, KindCounts, Punctuality, Report
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import WRITES, QueryKind

LOOKUP, INSERT = QueryKind.POINT_LOOKUP, QueryKind.INSERT
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000


def histogram_of(latencies_ms: Sequence[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.record([int(latency_ms * MS_NS) for latency_ms in latencies_ms])
    return histogram


def counts(
    kind: QueryKind,
    latencies_ms: Sequence[float],
    *,
    responses_ms: Sequence[float] | None = None,
    rows: int = 0,
    writes: bool | None = None,
) -> KindCounts:
    return KindCounts(
        kind=kind,
        writes=kind in WRITES if writes is None else writes,
        service=histogram_of(latencies_ms).packed,
        response=None if responses_ms is None else histogram_of(responses_ms).packed,
        rows=rows,
    )


def report(
    second: int,
    *latencies_ms: float,
    is_measured: bool = True,
    interval_ns: int = SECOND_NS,
    kinds: tuple[KindCounts, ...] | None = None,
    failures: tuple[FailureCount, ...] = (),
    connections: int = 2,
    cpu_ns: int = 0,
    punctuality: Punctuality | None = None,
) -> Report:
    lookups = (counts(LOOKUP, latencies_ms),) if latencies_ms else ()
    return Report(
        second=second,
        is_measured=is_measured,
        interval_ns=interval_ns,
        kinds=lookups if kinds is None else kinds,
        punctuality=punctuality,
        failures=failures,
        last_message=failures[-1].message if failures else None,
        connections=connections,
        cpu_ns=cpu_ns,
    )


def refused(
    count: int, message: str = "refused", *, at: datetime = NOON, kind: QueryKind | None = None
) -> FailureCount:
    return FailureCount(
        failure=FailureKind.CONNECTION, kind=kind, count=count, message=message, at=at
    )
