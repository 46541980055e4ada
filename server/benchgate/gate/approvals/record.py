"""The durable record of questions and answers; knows nothing of how they are asked.

Every change of state is read and written, and told in the ledger, in one transaction beside which
nobody else writes. So however many processes share the record, a question has one outcome, a yes
is used once, and the ledger misses nothing. Every method blocks: call it from a worker thread.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from benchgate.database import reading, writing_alone
from benchgate.domain.answers import Answer
from benchgate.domain.approvals import (
    REOPENABLE,
    TRANSITIONS,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Asked,
    Channel,
    Lifetimes,
    Standing,
    Subject,
    SubjectKind,
    standing_of,
    subject_of,
)
from benchgate.domain.facts import Facts, differences
from benchgate.domain.ledger import Entry, Moment
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import Conflict
from benchgate.gate.approvals import ledger, rows
from benchgate.gate.approvals.drafts import Draft, Wording, drafted
from benchgate.gate.store import APPROVALS

LISTED_MAX = 50
# What counts also after the time of a question or of a yes is over.
REFUSALS = frozenset({ApprovalEvent.DECLINE, ApprovalEvent.MODIFY})
LONG_AGO = datetime.min.replace(tzinfo=UTC)

Along = Callable[[sa.Connection, Approval], None]


class Found(Value):
    """How the question stands, and the approval that says so."""

    standing: Standing
    approval: Approval


class PinTry(Value):
    """What a PIN that was handed in came to; `locked_since` where it was not even looked at."""

    passes: bool
    locked_since: datetime | None = None


class Record:
    """Questions by id and by subject."""

    def __init__(self, engine: sa.Engine, lifetimes: Lifetimes) -> None:
        """Keep them in *engine*, whose schema is up to date."""
        self._engine = engine
        self.lifetimes = lifetimes

    @property
    def engine(self) -> sa.Engine:
        """The database, for whoever reads it without moving a question."""
        return self._engine

    def ask(self, draft: Draft, wording: Wording, *, at: datetime) -> Found:
        """The question to put for *draft*: recorded now, or an earlier one that decides it.

        A live one of the same subject that shows other facts is superseded first. *wording* is
        called with what has changed since.
        """
        with writing_alone(self._engine) as tx:
            self._sweep(tx, at)
            about_run = rows.history(tx, subject_of(draft.facts).subject_id)
            if outrun := [one for one in about_run if (one.used_at or LONG_AGO) >= draft.facts_at]:
                return Found(standing=Standing.OUTRUN, approval=outrun[-1])
            history = [one for one in about_run if one.digest == draft.facts.digest]
            standing = standing_of(history)
            if standing is Standing.GRANTED:
                return Found(standing=standing, approval=history[-1])
            if history and history[-1].is_live:
                return Found(standing=standing, approval=_joined(tx, history[-1], draft, at))
            before = _superseded(tx, about_run, at) or draft.before
            if standing is Standing.WITHHELD and draft.fallback is None:
                standing = Standing.CLOSED
            if standing is Standing.CLOSED:
                return Found(standing=standing, approval=_closed(history))
            changed = differences(before, draft.facts) if before else ()
            approval = drafted(draft, standing, question=wording(changed), at=at)
            rows.insert(tx, approval, Moment.ASK)
        return Found(standing=standing, approval=approval)

    def answer(
        self, approval_id: str, answer: Answer, *, through: Channel, at: datetime
    ) -> Approval:
        """Record *answer*; one that comes too late expires the question, unless it is a no.

        Raises:
            NotFound: there is no such question.
            Conflict: the question takes no such answer any more; the attempt is in the ledger.
        """
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            overdue = present.is_overdue(self.lifetimes, at=at)
            late = overdue and answer.event not in REFUSALS
            event = ApprovalEvent.EXPIRE if late else answer.event
            if event in TRANSITIONS[present.state]:
                changes = {"answered_at": at, "answered_through": through}
                changes |= {"note": answer.note, "mode": answer.mode}
                return rows.move(tx, present, event, at=at, changes=changes)
            stray = {"at": at, "channel": through, "note": answer.note, "result": event.value}
            ledger.append(tx, ledger.entry_of(present, Moment.STRAY, **stray))
        raise Conflict(f"A question that is {present.state} cannot {event}.")

    def take(self, approval_id: str, *, at: datetime, along: Along | None = None) -> Approval:
        """Use a yes, once and for all; this is the intent to start, recorded before the act.

        One that was given too long ago comes back as expired. What is recorded *along* with the
        use happens with it or not at all.

        Raises:
            Conflict: it is not a yes, it has been used, or what goes along cannot be.
        """
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            if present.is_overdue(self.lifetimes, at=at):
                return rows.move(tx, present, ApprovalEvent.EXPIRE, at=at)
            used = rows.move(tx, present, ApprovalEvent.USE, at=at, changes={"used_at": at})
            if along is not None:
                along(tx, used)
        return used

    def cover(self, approval_id: str, run_id: str, *, at: datetime, along: Along) -> None:
        """Write down that a run is to start on the used yes to a whole, and what goes along.

        Raises:
            Conflict: that is no used yes, or what goes along cannot be.
        """
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            if present.state is not ApprovalState.USED:
                raise Conflict("That is no yes to a comparison that has begun.")
            about_run = _about_run(present, run_id)
            ledger.append(tx, ledger.entry_of(about_run, Moment.COVER, at=at))
            along(tx, present)

    def supersede(self, approval_id: str, *, at: datetime) -> Approval:
        """Close a question, or a yes that is not used yet, because the facts have changed."""
        with writing_alone(self._engine) as tx:
            return rows.move(tx, rows.get(tx, approval_id), ApprovalEvent.SUPERSEDE, at=at)

    def fail(self, approval_id: str, *, fallback: Channel | None, at: datetime) -> Approval:
        """The client could not show it: it waits on *fallback*, or is cancelled without one."""
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            if fallback is None:
                return rows.move(tx, present, ApprovalEvent.CANCEL, at=at)
            asked = present.asked.model_copy(update={"channel": fallback})
            return rows.move(tx, present, ApprovalEvent.FAIL, at=at, changes={"asked": asked})

    def settle(
        self,
        approval_id: str,
        result: str,
        *,
        run_id: str,
        at: datetime,
        along: Along | None = None,
    ) -> None:
        """Note what became of the start of a run on the used yes, and what goes along."""
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            told = one_line(result)  # it may quote a backend
            tx.execute(rows.at_id(present).values(result=told))
            about_run = _about_run(present, run_id)
            ledger.append(tx, ledger.entry_of(about_run, Moment.SETTLE, at=at, result=told))
            if along is not None:
                along(tx, present)

    def reopen(self, approval_id: str, *, new_id: str, asked: Asked, at: datetime) -> Approval:
        """The closed question *approval_id* as a new one, because the person wants it back.

        Raises:
            Conflict: it is not one that was closed lately, or another has taken its place.
        """
        with writing_alone(self._engine) as tx:
            self._sweep(tx, at)
            closed = rows.get(tx, approval_id)
            if approval_id not in {one.approval_id for one in self._closed_lately(tx, at)}:
                raise Conflict("That question cannot be opened again: ask for a new one.")
            changes = {"approval_id": new_id, "asked": asked, "asked_at": at}
            approval = closed.model_copy(update=ANEW | changes)
            rows.insert(tx, approval, Moment.REOPEN)
        return approval

    def hold_dialog(self, approval_id: str, *, holder: str, until: datetime, at: datetime) -> bool:
        """Whether *holder* may show the question until then: it is open, and nobody else does."""
        free = sa.or_(
            APPROVALS.c.dialog_until.is_(None),
            APPROVALS.c.dialog_until < at,
            APPROVALS.c.dialog_by == holder,
        )
        asked = APPROVALS.c.state == ApprovalState.ASKED.value
        update = APPROVALS.update().where(APPROVALS.c.approval_id == approval_id, asked, free)
        with writing_alone(self._engine) as tx:
            done = tx.execute(update.values(dialog_by=holder, dialog_until=until))
            return done.rowcount == 1

    def release_dialog(self, approval_id: str, *, holder: str, at: datetime) -> None:
        """*holder* shows it no longer; one that was not answered there goes on waiting."""
        held = APPROVALS.update().where(
            APPROVALS.c.approval_id == approval_id, APPROVALS.c.dialog_by == holder
        )
        with writing_alone(self._engine) as tx:
            done = tx.execute(held.values(dialog_by=None, dialog_until=None))
            present = rows.get(tx, approval_id)
            is_open = present.state is ApprovalState.ASKED and present.has_dialog_left
            if done.rowcount == 1 and is_open:
                ledger.append(tx, ledger.entry_of(present, Moment.WITHDRAW, at=at))

    def give_code(self, approval_id: str, code_digest: str, *, at: datetime) -> None:
        """The question can be answered in the chat by whoever shows the code, until the next."""
        with writing_alone(self._engine) as tx:
            present = rows.get(tx, approval_id)
            tx.execute(rows.at_id(present).values(code_digest=code_digest))
            entry = ledger.entry_of(present, Moment.CODE, at=at, channel=Channel.CHAT)
            ledger.append(tx, entry)

    def note(self, entry: Entry) -> None:
        """Write down what moved no question; number and predecessor are the ledger's."""
        with writing_alone(self._engine) as tx:
            ledger.append(tx, entry)

    def try_pin(
        self, matches: Callable[[], bool], attempt: Entry, *, wrong_max: int, since: datetime
    ) -> PinTry:
        """Whether the PIN of an *attempt* passes; a wrong one is written down.

        Of many attempts at once, none is made before the one before it is written down. After
        *wrong_max* wrong ones *since* then, none passes.
        """
        with writing_alone(self._engine) as tx:
            links = ledger.latest(tx, wrong_max, event=Moment.WRONG_PIN)
            wrong_at = [at for at in (ledger.entry_in(link).at for link in links) if at > since]
            if len(wrong_at) >= wrong_max:
                return PinTry(passes=False, locked_since=wrong_at[-1])
            passes = matches()
            if not passes:
                ledger.append(tx, attempt)
        return PinTry(passes=passes)

    def get(self, approval_id: str) -> Approval:
        """One question.

        Raises:
            NotFound: there is no such question.
        """
        with reading(self._engine) as tx:
            return rows.get(tx, approval_id)

    def newest(self, subject_id: str, *, at: datetime) -> Approval | None:
        """The last question about a subject; one that is overdue is expired by the look."""
        self.sweep(at=at)
        with reading(self._engine) as tx:
            found = rows.history(tx, subject_id)
        return found[-1] if found else None

    def used(self, subject_id: str) -> Approval | None:
        """The approval on which a subject was started, if it was started through this record.

        For a run of a comparison that may be the yes to the whole.
        """
        with reading(self._engine) as tx:
            used = [one for one in rows.history(tx, subject_id) if one.may_have_started]
            covering = None if used else ledger.covering(tx, subject_id)
            return rows.get(tx, covering) if covering else (used[-1] if used else None)

    def head(self) -> str | None:
        """The head of the ledger, to be kept elsewhere; None while it is empty."""
        with reading(self._engine) as tx:
            last = ledger.newest(tx)
        return last.head if last else None

    def unused(self, *, at: datetime) -> list[Approval]:
        """The yeses that have started nothing yet and still can, the oldest first."""
        self.sweep(at=at)
        with reading(self._engine) as tx:
            approved = APPROVALS.c.state == ApprovalState.APPROVED.value
            return rows.select(tx, approved)[:LISTED_MAX]

    def open_questions(self, *, at: datetime) -> list[Approval]:
        """What waits for an answer now, the oldest first."""
        self.sweep(at=at)
        where = APPROVALS.c.state == ApprovalState.ASKED.value
        with reading(self._engine) as tx:
            return rows.select(tx, where)[:LISTED_MAX]

    def closed_lately(self, *, at: datetime) -> list[Approval]:
        """What was closed without a yes and can be opened again, the oldest first."""
        with reading(self._engine) as tx:
            return self._closed_lately(tx, at)

    def sweep(self, *, at: datetime) -> None:
        """Expire what is overdue."""
        with reading(self._engine) as tx:
            overdue = self._overdue(tx, at)
        if overdue:
            with writing_alone(self._engine) as tx:
                self._sweep(tx, at)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _sweep(self, tx: sa.Connection, at: datetime) -> None:
        for approval in self._overdue(tx, at):
            rows.move(tx, approval, ApprovalEvent.EXPIRE, at=at)

    def _overdue(self, tx: sa.Connection, at: datetime) -> list[Approval]:
        return [one for one in rows.live(tx) if one.is_overdue(self.lifetimes, at=at)]

    def _closed_lately(self, tx: sa.Connection, at: datetime) -> list[Approval]:
        fresh = APPROVALS.c.asked_at > at - self.lifetimes.question
        newest = {one.subject.subject_id: one for one in rows.select(tx, fresh)}
        closed = [one for one in newest.values() if one.state in REOPENABLE]
        return closed[-LISTED_MAX:]


# What a question that is opened again does not take over from the one that was closed.
ANEW: dict[str, object] = {
    "state": ApprovalState.ASKED,
    "answered_at": None,
    "answered_through": None,
    "note": "",
    "mode": None,
    "dialog_until": None,
    "code_digest": None,
}


def _about_run(approval: Approval, run_id: str) -> Approval:
    """*approval* as the ledger tells of the run that starts on it, which may be one of several."""
    if approval.subject.subject_id == run_id:
        return approval
    subject = Subject(kind=SubjectKind.RUN, subject_id=run_id)
    return approval.model_copy(update={"subject": subject})


def _closed(history: Sequence[Approval]) -> Approval:
    """The approval that closed the question: the last one that has no yes in it."""
    return next(one for one in reversed(history) if one.state in REOPENABLE)


def _superseded(tx: sa.Connection, about_run: Sequence[Approval], at: datetime) -> Facts | None:
    """Close the live question about other facts of the same subject, and say what they were."""
    if not about_run or not about_run[-1].is_live:
        return None
    rows.move(tx, about_run[-1], ApprovalEvent.SUPERSEDE, at=at)
    return about_run[-1].facts


def _joined(tx: sa.Connection, present: Approval, draft: Draft, at: datetime) -> Approval:
    """*present*, which is put again; each other client that joins is noted once."""
    same_client = draft.asked.model_copy(update={"channel": present.asked.channel})
    if present.asked != same_client and draft.asked not in rows.joiners(tx, present):
        joined = present.model_copy(update={"asked": draft.asked})
        ledger.append(tx, ledger.entry_of(joined, Moment.JOIN, at=at))
    return present
