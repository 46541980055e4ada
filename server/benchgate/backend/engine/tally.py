"""What one worker has counted since it last reported; knows no driver and no clock but its own.

Drivers append to plain lists from any thread: appending and cutting a list are single steps of
the interpreter, so nothing is lost and nothing is locked. What has been collected is folded into
counts every few milliseconds, in portions so small that no operation waits for it.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from benchgate.backend.drivers.port import Meter
from benchgate.backend.engine.histograms import LatencyHistogram, units_of
from benchgate.backend.engine.messages import FailureCount, KindCounts, Punctuality
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import WRITES, QueryKind
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

NOTICES_MAX = 10


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


class Counted(Value):
    """Everything that was counted in one interval."""

    kinds: tuple[KindCounts, ...] = ()
    punctuality: Punctuality | None = None
    failures: tuple[FailureCount, ...] = ()
    last_message: str | None = None
    connections: int = 0


@dataclass(slots=True)
class _Group:
    count: int
    message: str
    at: datetime


class _Places:
    """A list of latencies on its way into a histogram."""

    def __init__(self, collected: list[int]) -> None:
        self._collected = collected
        self._units: Counter[int] = Counter()

    def fold(self, count: int) -> None:
        """Count the first *count* of what was collected; what is appended meanwhile stays."""
        taken = self._collected[:count]
        del self._collected[:count]
        self._units.update(units_of(taken))

    def fold_all(self) -> None:
        self.fold(len(self._collected))

    def take(self) -> str:
        """The packed histogram of everything since the last time."""
        units, self._units = self._units, Counter()
        histogram = LatencyHistogram()
        histogram.enter_units(units)
        return histogram.packed


class _Account:
    """One meter, and what it has come to."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.service = _Places(self.meter.service_ns)
        self.response = _Places(self.meter.response_ns)
        self.rows = 0

    def fold(self) -> int:
        # What belongs to one operation is appended in this order's reverse, and stays together.
        count = len(self.meter.service_ns)
        self.service.fold(count)
        self.response.fold(count)
        rows = self.meter.rows[:count]
        del self.meter.rows[:count]
        self.rows += sum(rows)
        return count

    def take(self, kind: QueryKind, *, writes: bool) -> KindCounts | None:
        service, rows, self.rows = self.service.take(), self.rows, 0
        response = self.response.take()
        if not service:
            return None
        return KindCounts(
            kind=kind, writes=writes, service=service, response=response or None, rows=rows
        )


class Tally:
    """A recorder for drivers, emptied by its worker."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self.lag_ns: list[int] = []
        self.oversleep_ns: list[int] = []
        self.real_time_ns: list[int] = []
        self.notices: list[str] = []
        self._clock = clock
        # Statements of a person's own are the only kind of which some may write and some read.
        pairs = [(kind, kind in WRITES) for kind in QueryKind] + [(QueryKind.GENERIC_SQL, True)]
        self._accounts = {pair: _Account() for pair in pairs}
        self._lag, self._oversleep = _Places(self.lag_ns), _Places(self.oversleep_ns)
        self._lock = threading.Lock()  # for what happens seldom
        self._failures: dict[tuple[FailureKind, QueryKind | None], _Group] = {}
        self._last_message: str | None = None
        self._connections = 0

    def meter(self, kind: QueryKind, *, writes: bool = False) -> Meter:
        """Where operations of *kind* are counted; *writes* is asked of a person's own alone."""
        return self._accounts[kind, writes or kind in WRITES].meter

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        """Count one failure; of each group only the first message is kept."""
        with self._lock:
            group = self._failures.get((failure, kind))
            if group is None:
                group = _Group(count=0, message=one_line(message), at=self._clock())
                self._failures[failure, kind] = group
            group.count += 1
            self._last_message = message

    def noticed(self, text: str) -> None:
        """Keep *text* for the end."""
        with self._lock:
            if len(self.notices) < NOTICES_MAX:
                self.notices.append(one_line(text))

    def connections_changed(self, by: int) -> None:
        """Keep the number of open connections."""
        with self._lock:
            self._connections += by

    def fold(self) -> int:
        """Count what was collected; how many operations that were."""
        self._lag.fold_all()
        self._oversleep.fold_all()
        return sum(account.fold() for account in self._accounts.values())

    def take(self, scheduled: Callable[[], int] | None = None) -> Counted:
        """Everything since the last time; in an open loop *scheduled* counts what was due in it.

        It is asked when all has been taken: what is answered meanwhile belongs to the next time.
        """
        self.fold()
        with self._lock:
            failures, self._failures = self._failures, {}
            last_message, self._last_message = self._last_message, None
            connections = self._connections
        kinds = [
            account.take(kind, writes=writes) for (kind, writes), account in self._accounts.items()
        ]
        punctuality = None if scheduled is None else self._punctuality(scheduled)
        return Counted(
            kinds=tuple(counts for counts in kinds if counts is not None),
            punctuality=punctuality,
            failures=tuple(_count(*key, group) for key, group in failures.items()),
            last_message=None if last_message is None else one_line(last_message),
            connections=connections,
        )

    def _punctuality(self, scheduled: Callable[[], int]) -> Punctuality:
        count = len(self.real_time_ns)
        held_ns = sum(self.real_time_ns[:count])
        del self.real_time_ns[:count]
        return Punctuality(
            scheduled=scheduled(),
            lag=self._lag.take(),
            oversleep=self._oversleep.take(),
            real_time_ns=held_ns,
        )


def _count(failure: FailureKind, kind: QueryKind | None, group: _Group) -> FailureCount:
    return FailureCount(
        failure=failure, kind=kind, count=group.count, message=group.message, at=group.at
    )
