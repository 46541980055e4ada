"""The gate's durable record of questions and answers; knows nothing of how they are asked.

Every change of state is read and written in one transaction that holds the write lock, so that
however many processes share the record, a question has one outcome and a yes is used once.
Importing this module costs SQLAlchemy: it is imported at the first question, not at start-up.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from benchgate.database import Change, UtcDateTime, open_database, store_errors
from benchgate.domain.approvals import (
    Answer,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Asked,
    next_state,
)
from benchgate.errors import NotFound

METADATA = sa.MetaData()
APPROVALS = sa.Table(
    "approvals",
    METADATA,
    sa.Column("approval_id", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("template_name", sa.String(255), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("asked", sa.JSON, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("used_at", UtcDateTime),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("start_result", sa.Text),
)
# The database itself keeps a run from having two open questions.
sa.Index(
    "one_open_question_per_run",
    APPROVALS.c.run_id,
    unique=True,
    sqlite_where=APPROVALS.c.state == ApprovalState.ASKED.value,
    postgresql_where=APPROVALS.c.state == ApprovalState.ASKED.value,
)
CHANGES: Sequence[Change] = (METADATA.create_all,)


class Record:
    """Questions by id and by run. Every method blocks: call it from a worker thread."""

    def __init__(self, url: str, *, question_ttl: timedelta) -> None:
        """Open the record at *url*; a question older than *question_ttl* takes no answer."""
        self._engine = open_database(url, CHANGES)
        self._question_ttl = question_ttl

    def ask(self, question: Approval) -> Approval:
        """The open question to put: the run's present one if it shows the same facts, or this one.

        An open question that shows other facts, or is too old, is closed first.
        """
        with store_errors(), self._engine.begin() as connection:
            present = self._open_question(connection, question.run_id)
            if present is not None:
                expired = question.asked_at - present.asked_at > self._question_ttl
                if present.digest == question.digest and not expired:
                    return present
                event = ApprovalEvent.EXPIRE if expired else ApprovalEvent.SUPERSEDE
                self._apply(connection, present, event)
            row = question.model_dump(mode="json") | {"asked_at": question.asked_at}
            connection.execute(APPROVALS.insert().values(row))
        return question

    def answer(self, approval_id: str, answer: Answer, *, at: datetime) -> Approval:
        """Record *answer*; one that comes too late expires the question instead.

        Raises:
            NotFound: there is no such question.
            Conflict: the question is closed already.
        """
        with store_errors(), self._engine.begin() as connection:
            present = self._get(connection, approval_id)
            expired = at - present.asked_at > self._question_ttl
            event = ApprovalEvent.EXPIRE if expired else answer.event
            return self._apply(connection, present, event, answered_at=at, note=answer.note)

    def supersede(self, approval_id: str) -> Approval:
        """Close a question, or a yes that is not used yet, because the facts have changed."""
        with store_errors(), self._engine.begin() as connection:
            present = self._get(connection, approval_id)
            return self._apply(connection, present, ApprovalEvent.SUPERSEDE)

    def use(self, approval_id: str, *, at: datetime) -> Approval:
        """Take a yes, once and for all; this is the intent to start, recorded before the act.

        Raises:
            Conflict: it is not a yes, or it has been taken.
        """
        with store_errors(), self._engine.begin() as connection:
            present = self._get(connection, approval_id)
            return self._apply(connection, present, ApprovalEvent.USE, used_at=at)

    def settle(self, approval_id: str, result: str) -> None:
        """Note what became of the start for which the yes was used."""
        statement = APPROVALS.update().where(APPROVALS.c.approval_id == approval_id)
        with store_errors(), self._engine.begin() as connection:
            connection.execute(statement.values(start_result=result))

    def get(self, approval_id: str) -> Approval:
        """One question.

        Raises:
            NotFound: there is no such question.
        """
        with store_errors(), self._engine.begin() as connection:
            return self._get(connection, approval_id)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _open_question(self, connection: sa.Connection, run_id: str) -> Approval | None:
        statement = sa.select(APPROVALS).where(
            APPROVALS.c.run_id == run_id, APPROVALS.c.state == ApprovalState.ASKED.value
        )
        row = connection.execute(statement).mappings().first()
        return _approval(row) if row else None

    def _get(self, connection: sa.Connection, approval_id: str) -> Approval:
        statement = sa.select(APPROVALS).where(APPROVALS.c.approval_id == approval_id)
        # PostgreSQL has no single writer: the row itself is locked until the transaction ends.
        row = connection.execute(statement.with_for_update()).mappings().first()
        if row is None:
            raise NotFound("That question is not in the record.")
        return _approval(row)

    def _apply(
        self, connection: sa.Connection, present: Approval, event: ApprovalEvent, **changes: object
    ) -> Approval:
        state = next_state(present.state, event)
        values = changes | {"state": state.value}
        statement = APPROVALS.update().where(APPROVALS.c.approval_id == present.approval_id)
        connection.execute(statement.values(**values))
        return present.model_copy(update=changes | {"state": state})


def _approval(row: Any) -> Approval:
    return Approval.model_validate(dict(row) | {"asked": Asked.model_validate(row["asked"])})
