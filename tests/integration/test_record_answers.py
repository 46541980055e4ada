"""The record on each database: answers in time and too late, dialogs, codes and what a yes did."""

import pytest
import sqlalchemy as sa

from benchgate.database import store_errors, writing_alone
from benchgate.domain.answers import Answer
from benchgate.domain.approvals import ApprovalEvent, ApprovalState, Asked, Channel, Standing
from benchgate.domain.ledger import GENESIS, Entry, Moment
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.approvals import rows
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.store import LEDGER, open_store
from tests.integration.records import (
    CANCEL,
    FACTS,
    NO,
    OTHER_FACTS,
    YES,
    about,
    answer,
    approved,
    ask,
    draft_of,
    events,
    minutes,
)
from tests.unit.asked import entries_of
from tests.unit.examples import NOON

LATE = minutes(30.01)


def test_an_answer_is_recorded_with_its_channel_its_time_and_its_note(record: Record) -> None:
    ask(record)
    yes = answer(record, YES, at=minutes(1))
    assert record.get("a1") == yes
    assert (yes.state, yes.note) == (ApprovalState.APPROVED, "go")
    assert (yes.answered_through, yes.answered_at) == (Channel.PAGE, minutes(1))
    entry = entries_of(record)[-1]
    assert (entry.event, entry.channel, entry.note) == (ApprovalEvent.APPROVE, Channel.PAGE, "go")
    assert (entry.digest, entry.at) == (FACTS.digest, minutes(1))


@pytest.mark.parametrize(
    "event",
    [ApprovalEvent.DECLINE, ApprovalEvent.CANCEL, ApprovalEvent.MODIFY, ApprovalEvent.DOUBT],
)
def test_after_anything_but_a_yes_no_yes_is_taken(record: Record, event: ApprovalEvent) -> None:
    ask(record)
    closed = answer(record, Answer(event=event))
    with pytest.raises(Conflict):
        answer(record, YES)
    with pytest.raises(Conflict):
        record.take("a1", at=NOON)
    assert record.get("a1") == closed


def test_an_unanswered_question_is_no_yes(record: Record) -> None:
    asked = ask(record).approval
    with pytest.raises(Conflict):
        record.take("a1", at=NOON)
    assert record.get("a1") == asked


def test_an_answer_to_a_closed_question_is_refused_and_written_down(record: Record) -> None:
    ask(record)
    no = answer(record, NO)
    with pytest.raises(Conflict, match="declined cannot approve"):
        record.answer("a1", YES, through=Channel.TERMINAL, at=minutes(2))
    assert record.get("a1") == no
    stray = entries_of(record)[-1]
    assert (stray.event, stray.approval_id, stray.at) == (Moment.STRAY, "a1", minutes(2))
    assert (stray.channel, stray.result, stray.note) == (Channel.TERMINAL, "approve", "go")
    assert stray.state is ApprovalState.DECLINED


def test_a_second_yes_changes_nothing_and_is_written_down(record: Record) -> None:
    yes = approved(record)
    with pytest.raises(Conflict):
        answer(record, YES, at=minutes(1))
    assert record.get("a1") == yes
    assert events(record) == [Moment.ASK, ApprovalEvent.APPROVE, Moment.STRAY]


def test_a_no_beats_an_unused_yes(record: Record) -> None:
    approved(record)
    assert answer(record, NO, at=minutes(1)).state is ApprovalState.DECLINED
    with pytest.raises(Conflict):
        record.take("a1", at=minutes(1))
    assert ask(record, draft_of("a2"), at=minutes(1)).standing is Standing.CLOSED


def test_a_yes_that_was_read_before_another_took_it_is_not_taken(
    record: Record, record_url: str
) -> None:
    """The update itself asks for the state, whatever keeps writers apart."""
    yes = approved(record)
    record.take("a1", at=NOON)
    engine = open_store(record_url)
    with pytest.raises(Conflict, match="someone else"), writing_alone(engine) as tx:
        rows.move(tx, yes, ApprovalEvent.USE, at=NOON)
    engine.dispose()
    assert events(record).count("use") == 1


def test_nobody_is_asked_on_facts_that_are_older_than_a_start(record: Record) -> None:
    approved(record)
    used = record.take("a1", at=minutes(1))
    for facts in (FACTS, OTHER_FACTS):
        found = ask(record, draft_of("a2", facts, facts_at=minutes(1)), at=minutes(2))
        assert (found.standing, found.approval) == (Standing.OUTRUN, used)
    later = draft_of("a2", facts_at=minutes(1.01))
    assert ask(record, later, at=minutes(2)).standing is Standing.FRESH


def test_a_no_after_the_start_is_only_written_down(record: Record) -> None:
    approved(record)
    record.take("a1", at=NOON)
    with pytest.raises(Conflict):
        answer(record, NO)
    assert record.get("a1").state is ApprovalState.USED


def test_a_yes_is_used_once(record: Record) -> None:
    approved(record)
    used = record.take("a1", at=minutes(1))
    assert (used.state, used.used_at, used.note) == (ApprovalState.USED, minutes(1), "go")
    with pytest.raises(Conflict):
        record.take("a1", at=minutes(1))
    assert record.get("a1") == used
    assert events(record) == [Moment.ASK, ApprovalEvent.APPROVE, ApprovalEvent.USE]


@pytest.mark.parametrize("given", [YES, CANCEL])
def test_an_answer_that_comes_too_late_expires_the_question(record: Record, given: Answer) -> None:
    ask(record)
    late = answer(record, given, at=LATE)
    assert late.state is ApprovalState.EXPIRED
    assert events(record) == [Moment.ASK, ApprovalEvent.EXPIRE]
    assert ask(record, draft_of("a2"), at=LATE).standing is Standing.FRESH


def test_a_no_counts_however_late_it_comes(record: Record) -> None:
    ask(record)
    assert answer(record, NO, at=LATE).state is ApprovalState.DECLINED
    assert ask(record, draft_of("a2"), at=LATE).standing is Standing.CLOSED


def test_a_question_takes_answers_to_the_end_of_its_life(record: Record) -> None:
    ask(record)
    assert answer(record, YES, at=minutes(30)).state is ApprovalState.APPROVED


def test_a_yes_is_good_from_when_it_was_given(record: Record) -> None:
    ask(record)
    answer(record, YES, at=minutes(29))
    assert record.take("a1", at=minutes(39)).state is ApprovalState.USED


def test_a_yes_that_is_taken_too_late_comes_back_expired(record: Record) -> None:
    approved(record)
    assert record.take("a1", at=minutes(10.01)).state is ApprovalState.EXPIRED
    with pytest.raises(Conflict):
        record.take("a1", at=NOON)


def test_an_old_yes_is_expired_by_the_next_who_asks(record: Record) -> None:
    approved(record)
    assert ask(record, draft_of("a2"), at=minutes(10.01)).standing is Standing.FRESH
    assert record.get("a1").state is ApprovalState.EXPIRED


def test_a_look_expires_what_is_overdue_and_nothing_else(record: Record) -> None:
    ask(record)
    approved(record, draft_of("a2", about("r2")))
    ask(record, draft_of("a3", about("r3")), at=minutes(5))
    before = events(record)
    record.sweep(at=minutes(10))
    assert events(record) == before
    assert record.newest("r2", at=minutes(11)) == record.get("a2")
    assert record.get("a2").state is ApprovalState.EXPIRED
    assert [one.approval_id for one in record.open_questions(at=LATE)] == ["a3"]
    assert events(record)[len(before) :] == [ApprovalEvent.EXPIRE] * 2


def test_a_yes_from_a_clock_that_is_behind_expires_all_the_same(record: Record) -> None:
    ask(record, at=minutes(1))
    answer(record, YES, at=NOON)
    newest = record.newest(FACTS.run_id, at=minutes(10.5))
    assert newest is not None
    assert newest.state is ApprovalState.EXPIRED


def test_of_a_run_that_nobody_asked_about_there_is_nothing(record: Record) -> None:
    assert record.newest("r1", at=NOON) is None
    assert record.used("r1") is None
    assert record.head() is None


def test_the_start_and_its_outcome_stand_behind_the_yes(record: Record) -> None:
    approved(record)
    assert record.used(FACTS.run_id) is None
    record.take("a1", at=minutes(1))
    record.settle("a1", "no\x00 RUNNING\n", run_id="run-789xyz", at=minutes(2))
    used = record.used(FACTS.run_id)
    assert used is not None
    assert (used.approval_id, used.result, used.state) == ("a1", "no RUNNING", ApprovalState.USED)
    assert entries_of(record)[-1].result == "no RUNNING"


def test_an_expired_or_declined_yes_is_no_evidence(record: Record) -> None:
    approved(record)
    answer(record, NO)
    assert record.used(FACTS.run_id) is None


def test_a_question_that_is_superseded_takes_no_answer(record: Record) -> None:
    ask(record)
    assert record.supersede("a1", at=NOON).state is ApprovalState.SUPERSEDED
    with pytest.raises(Conflict):
        answer(record, YES)
    with pytest.raises(Conflict):
        record.supersede("a1", at=NOON)


def test_one_holder_at_a_time_shows_the_dialog(record: Record) -> None:
    ask(record)
    assert record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    assert not record.hold_dialog("a1", holder="h2", until=minutes(2), at=minutes(0.5))
    assert record.get("a1").dialog_until == minutes(1)
    assert record.hold_dialog("a1", holder="h1", until=minutes(3), at=minutes(0.5))
    assert not record.hold_dialog("a1", holder="h2", until=minutes(4), at=minutes(2))


def test_a_dialog_whose_holder_is_gone_goes_to_the_next(record: Record) -> None:
    ask(record)
    assert record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    assert record.hold_dialog("a1", holder="h2", until=minutes(3), at=minutes(1.01))
    record.release_dialog("a1", holder="h1", at=minutes(2))
    assert record.get("a1").dialog_until == minutes(3)
    assert events(record) == [Moment.ASK]


def test_an_unanswered_dialog_that_is_released_is_written_down_as_withdrawn(
    record: Record,
) -> None:
    ask(record)
    record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    record.release_dialog("a1", holder="h1", at=NOON)
    record.release_dialog("a1", holder="h1", at=NOON)
    assert events(record) == [Moment.ASK, Moment.WITHDRAW]
    assert record.hold_dialog("a1", holder="h2", until=minutes(1), at=NOON)


def test_an_answered_dialog_is_released_and_not_withdrawn(record: Record) -> None:
    ask(record)
    record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    answer(record, YES)
    record.release_dialog("a1", holder="h1", at=NOON)
    assert events(record) == [Moment.ASK, ApprovalEvent.APPROVE]
    assert record.get("a1").dialog_until is None
    assert not record.hold_dialog("a1", holder="h2", until=minutes(1), at=NOON)


def test_a_dialog_that_failed_is_not_withdrawn_as_well(record: Record) -> None:
    ask(record)
    record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    record.fail("a1", fallback=Channel.PAGE, at=NOON)
    record.release_dialog("a1", holder="h1", at=NOON)
    assert events(record) == [Moment.ASK, ApprovalEvent.FAIL]
    assert record.get("a1").dialog_until is None


def test_nobody_holds_the_dialog_of_a_question_that_is_not_there(record: Record) -> None:
    assert not record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    with pytest.raises(NotFound):
        record.release_dialog("a1", holder="h1", at=NOON)


def test_the_newest_code_counts_and_is_kept_as_a_digest_alone(record: Record) -> None:
    ask(record)
    for digest in ("1" * 64, "2" * 64):
        record.give_code("a1", digest, at=NOON)
    assert record.get("a1").code_digest == "2" * 64
    entry = entries_of(record)[-1]
    assert (entry.event, entry.channel) == (Moment.CODE, Channel.CHAT)
    assert answer(record, YES).code_digest == "2" * 64


def test_what_moved_no_question_is_written_down_in_its_place(record: Record) -> None:
    ask(record)
    entry = Entry(seq=99, at=NOON, event=Moment.PIN_SET, previous=GENESIS)
    record.note(entry)
    noted = entries_of(record)[-1]
    assert (noted.seq, noted.event) == (2, Moment.PIN_SET)


def test_the_ledger_of_a_whole_story_is_one_chain_that_fits_the_questions(
    record: Record, record_url: str
) -> None:
    approved(record)
    with pytest.raises(Conflict):
        answer(record, YES)
    record.take("a1", at=NOON)
    record.settle("a1", "RUNNING", run_id="run-789xyz", at=NOON)
    ask(record, draft_of("a2", about("r2")))
    answer(record, NO, approval_id="a2")
    record.reopen("a2", new_id="a3", asked=Asked(channel=Channel.PAGE), at=minutes(1))
    ask(record, draft_of("a4", about("r2", OTHER_FACTS)), at=minutes(2))
    record.sweep(at=minutes(60))
    engine = open_store(record_url)
    finding = Trail(engine).check(head=record.head())
    engine.dispose()
    assert finding.is_whole
    assert (finding.entries, finding.head) == (len(events(record)), record.head())


@pytest.mark.parametrize("column", ["facts", "asked", "state"])
def test_a_question_that_somebody_made_unreadable_is_told(
    record: Record, record_url: str, column: str
) -> None:
    ask(record)
    engine = open_store(record_url)
    with store_errors(), engine.begin() as tx:
        tx.execute(sa.text(f"UPDATE approvals SET {column} = 'garbage'"))
    engine.dispose()
    with pytest.raises(StoreError, match="question a1 cannot be read") as caught:
        record.get("a1")
    assert "audit --verify" in caught.value.hint


def test_an_entry_that_somebody_made_unreadable_is_told_and_named(
    record: Record, record_url: str
) -> None:
    garbage = '"subject_id":"r9" "event":"cover"'
    approved(record)
    engine = open_store(record_url)
    with engine.begin() as tx:
        tx.execute(LEDGER.update().where(LEDGER.c.seq == 2).values(body=garbage))
        tx.execute(LEDGER.insert().values(seq=0, body="{}", hash=GENESIS))
    with pytest.raises(StoreError, match="Entry 2"):
        record.used("r9")
    broken = Trail(engine).check().broken
    engine.dispose()
    assert broken is not None
    assert broken.seq == 1
