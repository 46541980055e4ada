"""The record of questions for asynchronous callers: opened when it is first needed, in a thread.

Knows the time, and makes ids and codes; what a question shows is its callers' affair.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import anyio
from anyio import to_thread

from benchgate.domain.answers import Answer
from benchgate.domain.approvals import Approval, Asked, Channel, subject_of
from benchgate.domain.evidence import Evidence, evidence_of
from benchgate.domain.facts import Facts
from benchgate.domain.ledger import GENESIS, Entry, Moment
from benchgate.domain.text import NAME_CHARACTERS_MAX, digest_of, one_line
from benchgate.errors import StoreError
from benchgate.gate.approvals.drafts import Draft, Wording
from benchgate.gate.home import GateHome

if TYPE_CHECKING:
    from benchgate.gate.approvals.record import Along, Found, Record

T = TypeVar("T")
logger = logging.getLogger(__name__)

# Long enough for a stall, and short enough for the gate that follows one that was killed.
DIALOG_LEASE = timedelta(seconds=6)
# Longer than a lock is waited for, and short enough for a host that waits for the call.
RECORD_SECONDS_MAX = 15
# Letters and digits that nobody mistakes for one another.
CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_CHARACTERS = 8


def utc_now() -> datetime:
    """The time by which questions and answers grow old."""
    return datetime.now(UTC)


class Desk:
    """Where questions are handed in and answers are taken."""

    def __init__(self, home: GateHome) -> None:
        """Keep the record in *home*; it is opened when it is first needed."""
        self._home = home
        self._record: Record | None = None
        self._opening = anyio.Lock()

    @property
    def has_record(self) -> bool:
        """Whether there is a record to look into; opens none."""
        return self._record is not None or self._home.has_record

    async def ask(
        self,
        facts: Facts,
        *,
        wording: Wording,
        asked: Asked,
        fallback: Channel | None,
        before: Facts | None,
        facts_at: datetime,
    ) -> "Found":
        """Record the question about *facts*, read at *facts_at*, before it goes out.

        Or find what stands already.
        """
        draft = Draft(
            approval_id=uuid4().hex,
            facts=facts,
            facts_at=facts_at,
            asked=asked,
            fallback=fallback,
            before=before,
        )
        return await self.do(lambda record: record.ask(draft, wording, at=utc_now()))

    async def answer(self, approval_id: str, answer: Answer, *, through: Channel) -> Approval:
        """Record an answer.

        Raises:
            Conflict: the question takes no such answer any more.
        """
        return await self.do(
            lambda record: record.answer(approval_id, answer, through=through, at=utc_now())
        )

    async def take(self, approval_id: str, *, along: "Along") -> Approval:
        """Use a yes; nobody can use it again. What goes *along* is recorded with it, or neither.

        Raises:
            Conflict: it is not a yes, it has been used, or what goes along cannot be.
        """
        return await self.do(lambda record: record.take(approval_id, at=utc_now(), along=along))

    async def cover(self, approval_id: str, run_id: str, *, along: "Along") -> None:
        """A run is to start on the used yes to a whole.

        Raises:
            Conflict: that is no such yes, or what goes along cannot be.
        """
        await self.do(lambda record: record.cover(approval_id, run_id, at=utc_now(), along=along))

    async def supersede(self, approval_id: str) -> Approval:
        """Close a question or an unused yes, because the facts have changed.

        Raises:
            Conflict: it is closed already.
        """
        return await self.do(lambda record: record.supersede(approval_id, at=utc_now()))

    async def fail(self, approval_id: str, *, fallback: Channel | None) -> Approval:
        """The client could not show the question: it waits on *fallback*, if there is one.

        Raises:
            Conflict: it is closed already.
        """
        return await self.do(
            lambda record: record.fail(approval_id, fallback=fallback, at=utc_now())
        )

    async def settle(self, approval_id: str, result: str, *, run_id: str, along: "Along") -> None:
        """Note what became of the start of a run, and what goes along."""
        await self.do(
            lambda record: record.settle(
                approval_id, result, run_id=run_id, at=utc_now(), along=along
            )
        )

    async def hold(self, approval_id: str, *, holder: str) -> bool:
        """Whether *holder* alone shows the question's dialog, for one more lease."""
        until = utc_now() + DIALOG_LEASE
        return await self.do(
            lambda record: record.hold_dialog(approval_id, holder=holder, until=until, at=utc_now())
        )

    async def keep_holding(self, present: Approval, *, holder: str) -> bool:
        """Whether *holder* still shows the dialog; its lease is renewed when half of it is over."""
        until = present.dialog_until
        if until is not None and until - utc_now() > DIALOG_LEASE / 2:
            return True
        return await self.hold(present.approval_id, holder=holder)

    async def release(self, approval_id: str, *, holder: str) -> None:
        """*holder* shows the dialog no longer."""
        await self.do(
            lambda record: record.release_dialog(approval_id, holder=holder, at=utc_now())
        )

    async def give_code(self, approval_id: str) -> str:
        """A new one-time code with which the question can be answered in the chat."""
        code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_CHARACTERS))
        digest = digest_of(code)
        await self.do(lambda record: record.give_code(approval_id, digest, at=utc_now()))
        return code

    async def note_nobody(self, facts: Facts, asked: Asked) -> None:
        """Write down that a start was wanted and nobody could be asked."""
        entry = Entry(
            seq=1,
            at=utc_now(),
            event=Moment.NOBODY,
            subject=subject_of(facts),
            name=one_line(facts.name, NAME_CHARACTERS_MAX),
            asked=asked,
            digest=facts.digest,
            previous=GENESIS,
        )
        await self.do(lambda record: record.note(entry))

    async def get(self, approval_id: str) -> Approval:
        """One question.

        Raises:
            NotFound: there is no such question.
        """
        return await self.do(lambda record: record.get(approval_id))

    async def present(self, approval_id: str) -> Approval:
        """One question as it stands by now; what is overdue is expired by the look.

        Raises:
            NotFound: there is no such question.
        """

        def look(record: "Record") -> Approval:
            record.sweep(at=utc_now())
            return record.get(approval_id)

        return await self.do(look)

    async def newest(self, subject_id: str) -> Approval | None:
        """The last question about a subject, as far as the record can tell.

        Opens none where there is none yet.
        """
        if not self.has_record:
            return None
        try:
            return await self.do(
                lambda record: record.newest(subject_id, at=utc_now()), may_be_left=True
            )
        except StoreError:
            # What a run is does not depend on it.
            logger.exception("The record cannot tell of %s", subject_id)
            return None

    async def evidence(self, run_ids: Sequence[str]) -> tuple[list[Evidence], str | None]:
        """The yeses on which these runs were started, and the head of the ledger by now.

        As far as the record can tell: figures are handed over without it, too.
        """
        if not self.has_record:
            return [], None

        def look(record: "Record") -> tuple[list[Evidence], str | None]:
            used = {run_id: record.used(run_id) for run_id in run_ids}
            found = [evidence_of(one, run_id) for run_id, one in used.items() if one]
            return found, record.head()

        try:
            return await self.do(look, may_be_left=True)
        except StoreError:
            logger.exception("The record cannot tell on which yes the runs were started")
            return [], None

    async def do(self, act: "Callable[[Record], T]", *, may_be_left: bool = False) -> T:
        """What *act* does with the record, in a thread of its own.

        A caller who goes away waits for it first, unless it *may_be_left*. What takes too long
        is left to itself: it still counts, but nobody acts on it; a yes taken so starts nothing.

        Raises:
            StoreError: the record cannot be used, or does not answer in time.
        """
        try:
            with anyio.fail_after(RECORD_SECONDS_MAX, shield=not may_be_left):
                record = await self._opened()
                return await to_thread.run_sync(act, record, abandon_on_cancel=True)
        except TimeoutError as exc:
            raise StoreError(
                f"The record did not answer within {RECORD_SECONDS_MAX} s.",
                hint="Check the database of BENCHGATE_DATABASE_URL, or the data folder's disk.",
            ) from exc

    async def close(self) -> None:
        """Let go of the record."""
        if self._record is not None:
            await to_thread.run_sync(self._record.close)
            self._record = None

    async def _opened(self) -> "Record":
        async with self._opening:
            if self._record is None:
                self._record = await to_thread.run_sync(
                    open_record, self._home, abandon_on_cancel=True
                )
            return self._record


def is_held(approval: Approval) -> bool:
    """Whether a dialog shows it now."""
    return approval.dialog_until is not None and approval.dialog_until > utc_now()


def open_record(home: GateHome) -> "Record":
    """The record of *home*, opened; blocks.

    Raises:
        StoreError: it cannot be opened; the hint names what to correct.
    """
    try:
        # Late, because it imports SQLAlchemy, which a short-lived probe never needs.
        from benchgate.gate.approvals.record import Record  # noqa: PLC0415
        from benchgate.gate.store import open_store  # noqa: PLC0415

        return Record(open_store(home.record_url()), home.lifetimes)
    except OSError as exc:
        raise StoreError(f"The record cannot be opened: {exc}") from exc
    except ImportError as exc:
        raise StoreError(
            f"The record cannot be opened: {exc}",
            hint="Install the driver that BENCHGATE_DATABASE_URL names, or unset it.",
        ) from exc
