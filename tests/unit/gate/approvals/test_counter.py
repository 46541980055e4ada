"""The rules that page and terminal share: what a yes needs, and what is counted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchgate.domain.answers import MODES, NOTE_CHARACTERS_MAX
from benchgate.domain.approvals import Approval, ApprovalState, Channel, ExecutionMode
from benchgate.domain.ledger import Moment
from benchgate.errors import Conflict, InvalidInput, NotFound, Unauthorized
from benchgate.gate.approvals.counter import LOCKED_FOR, WRONG_PINS_MAX, Counter, Response
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.home import GateHome
from tests.unit.asked import ask, ask_both, entries_of, home_in, record_of
from tests.unit.examples import NOON

YES, NO = Response(decision="yes"), Response(decision="no")
WORD = SecretStr("corn flower 7")
RIGHT = YES.model_copy(update={"pin": WORD})
WRONG = YES.model_copy(update={"pin": SecretStr("0000")})
SECOND = timedelta(seconds=1)


@pytest.fixture
def home(tmp_path: Path) -> GateHome:
    return home_in(tmp_path)


@pytest.fixture
def record(home: GateHome) -> Iterator[Record]:
    with record_of(home) as record:
        yield record


@pytest.fixture
def counter(record: Record, home: GateHome) -> Counter:
    return Counter(record, Pin(home), Channel.TERMINAL)


@pytest.fixture
def approval(record: Record) -> Approval:
    return ask(record, at=NOON)


def guess_wrong(counter: Counter, approval: Approval, times: int) -> None:
    for number in range(times):
        with pytest.raises(Unauthorized, match="That is not the PIN"):
            counter.respond(approval.approval_id, WRONG, at=NOON + number * SECOND)


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        ("yes", ApprovalState.APPROVED),
        ("no", ApprovalState.DECLINED),
        ("modify", ApprovalState.MODIFY_REQUESTED),
    ],
)
def test_each_decision_is_recorded_with_its_channel(
    counter: Counter, approval: Approval, decision: str, state: ApprovalState
) -> None:
    response = Response(decision=decision, note="half\nof it")
    done = counter.respond(approval.approval_id, response, at=NOON + SECOND)
    assert (done.state, done.note) == (state, "half of it")
    assert (done.answered_through, done.answered_at) == (Channel.TERMINAL, NOON + SECOND)


@pytest.mark.parametrize("decision", ["", "Yes", "yes ", "y", "approve", "true"])
def test_what_is_no_decision_closes_nothing(
    counter: Counter, approval: Approval, decision: str
) -> None:
    with pytest.raises(InvalidInput, match="Yes, No and Modify"):
        counter.respond(approval.approval_id, Response(decision=decision), at=NOON)
    assert counter.waiting(at=NOON) == [approval]


def test_a_note_is_kept_no_longer_than_can_be_shown(counter: Counter, approval: Approval) -> None:
    response = NO.model_copy(update={"note": "x" * 100_000})
    done = counter.respond(approval.approval_id, response, at=NOON)
    assert len(done.note) == NOTE_CHARACTERS_MAX


def test_a_question_that_does_not_exist_is_told(counter: Counter) -> None:
    with pytest.raises(NotFound):
        counter.respond("nothing", YES, at=NOON)


def test_a_yes_against_the_preflight_needs_the_name(counter: Counter, record: Record) -> None:
    approval = ask(record, at=NOON, can_proceed=False)
    for typed in ("", "orders", "orders lookup", "Orders lookup!"):
        with pytest.raises(InvalidInput, match="should not go ahead"):
            counter.respond(approval.approval_id, YES.model_copy(update={"typed": typed}), at=NOON)
    named = YES.model_copy(update={"typed": "  Orders lookup "})
    assert counter.respond(approval.approval_id, named, at=NOON).state is ApprovalState.APPROVED


@pytest.mark.parametrize(("mode", "recorded"), [*MODES.items(), ("", ExecutionMode.PAUSE)])
def test_a_yes_to_several_tests_comes_with_how_they_are_to_run(
    counter: Counter, record: Record, mode: str, recorded: ExecutionMode
) -> None:
    approval = ask_both(record, at=NOON)
    response = YES.model_copy(update={"mode": mode})
    done = counter.respond(approval.approval_id, response, at=NOON)
    assert (done.state, done.mode) == (ApprovalState.APPROVED, recorded)
    assert record.get(approval.approval_id) == done
    assert entries_of(record)[-1].mode is recorded


@pytest.mark.parametrize("mode", ["A", "b", "sequential", "A) Sequential", "both", " "])
def test_what_is_no_mode_is_no_yes_and_closes_nothing(
    counter: Counter, record: Record, home: GateHome, mode: str
) -> None:
    Pin(home).set(WORD)
    approval = ask_both(record, at=NOON)
    with pytest.raises(InvalidInput, match="Choose A or B"):
        counter.respond(approval.approval_id, WRONG.model_copy(update={"mode": mode}), at=NOON)
    assert counter.waiting(at=NOON) == [approval]
    assert entries_of(record)[-1].event is Moment.ASK


@pytest.mark.parametrize("decision", ["no", "modify"])
@pytest.mark.parametrize("mode", ["A) sequential", "both"])
def test_whoever_does_not_say_yes_chooses_no_mode(
    counter: Counter, record: Record, decision: str, mode: str
) -> None:
    approval = ask_both(record, at=NOON)
    done = counter.respond(approval.approval_id, Response(decision=decision, mode=mode), at=NOON)
    assert not done.is_live
    assert done.mode is None


def test_a_yes_to_one_run_has_no_mode(counter: Counter, approval: Approval) -> None:
    response = YES.model_copy(update={"mode": "A) sequential"})
    assert counter.respond(approval.approval_id, response, at=NOON).mode is None


def test_a_mode_goes_with_the_yes_that_is_taken_back(counter: Counter, record: Record) -> None:
    approval = ask_both(record, at=NOON)
    response = YES.model_copy(update={"mode": "A) sequential"})
    counter.respond(approval.approval_id, response, at=NOON)
    taken_back = counter.respond(approval.approval_id, NO, at=NOON + SECOND)
    assert (taken_back.state, taken_back.mode) == (ApprovalState.DECLINED, None)
    again = counter.reopen(approval.approval_id, at=NOON + 2 * SECOND)
    assert again.mode is None
    done = counter.respond(again.approval_id, YES, at=NOON + 3 * SECOND)
    assert done.mode is ExecutionMode.PAUSE
    assert Trail(record.engine).check().is_whole


def test_a_no_to_the_preflight_needs_no_name(counter: Counter, record: Record) -> None:
    approval = ask(record, at=NOON, can_proceed=False)
    assert counter.respond(approval.approval_id, NO, at=NOON).state is ApprovalState.DECLINED


def test_a_wrong_name_is_told_before_the_pin_is_looked_at(
    counter: Counter, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)
    approval = ask(record, at=NOON, can_proceed=False)
    with pytest.raises(InvalidInput):
        counter.respond(approval.approval_id, WRONG, at=NOON)
    assert entries_of(record)[-1].event is Moment.ASK


def test_where_a_pin_is_set_a_yes_needs_it(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    assert not counter.asks_for_pin
    Pin(home).set(WORD)
    assert counter.asks_for_pin
    for response in (YES, WRONG):
        with pytest.raises(Unauthorized, match="That is not the PIN"):
            counter.respond(approval.approval_id, response, at=NOON)
    assert counter.waiting(at=NOON) == [approval]
    done = counter.respond(approval.approval_id, RIGHT, at=NOON)
    assert done.state is ApprovalState.APPROVED


@pytest.mark.parametrize("decision", ["no", "modify"])
def test_whoever_does_not_say_yes_needs_no_pin(
    counter: Counter, approval: Approval, home: GateHome, decision: str
) -> None:
    Pin(home).set(WORD)
    counter.respond(approval.approval_id, Response(decision=decision), at=NOON)
    assert counter.waiting(at=NOON) == []


def test_a_wrong_pin_is_written_down_without_itself(
    counter: Counter, approval: Approval, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, 1)
    entry = entries_of(record)[-1]
    assert (entry.event, entry.channel) == (Moment.WRONG_PIN, Channel.TERMINAL)
    assert entry.result == approval.approval_id
    assert "0000" not in entry.model_dump_json(exclude={"previous", "at", "result"})


def test_after_too_many_wrong_pins_not_even_the_right_one_passes(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    with pytest.raises(Unauthorized, match="Too many wrong PINs") as locked:
        counter.respond(approval.approval_id, RIGHT, at=NOON + 5 * SECOND)
    assert locked.value.hint == "Try again in 14m 55s; saying no needs none."
    assert counter.waiting(at=NOON) == [approval]


def test_wrong_pins_are_counted_for_every_question_and_channel(
    counter: Counter, approval: Approval, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    other = ask(record, "run-2", at=NOON)
    page = Counter(record, Pin(home), Channel.PAGE)
    with pytest.raises(Unauthorized, match="Too many wrong PINs"):
        page.respond(other.approval_id, RIGHT, at=NOON + 5 * SECOND)


def test_fewer_wrong_pins_lock_nobody_out(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX - 1)
    done = counter.respond(approval.approval_id, RIGHT, at=NOON + 5 * SECOND)
    assert done.state is ApprovalState.APPROVED


def test_whoever_is_locked_out_can_still_say_no(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    done = counter.respond(approval.approval_id, NO, at=NOON + 5 * SECOND)
    assert done.state is ApprovalState.DECLINED


def test_the_lock_opens_when_the_first_wrong_pin_is_old_enough(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    with pytest.raises(Unauthorized, match="Too many wrong PINs") as locked:
        counter.respond(approval.approval_id, RIGHT, at=NOON + LOCKED_FOR - SECOND)
    assert "in 1s;" in locked.value.hint
    done = counter.respond(approval.approval_id, RIGHT, at=NOON + LOCKED_FOR)
    assert done.state is ApprovalState.APPROVED


def test_a_try_while_locked_out_does_not_make_it_longer(
    counter: Counter, approval: Approval, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    head = record.head()
    with pytest.raises(Unauthorized):
        counter.respond(approval.approval_id, WRONG, at=NOON + 10 * SECOND)
    assert record.head() == head


def test_of_many_guesses_at_once_no_more_are_tried_than_are_allowed(
    counter: Counter, approval: Approval, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)

    def guess(number: int) -> str:
        with pytest.raises(Unauthorized) as refused:
            counter.respond(approval.approval_id, WRONG, at=NOON + number * SECOND / 100)
        return str(refused.value)

    with ThreadPoolExecutor(8) as pool:
        refusals = list(pool.map(guess, range(3 * WRONG_PINS_MAX)))
    assert refusals.count("That is not the PIN.") == WRONG_PINS_MAX
    entries = [link.entry for link in Trail(record.engine).links()]
    assert [e.event for e in entries].count(Moment.WRONG_PIN) == WRONG_PINS_MAX


def test_a_yes_that_nothing_has_used_can_be_taken_back(
    counter: Counter, approval: Approval, home: GateHome
) -> None:
    counter.respond(approval.approval_id, YES, at=NOON)
    assert [one.approval_id for one in counter.unused(at=NOON)] == [approval.approval_id]
    done = counter.respond(approval.approval_id, NO, at=NOON + SECOND)
    assert done.state is ApprovalState.DECLINED
    assert counter.unused(at=NOON + SECOND) == []


def test_other_entries_do_not_hide_the_wrong_pins(
    counter: Counter, approval: Approval, record: Record, home: GateHome
) -> None:
    """An agent that floods the ledger with questions buys no more tries."""
    Pin(home).set(WORD)
    guess_wrong(counter, approval, WRONG_PINS_MAX)
    for number in range(120):
        flood = ask(record, f"run-{number + 2}", at=NOON)
        record.supersede(flood.approval_id, at=NOON)
    with pytest.raises(Unauthorized, match="Too many wrong PINs"):
        counter.respond(approval.approval_id, RIGHT, at=NOON + 5 * SECOND)


def test_a_note_cannot_pass_for_a_wrong_pin(
    counter: Counter, record: Record, home: GateHome
) -> None:
    Pin(home).set(WORD)
    for number in range(WRONG_PINS_MAX):
        approval = ask(record, f"run-{number}", at=NOON)
        forged = NO.model_copy(update={"note": '","event":"wrong_pin","x":"'})
        counter.respond(approval.approval_id, forged, at=NOON)
    approval = ask(record, "run-9", at=NOON)
    assert counter.respond(approval.approval_id, RIGHT, at=NOON).state is ApprovalState.APPROVED


def test_a_closed_question_is_opened_again_as_a_new_one(
    counter: Counter, approval: Approval
) -> None:
    counter.respond(approval.approval_id, NO, at=NOON)
    assert [one.approval_id for one in counter.closed(at=NOON)] == [approval.approval_id]
    again = counter.reopen(approval.approval_id, at=NOON + SECOND)
    assert again.approval_id != approval.approval_id
    assert (again.question, again.asked.channel) == (approval.question, Channel.TERMINAL)
    assert counter.waiting(at=NOON + SECOND) == [again]


def test_a_question_is_opened_again_only_once(counter: Counter, approval: Approval) -> None:
    counter.respond(approval.approval_id, NO, at=NOON)
    counter.reopen(approval.approval_id, at=NOON + SECOND)
    with pytest.raises(Conflict, match="cannot be opened again"):
        counter.reopen(approval.approval_id, at=NOON + 2 * SECOND)
