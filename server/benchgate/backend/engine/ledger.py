"""What all workers of a load have reported, added up; knows no process and no pipe.

`total_queries` and QPS count operations that were answered. The error rate is that of failures
among all that was tried, and a connection attempt that failed was tried as well. The figures of
the summary are those of the measurement; the error rows cover the whole load, because what fails
in the warm-up explains what comes after it.
"""

from dataclasses import dataclass, field

from benchgate.backend.engine.accounts import Accounts
from benchgate.backend.engine.messages import FailureCount, Report
from benchgate.backend.engine.silences import Heard, Silences
from benchgate.backend.engine.timekeeping import Timekeeping
from benchgate.domain.contract import ErrorRow
from benchgate.domain.failures import FailureKind
from benchgate.domain.runs import LiveMetrics, Summary
from benchgate.domain.templates import QueryKind, TableType

NS_PER_S = 1_000_000_000
# A worker that was held up catches up with its reports: a rate over a few microseconds is none.
SHORTEST_RATED_NS = NS_PER_S // 2
DEAD_AFTER_S = 10
DEAD_AT_END_AFTER_S = 3
FAILING_MIN_S = 2
FAILING_SHARE = 3  # failures come in at least every third second of a silence that is an end
ERROR_GROUPS_MAX = 200


@dataclass(slots=True)
class Second:
    """One second of the load, as far as it has been reported."""

    accounts: Accounts = field(default_factory=Accounts)
    reports: dict[int, Report] = field(default_factory=dict[int, Report])  # by worker
    qps: float = 0.0
    connections: int = 0
    is_measured: bool = False
    due: int | None = None  # starts of an open loop

    @property
    def span_s(self) -> float:
        """How long it was: a cut that came late made it longer, and the next one shorter."""
        return _mean_s([report.interval_ns for report in self.reports.values()])

    @property
    def heard(self) -> Heard:
        """What it had of operations; attempts to connect are none."""
        accounts = self.accounts
        longest_ms = (each.service.longest_ms for each in accounts.by_kind.values())
        return Heard(
            answered=accounts.answered,
            failed=accounts.failed - accounts.unkind_failed,
            longest_ms=max(longest_ms, default=0.0),
            due=self.due,
            is_measured=self.is_measured,
            span_s=self.span_s,
        )


class Ledger:
    """The sums of one load, from which its ticks and its outcome are read."""

    def __init__(self, *, workers: int, source: TableType, think_time_ms: int = 0) -> None:
        self.timekeeping = Timekeeping(workers)
        self._workers = set(range(workers))
        self._source = source
        self._seconds: dict[int, Second] = {}
        self._open = [0] * workers
        self._most_open = 1  # connections that there were in one second
        self._measured_ns = [0] * workers
        self._measured = Accounts()
        self._left_over = 0  # starts that were due in the warm-up and came to no end in it
        self._errors: dict[tuple[FailureKind, QueryKind | None], FailureCount] = {}
        self._silent_s = 0.0
        self._silences = Silences(think_time_ms=think_time_ms)
        self._failed_since = 0
        self._failing_s = 0.0  # seconds of the silence in which something failed
        self._last_message = ""

    @property
    def measured_seconds(self) -> float:
        """How long was measured: the mean over the workers, which differ by milliseconds."""
        counted = [ns for ns in self._measured_ns if ns]
        return max(self._measured_ns) / NS_PER_S if self._has_lost else _mean_s(counted)

    @property
    def _has_lost(self) -> bool:
        return len(self._workers) < len(self._measured_ns)

    @property
    def last_message(self) -> str:
        """What the newest failure said."""
        return self._last_message

    @property
    def measured(self) -> Accounts:
        """Everything that was measured."""
        return self._measured

    @property
    def backlog(self) -> int:
        """Starts that the warm-up of an open loop has left to the measurement."""
        return max(0, self._left_over)

    def enter(self, worker: int, report: Report) -> None:
        """Add one worker's report of one second."""
        self._open[worker] = report.connections
        second = self._seconds.setdefault(report.second, Second())
        second.reports[worker] = report
        second.is_measured = report.is_measured
        accounts = Accounts()
        accounts.enter(report)
        second.accounts.add(accounts)
        second.qps += accounts.answered * NS_PER_S / max(SHORTEST_RATED_NS, report.interval_ns)
        if report.punctuality is not None:
            second.due = (second.due or 0) + report.punctuality.scheduled
        self._enter_failures(report)
        self.timekeeping.count(report)
        if report.is_measured:
            self._measured_ns[worker] += report.interval_ns
            self._measured.add(accounts)
            self.timekeeping.enter(worker, report)
        elif report.punctuality is not None:
            ended = accounts.answered + accounts.failed - accounts.unkind_failed
            self._left_over += report.punctuality.scheduled - ended

    def lose(self, worker: int) -> None:
        """Expect no further report of *worker*, which is gone; what it has reported counts."""
        self._workers.discard(worker)
        self._open[worker] = 0

    def _enter_failures(self, report: Report) -> None:
        self._last_message = report.last_message or self._last_message
        for failure in report.failures:
            known = self._errors.get((failure.failure, failure.kind))
            first = failure if known is None or failure.at < known.at else known
            count = failure.count + (known.count if known else 0)
            self._errors[failure.failure, failure.kind] = first.model_copy(update={"count": count})

    def is_complete(self, second: int) -> bool:
        """Whether every worker that there still is has reported *second*."""
        return second in self._seconds and self._workers <= self._seconds[second].reports.keys()

    def close(self, second: int) -> tuple[Second, LiveMetrics]:
        """What *second* came to, and its figures; it is forgotten thereafter."""
        entry = self._seconds.pop(second)
        accounts = entry.accounts
        entry.connections = sum(self._open)
        self._most_open = max(self._most_open, entry.connections)
        p50_ms, p95_ms, p99_ms = accounts.latency().percentiles_ms((50, 95, 99))
        self._silences.hear(entry.heard)
        self._enter_silence(entry)
        return entry, LiveMetrics(
            qps=round(entry.qps, 1),
            p50_latency_ms=p50_ms,
            p95_latency_ms=p95_ms,
            p99_latency_ms=p99_ms,
            error_rate=accounts.error_rate,
            active_connections=entry.connections,
            total_queries=self._measured.answered,
        )

    def _enter_silence(self, entry: Second) -> None:
        if entry.accounts.answered:
            self._silent_s = self._failing_s = 0.0
            self._failed_since = 0
            return
        self._silent_s += entry.span_s
        self._failed_since += entry.accounts.failed
        if entry.accounts.failed:
            # Of a long second nothing says that there were failures in more than one of it.
            self._failing_s += min(1.0, entry.span_s)

    def is_dead(self, *, after_s: int = DEAD_AFTER_S) -> bool:
        """Whether nothing has worked for so long although each connection had its chance.

        Those that were open count; what a rate may open, or a search may try, has had none.

        A silence without failures is a slow database, and one failure after a long operation is
        no dead one: they have to come again and again.
        """
        is_silent = round(self._silent_s) >= after_s and self._failed_since >= self._most_open
        failing_s_min = max(FAILING_MIN_S, after_s // FAILING_SHARE)
        return is_silent and round(self._failing_s) >= failing_s_min

    def ended_dead(self) -> bool:
        """Whether a load that has had its time ended in a silence, or never did anything else."""
        if not self._measured.answered and self._failed_since:
            return True
        return self.is_dead(after_s=DEAD_AT_END_AFTER_S)

    @property
    def unanswered_seconds(self) -> int:
        """The seconds of the measurement in which nothing was answered that should have been."""
        return self._silences.unanswered_s

    def silence(self) -> str | None:
        """What no figure shows: an end in which operations waited longer than any answer took.

        They were never answered, so no histogram knows of them, and every percentile looks better
        than what the last seconds were like.
        """
        if not self._silences.is_ending:
            return None
        return (
            f"Nothing was answered in the last {self._silences.ending_s} s, which is longer than "
            "any answer took; what was under way then is in no figure."
        )

    def refusal(self) -> str | None:
        """What explains connections that are missing: the database has no more of them."""
        refused = self._errors.get((FailureKind.RESOURCES, None))
        if refused is None:
            return None
        times = "once" if refused.count == 1 else f"{refused.count:,} times"
        return (
            f"A further connection was refused {times} ({refused.message}); the load went on "
            "with those that it had."
        )

    def summary(self) -> Summary | None:
        """The figures of the measurement; None when it never began."""
        return self._measured.summary(self.measured_seconds) if any(self._measured_ns) else None

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


def _mean_s(measured_ns: list[int]) -> float:
    return sum(measured_ns) / len(measured_ns) / NS_PER_S if measured_ns else 0.0
