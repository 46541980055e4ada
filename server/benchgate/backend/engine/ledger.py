"""What all workers of a load have reported, added up; knows no process and no pipe.

`total_queries` and QPS count operations that were answered. The error rate is that of failures
among all that was tried, and a connection attempt that failed was tried as well. The figures of
the summary are those of the measurement; the error rows cover the whole load, because what fails
in the warm-up explains what comes after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchgate.backend.engine.histograms import LatencyHistogram, decode, merged
from benchgate.backend.engine.messages import FailureCount, Report
from benchgate.domain.contract import ErrorRow
from benchgate.domain.failures import FailureKind
from benchgate.domain.runs import LiveMetrics, Summary
from benchgate.domain.templates import QueryKind, TableType

NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
# A worker that was held up catches up with its reports: a rate over a few microseconds is none.
SHORTEST_RATED_NS = NS_PER_S // 2
DEAD_AFTER_S = 10
SILENCE_S_MIN = 2  # a shorter one is nothing to tell of
PERCENT = 100.0
ERROR_GROUPS_MAX = 200


@dataclass(slots=True)
class _Second:
    """One second of the load, as far as it has been reported."""

    histograms: list[LatencyHistogram] = field(default_factory=list[LatencyHistogram])
    workers: set[int] = field(default_factory=set[int])
    qps: float = 0.0
    failed: int = 0


class Ledger:
    """The sums of one load, from which its ticks and its outcome are read."""

    def __init__(self, *, workers: int, connections: int, source: TableType) -> None:
        self._workers = workers
        self._connections = connections
        self._source = source
        self._seconds: dict[int, _Second] = {}
        self._open = [0] * workers
        self._measured_ns = [0] * workers
        self._measured: dict[QueryKind, LatencyHistogram] = {}
        self._measured_failures = 0
        self._errors: dict[tuple[FailureKind, QueryKind | None], FailureCount] = {}
        self._silent_s = 0
        self._longest_ms = 0.0
        self._failed_since = 0
        self._last_message = ""

    @property
    def measured_seconds(self) -> float:
        """How long was measured: the mean over the workers, which differ by milliseconds."""
        return sum(self._measured_ns) / len(self._measured_ns) / NS_PER_S

    @property
    def last_message(self) -> str:
        """What the newest failure said."""
        return self._last_message

    def enter(self, worker: int, report: Report) -> None:
        """Add one worker's report of one second."""
        self._open[worker] = report.connections
        second = self._seconds.setdefault(report.second, _Second())
        second.workers.add(worker)
        failed = sum(failure.count for failure in report.failures)
        second.failed += failed
        answered = self._enter_latencies(report, second)
        second.qps += answered * NS_PER_S / max(SHORTEST_RATED_NS, report.interval_ns)
        self._enter_failures(report)
        if report.is_measured:
            self._measured_ns[worker] += report.interval_ns
            self._measured_failures += failed

    def _enter_latencies(self, report: Report, second: _Second) -> int:
        answered = 0
        for latencies in report.latencies:
            histogram = decode(latencies.histogram)
            answered += histogram.count
            second.histograms.append(histogram)
            if report.is_measured:
                self._measured.setdefault(latencies.kind, LatencyHistogram()).merge(histogram)
        return answered

    def _enter_failures(self, report: Report) -> None:
        self._last_message = report.last_message or self._last_message
        for failure in report.failures:
            known = self._errors.get((failure.failure, failure.kind))
            first = failure if known is None or failure.at < known.at else known
            count = failure.count + (known.count if known else 0)
            self._errors[failure.failure, failure.kind] = first.model_copy(update={"count": count})

    def is_complete(self, second: int) -> bool:
        """Whether every worker has reported *second*."""
        return second in self._seconds and len(self._seconds[second].workers) == self._workers

    def close(self, second: int) -> LiveMetrics:
        """The figures of *second*, which is forgotten thereafter."""
        entry = self._seconds.pop(second)
        whole = merged(entry.histograms)
        self._silent_s = 0 if whole.count else self._silent_s + 1
        self._longest_ms = max(self._longest_ms, whole.percentile_ms(100) or 0)
        self._failed_since = 0 if whole.count else self._failed_since + entry.failed
        return LiveMetrics(
            qps=round(entry.qps, 1),
            p50_latency_ms=whole.percentile_ms(50),
            p95_latency_ms=whole.percentile_ms(95),
            p99_latency_ms=whole.percentile_ms(99),
            error_rate=_rate_pct(entry.failed, whole.count),
            active_connections=sum(self._open),
            total_queries=self._answered,
        )

    def is_dead(self, after_s: int = DEAD_AFTER_S) -> bool:
        """Whether nothing has worked for so long although every connection had its chance.

        A silence without failures is a slow database, not a dead one.
        """
        return self._silent_s >= after_s and self._failed_since >= self._connections

    def notice(self, *, think_time_ms: int) -> str | None:
        """What no figure shows: an end in which operations waited longer than any answer took.

        They were never answered, so no histogram knows of them, and every percentile looks better
        than what the last seconds were like.
        """
        usual_s = SILENCE_S_MIN + (self._longest_ms + think_time_ms) / MS_PER_S
        if self._silent_s <= usual_s:
            return None
        return (
            f"Nothing was answered in the last {self._silent_s} s, which is longer than any "
            "answer took; what was under way then is in no figure."
        )

    @property
    def _answered(self) -> int:
        return sum(histogram.count for histogram in self._measured.values())

    def summary(self) -> Summary | None:
        """The figures of the measurement; None when it never began."""
        if not any(self._measured_ns):
            return None
        whole = merged(list(self._measured.values()))
        return Summary(
            total_queries=whole.count,
            average_qps=round(whole.count / self.measured_seconds, 1),
            p50_latency_ms=whole.percentile_ms(50),
            p95_latency_ms=whole.percentile_ms(95),
            p99_latency_ms=whole.percentile_ms(99),
            error_rate=_rate_pct(self._measured_failures, whole.count),
        )

    def errors(self) -> tuple[ErrorRow, ...]:
        """One row for each kind of failure in each kind of query, the most frequent first."""
        groups = sorted(self._errors.values(), key=lambda group: group.count, reverse=True)
        return tuple(self._row(group) for group in groups[:ERROR_GROUPS_MAX])

    def _row(self, group: FailureCount) -> ErrorRow:
        return ErrorRow(
            source=self._source.value,
            summary=group.failure.value,
            message=group.message,
            count=group.count,
            level="WARNING" if group.failure is FailureKind.CONSTRAINT else "ERROR",
            query_type="OTHER" if group.kind is None else group.kind.value,
            earliest_occurrence=group.at,
        )


def _rate_pct(failed: int, answered: int) -> float:
    tried = failed + answered
    return round(PERCENT * failed / tried, 3) if tried else 0.0


def parted(whole: int, parts: int) -> Sequence[int]:
    """*whole* in *parts* that differ by at most one."""
    each, left = divmod(whole, parts)
    return [each + (number < left) for number in range(parts)]
