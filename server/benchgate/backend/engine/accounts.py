"""What is known of one interval, or of a whole measurement, by kind of operation.

Sums of what workers have reported: histograms are merged, counts are added. Knows no worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchgate.backend.engine.histograms import LatencyHistogram, merged
from benchgate.backend.engine.messages import Report
from benchgate.domain.objectives import KindFigures, LatencyFigures
from benchgate.domain.runs import Summary
from benchgate.domain.templates import QueryKind

PERCENT = 100.0
MS_PER_S = 1_000
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0)


@dataclass(slots=True)
class Account:
    """One kind of operation."""

    service: LatencyHistogram = field(default_factory=LatencyHistogram)
    response: LatencyHistogram = field(default_factory=LatencyHistogram)
    rows_read: int = 0
    rows_written: int = 0
    failed: int = 0

    def add(self, other: "Account") -> None:
        """Take in all of *other*."""
        self.service.merge(other.service)
        self.response.merge(other.response)
        self.rows_read += other.rows_read
        self.rows_written += other.rows_written
        self.failed += other.failed

    @property
    def latency(self) -> LatencyHistogram:
        """The latency that counts: the response time where there is a schedule, else service."""
        return self.response if self.response.count else self.service


class Accounts:
    """All kinds of operations of one interval or of several."""

    def __init__(self) -> None:
        self.by_kind: dict[QueryKind, Account] = {}
        self.unkind_failed = 0  # attempts to connect, which belong to no kind

    def enter(self, report: Report) -> None:
        """Add what one worker has reported."""
        for counts in report.kinds:
            account = self._of(counts.kind)
            account.service.enter(counts.service)
            if counts.response is not None:
                account.response.enter(counts.response)
            if counts.writes:
                account.rows_written += counts.rows
            else:
                account.rows_read += counts.rows
        for failure in report.failures:
            if failure.kind is None:
                self.unkind_failed += failure.count
            else:
                self._of(failure.kind).failed += failure.count

    def add(self, other: "Accounts") -> None:
        """Take in all of *other*."""
        for kind, account in other.by_kind.items():
            self._of(kind).add(account)
        self.unkind_failed += other.unkind_failed

    @property
    def answered(self) -> int:
        """How many operations were answered."""
        return sum(account.service.count for account in self.by_kind.values())

    @property
    def failed(self) -> int:
        """How many operations and attempts to connect failed."""
        return self.unkind_failed + sum(account.failed for account in self.by_kind.values())

    @property
    def error_rate(self) -> float:
        """Failures in percent of all that was tried."""
        tried = self.failed + self.answered
        return round(PERCENT * self.failed / tried, 3) if tried else 0.0

    @property
    def mean_service_s(self) -> float:
        """The mean service time of all kinds together; 0 where nothing was answered."""
        service = merged([account.service for account in self.by_kind.values()])
        return (service.mean_ms() or 0.0) / MS_PER_S

    def latency(self) -> LatencyHistogram:
        """The latencies that count, of all kinds together."""
        return merged([account.latency for account in self.by_kind.values()])

    def summary(self, seconds: float) -> Summary:
        """The figures of *seconds*."""
        p50_ms, p95_ms, p99_ms = self.latency().percentiles_ms((50, 95, 99))
        return Summary(
            total_queries=self.answered,
            average_qps=round(self.answered / seconds, 1),
            p50_latency_ms=p50_ms,
            p95_latency_ms=p95_ms,
            p99_latency_ms=p99_ms,
            error_rate=self.error_rate,
        )

    def kinds(self, seconds: float) -> tuple[KindFigures, ...]:
        """Everything about each kind, over *seconds*."""
        return tuple(
            _figures(kind, account, seconds)
            for kind, account in sorted(self.by_kind.items(), key=_order)
        )

    def _of(self, kind: QueryKind) -> Account:
        return self.by_kind.setdefault(kind, Account())


def _order(item: tuple[QueryKind, Account]) -> int:
    return list(QueryKind).index(item[0])


def _figures(kind: QueryKind, account: Account, seconds: float) -> KindFigures:
    return KindFigures(
        kind=kind,
        total_queries=account.service.count,
        errors=account.failed,
        qps=round(account.service.count / seconds, 1),
        service=latency_figures(account.service),
        response=latency_figures(account.response) if account.response.count else None,
        rows_read=account.rows_read,
        rows_written=account.rows_written,
    )


def latency_figures(histogram: LatencyHistogram) -> LatencyFigures:
    """All that a report says of *histogram*."""
    p50, p90, p95, p99, p999, p9999, highest = histogram.percentiles_ms(PERCENTILES)
    return LatencyFigures(
        n=histogram.count,
        mean_ms=histogram.mean_ms(),
        std_error_ms=histogram.std_error_ms(),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        p9999_ms=p9999,
        max_ms=highest,
    )


def parted(whole: int, parts: int) -> Sequence[int]:
    """*whole* in *parts* that differ by at most one."""
    each, left = divmod(whole, parts)
    return [each + (number < left) for number in range(parts)]
