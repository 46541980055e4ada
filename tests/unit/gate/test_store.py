"""The record of questions: one open question per run, one use of a yes, whoever shares it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchgate.database import open_database, sqlite_url
from benchgate.domain.approvals import (
    Answer,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Asked,
    Channel,
)
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.store import Record

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TTL = timedelta(minutes=30)
YES = Answer(event=ApprovalEvent.APPROVE, note="go")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return sqlite_url(tmp_path / "gate.sqlite3")


@pytest.fixture
def record(url: str) -> Iterator[Record]:
    record = Record(url, question_ttl=TTL)
    yield record
    record.close()


def question(
    approval_id: str = "a1", *, run_id: str = "r1", digest: str = "d1", at: datetime = NOON
) -> Approval:
    return Approval(
        approval_id=approval_id,
        run_id=run_id,
        template_name="orders",
        digest=digest,
        question="Start?",
        state=ApprovalState.ASKED,
        asked=Asked(channel=Channel.ELICITATION, client_name="host"),
        asked_at=at,
    )


def unchanged(_: sa.Connection) -> None:
    """A schema change that changes nothing."""


def test_a_question_comes_back_as_it_was_recorded(record: Record) -> None:
    asked = record.ask(question())
    assert record.get("a1") == asked == question()


def test_the_same_question_is_joined_and_not_asked_twice(record: Record) -> None:
    record.ask(question("a1"))
    assert record.ask(question("a2")).approval_id == "a1"
    with pytest.raises(NotFound):
        record.get("a2")


def test_other_facts_close_the_open_question(record: Record) -> None:
    record.ask(question("a1", digest="d1"))
    assert record.ask(question("a2", digest="d2")).approval_id == "a2"
    assert record.get("a1").state is ApprovalState.SUPERSEDED


def test_questions_about_two_runs_do_not_meet(record: Record) -> None:
    record.ask(question("a1", run_id="r1"))
    assert record.ask(question("a2", run_id="r2")).approval_id == "a2"
    assert record.get("a1").state is ApprovalState.ASKED


def test_a_yes_is_used_once(record: Record) -> None:
    record.ask(question())
    record.answer("a1", YES, at=NOON)
    used = record.use("a1", at=NOON)
    assert (used.state, used.used_at, used.note) == (ApprovalState.USED, NOON, "go")
    with pytest.raises(Conflict):
        record.use("a1", at=NOON)


def test_of_many_who_take_one_yes_at_once_exactly_one_gets_it(record: Record, url: str) -> None:
    record.ask(question())
    record.answer("a1", YES, at=NOON)
    others = [Record(url, question_ttl=TTL) for _ in range(4)]

    def take(number: int) -> bool:
        try:
            others[number % 4].use("a1", at=NOON)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(32)))
    for other in others:
        other.close()
    assert taken.count(True) == 1


@pytest.mark.parametrize(
    "event",
    [ApprovalEvent.DECLINE, ApprovalEvent.CANCEL, ApprovalEvent.MODIFY, ApprovalEvent.DOUBT],
)
def test_after_anything_but_a_yes_no_yes_is_taken(record: Record, event: ApprovalEvent) -> None:
    record.ask(question())
    closed = record.answer("a1", Answer(event=event), at=NOON)
    with pytest.raises(Conflict):
        record.answer("a1", YES, at=NOON)
    with pytest.raises(Conflict):
        record.use("a1", at=NOON)
    assert record.get("a1") == closed


def test_an_unanswered_question_is_no_yes(record: Record) -> None:
    record.ask(question())
    with pytest.raises(Conflict):
        record.use("a1", at=NOON)
    assert record.get("a1").state is ApprovalState.ASKED


def test_a_yes_that_comes_too_late_expires_the_question(record: Record) -> None:
    record.ask(question())
    late = record.answer("a1", YES, at=NOON + TTL + timedelta(seconds=1))
    assert late.state is ApprovalState.EXPIRED


def test_an_old_open_question_makes_room_for_a_new_one(record: Record) -> None:
    record.ask(question("a1"))
    record.ask(question("a2", at=NOON + TTL + timedelta(seconds=1)))
    assert record.get("a1").state is ApprovalState.EXPIRED
    assert record.get("a2").state is ApprovalState.ASKED


def test_the_record_survives_its_process(record: Record, url: str) -> None:
    record.ask(question())
    record.answer("a1", YES, at=NOON)
    again = Record(url, question_ttl=TTL)
    assert again.get("a1").state is ApprovalState.APPROVED
    again.close()


def test_the_outcome_of_the_start_is_noted(record: Record, url: str) -> None:
    record.ask(question())
    record.settle("a1", "RUNNING")
    engine = open_database(url, [unchanged])
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT start_result FROM approvals")) == "RUNNING"
    engine.dispose()


def test_a_record_of_a_newer_version_is_refused_and_left_alone(record: Record, url: str) -> None:
    newer = open_database(url, [unchanged] * 2)
    newer.dispose()
    with pytest.raises(StoreError, match="schema version 2"):
        Record(url, question_ttl=TTL)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be used"):
        Record(sqlite_url(tmp_path / "missing" / "gate.sqlite3"), question_ttl=TTL)
