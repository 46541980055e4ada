"""How long a database was silent, and when a load on it is at its end, as its ledger tells."""

import pytest

from benchgate.backend.engine.ledger import DEAD_AFTER_S, Ledger
from benchgate.backend.engine.messages import Punctuality
from benchgate.backend.engine.silences import Heard, Silences
from benchgate.domain.templates import TableType
from tests.unit.engine.reports import LOOKUP, SECOND_NS, counts, refused, report

OUTAGE = [0, 0]


def ledger(workers: int = 1) -> Ledger:
    return Ledger(workers=workers, source=TableType.POSTGRES)


def silent_after_three(sums: Ledger) -> Ledger:
    for second in range(1, 8):
        sums.enter(0, report(second, *([0.3] if second < 4 else [])))
        sums.close(second)
    return sums


def test_whoever_thinks_for_long_is_silent_for_long() -> None:
    thinking = Ledger(workers=1, source=TableType.POSTGRES, think_time_ms=5_000)
    assert silent_after_three(thinking).silence() is None
    assert thinking.unanswered_seconds == 0


@pytest.mark.parametrize(
    ("answers", "is_measured", "unanswered"),
    [
        # The database was gone for ten seconds, and then for four.
        ([1] * 5 + [0] * 10 + [1] * 5 + [0] * 4 + [1], True, 14),
        ([1] * 5 + [0] * 10, True, 10),
        # A moment without an answer is none.
        ([1, 0, 1, 1, 0, 1], True, 0),
        ([1] + [0] * 10 + [1], False, 0),
    ],
)
def test_seconds_in_which_the_database_was_gone_are_counted(
    *, answers: list[int], is_measured: bool, unanswered: int
) -> None:
    sums = ledger()
    for second, count in enumerate(answers, 1):
        failures = () if count else (refused(1),)
        told = report(second, *[0.3] * count, failures=failures, is_measured=is_measured)
        sums.enter(0, told)
        sums.close(second)
    assert sums.unanswered_seconds == unanswered


def test_an_answer_that_took_as_long_as_the_silence_explains_it() -> None:
    sums = ledger()
    for second in range(1, 12):
        sums.enter(0, report(second, *{1: [0.3], 11: [9_400]}.get(second, [])))
        sums.close(second)
    assert sums.unanswered_seconds == 0


def test_a_silence_longer_than_any_answer_is_told_beside_the_figures() -> None:
    sums = silent_after_three(ledger())
    told = sums.silence()
    assert told is not None
    assert "in the last 4 s" in told


def test_a_slow_database_is_silent_between_its_answers() -> None:
    sums = ledger()
    for second in range(1, 8):
        sums.enter(0, report(second, *([3_000] if second == 3 else [])))
        sums.close(second)
    assert sums.silence() is None


def punctual(scheduled: int) -> Punctuality:
    nothing = counts(LOOKUP, []).service
    return Punctuality(scheduled=scheduled, lag=nothing, oversleep=nothing)


def test_a_schedule_is_silent_between_its_starts() -> None:
    sums = ledger()
    for second in range(1, 40):
        begins = second in {5, 30}
        sums.enter(0, report(second, *([0.3] * begins), punctuality=punctual(int(begins))))
        sums.close(second)
    assert sums.silence() is None


def test_a_start_that_nobody_answers_ends_the_silence_of_a_schedule_in_one_to_tell_of() -> None:
    sums = ledger()
    for second in range(1, 41):
        answered = [0.3] * (second == 5)
        failures = (refused(1, kind=LOOKUP),) if second == 20 else ()
        begins = punctual(int(second in {5, 20, 36}))
        sums.enter(0, report(second, *answered, failures=failures, punctuality=begins))
        sums.close(second)
    told = sums.silence()
    assert told is not None
    assert "in the last 4 s" in told


def test_a_load_is_dead_when_nothing_has_worked_for_ten_seconds() -> None:
    sums = ledger()
    for second in range(1, DEAD_AFTER_S + 1):
        assert not sums.is_dead()
        sums.enter(0, report(second, failures=(refused(1, f"refused {second}"),)))
        sums.close(second)
    assert sums.is_dead()
    assert sums.last_message == f"refused {DEAD_AFTER_S}"
    sums.enter(0, report(11, 0.1))
    sums.close(11)
    assert not sums.is_dead()


def test_a_slow_database_is_not_a_dead_one() -> None:
    sums = ledger()
    for second in range(1, 60):
        failures = (refused(1),) if second % 10 == 0 else ()
        sums.enter(0, report(second, failures=failures, connections=8))
        sums.close(second)
    assert not sums.is_dead()


def test_one_failure_after_a_long_silence_is_no_end() -> None:
    sums = ledger()
    for second in range(1, 40):
        failures = (refused(1),) if second == 30 else ()
        sums.enter(0, report(second, *([0.1] if second == 1 else []), failures=failures))
        sums.close(second)
        assert not sums.is_dead()
    assert not sums.ended_dead()


def test_a_load_in_which_nothing_ever_worked_ends_as_that() -> None:
    sums = ledger()
    sums.enter(0, report(1, failures=(refused(1),)))
    sums.close(1)
    assert sums.ended_dead()


def heard(*answers: int, longest_ms: float = 0.3, think_time_ms: int = 0) -> Silences:
    """Seconds with so many *answers*, of which each took *longest_ms*."""
    silences = Silences(think_time_ms=think_time_ms)
    for answered in answers:
        silences.hear(Heard(answered, failed=0, longest_ms=longest_ms if answered else 0))
    return silences


def test_a_second_counts_for_as_long_as_it_was() -> None:
    caught_up, held_up = Silences(), Silences()
    for span_s in (6.0, *[2e-6] * 5, 1.0):
        answered = int(span_s >= 1)
        caught_up.hear(Heard(answered, failed=0, longest_ms=2 * answered, span_s=span_s))
    assert caught_up.unanswered_s == 0
    for answered, span_s in ((1, 1.0), (0, 6.2), (1, 1.0)):
        held_up.hear(Heard(answered, failed=0, longest_ms=2, span_s=span_s))
    assert held_up.unanswered_s == 6


def test_outages_that_are_short_are_told_when_they_are_many() -> None:
    assert heard(*[1, 0, 0, 1] * 20).unanswered_s == 40
    assert heard(*[1, 0, 1] * 3).unanswered_s == 3
    assert heard(1, *OUTAGE, 1).unanswered_s == 0


def test_one_slow_answer_explains_no_later_outage() -> None:
    silences = heard(1, longest_ms=20_000)
    for answered in (1, *[0] * 15, 1):
        silences.hear(Heard(answered, failed=0, longest_ms=2 * answered))
    assert silences.unanswered_s == 15


def test_slow_answers_and_long_thoughts_are_no_outages() -> None:
    assert heard(*[1, 0, 0] * 20, longest_ms=3_000).unanswered_s == 0
    assert heard(*[1, 0, 0] * 20, think_time_ms=3_000).unanswered_s == 0


def test_a_start_at_the_end_of_a_second_is_answered_in_the_next_and_no_outage() -> None:
    silences = Silences()
    for second in range(40):
        is_answer = second % 2
        silences.hear(Heard(is_answer, failed=0, longest_ms=2 * is_answer, due=1 - is_answer))
    assert silences.unanswered_s == 0


def test_a_load_is_at_its_end_after_seconds_and_not_after_reports() -> None:
    caught_up, held_up = ledger(), ledger()
    for second in range(1, 12):
        interval_ns = SECOND_NS if second == 1 else 2_000
        caught_up.enter(0, report(second, failures=(refused(9),), interval_ns=interval_ns))
        caught_up.close(second)
    assert not caught_up.is_dead()
    for second, interval_ns in enumerate((6 * SECOND_NS, SECOND_NS, SECOND_NS, 2 * SECOND_NS), 1):
        held_up.enter(0, report(second, failures=(refused(9),), interval_ns=interval_ns))
        held_up.close(second)
    assert held_up.is_dead()


@pytest.mark.parametrize(("opened", "is_dead"), [((3, 8, 0), False), ((0, 1, 2), True)])
def test_each_connection_that_there_ever_was_has_its_chance(
    *, opened: tuple[int, ...], is_dead: bool
) -> None:
    sums = ledger()
    for second in range(1, 14):
        is_well = second <= len(opened)
        connections = opened[second - 1] if is_well else 0
        failures = () if is_well or second > 9 else (refused(1),)
        answers = [0.3] * is_well
        told = report(second, *answers, failures=failures, connections=connections)
        sums.enter(0, told)
        sums.close(second)
    assert sums.is_dead() is is_dead
