"""The gate's questions and answers, for asynchronous callers: one record, opened when needed.

Knows when and in which thread the record is used; what a question shows is its callers' affair.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
from anyio import to_thread

from benchgate.domain.approvals import Answer, Approval, ApprovalState, Asked, StartFacts
from benchgate.errors import StoreError

if TYPE_CHECKING:
    from benchgate.gate.store import Record


class Approvals:
    """The record of questions."""

    def __init__(self, url: Callable[[], str], *, question_ttl: timedelta) -> None:
        """Keep the record at *url*, which is asked for when the record is first needed."""
        self._url = url
        self._question_ttl = question_ttl
        self._record: Record | None = None
        self._opening = anyio.Lock()

    async def ask(self, facts: StartFacts, *, question: str, asked: Asked) -> Approval:
        """The question to put now: an open one of the same facts is joined, not asked anew."""
        approval = Approval(
            approval_id=uuid4().hex,
            run_id=facts.run_id,
            template_name=facts.template_name,
            digest=facts.digest,
            question=question,
            state=ApprovalState.ASKED,
            asked=asked,
            asked_at=datetime.now(UTC),
        )
        record = await self._opened()
        return await to_thread.run_sync(record.ask, approval)

    async def answer(self, approval_id: str, answer: Answer) -> Approval:
        """Record an answer.

        Raises:
            Conflict: the question is closed already.
        """
        record, now = await self._opened(), datetime.now(UTC)
        return await to_thread.run_sync(lambda: record.answer(approval_id, answer, at=now))

    async def use(self, approval_id: str) -> Approval:
        """Take a yes; nobody can take it again.

        Raises:
            Conflict: it is not a yes, or it is taken.
        """
        record, now = await self._opened(), datetime.now(UTC)
        return await to_thread.run_sync(lambda: record.use(approval_id, at=now))

    async def supersede(self, approval_id: str) -> Approval:
        """Close a question or an unused yes, because the facts have changed."""
        return await to_thread.run_sync((await self._opened()).supersede, approval_id)

    async def settle(self, approval_id: str, result: str) -> None:
        """Note what became of the start."""
        record = await self._opened()
        await to_thread.run_sync(record.settle, approval_id, result)

    async def get(self, approval_id: str) -> Approval:
        """One question.

        Raises:
            NotFound: there is no such question.
        """
        return await to_thread.run_sync((await self._opened()).get, approval_id)

    async def close(self) -> None:
        """Let go of the record."""
        if self._record is not None:
            await to_thread.run_sync(self._record.close)
            self._record = None

    async def _opened(self) -> "Record":
        async with self._opening:
            if self._record is None:
                self._record = await to_thread.run_sync(self._open)
            return self._record

    def _open(self) -> "Record":
        # Late, because it imports SQLAlchemy, which a short-lived probe never needs.
        from benchgate.gate.store import Record  # noqa: PLC0415

        try:
            return Record(self._url(), question_ttl=self._question_ttl)
        except OSError as exc:
            raise StoreError(f"The record cannot be opened: {exc}") from exc
        except ImportError as exc:
            raise StoreError(
                f"The record cannot be opened: {exc}",
                hint="Install the driver that BENCHGATE_DATABASE_URL names, or unset it.",
            ) from exc
