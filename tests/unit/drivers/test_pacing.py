"""When sessions send: those that think at first, and those of a schedule."""

from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchgate.backend.drivers.postgres import pacing
from benchgate.backend.drivers.postgres.fleet import Fleet
from benchgate.backend.drivers.postgres.pacing import PATIENCE_NS, ClosedPace, OpenPace
from benchgate.backend.drivers.postgres.session import Session
from benchgate.backend.engine.tally import Tally

HOUR_NS = 3_600 * 1_000_000_000


def session(phase: float, *, ended_ns: int = 0) -> Session:
    return cast("Session", SimpleNamespace(seat=SimpleNamespace(phase=phase), ended_ns=ended_ns))


def pace_of(begun: list[Any], *, begin_ns: int, think_ns: int) -> ClosedPace:
    def begin(session: Session) -> bool:
        begun.append(session)
        return True

    return ClosedPace(begin, fleet=cast("Fleet", None), begin_ns=begin_ns, think_ns=think_ns)


def test_sessions_that_think_begin_one_after_the_other_in_the_order_of_their_phases() -> None:
    begun: list[Any] = []
    begin_ns = perf_counter_ns() + HOUR_NS
    pace = pace_of(begun, begin_ns=begin_ns, think_ns=HOUR_NS)
    late, early, middle = session(0.9), session(0.1), session(0.5)
    for each in (late, early, middle):
        pace.admit(each)
    pace.begin_due()
    assert begun == []
    assert pace.due_ns == begin_ns + HOUR_NS // 10
    assert [pace.pop_idle() for _ in range(4)] == [late, middle, early, None]


def test_a_session_that_comes_later_waits_for_its_part_of_a_thought() -> None:
    begun: list[Any] = []
    pace = pace_of(begun, begin_ns=0, think_ns=HOUR_NS)
    pace.admit(session(0.5))
    pace.begin_due()
    assert begun == []
    assert HOUR_NS // 3 < pace.due_ns - perf_counter_ns() <= HOUR_NS // 2


def test_sessions_that_do_not_think_begin_at_once_and_together() -> None:
    begun: list[Any] = []
    pace = pace_of(begun, begin_ns=0, think_ns=0)
    together = [session(0.3), session(0.8)]
    for each in together:
        pace.admit(each)
    assert begun == together
    assert not pace.is_timed


MS_NS = 1_000_000


class Rig:
    """A schedule with a start in each millisecond, *sessions* to send it, and a clock to set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, sessions: int, wanted: int) -> None:
        self.now_ns = 0
        self.asked: list[int] = []
        self.sent: list[tuple[int, Any]] = []
        self.tally = Tally()
        self.fleet: Any = SimpleNamespace(open=[*range(sessions)], in_being=sessions, ask=self._ask)
        monkeypatch.setattr(pacing, "perf_counter_ns", lambda: self.now_ns)
        starts_ns = (number * MS_NS for number in range(1, 1_000))
        self.pace = OpenPace(
            self._begin, fleet=self.fleet, starts_ns=starts_ns, recorder=self.tally
        )
        self.pace.fill(wanted)
        for number in range(sessions):
            self.pace.admit(cast("Session", SimpleNamespace(number=number)))

    def _begin(self, session: Any) -> bool:
        session.sent_ns = self.now_ns
        self.sent.append((session.due_ns, session))
        return True

    def _ask(self, count: int) -> None:
        self.asked.append(count)
        self.fleet.in_being += count

    def wake(self, at_ms: float, *, answered: int = 0) -> None:
        """Come to at that instant, when so many of the earliest operations have been answered."""
        self.now_ns = self.pace.woke_ns = int(at_ms * MS_NS)
        for _ in range(answered):
            self.pace.freed(self.sent.pop(0)[1])
        self.pace.begin_due()
        assert self.pace.due_ns == 0 or self.pace.due_ns > self.now_ns

    @property
    def oversleep_ms(self) -> list[float]:
        """How late those starts were that were held up by the generator."""
        return [ns / MS_NS for ns in self.tally.oversleep_ns]


def test_the_session_that_became_free_last_sends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, sessions=3, wanted=3)
    for at_ms in (1, 2, 3):
        rig.wake(at_ms, answered=at_ms > 1)
    assert {session.number for _, session in rig.sent} == {2}


def test_all_that_comes_while_the_generator_is_away_is_held_up_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=2, wanted=2)
    rig.wake(4)
    assert rig.oversleep_ms == [3, 2]
    rig.wake(4.5, answered=2)
    assert rig.oversleep_ms == [3, 2, 1.5, 0.5]


def test_the_generator_holds_nothing_up_for_longer_than_it_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=1, wanted=1)
    rig.wake(4)  # three milliseconds late, and then the database answers nobody for long
    rig.wake(100, answered=1)
    assert rig.oversleep_ms == [3, 3]
    assert [ns / MS_NS for ns in rig.tally.lag_ns] == [3, 98]


def test_what_waits_for_the_database_is_not_held_up_by_the_generator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=1, wanted=1)
    rig.wake(1)
    rig.wake(5, answered=1)
    assert rig.oversleep_ms == [0]
    assert [ns / MS_NS for ns in rig.tally.lag_ns] == [0, 3]


def test_sessions_are_opened_for_starts_that_wait_and_not_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=1, wanted=8)
    # However late it comes to itself, no start has waited for a session yet.
    rig.wake(4)
    assert rig.asked == []
    rig.wake(5)
    assert rig.asked == []
    rig.wake(4 + PATIENCE_NS / MS_NS)
    assert rig.asked == [5]
    # Those are on their way: only what has come since then is asked for.
    rig.wake(8.5)
    assert rig.asked == [5, 2]


def test_sessions_that_are_to_be_made_again_are_not_asked_for_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=1, wanted=8)
    rig.fleet.in_being = 4  # three of them are lost
    for at_ms in (3, 5):
        rig.wake(at_ms)
    assert rig.asked == [1]


def test_a_load_that_may_not_grow_waits_for_its_answers_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, sessions=1, wanted=1)
    rig.wake(3)
    assert rig.pace.due_ns == 0
    rig.wake(9, answered=1)
    assert (rig.asked, len(rig.tally.lag_ns)) == ([], 2)
