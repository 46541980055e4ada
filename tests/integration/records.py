"""The gate's record as tests fill it: opened on any database, with questions to put."""

from datetime import datetime, timedelta

from benchgate.domain.answers import Answer
from benchgate.domain.approvals import (
    Approval,
    ApprovalEvent,
    Asked,
    Channel,
    Lifetimes,
    Standing,
)
from benchgate.domain.facts import Difference, StartFacts
from benchgate.gate.approvals.drafts import Draft
from benchgate.gate.approvals.record import Found, Record
from benchgate.gate.store import open_store
from tests.unit.asked import entries_of
from tests.unit.examples import NOON, config_of, facts_of

LIFETIMES = Lifetimes(question=timedelta(minutes=30), answer=timedelta(minutes=10))
YES = Answer(event=ApprovalEvent.APPROVE, note="go")
NO = Answer(event=ApprovalEvent.DECLINE, note="not now")
CANCEL = Answer(event=ApprovalEvent.CANCEL)
FACTS = facts_of()
OTHER_FACTS = facts_of(config_of(concurrent_connections=64))
HOST = Asked(channel=Channel.ELICITATION, client_name="host", protocol_version="2025-11-25")
OTHER_HOST = HOST.model_copy(update={"client_name": "other host"})


class Wording:
    """Words a question, and remembers what it was told of changes."""

    def __init__(self) -> None:
        self.changed: list[tuple[Difference, ...]] = []

    def __call__(self, changed: tuple[Difference, ...]) -> str:
        self.changed.append(changed)
        return f"Start? {len(changed)} changed."


def opened(url: str) -> Record:
    """The record at *url*."""
    return Record(open_store(url), LIFETIMES)


def minutes(number: float) -> datetime:
    """The time *number* minutes after noon."""
    return NOON + timedelta(minutes=number)


def about(run_id: str, facts: StartFacts = FACTS) -> StartFacts:
    """*facts* of another run."""
    return facts.model_copy(update={"run_id": run_id})


def draft_of(
    approval_id: str = "a1",
    facts: StartFacts = FACTS,
    *,
    asked: Asked = HOST,
    fallback: Channel | None = Channel.PAGE,
    facts_at: datetime = NOON,
) -> Draft:
    """The question about *facts*, which were read at *facts_at*."""
    return Draft(
        approval_id=approval_id, facts=facts, facts_at=facts_at, asked=asked, fallback=fallback
    )


def ask(record: Record, draft: Draft | None = None, *, at: datetime = NOON) -> Found:
    """How the question of *draft* stands once it is put."""
    return record.ask(draft or draft_of(), Wording(), at=at)


def answer(
    record: Record, given: Answer, *, approval_id: str = "a1", at: datetime = NOON
) -> Approval:
    """The question after *given* came from the page."""
    return record.answer(approval_id, given, through=Channel.PAGE, at=at)


def approved(record: Record, draft: Draft | None = None, *, at: datetime = NOON) -> Approval:
    """A question that has its yes."""
    found = ask(record, draft, at=at)
    return answer(record, YES, approval_id=found.approval.approval_id, at=at)


def dismissed(record: Record, approval_id: str, *, at: datetime = NOON) -> Approval:
    """A question whose dialog was closed without an answer."""
    found = ask(record, draft_of(approval_id), at=at)
    assert found.standing in {Standing.FRESH, Standing.WITHHELD}
    return answer(record, CANCEL, approval_id=approval_id, at=at)


def events(record: Record) -> list[str]:
    """What the ledger tells, from the first entry to the last."""
    return [entry.event.value for entry in entries_of(record)]
