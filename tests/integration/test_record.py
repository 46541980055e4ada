"""The record of questions, on each database: what is asked, joined, asked again or closed."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from benchgate.domain.answers import Answer
from benchgate.domain.approvals import (
    Approval,
    ApprovalEvent,
    ApprovalState,
    Asked,
    Channel,
    Standing,
    SubjectKind,
)
from benchgate.domain.ledger import Moment
from benchgate.errors import Conflict, NotFound
from benchgate.gate.approvals.record import Record
from tests.integration.records import (
    CANCEL,
    FACTS,
    HOST,
    NO,
    OTHER_FACTS,
    OTHER_HOST,
    YES,
    Wording,
    about,
    answer,
    approved,
    ask,
    dismissed,
    draft_of,
    events,
    minutes,
    opened,
)
from tests.unit.asked import entries_of
from tests.unit.examples import HIGH, NOON, config_of, facts_of


def told(approval: Approval) -> tuple[str, ApprovalState]:
    return approval.approval_id, approval.state


def test_a_question_comes_back_as_it_was_recorded(record: Record) -> None:
    config = config_of(a_key_of_another_backend={"deep": [1, None]})
    found = ask(record, draft_of(facts=facts_of(config, HIGH)))
    assert record.get("a1") == found.approval
    assert found.standing is Standing.FRESH
    assert found.approval.subject.kind is SubjectKind.OVERRIDE
    assert found.approval.question == "Start? 0 changed."


def test_the_record_survives_its_process(record: Record, record_url: str) -> None:
    yes = approved(record)
    again = opened(record_url)
    assert again.get("a1") == yes
    again.close()


def test_names_with_characters_that_a_database_refuses_are_recorded(record: Record) -> None:
    facts = FACTS.model_copy(update={"template_name": "or\x00ders\n"})
    assert ask(record, draft_of(facts=facts)).approval.name == "orders"
    assert record.get("a1").facts == facts


def test_a_question_that_nobody_asked_is_not_found(record: Record) -> None:
    with pytest.raises(NotFound):
        record.get("a1")
    with pytest.raises(NotFound):
        record.take("a1", at=NOON)
    with pytest.raises(NotFound):
        answer(record, YES)


def test_the_same_question_is_joined_and_not_asked_twice(record: Record) -> None:
    ask(record)
    found = ask(record, draft_of("a2"))
    assert (found.standing, found.approval.approval_id) == (Standing.OPEN, "a1")
    assert events(record) == [Moment.ASK]
    with pytest.raises(NotFound):
        record.get("a2")


def test_each_other_client_that_joins_is_written_down_once(record: Record) -> None:
    ask(record)
    for asked in [OTHER_HOST, HOST, OTHER_HOST, OTHER_HOST]:
        assert ask(record, draft_of("a2", asked=asked)).approval.asked == HOST
    third = OTHER_HOST.model_copy(update={"principal": "somebody"})
    ask(record, draft_of("a2", asked=third))
    assert events(record) == [Moment.ASK, Moment.JOIN, Moment.JOIN]
    older, newest = entries_of(record)[-2:]
    assert (older.asked, newest.asked) == (OTHER_HOST, third)


def test_other_facts_supersede_an_open_question_and_say_what_changed(record: Record) -> None:
    ask(record)
    wording = Wording()
    found = record.ask(draft_of("a2", OTHER_FACTS), wording, at=NOON)
    (changed,) = wording.changed
    assert [(one.name, one.before, one.after) for one in changed] == [
        ("concurrent connections", "8", "64")
    ]
    assert (found.standing, found.approval.question) == (Standing.FRESH, "Start? 1 changed.")
    assert record.get("a1").state is ApprovalState.SUPERSEDED


def test_other_facts_supersede_an_unused_yes(record: Record) -> None:
    approved(record)
    assert ask(record, draft_of("a2", OTHER_FACTS)).standing is Standing.FRESH
    assert record.get("a1").state is ApprovalState.SUPERSEDED
    with pytest.raises(Conflict):
        record.take("a1", at=NOON)


def test_a_question_that_follows_a_closed_one_says_what_changed_too(record: Record) -> None:
    approved(record)
    record.supersede("a1", at=NOON)
    wording = Wording()
    draft = draft_of("a2", OTHER_FACTS).model_copy(update={"before": FACTS})
    record.ask(draft, wording, at=NOON)
    assert [len(changed) for changed in wording.changed] == [1]


def test_a_first_question_says_of_no_change(record: Record) -> None:
    wording = Wording()
    record.ask(draft_of(), wording, at=NOON)
    record.ask(draft_of("a2"), wording, at=NOON)
    assert wording.changed == [()]


def test_questions_about_two_runs_do_not_meet(record: Record) -> None:
    ask(record)
    assert ask(record, draft_of("a2", about("r2"))).standing is Standing.FRESH
    waiting = record.open_questions(at=NOON)
    assert [one.approval_id for one in waiting] == ["a1", "a2"]


def test_an_unused_yes_is_found_by_the_next_who_asks(record: Record) -> None:
    approved(record)
    found = ask(record, draft_of("a2"))
    assert (found.standing, found.approval.approval_id) == (Standing.GRANTED, "a1")


def test_a_question_that_was_dismissed_once_is_asked_again(record: Record) -> None:
    dismissed(record, "a1")
    found = ask(record, draft_of("a2"))
    assert (found.standing, found.approval.asked) == (Standing.FRESH, HOST)


def test_a_question_that_was_dismissed_twice_waits_on_the_fallback(record: Record) -> None:
    for approval_id in ("a1", "a2"):
        dismissed(record, approval_id)
    found = ask(record, draft_of("a3"))
    assert (found.standing, found.approval.asked.channel) == (Standing.WITHHELD, Channel.PAGE)
    again = ask(record, draft_of("a4"))
    assert (again.standing, told(again.approval)) == (
        Standing.WITHHELD,
        ("a3", ApprovalState.ASKED),
    )


def test_a_question_that_was_dismissed_twice_is_closed_without_a_fallback(record: Record) -> None:
    for approval_id in ("a1", "a2"):
        dismissed(record, approval_id)
    found = ask(record, draft_of("a3", fallback=None))
    assert (found.standing, found.approval.approval_id) == (Standing.CLOSED, "a2")
    assert record.open_questions(at=NOON) == []


def test_a_question_on_the_page_is_joined_by_those_who_have_no_page(record: Record) -> None:
    ask(record, draft_of(asked=Asked(channel=Channel.PAGE)))
    found = ask(record, draft_of("a2", fallback=None))
    assert (found.standing, found.approval.approval_id) == (Standing.WITHHELD, "a1")


@pytest.mark.parametrize("event", [ApprovalEvent.DECLINE, ApprovalEvent.MODIFY])
def test_a_refused_question_is_closed_and_not_asked_again(
    record: Record, event: ApprovalEvent
) -> None:
    ask(record)
    no = answer(record, Answer(event=event, note="why"))
    for at in (NOON, minutes(60 * 24)):
        found = ask(record, draft_of("a2"), at=at)
        assert (found.standing, found.approval) == (Standing.CLOSED, no)


def test_a_refused_question_is_asked_about_other_facts(record: Record) -> None:
    ask(record)
    answer(record, NO)
    assert ask(record, draft_of("a2", OTHER_FACTS)).standing is Standing.FRESH
    answer(record, CANCEL, approval_id="a2")
    assert ask(record, draft_of("a3")).standing is Standing.CLOSED


def test_a_reopened_question_is_a_new_one_and_the_old_id_stays_closed(record: Record) -> None:
    ask(record)
    answer(record, NO)
    page = Asked(channel=Channel.PAGE)
    reopened = record.reopen("a1", new_id="a2", asked=page, at=minutes(5))
    assert (told(reopened), reopened.asked) == (("a2", ApprovalState.ASKED), page)
    assert (reopened.asked_at, reopened.note) == (minutes(5), "")
    with pytest.raises(Conflict):
        answer(record, YES, approval_id="a1", at=minutes(6))
    found = ask(record, draft_of("a3"), at=minutes(6))
    assert (found.standing, found.approval) == (Standing.WITHHELD, reopened)
    answer(record, YES, approval_id="a2", at=minutes(7))
    granted = ask(record, draft_of("a4"), at=minutes(8))
    assert (granted.standing, granted.approval.approval_id) == (Standing.GRANTED, "a2")


def test_a_reopened_question_takes_nothing_over_from_the_closed_one(record: Record) -> None:
    ask(record)
    record.give_code("a1", "c" * 64, at=NOON)
    record.hold_dialog("a1", holder="h1", until=minutes(1), at=NOON)
    answer(record, NO)
    reopened = record.reopen("a1", new_id="a2", asked=Asked(channel=Channel.PAGE), at=NOON)
    assert record.get("a2") == reopened
    assert (reopened.code_digest, reopened.dialog_until) == (None, None)


def test_only_what_was_closed_lately_can_be_opened_again(record: Record) -> None:
    page = Asked(channel=Channel.PAGE)
    ask(record)
    with pytest.raises(Conflict):
        record.reopen("a1", new_id="a2", asked=page, at=NOON)
    answer(record, NO)
    assert [one.approval_id for one in record.closed_lately(at=minutes(29))] == ["a1"]
    assert record.closed_lately(at=minutes(31)) == []
    with pytest.raises(Conflict):
        record.reopen("a1", new_id="a2", asked=page, at=minutes(31))
    record.reopen("a1", new_id="a2", asked=page, at=minutes(29))
    with pytest.raises(Conflict):
        record.reopen("a1", new_id="a3", asked=page, at=minutes(29))


def test_a_question_whose_place_was_taken_cannot_be_opened_again(record: Record) -> None:
    dismissed(record, "a1")
    ask(record, draft_of("a2", OTHER_FACTS), at=minutes(1))
    assert record.closed_lately(at=minutes(1)) == []
    with pytest.raises(Conflict):
        record.reopen("a1", new_id="a3", asked=HOST, at=minutes(1))


def test_a_question_that_could_not_be_shown_waits_on_the_fallback(record: Record) -> None:
    ask(record)
    failed = record.fail("a1", fallback=Channel.TERMINAL, at=NOON)
    assert (failed.state, failed.asked.channel) == (ApprovalState.ASKED, Channel.TERMINAL)
    assert failed.asked.client_name == "host"
    assert record.get("a1") == failed
    assert ask(record, draft_of("a2")).standing is Standing.WITHHELD
    assert answer(record, YES).state is ApprovalState.APPROVED


def test_a_question_that_could_not_be_shown_is_cancelled_without_a_fallback(
    record: Record,
) -> None:
    ask(record)
    assert record.fail("a1", fallback=None, at=NOON).state is ApprovalState.CANCELLED
    with pytest.raises(Conflict):
        record.fail("a1", fallback=Channel.PAGE, at=NOON)


def test_an_answered_question_cannot_fail_any_more(record: Record) -> None:
    yes = approved(record)
    with pytest.raises(Conflict):
        record.fail("a1", fallback=None, at=NOON)
    assert record.get("a1") == yes


def test_an_old_open_question_makes_room_for_a_new_one(record: Record) -> None:
    ask(record)
    assert ask(record, draft_of("a2"), at=minutes(31)).standing is Standing.FRESH
    assert record.get("a1").state is ApprovalState.EXPIRED


def test_the_order_of_questions_is_not_that_of_clocks(record: Record) -> None:
    """Another process may have a clock that is behind."""
    ask(record, at=minutes(1))
    answer(record, NO, at=minutes(1))
    ask(record, draft_of("a2", OTHER_FACTS), at=NOON)
    ask(record, draft_of("a3", about(FACTS.run_id, facts_of(None, HIGH))), at=minutes(-1))
    newest = record.newest(FACTS.run_id, at=minutes(1))
    assert newest is not None
    assert told(newest) == ("a3", ApprovalState.ASKED)
    assert record.get("a2").state is ApprovalState.SUPERSEDED


@pytest.mark.parametrize("state", ["asked", "approved"])
def test_the_database_itself_keeps_a_run_from_two_live_questions(
    record: Record, record_url: str, state: str
) -> None:
    approved(record)
    engine = sa.create_engine(record_url.replace("postgresql:", "postgresql+psycopg:"))
    columns = sa.inspect(engine).get_columns("approvals")
    same = ", ".join(c["name"] for c in columns if c["name"] not in {"approval_id", "state"})
    copy = sa.text(
        f"INSERT INTO approvals (approval_id, state, {same}) "
        f"SELECT 'a2', :state, {same} FROM approvals"
    )
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(copy, {"state": state})
    with engine.begin() as connection:
        connection.execute(copy, {"state": "declined"})
    engine.dispose()
