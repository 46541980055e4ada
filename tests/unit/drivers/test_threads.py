import threading
from itertools import count
from time import perf_counter_ns, sleep

import anyio
import pytest

from benchgate.backend.drivers.operations import place_of
from benchgate.backend.drivers.threads import load
from benchgate.domain.arrivals import Arrivals, Spacing, due
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from benchgate.errors import DatabaseError
from tests.integration.databases import LedCourse, Notes, until
from tests.unit.drivers.scripted import (
    HANG_S,
    Refused,
    ScriptedClient,
    ScriptedSession,
    given,
    loaded,
    work_on,
)

pytestmark = pytest.mark.anyio

LOOKUP = QueryKind.POINT_LOOKUP
MS = 1_000_000


def evenly(rate_per_s: float) -> Arrivals:
    return Arrivals(rate_per_s=rate_per_s, spacing=Spacing.CONSTANT, seed=1)


def slowly(session: ScriptedSession) -> int:
    sleep(0.002)
    return 3


async def test_a_closed_loop_counts_service_times_and_rows_and_no_response_times() -> None:
    notes = Notes()
    async with loaded(ScriptedClient(slowly), given(), notes):
        await until(lambda: len(notes.answered) > 20)
    meter = notes.meter(LOOKUP)
    assert min(meter.service_ns) >= 2 * MS
    assert set(meter.rows) == {3}
    assert len(meter.rows) == len(meter.service_ns)
    assert meter.response_ns == notes.lag_ns == notes.oversleep_ns == []


async def test_no_operation_begins_before_the_load_or_after_its_stop() -> None:
    begun_ns: list[int] = []
    notes = Notes()

    def note(session: ScriptedSession) -> int:
        begun_ns.append(perf_counter_ns())
        return 1

    async with loaded(ScriptedClient(note), given(4), notes) as course:
        await until(lambda: len(begun_ns) > 100)
        course.stopped.set()
        stopped_ns = perf_counter_ns()
    assert min(begun_ns) >= course.start_ns
    # A thread may have looked just before it was told, and have been held up since.
    assert sum(at > stopped_ns for at in begun_ns) <= 4


async def test_an_open_loop_sends_every_start_in_spite_of_a_stall() -> None:
    stall, stalled = threading.Event(), threading.Event()
    notes, client = Notes(), ScriptedClient()

    def answer(session: ScriptedSession) -> int:
        if stall.is_set():
            stalled.wait(HANG_S)
        return 1

    client.answer = answer
    arrivals = evenly(500)
    async with loaded(client, given(2, arrivals=arrivals), notes) as course:
        await until(lambda: len(notes.answered) > 50)
        stall.set()
        await anyio.sleep(0.4)
        stall.clear()
        stalled.set()
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) > answered + 300)
        course.stopped.set()
        elapsed_ns = perf_counter_ns() - course.start_ns
    meter = notes.meter(LOOKUP)
    assert len(notes.lag_ns) >= due(arrivals, elapsed_ns) - 25
    waited = [ns for ns in meter.response_ns if ns > 200 * MS]
    # Half of the 200 starts of the stall waited for more than half of it.
    assert len(waited) >= 90
    # Two were with the database; the others have only waited for one of its connections.
    assert sum(ns > 200 * MS for ns in meter.service_ns) == 2
    assert len(meter.response_ns) == len(meter.service_ns) == len(meter.rows)
    assert len(notes.oversleep_ns) < len(notes.lag_ns)


async def test_a_connection_that_was_idle_tells_how_late_it_woke() -> None:
    notes = Notes()
    async with loaded(ScriptedClient(), given(4, arrivals=evenly(200)), notes):
        await until(lambda: len(notes.answered) >= 60)
    assert len(notes.oversleep_ns) > 30
    assert min(notes.oversleep_ns) >= 0


async def test_further_connections_are_opened_only_when_they_are_needed() -> None:
    gate = threading.Event()
    notes, client = Notes(), ScriptedClient()
    assigned = given(4, connections_at_start=1, arrivals=evenly(15))
    async with loaded(client, assigned, notes):
        await until(lambda: len(notes.answered) >= 8)
        assert notes.connections == 1

        def blocked(session: ScriptedSession) -> int:
            gate.wait(HANG_S)
            return 1

        client.answer = blocked
        await until(lambda: notes.connections == 4)
        sent = len(notes.lag_ns)
        assert sent <= 20
        gate.set()
        await until(lambda: len(notes.answered) >= sent + 20)
    assert len(client.sessions) == 4


async def test_an_open_loop_that_begins_without_connections_opens_what_it_needs() -> None:
    notes, client = Notes(), ScriptedClient()
    async with loaded(client, given(4, connections_at_start=0, arrivals=evenly(25)), notes):
        await until(lambda: len(notes.answered) >= 5)
        assert notes.connections >= 1


@pytest.mark.parametrize("rate_per_s", [None, 200])
async def test_connections_follow_the_course_down_and_up(rate_per_s: float | None) -> None:
    notes, client = Notes(), ScriptedClient(slowly)
    arrivals = None if rate_per_s is None else evenly(rate_per_s)
    async with loaded(client, given(8, arrivals=arrivals), notes) as course:
        for wanted in (3, 0):
            course.connections = wanted
            await until(lambda wanted=wanted: notes.connections == wanted)
        course.connections = 5
        await until(lambda: notes.connections == 5 if arrivals is None else notes.connections > 0)
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) > answered)
    assert notes.failures == []


async def test_starts_that_a_closed_connection_waited_for_are_sent_by_others() -> None:
    notes, client, arrivals = Notes(), ScriptedClient(), evenly(20)
    async with loaded(client, given(6, arrivals=arrivals), notes) as course:
        for wanted in (5, 4, 3, 2, 1):
            course.connections = wanted
            await until(lambda wanted=wanted: notes.connections == wanted)
        answered = len(notes.answered)
        await until(lambda: len(notes.answered) >= answered + 10)
        sent, elapsed_ns = len(notes.lag_ns), perf_counter_ns() - course.start_ns
        assert sent >= due(arrivals, elapsed_ns) - 3


async def test_a_stop_interrupts_what_is_in_flight_and_that_is_no_failure() -> None:
    notes, client = Notes(), ScriptedClient(ScriptedSession.hang)
    async with loaded(client, given(4), notes):
        pass
    assert notes.failures == []
    assert all(session.closed for session in client.sessions)


async def test_an_operation_that_ends_soon_after_the_stop_is_counted() -> None:
    notes = Notes()
    sent = threading.Event()

    def answer(session: ScriptedSession) -> int:
        sent.set()
        sleep(0.1)
        return 1

    async with loaded(ScriptedClient(answer), given(1), notes):
        await until(sent.is_set)
    assert len(notes.answered) == 1


async def test_a_client_that_hears_no_interrupt_does_not_hold_up_a_stop() -> None:
    released = threading.Event()
    notes = Notes()
    client = ScriptedClient(lambda _: released.wait(HANG_S) * 1)
    async with loaded(client, given(3), notes):
        await until(lambda: notes.connections == 3)
    assert notes.connections == 0
    released.set()
    await until(lambda: all(session.closed for session in client.sessions))
    assert notes.connections == 0


async def test_an_opening_that_hangs_does_not_hold_up_a_stop() -> None:
    released = threading.Event()
    notes, client = Notes(), ScriptedClient(slowly)
    async with loaded(client, given(4, connections_at_start=1), notes):
        client.opening = lambda: released.wait(HANG_S)
        await until(lambda: len(notes.answered) > 10)
        assert notes.connections == 1
    released.set()


def noting(sent_ns: dict[int, list[int]]) -> ScriptedClient:
    """A client that notes of each session when it was asked."""

    def answer(session: ScriptedSession) -> int:
        sent_ns.setdefault(id(session), []).append(perf_counter_ns())
        return 1

    return ScriptedClient(answer)


async def test_connections_that_think_begin_one_after_the_other_in_their_first_thought() -> None:
    notes, sent_ns, think_ms = Notes(), dict[int, list[int]](), 400
    async with loaded(noting(sent_ns), given(4, think_time_ms=think_ms), notes) as course:
        await until(lambda: len(sent_ns) == 4 and min(map(len, sent_ns.values())) >= 2)
    first_ns = sorted(sent[0] - course.start_ns for sent in sent_ns.values())
    phases = sorted(place_of(given(4), number).phase for number in range(4))
    for waited_ns, phase in zip(first_ns, phases, strict=True):
        # A thread may wake late on a busy machine, and never early.
        assert waited_ns >= phase * think_ms * MS
    for sent in sent_ns.values():
        assert sent[1] - sent[0] >= think_ms * MS


async def test_thinking_holds_up_no_stop() -> None:
    notes = Notes()
    async with loaded(ScriptedClient(), given(3, think_time_ms=3_600_000), notes) as course:
        await until(lambda: perf_counter_ns() > course.start_ns)
    assert notes.answered == notes.failures == []


async def test_a_statement_that_takes_too_long_is_interrupted_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchgate.backend.drivers.lanes.STATEMENT_LIMIT_S", 0.05)
    notes = Notes()
    async with loaded(ScriptedClient(ScriptedSession.hang), given(1), notes):
        await until(lambda: len(notes.failures) >= 2)
    assert notes.failures[0] == (LOOKUP, FailureKind.TIMEOUT, "refused: timeout")


async def test_a_lost_connection_is_reported_and_made_again() -> None:
    notes, client = Notes(), ScriptedClient()

    def lose(session: ScriptedSession) -> int:
        if session is client.sessions[0]:
            raise Refused(FailureKind.CONNECTION)
        return 1

    client.answer = lose
    async with loaded(client, given(1), notes):
        await until(lambda: bool(notes.answered))
        client.sessions[1].lost_because = "the file is gone"
        client.refusal = FailureKind.CREDENTIALS
        await until(lambda: len(notes.failures) >= 3)
        assert notes.connections == 0
        client.refusal = None
        await until(lambda: notes.connections == 1)
    assert [failure[:2] for failure in notes.failures[:3]] == [
        (LOOKUP, FailureKind.CONNECTION),
        (None, FailureKind.CONNECTION),
        (None, FailureKind.CREDENTIALS),
    ]
    assert all(session.closed == 1 for session in client.sessions)


async def test_a_connection_that_cannot_be_made_at_the_start_ends_the_load() -> None:
    notes, course = Notes(), LedCourse(3)
    client, attempts = ScriptedClient(), count(1)

    def refuse_the_third() -> None:
        if next(attempts) == 3:
            raise Refused(FailureKind.RESOURCES)

    client.opening = refuse_the_third
    with pytest.raises(DatabaseError, match=r"of a worker's 3 connections.*refused: resources"):
        await load(work_on(client), given(3), notes, course)
    assert not course.reached.is_set()
    assert (notes.connections, notes.failures) == (0, [])


async def test_a_load_that_is_called_off_closes_its_connections() -> None:
    notes, client = Notes(), ScriptedClient()
    await load(work_on(client), given(2), notes, LedCourse(2, begins=False))
    assert (len(client.sessions), notes.connections, notes.answered) == (2, 0, [])


async def test_a_cancelled_load_leaves_no_connection() -> None:
    notes, client = Notes(), ScriptedClient(ScriptedSession.hang)
    with anyio.move_on_after(0.1):
        await load(work_on(client), given(2), notes, LedCourse(2))
    assert (len(client.sessions), notes.connections) == (2, 0)


async def test_a_defect_of_a_driver_ends_the_load_with_it() -> None:
    notes = Notes()

    def answer(session: ScriptedSession) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await load(work_on(ScriptedClient(answer)), given(2), notes, LedCourse(2))
    assert notes.connections == 0
