"""Who sends which operation of an open loop: its starts in order, and the idle that wait for them.

The idle watch the clock themselves, because every word from thread to thread costs a fast database
more than its answer takes. As many as `WATCHERS` hold the next starts, one each, and sleep until
theirs is due; the others rest, and one of them is woken only when nobody is left to watch. So
while answers come before the next start, as they do unless a database is slow, no thread wakes
another. A start is held by somebody idle or by nobody: it is late only when all are at work.
"""

import ctypes
import sys
import threading
from collections.abc import Iterator
from heapq import heappop, heappush, heapreplace
from time import perf_counter_ns
from typing import Protocol

from benchgate.domain.arrivals import Arrivals, due, starts_ns

WATCHERS = 2
NS_PER_S = 1_000_000_000
SET_TIMER_SLACK = 29  # of <linux/prctl.h>; in nanoseconds, for the calling thread alone


def sharpen_timer() -> None:
    """Let the calling thread wake at the instant that it asks for, where the system allows it.

    Linux lets a sleeper sleep 50 us longer by default, to wake several at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_TIMER_SLACK, 1, 0, 0, 0)


class Idler(Protocol):
    """Who waits for a start."""

    idle_since_ns: int

    def may_load(self) -> bool:
        """Whether it can still send an operation."""
        ...

    def wait(self, limit_s: float | None) -> None:
        """Sleep for so long at most; shorter when it is roused, also when it was before."""
        ...

    def rouse(self) -> None:
        """From another thread: end its wait."""
        ...


class Line:
    """The starts of one worker's open loop, which begins at the instant *begin_ns*."""

    def __init__(self, arrivals: Arrivals, begin_ns: int) -> None:
        self._arrivals = arrivals
        self._begin_ns = begin_ns
        self._lock = threading.Lock()
        self._starts: Iterator[int] = starts_ns(arrivals)
        self._following_ns = begin_ns + next(self._starts)
        self._taken = 0
        self._asked_ns = begin_ns - 1  # when somebody last asked whether idlers are lacking
        self._returned: list[int] = []  # by those who left while they held one; a heap
        self._watching: list[Idler] = []
        self._resting: list[Idler] = []

    def take(self, idler: Idler) -> tuple[int, bool] | None:
        """The start that *idler* sends, as soon as it is due; None when it may not.

        With it comes whether somebody was idle when it became due.
        """
        while idler.may_load():
            start_ns, was_foreseen = self._claim(idler)
            if start_ns is None:
                idler.wait(None)
                continue
            start_ns = self._watch(idler, start_ns)
            if self._let_go(idler, start_ns):
                return start_ns, was_foreseen or idler.idle_since_ns <= start_ns
        self._leave(idler)
        return None

    def lacks_idlers(self, opening: int) -> bool:
        """Whether starts wait, since it was last asked at least, that nobody is about to take.

        Nobody is idle, and they are more than the *opening* can take. What has come due since then
        may wait for the generator alone: a process that was held up has many starts due at once,
        and those who are there have sent them before this is asked again.
        """
        now_ns = perf_counter_ns()
        with self._lock:
            asked_ns, self._asked_ns = self._asked_ns, now_ns
            if self._watching or self._resting:
                return False
            returned = sum(start_ns <= asked_ns for start_ns in self._returned)
            does_wait = returned > 0 or self._following_ns <= asked_ns
            if not does_wait or not opening:
                return does_wait
            waiting = max(0, due(self._arrivals, asked_ns - self._begin_ns) - self._taken)
            return waiting + returned > opening

    def _claim(self, idler: Idler) -> tuple[int | None, bool]:
        """Let *idler* hold the next start, or rest where enough do so already."""
        with self._lock:
            self._forget(idler)
            if len(self._watching) >= WATCHERS and not self._returned:
                self._resting.append(idler)
                return None, False
            was_foreseen = bool(self._resting)
            self._watching.append(idler)
            if self._returned:
                return heappop(self._returned), was_foreseen
            start_ns, self._following_ns = (
                self._following_ns,
                self._begin_ns + next(self._starts),
            )
            self._taken += 1
            return start_ns, was_foreseen

    def _watch(self, idler: Idler, start_ns: int) -> int:
        """Sleep until the start is due, or an earlier one that was returned; that one."""
        while idler.may_load():
            if self._returned:
                start_ns = self._exchanged(start_ns)
            left_ns = start_ns - perf_counter_ns()
            if left_ns <= 0:
                break
            idler.wait(left_ns / NS_PER_S)
        return start_ns

    def _exchanged(self, start_ns: int) -> int:
        with self._lock:
            if self._returned and self._returned[0] < start_ns:
                return heapreplace(self._returned, start_ns)
            return start_ns

    def _let_go(self, idler: Idler, start_ns: int) -> bool:
        """Give up watching, to send the operation or, with False, to return the start."""
        with self._lock:
            self._watching.remove(idler)
            goes = idler.may_load()
            if not goes:
                heappush(self._returned, start_ns)
            heirs = self._heirs()
        for heir in heirs:
            heir.rouse()
        return goes

    def _leave(self, idler: Idler) -> None:
        with self._lock:
            self._forget(idler)
            heirs = self._heirs()
        for heir in heirs:
            heir.rouse()

    def _forget(self, idler: Idler) -> None:
        if idler in self._resting:
            self._resting.remove(idler)

    def _heirs(self) -> list[Idler]:
        """Who has to be roused, so that the next start and those returned find somebody idle."""
        heirs: list[Idler] = []
        if self._resting and (self._returned or not self._watching):
            heirs.append(self._resting.pop())
        if self._returned:
            # They may hold a later start than the one that was returned.
            heirs += self._watching
        return heirs
