"""Approvals as rows: how they are read, inserted and moved within a transaction.

Whoever moves one appends to the ledger in the same breath; there is no other way here.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from benchgate.domain.approvals import LIVE, Approval, ApprovalEvent, Asked, next_state
from benchgate.domain.facts import Facts
from benchgate.domain.ledger import Moment
from benchgate.errors import Conflict, NotFound, StoreError
from benchgate.gate.approvals import ledger
from benchgate.gate.store import APPROVALS

ROWS_MAX = 500

# Made once: to build a statement costs more than to execute it.
ONE = sa.select(APPROVALS).where(APPROVALS.c.approval_id == sa.bindparam("of_id"))
HISTORY = (
    sa.select(APPROVALS)
    .where(APPROVALS.c.subject_id == sa.bindparam("of_subject"))
    .order_by(APPROVALS.c.seq.desc())
    .limit(ROWS_MAX)
)
ALL_LIVE = (
    sa.select(APPROVALS)
    .where(APPROVALS.c.state.in_(sorted(state.value for state in LIVE)))
    .order_by(APPROVALS.c.seq)
    .limit(ROWS_MAX)
)
INSERT = APPROVALS.insert()
MOVE = APPROVALS.update().where(
    APPROVALS.c.approval_id == sa.bindparam("of_id"),
    APPROVALS.c.state == sa.bindparam("from_state"),
)


def get(tx: sa.Connection, approval_id: str) -> Approval:
    """One approval.

    Raises:
        NotFound: there is none of that id.
    """
    row = tx.execute(ONE, {"of_id": approval_id}).mappings().first()
    if row is None:
        raise NotFound("That question is not in the record.")
    return _approval(dict(row))


def history(tx: sa.Connection, subject_id: str) -> list[Approval]:
    """The newest approvals of a subject, the oldest of them first."""
    rows = tx.execute(HISTORY, {"of_subject": subject_id}).mappings().all()
    return [_approval(dict(row)) for row in reversed(rows)]


def live(tx: sa.Connection) -> list[Approval]:
    """The approvals that take an answer or hold an unused yes, the oldest first."""
    rows = tx.execute(ALL_LIVE).mappings().all()
    return [_approval(dict(row)) for row in rows]


def select(tx: sa.Connection, where: sa.ColumnElement[bool]) -> list[Approval]:
    """The newest approvals that are so, the oldest of them first."""
    newest = sa.select(APPROVALS).where(where).order_by(APPROVALS.c.seq.desc())
    rows = tx.execute(newest.limit(ROWS_MAX)).mappings().all()
    return [_approval(dict(row)) for row in reversed(rows)]


def insert(tx: sa.Connection, approval: Approval, moment: Moment) -> Approval:
    """*approval* as a new row."""
    link = ledger.append(tx, ledger.entry_of(approval, moment, at=approval.asked_at))
    tx.execute(INSERT, _columns(approval) | {"seq": link.seq})
    return approval


def move(
    tx: sa.Connection,
    present: Approval,
    event: ApprovalEvent,
    *,
    at: datetime,
    changes: Mapping[str, object] | None = None,
) -> Approval:
    """*present* after *event*, with *changes* to its other fields.

    Raises:
        Conflict: it cannot take the event, or is no longer as it was read.
    """
    state = next_state(present.state, event)
    changed = {**(changes or {}), "state": state}
    moved = present.model_copy(update=changed)
    columns = _columns(moved, changed.keys())
    row = {"of_id": present.approval_id, "from_state": present.state.value}
    if tx.execute(MOVE, columns | row).rowcount != 1:
        raise Conflict("The question has been answered by someone else at this moment.")
    told: dict[str, object] = {"at": at}
    if moved.answered_at == at:
        told |= {"channel": moved.answered_through, "note": moved.note or None, "mode": moved.mode}
    ledger.append(tx, ledger.entry_of(moved, event, **told))
    return moved


def joiners(tx: sa.Connection, approval: Approval) -> list[Asked]:
    """Who else has put *approval* since it was first asked."""
    since = sa.select(APPROVALS.c.seq).where(APPROVALS.c.approval_id == approval.approval_id)
    about = ledger.about(tx, approval.approval_id, since=tx.scalar(since) or 0)
    return [entry.asked for entry in about if entry.event is Moment.JOIN and entry.asked]


def at_id(approval: Approval) -> sa.Update:
    """An update of the row of *approval*."""
    return APPROVALS.update().where(APPROVALS.c.approval_id == approval.approval_id)


# Columns that hold a whole value as JSON, and what they hold.
JSON_COLUMNS: dict[str, TypeAdapter[Any]] = {
    "facts": TypeAdapter(Facts),
    "asked": TypeAdapter(Asked),
}
COLUMNS = frozenset(Approval.model_fields)
MOMENTS = ("asked_at", "answered_at", "used_at", "dialog_until")


def _columns(approval: Approval, fields: Collection[str] = COLUMNS) -> dict[str, object]:
    """These *fields* of an approval as its columns hold them."""
    plain = set(fields) - {*JSON_COLUMNS, *MOMENTS}
    columns: dict[str, Any] = approval.model_dump(mode="json", include=plain)
    for name in fields:
        if name in MOMENTS:
            columns[name] = getattr(approval, name)
        if name in JSON_COLUMNS:
            columns[name] = getattr(approval, name).model_dump_json()
    if subject := columns.pop("subject", None):
        columns |= {"subject_kind": subject["kind"], "subject_id": subject["subject_id"]}
    return columns


def _approval(row: dict[str, Any]) -> Approval:
    subject = {"kind": row["subject_kind"], "subject_id": row["subject_id"]}
    try:
        whole = {name: shape.validate_json(row[name]) for name, shape in JSON_COLUMNS.items()}
        return Approval.model_validate(row | whole | {"subject": subject})
    except ValidationError as exc:
        raise StoreError(
            f"What is recorded of question {row['approval_id']} cannot be read.",
            hint=ledger.HINT,
        ) from exc
