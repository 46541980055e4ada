"""How soon the thread that keeps a schedule gets a core that others want as well.

A load generator on the machine of its server waits for a core behind the very sessions that it
loads, and is late for the others meanwhile; users have machines of their own. So where the system
lets it, such a thread goes before them, by a real-time priority. That is for threads that need
little of a core: one that needs much would keep from the server what it measures, and others from
hearing a stop.

Knows threads and nothing of loads. There is such a priority on Linux, for root and for whom
`RLIMIT_RTPRIO` allows it; elsewhere these threads run as any other.
"""

import os
import sys
from collections.abc import Callable
from time import thread_time_ns

if sys.platform == "linux":
    import resource

# What it gains is lost above that: the server then waits for the thread instead.
USE_MAX_PCT = 33
REVIEW_EVERY_NS = 1_000_000_000
# What was too much is judged again over so long.
REST_NS = 60_000_000_000
CORES_OF_A_THREAD = 2
PERCENT = 100


def is_affordable(threads: int) -> bool:
    """Whether so many threads of this machine can have it, and leave others enough cores."""
    return sys.platform == "linux" and threads * CORES_OF_A_THREAD <= len(os.sched_getaffinity(0))


class RealTimePriority:
    """That of one thread, which alone may call this."""

    def __init__(self, now_ns: int, used_ns: Callable[[], int] = thread_time_ns) -> None:
        """Judge the thread from now on by *used_ns*, its CPU time in nanoseconds."""
        self._used_ns = used_ns
        self._is_held = False
        self._is_refused = False
        self._reviewed_ns = now_ns
        self._next_ns = now_ns + REVIEW_EVERY_NS
        self._used_by_then_ns = used_ns()

    def review(self, now_ns: int) -> None:
        """Take it or give it back, by what the thread has used; may be called at any time."""
        if now_ns < self._next_ns or self._is_refused:
            return
        used_ns = self._used_ns()
        use_pct = PERCENT * (used_ns - self._used_by_then_ns) / (now_ns - self._reviewed_ns)
        self._reviewed_ns, self._used_by_then_ns = now_ns, used_ns
        if use_pct > USE_MAX_PCT:
            self.give_back()
            self._next_ns = now_ns + REST_NS
        else:
            self._is_held = self._is_held or _raised()
            self._is_refused = not self._is_held
            self._next_ns = now_ns + REVIEW_EVERY_NS

    def give_back(self) -> None:
        """Run as any other thread from here on."""
        if self._is_held:
            self._is_held = False
            _set_policy(os.SCHED_OTHER, 0)


def _raised() -> bool:
    """Raise the calling thread to the least real-time priority; whether that could be done."""
    # Whoever has chosen another way of scheduling has had a reason. And a thread that runs for as
    # long as the limit says is ended, with its whole process.
    is_limited = resource.getrlimit(resource.RLIMIT_RTTIME)[0] != resource.RLIM_INFINITY
    if is_limited or os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK != os.SCHED_OTHER:
        return False
    try:
        _set_policy(os.SCHED_RR, os.sched_get_priority_min(os.SCHED_RR))
    except OSError:
        return False
    return True


def _set_policy(policy: int, priority: int) -> None:
    # Threads that this one starts have nothing of it. Only root may take that back, so it stays
    # when the thread is lowered.
    os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
