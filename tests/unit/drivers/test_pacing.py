"""When sessions of a closed loop that think send for the first time, and in which order."""

from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any, cast

from benchgate.backend.drivers.postgres.fleet import Fleet
from benchgate.backend.drivers.postgres.pacing import ClosedPace
from benchgate.backend.drivers.postgres.session import Session

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
