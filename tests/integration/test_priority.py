"""The thread of an open loop and its real-time priority, by what the system says of it."""

import ctypes
import os
import resource
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter_ns
from typing import TypeVar

import anyio
import pytest

from benchgate.backend.drivers.port import Assignment, Target
from benchgate.backend.drivers.postgres.priority import (
    ABSTAIN_NS,
    CORES_OF_A_THREAD,
    PERIOD_NS,
    READY_MAX_NS,
    RUN_MAX_NS,
    RealTimePriority,
    Times,
    times,
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
PERIOD_S = PERIOD_NS / 1_000_000_000
USUAL, RAISED = (os.SCHED_OTHER, 0), (os.SCHED_RR, 1)
# Of <linux/capability.h> and <linux/prctl.h>.
SYS_NICE = 1 << 23
VERSION_3 = 0x20080522
GET_TIMER_SLACK = 30


def in_a_thread(do: Callable[[], T]) -> T:
    """What *do* comes to in a thread of its own, which ends with it."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result()


def way(thread_id: int = 0) -> tuple[int, int]:
    """How a thread is scheduled, and with which priority of real time."""
    policy = os.sched_getscheduler(thread_id) & ~os.SCHED_RESET_ON_FORK
    return policy, os.sched_getparam(thread_id).sched_priority


def is_allowed() -> bool:
    """Whether this process may have such a priority: root may, and others seldom."""

    def has_tried() -> bool:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        return way() == RAISED

    return in_a_thread(has_tried)


needs_the_right = pytest.mark.skipif(
    not is_allowed(), reason="this user may have no real-time priority"
)


class Thread:
    """The calling thread by a clock that goes as it is told to, and by times that are made up."""

    def __init__(self) -> None:
        self.now_ns = perf_counter_ns()
        self.spent = Times(1, 1)
        self.held_ns: list[int] = []
        self.priority = RealTimePriority(self.held_ns.append, times=lambda: self.spent)
        self.priority.review(self.now_ns)

    def go_on(self, for_ns: int, *, run_ns: int = 0, wait_ns: int = 0) -> tuple[int, int]:
        """How it is scheduled after so long, in which it has spent so much."""
        self.now_ns += for_ns
        self.spent = Times(self.spent.run_ns + run_ns, self.spent.wait_ns + wait_ns)
        self.priority.review(self.now_ns)
        return way()


def raised() -> tuple[int, int]:
    """How the calling thread is scheduled when it would go before others."""
    return Thread().go_on(PERIOD_NS)


@contextmanager
def limited(limit: int, soft: int) -> Generator[None]:
    """This process has another soft limit inside."""
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(limit, before)


def renounce() -> None:
    """Take the right from the calling thread alone."""
    system = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(VERSION_3, 0), (ctypes.c_uint32 * 6)()
    assert system.capget(header, sets) == 0
    sets[0] &= ~SYS_NICE
    assert system.capset(header, sets) == 0


def scheduled() -> set[tuple[int, int]]:
    """How all threads of this process are scheduled at the moment."""
    found: set[tuple[int, int]] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):
            found.add(way(int(task.name)))
    return found


def open_loop(target: Target, *, workers: int = 1) -> Assignment:
    """The part of the first of *workers* in a few lookups on a schedule."""
    arrivals = Arrivals(rate_per_s=200, spacing=Spacing.CONSTANT, seed=1)
    given = assignment(target, only(QueryKind.POINT_LOOKUP), connections=2, arrivals=arrivals)
    return given.model_copy(update={"workers": workers})


@needs_the_right
def test_it_is_had_after_a_period_in_which_the_thread_needed_little() -> None:
    def told() -> list[tuple[int, int]]:
        thread = Thread()
        return [
            thread.go_on(PERIOD_NS - 1, run_ns=RUN_MAX_NS),
            thread.go_on(1),
            thread.go_on(PERIOD_NS, wait_ns=READY_MAX_NS),
        ]

    assert in_a_thread(told) == [USUAL, RAISED, RAISED]


@needs_the_right
@pytest.mark.parametrize("too_much", [(RUN_MAX_NS + 1, 0), (RUN_MAX_NS, READY_MAX_NS)])
def test_it_is_lost_as_soon_as_a_period_has_seen_too_much_and_for_a_while(
    too_much: tuple[int, int],
) -> None:
    run_ns, wait_ns = too_much

    def told() -> list[tuple[int, int]]:
        thread = Thread()
        return [
            thread.go_on(PERIOD_NS),
            thread.go_on(PERIOD_NS // 2, run_ns=run_ns, wait_ns=wait_ns),
            thread.go_on(ABSTAIN_NS - 1),
            # What the thread did meanwhile says nothing, and what it does now is yet to be seen.
            thread.go_on(1),
            thread.go_on(PERIOD_NS - 1, run_ns=RUN_MAX_NS),
            thread.go_on(1),
        ]

    assert in_a_thread(told) == [RAISED, USUAL, USUAL, USUAL, USUAL, RAISED]


@pytest.mark.parametrize("too_much", [(RUN_MAX_NS + 1, 0), (0, READY_MAX_NS + 1)])
def test_a_thread_that_needs_much_or_waits_for_a_core_most_of_the_time_does_not_get_it(
    too_much: tuple[int, int],
) -> None:
    run_ns, wait_ns = too_much

    def told() -> tuple[int, int]:
        return Thread().go_on(PERIOD_NS, run_ns=run_ns, wait_ns=wait_ns)

    assert in_a_thread(told) == USUAL


def test_a_real_thread_that_computes_all_the_time_does_not_get_it() -> None:
    def told() -> tuple[int, int]:
        priority, until_ns = RealTimePriority(list[int]().append), perf_counter_ns() + 2 * PERIOD_NS
        while (now_ns := perf_counter_ns()) < until_ns:
            priority.review(now_ns)
        return way()

    assert in_a_thread(told) == USUAL


def test_the_times_are_those_of_the_calling_thread() -> None:
    def told() -> Times:
        before, until_ns = times(), perf_counter_ns() + PERIOD_NS // 10
        while perf_counter_ns() < until_ns:
            pass
        after = times()
        return Times(after.run_ns - before.run_ns, after.wait_ns - before.wait_ns)

    spent = in_a_thread(told)
    assert spent.run_ns + spent.wait_ns == pytest.approx(PERIOD_NS // 10, rel=0.5)


@needs_the_right
def test_how_long_it_was_held_is_noted() -> None:
    def told() -> list[int]:
        thread = Thread()
        thread.go_on(PERIOD_NS)
        thread.go_on(7)
        thread.go_on(5, run_ns=RUN_MAX_NS + 1)
        thread.go_on(ABSTAIN_NS)
        return thread.held_ns

    assert in_a_thread(told) == [7, 5]


@needs_the_right
def test_it_is_given_back_with_a_timer_that_is_as_sharp_as_before() -> None:
    def told() -> tuple[tuple[int, int], tuple[int, int], int]:
        thread = Thread()
        before = thread.go_on(PERIOD_NS)
        thread.priority.give_back()
        slack_ns: int = ctypes.CDLL(None).prctl(GET_TIMER_SLACK, 0, 0, 0, 0)
        return before, way(), slack_ns

    assert in_a_thread(told) == (RAISED, USUAL, 1)


@needs_the_right
def test_threads_that_it_starts_have_nothing_of_it() -> None:
    assert in_a_thread(lambda: (raised(), in_a_thread(way))) == (RAISED, USUAL)


def test_whoever_may_not_have_it_runs_as_before() -> None:
    def told() -> tuple[int, int]:
        renounce()
        return raised()

    with limited(resource.RLIMIT_RTPRIO, 0):
        assert in_a_thread(told) == USUAL


@pytest.mark.parametrize("call", ["sched_getscheduler", "sched_setscheduler"])
def test_a_system_that_knows_no_such_thing_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    thread = Thread()
    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        thread.now_ns += PERIOD_NS
        thread.priority.review(thread.now_ns)
    assert thread.go_on(2 * ABSTAIN_NS) == USUAL


def test_a_system_that_does_not_tell_the_times_costs_nothing_else() -> None:
    def unknown() -> Times:
        raise FileNotFoundError

    priority = RealTimePriority(list[int]().append, times=unknown)
    for now_ns in (0, PERIOD_NS, 2 * PERIOD_NS):
        priority.review(now_ns)
    assert way() == USUAL


def test_another_way_of_scheduling_that_was_chosen_stays() -> None:
    def told() -> tuple[int, int]:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        return raised()

    assert in_a_thread(told) == (os.SCHED_BATCH, 0)


def test_it_is_not_taken_where_it_would_end_the_process() -> None:
    with limited(resource.RLIMIT_RTTIME, 200_000):
        assert in_a_thread(raised) == USUAL


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    return make_items(postgres)


@needs_the_right
@pytest.mark.skipif(CORES < CORES_OF_A_THREAD, reason="no core would be left for others")
async def test_an_open_loop_has_it_as_long_as_it_lasts_and_says_so(items: Target) -> None:
    notes = Notes()
    async with driven(open_loop(items), notes):
        # Where others keep the machine busy, a period in which it can be had may be long in coming.
        await until(lambda: RAISED in scheduled(), limit_s=90)
        await until(lambda: sum(notes.real_time_ns) > 0)
    assert scheduled() == {USUAL}


async def test_where_its_workers_would_take_too_many_cores_none_has_it(items: Target) -> None:
    workers, notes = CORES // CORES_OF_A_THREAD + 1, Notes()
    async with driven(open_loop(items, workers=workers), notes):
        await anyio.sleep(PERIOD_S * 1.5)
        assert scheduled() == {USUAL}
    assert notes.real_time_ns == []


async def test_a_closed_loop_has_no_schedule_and_none_of_it(items: Target) -> None:
    given = assignment(items, only(QueryKind.POINT_LOOKUP), connections=2)
    given = given.model_copy(update={"think_time_ms": 20})
    async with driven(given, Notes()):
        await anyio.sleep(PERIOD_S * 1.5)
        assert scheduled() == {USUAL}
