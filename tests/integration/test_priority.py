"""The thread of an open loop and its real-time priority, by what the system says of it."""

import ctypes
import os
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import TypeVar

import anyio
import pytest

from benchgate.backend.drivers.port import Assignment, Target
from benchgate.backend.drivers.postgres.priority import (
    CORES_OF_A_THREAD,
    REST_NS,
    REVIEW_EVERY_NS,
    USE_MAX_PCT,
    RealTimePriority,
)
from benchgate.domain.arrivals import Arrivals
from benchgate.domain.templates import QueryKind, Spacing
from tests.integration.databases import Notes, assignment, driven, only, until
from tests.integration.items import make_items
from tests.integration.servers import PostgresServer

if sys.platform != "linux":
    pytest.skip("threads have no real-time priority", allow_module_level=True)

pytestmark = pytest.mark.anyio

T = TypeVar("T")
CORES = len(os.sched_getaffinity(0))
REVIEW_S = REVIEW_EVERY_NS / 1_000_000_000
# Of <linux/capability.h>.
SYS_NICE = 1 << 23
VERSION_3 = 0x20080522


def in_a_thread(do: Callable[[], T]) -> T:
    """What *do* comes to in a thread of its own, which ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result()


def policy(thread_id: int = 0) -> int:
    """How a thread is scheduled."""
    return os.sched_getscheduler(thread_id) & ~os.SCHED_RESET_ON_FORK


def is_allowed() -> bool:
    """Whether this process may have such a priority: root may, and others seldom."""

    def has_tried() -> bool:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            return False
        return True

    return in_a_thread(has_tried)


RAISED = os.SCHED_RR if is_allowed() else os.SCHED_OTHER


class Thread:
    """The calling thread by a clock that goes as it is told to, and with a use that is made up."""

    def __init__(self) -> None:
        self.used_ns = 0
        self.now_ns = perf_counter_ns()
        self.priority = RealTimePriority(self.now_ns, lambda: self.used_ns)

    def go_on(self, for_ns: int, *, use_pct: float) -> int:
        """How it is scheduled after so long at so much of a core."""
        self.now_ns += for_ns
        self.used_ns += int(for_ns * use_pct / 100)
        self.priority.review(self.now_ns)
        return policy()


def raised() -> int:
    """How the calling thread is scheduled when it would go before others."""
    return Thread().go_on(REVIEW_EVERY_NS * 2, use_pct=1)


def without_the_right() -> int:
    """The same where it may not."""
    system = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, sets) == 0
    sets[0] &= ~SYS_NICE  # of this thread alone
    assert system.capset(header, sets) == 0
    _, most = resource.getrlimit(resource.RLIMIT_RTPRIO)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, most))
    return raised()


def scheduled() -> set[int]:
    """How all threads of this process are scheduled at the moment."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            found.add(policy(int(task.name)))
    return found


def open_loop(target: Target, *, workers: int = 1) -> Assignment:
    """The part of the first of *workers* in a few lookups on a schedule."""
    arrivals = Arrivals(rate_per_s=200, spacing=Spacing.CONSTANT, seed=1)
    given = assignment(target, only(QueryKind.POINT_LOOKUP), connections=2, arrivals=arrivals)
    return given.model_copy(update={"workers": workers})


def test_it_is_had_by_a_thread_that_has_needed_little_and_by_no_other() -> None:
    def told() -> list[int]:
        thread = Thread()
        return [
            policy(),
            thread.go_on(REVIEW_EVERY_NS, use_pct=USE_MAX_PCT + 1),
            thread.go_on(REST_NS - 1, use_pct=1),
            thread.go_on(1, use_pct=1),
            thread.go_on(REVIEW_EVERY_NS // 2, use_pct=100),
            thread.go_on(REVIEW_EVERY_NS // 2, use_pct=0),
            thread.go_on(REST_NS, use_pct=USE_MAX_PCT + 1),
            thread.go_on(REST_NS, use_pct=USE_MAX_PCT - 1),
        ]

    usual = os.SCHED_OTHER
    # Half of a second at full speed is half of a core, and that is judged when the second is over.
    expected = [usual, usual, usual, RAISED, RAISED, usual, usual, RAISED]
    assert in_a_thread(told) == expected


def test_it_is_given_back() -> None:
    def told() -> tuple[int, int]:
        thread = Thread()
        before = thread.go_on(REVIEW_EVERY_NS, use_pct=1)
        thread.priority.give_back()
        return before, policy()

    assert in_a_thread(told) == (RAISED, os.SCHED_OTHER)


def test_a_real_thread_that_computes_all_the_time_does_not_get_it() -> None:
    def told() -> int:
        began_ns = perf_counter_ns()
        priority, until_ns = RealTimePriority(began_ns), began_ns + 2 * REVIEW_EVERY_NS
        while (now_ns := perf_counter_ns()) < until_ns:
            priority.review(now_ns)
        return policy()

    assert in_a_thread(told) == os.SCHED_OTHER


def test_threads_that_it_starts_have_nothing_of_it() -> None:
    def told() -> tuple[int, int]:
        return raised(), in_a_thread(policy)

    assert in_a_thread(told) == (RAISED, os.SCHED_OTHER)


def test_whoever_may_not_have_it_runs_as_before() -> None:
    assert in_a_thread(without_the_right) == os.SCHED_OTHER


def test_another_way_of_scheduling_that_was_chosen_stays() -> None:
    def told() -> int:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return raised()

    assert in_a_thread(told) == os.SCHED_BATCH


def test_it_is_not_taken_where_it_would_end_the_process() -> None:
    limits = resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (200_000, limits[1]))
    try:
        assert in_a_thread(raised) == os.SCHED_OTHER
    finally:
        resource.setrlimit(resource.RLIMIT_RTTIME, limits)


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    return make_items(postgres)


@pytest.mark.skipif(CORES < CORES_OF_A_THREAD, reason="no core would be left for others")
async def test_an_open_loop_has_it_as_long_as_it_lasts(items: Target) -> None:
    async with driven(open_loop(items), Notes()):
        await until(lambda: RAISED in scheduled())
        await anyio.sleep(REVIEW_S * 1.2)
        assert RAISED in scheduled()
    assert scheduled() == {os.SCHED_OTHER}


async def test_where_its_workers_would_take_too_many_cores_none_has_it(items: Target) -> None:
    workers = CORES // CORES_OF_A_THREAD + 1
    async with driven(open_loop(items, workers=workers), Notes()):
        await anyio.sleep(REVIEW_S * 1.5)
        assert scheduled() == {os.SCHED_OTHER}


async def test_a_closed_loop_has_no_schedule_and_none_of_it(items: Target) -> None:
    given = assignment(items, only(QueryKind.POINT_LOOKUP), connections=2)
    given = given.model_copy(update={"think_time_ms": 20})
    async with driven(given, Notes()):
        await anyio.sleep(REVIEW_S * 1.5)
        assert scheduled() == {os.SCHED_OTHER}
