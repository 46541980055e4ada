"""What one worker has counted since it last reported; knows no driver and no clock but its own.

Drivers call it from any thread, for every operation. It only appends to a list then: appending
and cutting a list are single steps of the interpreter, so nothing is lost and nothing is locked.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.messages import FailureCount, KindLatencies, Report
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from benchgate.domain.text import one_line


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


@dataclass(slots=True)
class _Group:
    count: int
    message: str
    at: datetime


class Tally:
    """A recorder for drivers, emptied by its worker."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._latencies_us: dict[QueryKind, list[int]] = {kind: [] for kind in QueryKind}
        self._histograms: dict[QueryKind, LatencyHistogram] = {}
        self._lock = threading.Lock()  # for what happens seldom
        self._failures: dict[tuple[FailureKind, QueryKind | None], _Group] = {}
        self._last_message: str | None = None
        self._connections = 0

    def succeeded(self, kind: QueryKind, latency_us: int) -> None:
        """Count one operation that was answered."""
        self._latencies_us[kind].append(latency_us)

    def failed(self, kind: QueryKind | None, failure: FailureKind, message: str) -> None:
        """Count one failure; of each group only the first message is kept."""
        with self._lock:
            group = self._failures.get((failure, kind))
            if group is None:
                group = _Group(count=0, message=one_line(message), at=self._clock())
                self._failures[failure, kind] = group
            group.count += 1
            self._last_message = message

    def connections_changed(self, by: int) -> None:
        """Keep the number of open connections."""
        with self._lock:
            self._connections += by

    def fold(self) -> None:
        """Move what was collected into the histograms; cheap when done often."""
        for kind, collected in self._latencies_us.items():
            # What is appended meanwhile stays for the next time.
            count = len(collected)
            if count:
                taken = collected[:count]
                del collected[:count]
                self._histograms.setdefault(kind, LatencyHistogram()).record(taken)

    def take(self, *, second: int, is_measured: bool, interval_ns: int) -> Report:
        """Everything since the last time, as the report of *second*."""
        self.fold()
        histograms, self._histograms = self._histograms, {}
        with self._lock:
            failures, self._failures = self._failures, {}
            last_message, self._last_message = self._last_message, None
            connections = self._connections
        return Report(
            second=second,
            is_measured=is_measured,
            interval_ns=interval_ns,
            latencies=tuple(
                KindLatencies(kind=kind, histogram=histogram.encode())
                for kind, histogram in histograms.items()
            ),
            failures=tuple(
                FailureCount(
                    failure=failure,
                    kind=kind,
                    count=group.count,
                    message=group.message,
                    at=group.at,
                )
                for (failure, kind), group in failures.items()
            ),
            last_message=None if last_message is None else one_line(last_message),
            connections=connections,
        )
