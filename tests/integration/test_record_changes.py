"""A record that an earlier version has written, on each database: it is kept whole and goes on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from benchgate.database import UtcDateTime, open_database
from benchgate.domain.answers import Answer
from benchgate.domain.approvals import (
    Approval,
    ApprovalEvent,
    ApprovalState,
    ExecutionMode,
    SubjectKind,
)
from benchgate.domain.facts import digest_in
from benchgate.domain.text import digest_of
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.store import APPROVALS, CHANGES, LEDGER
from tests.integration.records import YES, answer, ask, draft_of, opened
from tests.unit.examples import NOON, comparison_facts_of, facts_of

# As the version wrote it whose newest change was the first: a start, and a question that waits.
WRITTEN: dict[str, list[dict[str, Any]]] = json.loads(
    Path(__file__).with_name("record_of_change_1.json").read_text(encoding="utf-8")
)
HEAD = "5:{hash}".format(**WRITTEN["ledger"][-1])
# As that version called the server.
FACTS = facts_of().model_copy(update={"connection": "orders-db (bench@db.example:5432)"})
SEQUENTIAL = Answer(event=ApprovalEvent.APPROVE, mode=ExecutionMode.SEQUENTIAL)


def stored(row: dict[str, Any], table: sa.Table) -> dict[str, Any]:
    """*row* as its columns take it."""
    moments = {
        name: datetime.fromisoformat(value).replace(tzinfo=UTC)
        for name, value in row.items()
        if value is not None and isinstance(table.c[name].type, UtcDateTime)
    }
    return row | moments


@pytest.fixture
def old_url(record_url: str) -> str:
    """Where the record of that version lies."""
    engine = open_database(record_url, CHANGES[:1])
    with engine.begin() as connection:
        for table in (APPROVALS, LEDGER):
            rows = [stored(row, table) for row in WRITTEN[table.name]]
            connection.execute(sa.insert(table), rows)
    engine.dispose()
    return record_url


@pytest.fixture
def old(old_url: str) -> Iterator[Record]:
    """The record of that version, opened by this one."""
    record = opened(old_url)
    yield record
    record.close()


def waiting(record: Record) -> Approval:
    """The one question of that record that waits."""
    (approval,) = record.open_questions(at=NOON)
    return approval


def test_the_questions_of_an_earlier_version_are_kept_as_they_were(old: Record) -> None:
    used, open_ = (old.get(row["approval_id"]) for row in WRITTEN["approvals"])
    assert (used.state, used.note, used.result) == (ApprovalState.USED, "for the night", "RUNNING")
    assert (open_.state, open_.asked_at) == (ApprovalState.ASKED, NOON)
    assert open_ == waiting(old)
    for number, approval in enumerate((used, open_), start=1):
        assert approval.facts == FACTS.model_copy(update={"run_id": f"run-{number}"})
        # This version knows more facts, and so asks anew; what was said stays provable.
        assert approval.facts.digest != approval.digest
        assert digest_in(json.loads(WRITTEN["approvals"][number - 1]["facts"])) == approval.digest
        assert digest_of(approval.question) == approval.question_digest
        assert approval.mode is None


def test_the_chain_of_an_earlier_version_is_whole_and_goes_on(old: Record) -> None:
    assert Trail(old.engine).check(head=HEAD).is_whole
    answer(old, YES, approval_id=waiting(old).approval_id)
    finding = Trail(old.engine).check(head=HEAD)
    assert (finding.is_whole, finding.entries) == (True, 6)


def test_an_open_question_of_an_earlier_version_is_joined_by_the_same_facts(old: Record) -> None:
    facts = FACTS.model_copy(update={"run_id": "run-2"})
    found = ask(old, draft_of(facts=facts))
    assert found.approval.approval_id == waiting(old).approval_id


def test_the_record_of_an_earlier_version_takes_a_mode(old: Record) -> None:
    draft = draft_of("both").model_copy(update={"facts": comparison_facts_of()})
    asked = ask(old, draft).approval
    assert asked.subject.kind is SubjectKind.COMPARISON
    yes = answer(old, SEQUENTIAL, approval_id="both")
    assert yes.mode is ExecutionMode.SEQUENTIAL
    assert old.get("both") == yes
    assert Trail(old.engine).check(head=HEAD).is_whole


def test_a_record_is_brought_up_to_date_only_once(old: Record, old_url: str) -> None:
    yes = answer(old, YES, approval_id=waiting(old).approval_id)
    again = opened(old_url)
    assert again.get(yes.approval_id) == yes
    again.close()


def test_the_changes_make_the_columns_that_the_tables_name(old: Record) -> None:
    inspected = sa.inspect(old.engine)
    for table in APPROVALS.metadata.sorted_tables:
        made = {column["name"]: column["nullable"] for column in inspected.get_columns(table.name)}
        assert made == {column.name: column.nullable for column in table.columns}
