"""A record with questions in it, as a gate writes them."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from benchgate.domain.answers import Answer
from benchgate.domain.approvals import Approval, ApprovalEvent, Asked, Channel
from benchgate.domain.facts import Facts
from benchgate.domain.ledger import Entry
from benchgate.gate.approvals.desk import open_record
from benchgate.gate.approvals.drafts import Draft
from benchgate.gate.approvals.record import Record
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.home import GateHome
from benchgate.settings import Settings
from tests.unit.examples import comparison_facts_of, facts_of

SECOND = timedelta(seconds=1)
YES = Answer(event=ApprovalEvent.APPROVE)
NO = Answer(event=ApprovalEvent.DECLINE, note="not today")
BOTH_QUESTION = """\
You have 2 tests to run:

1. X-Small
2. Small

How would you like to proceed?"""
QUESTION = "## Ready to start test\n\n- Connections: 8\n\nStart this test? [Yes / No / Modify]"


def home_in(folder: Path, **changes: object) -> GateHome:
    """The gate's home in a folder that nobody has made yet."""
    return GateHome(Settings.model_validate({"data_dir": folder / "data", **changes}))


@contextmanager
def record_of(home: GateHome) -> Generator[Record]:
    """The record in *home*, closed afterwards."""
    record = open_record(home)
    try:
        yield record
    finally:
        record.close()


def entries_of(record: Record) -> list[Entry]:
    """Everything that the ledger tells, from the first entry to the last."""
    return [link.entry for link in Trail(record.engine).links()]


def ask(
    record: Record,
    run_id: str = "run-1",
    *,
    at: datetime,
    name: str = "Orders lookup",
    question: str = QUESTION,
    can_proceed: bool = True,
) -> Approval:
    """A question that waits for page or terminal."""
    changes = {"run_id": run_id, "template_name": name, "can_proceed": can_proceed}
    return _put(record, facts_of().model_copy(update=changes), question, at=at)


def ask_both(record: Record, comparison_id: str = "cmp-1", *, at: datetime) -> Approval:
    """A question about a comparison of two tests that waits for page or terminal."""
    facts = comparison_facts_of(comparison_id=comparison_id)
    return _put(record, facts, BOTH_QUESTION, at=at)


def _put(record: Record, facts: Facts, question: str, *, at: datetime) -> Approval:
    draft = Draft(
        approval_id=uuid4().hex,
        facts=facts,
        facts_at=at,
        asked=Asked(channel=Channel.PAGE, client_name="some-host", client_version="1.2"),
        fallback=Channel.PAGE,
    )
    return record.ask(draft, lambda _: question, at=at).approval


def start(record: Record, run_id: str, *, at: datetime, note: str = "") -> Approval:
    """A question that was answered with a yes, on which the run was started."""
    approval = ask(record, run_id, at=at)
    answer = YES.model_copy(update={"note": note})
    record.answer(approval.approval_id, answer, through=Channel.PAGE, at=at)
    used = record.take(approval.approval_id, at=at + SECOND)
    record.settle(approval.approval_id, "RUNNING", run_id=run_id, at=at + SECOND)
    return used
