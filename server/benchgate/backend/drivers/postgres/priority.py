"""How soon the thread that keeps a schedule gets a core that others want as well.

A load generator on the machine of its server waits for a core behind the very sessions that it
loads, and is late for the others meanwhile; users have machines of their own. So where the system
lets it, such a thread goes before them, by a real-time priority. That is for threads that need
little of a core: one that needs much would keep from the server what it measures, and others from
hearing a stop.

What a thread needs is seen only where it gets it. One that is ready to run most of the time, and
does not, may need any amount of it, so it has to have rested as well.

Knows threads and nothing of loads. There is such a priority on Linux, for root and for whom
`RLIMIT_RTPRIO` allows it; elsewhere these threads run as any other.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time_ns
from typing import NamedTuple

from benchgate.backend.drivers.starts import sharpen_timer

if sys.platform == "linux":
    import resource

PERIOD_NS = 1_000_000_000
# Of each period; what the thread gains is lost above that, because the server waits for it.
RUN_MAX_NS = PERIOD_NS // 3
READY_MAX_NS = PERIOD_NS * 2 // 3  # running or waiting for a core
# What was too much is so for a while, and others have waited for it.
ABSTAIN_NS = 60_000_000_000
CORES_OF_A_THREAD = 2
TIMES = Path("/proc/thread-self/schedstat")


class Times(NamedTuple):
    """What a thread has spent so far."""

    run_ns: int
    wait_ns: int  # for a core, while it could have run


def is_affordable(threads: int) -> bool:
    """Whether so many threads of this machine can have it, and leave others enough cores."""
    return sys.platform == "linux" and threads * CORES_OF_A_THREAD <= len(os.sched_getaffinity(0))


def times() -> Times:
    """Those of the calling thread.

    Raises:
        OSError: the system does not tell.
    """
    # The first figure is the running as well, but that of a while ago.
    _, wait_ns, turns = map(int, TIMES.read_bytes().split())
    if not turns:
        raise OSError("this kernel does not count them")
    return Times(thread_time_ns(), wait_ns)


class RealTimePriority:
    """That of one thread, which alone may call this.

    It is taken after a period in which the thread needed little, and given back as soon as the
    thread has used in one period what it may.
    """

    def __init__(
        self, note_held_ns: Callable[[int], None], *, times: Callable[[], Times] = times
    ) -> None:
        """Tell *note_held_ns*, at each review, for how long it was held since the last."""
        self._note_held_ns = note_held_ns
        self._times = times
        self._is_refused = False
        self._held_since_ns: int | None = None
        self._period_ns = 0  # when the period under review began, or is to
        self._before: Times | None = None  # at that moment

    def review(self, now_ns: int) -> None:
        """Take it or give it back, by what the thread needs; to be called several times a period.

        What fails here costs the priority, and not the load.
        """
        self._note(now_ns)
        if self._is_refused or now_ns < self._period_ns:
            return
        try:
            self._judge(now_ns)
        except OSError:
            self._is_refused = True
            self.give_back()

    def give_back(self) -> None:
        """Run as any other thread from here on."""
        if self._held_since_ns is not None:
            self._held_since_ns = None
            _set_policy(os.SCHED_OTHER, 0)
            # Which a thread of real time has not, and one that was has it anew.
            sharpen_timer()

    def _judge(self, now_ns: int) -> None:
        spent = self._times()
        before = self._before
        if before is None:
            self._period_ns, self._before = now_ns, spent
            return
        run_ns, wait_ns = spent.run_ns - before.run_ns, spent.wait_ns - before.wait_ns
        if run_ns > RUN_MAX_NS or run_ns + wait_ns > READY_MAX_NS:
            self.give_back()
            self._period_ns, self._before = now_ns + ABSTAIN_NS, None
        elif now_ns - self._period_ns >= PERIOD_NS:
            self._take(now_ns)
            self._period_ns, self._before = now_ns, spent

    def _take(self, now_ns: int) -> None:
        if self._held_since_ns is None:
            _raise_calling_thread()
            self._held_since_ns = now_ns

    def _note(self, now_ns: int) -> None:
        if self._held_since_ns is not None:
            self._note_held_ns(now_ns - self._held_since_ns)
            self._held_since_ns = now_ns


def _raise_calling_thread() -> None:
    """Give it the least real-time priority.

    Raises:
        OSError: that cannot be had, or not without harm.
    """
    if os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
        raise OSError("another way of scheduling has been chosen")
    # A thread that runs for so long without a rest is ended, with its whole process.
    if resource.getrlimit(resource.RLIMIT_RTTIME)[0] != resource.RLIM_INFINITY:
        raise OSError("the time of such threads is limited")
    _set_policy(os.SCHED_RR, os.sched_get_priority_min(os.SCHED_RR))


def _set_policy(policy: int, priority: int) -> None:
    # Threads that this one starts have nothing of it. Only root may take that back, so it stays
    # when the thread is lowered.
    os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
