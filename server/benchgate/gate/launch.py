"""Takes a yes and starts a run on it, if what was asked about is still so: once, never again.

An answer that is lost on the way to the backend is resolved by reading the run's state; a start
is never repeated.
"""

import logging
from datetime import datetime

import anyio

from benchgate.domain.approvals import NOT_STARTED, Approval
from benchgate.domain.comparisons import ComparisonEvent
from benchgate.domain.facts import StartFacts
from benchgate.domain.happenings import Happening
from benchgate.domain.lane import SENDING_MAX
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.errors import BackendError, BenchgateError, Conflict, NotFound, StoreError
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.taking import take
from benchgate.gate.backend import Backend
from benchgate.gate.endings import Ending, NotStarted, Started, refused
from benchgate.gate.lane import Lane
from benchgate.gate.live import Live
from benchgate.gate.transport.wire import within

logger = logging.getLogger(__name__)

RESOLVE_SECONDS_MAX = 15
TOO_LATE = (
    "This server was held up for too long before it could start the run, and did not: "
    "read its status before anything else."
)
INTERRUPTED = "The start was interrupted."
NOT_KNOWN = (
    "Whether the run started is not known: read its status before anything else. "
    "The yes is spent and starts nothing later."
)


class Launch:
    """Starts runs, each on one yes, or on the yes to a whole that covers it."""

    def __init__(self, backend: Backend, desk: Desk, *, lane: Lane, live: Live) -> None:
        """Start on *backend*, with approvals from *desk*; what has started is watched in *live*."""
        self._backend = backend
        self._desk = desk
        self._lane = lane
        self._live = live
        # Not a set: of two calls for one run, the one that comes too late ends first.
        self._starting: list[str] = []

    def is_starting(self, run_id: str) -> bool:
        """Whether a call of this process has taken a yes for it and not come back yet."""
        return run_id in self._starting

    async def start(self, approval: Approval, facts: StartFacts, *, read_at: datetime) -> Ending:
        """Take the yes to *facts*, read at that moment, and start.

        A caller who goes away now can no longer interrupt it.
        """
        ending: Ending = refused(facts, INTERRUPTED)
        with anyio.CancelScope(shield=True):
            self._starting.append(facts.run_id)
            try:
                ending = await self._take_and_start(approval, facts, read_at=read_at)
            finally:
                self._starting.remove(facts.run_id)
        return ending

    async def start_covered(
        self, approval_id: str, facts: StartFacts, *, read_at: datetime, after: str | None
    ) -> Ending:
        """Start *facts*' run on the used yes to a whole; *after* is the run that has just ended.

        Raises:
            Conflict: the yes does not cover it, or another run is in the lane.
        """
        along = self._lane.entering(facts, approval_id, idle_at=read_at, after=after, on_cover=True)
        entered_at = utc_now()
        await self._desk.cover(approval_id, facts.run_id, along=along)
        return await self._start_shielded(approval_id, facts, entered_at=entered_at)

    async def repeat(self, approval_id: str, facts: StartFacts, *, read_at: datetime) -> Ending:
        """Send the start that a process before this one intended and never sent.

        Only for a backend that refuses a second start: elsewhere the first may have been sent.

        Raises:
            Conflict: it is not intended any more, another run is in the lane, or the lease of
                that process is not over.
        """
        entered_at = utc_now()
        await self._lane.enter_again(facts.run_id, approval_id, idle_at=read_at)
        return await self._start_shielded(approval_id, facts, entered_at=entered_at)

    async def _take_and_start(
        self, approval: Approval, facts: StartFacts, *, read_at: datetime
    ) -> Ending:
        along = self._lane.entering(facts, approval.approval_id, idle_at=read_at)
        entered_at = utc_now()
        if (untaken := await take(self._desk, approval, facts, along=along)) is not None:
            return untaken
        return await self._start_and_settle(approval.approval_id, facts, entered_at=entered_at)

    async def _start_shielded(
        self, approval_id: str, facts: StartFacts, *, entered_at: datetime
    ) -> Ending:
        """The intent is recorded: whoever waits for it may go away, and the start goes on."""
        with anyio.CancelScope(shield=True):
            return await self._start_and_settle(approval_id, facts, entered_at=entered_at)
        return refused(facts, INTERRUPTED)

    async def _start_and_settle(
        self, approval_id: str, facts: StartFacts, *, entered_at: datetime
    ) -> Ending:
        if utc_now() - entered_at > SENDING_MAX:
            # This process was held up for so long that another may have taken the start over.
            return refused(facts, TOO_LATE)
        async with self._lane.kept(facts.run_id):
            ending = await self._start(facts)
        if not isinstance(ending, Started):
            result = ("" if ending.in_doubt else NOT_STARTED) + ending.reason
            await self._settle(approval_id, result, _not_begun(ending))
            return ending
        snapshot = ending.snapshot
        self._live.keep(facts.run_id)
        # Beside the look at the run, since both only tell what has happened.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._settle, approval_id, snapshot.status, _begun(snapshot))
            snapshot = await self._backend.snapshot_or(snapshot)
        return Started(snapshot=snapshot)

    async def _settle(self, approval_id: str, result: str, told: Happening) -> None:
        assert told.run_id is not None, "it is told of a run"
        in_doubt = told.event is ComparisonEvent.LOSE
        along = self._lane.settling(told, in_doubt=in_doubt)
        try:
            await self._desk.settle(approval_id, result, run_id=told.run_id, along=along)
        except (Conflict, NotFound, StoreError):
            # What happened must still be told; the record only lacks the note of it.
            logger.exception("What became of the start on %s could not be noted", approval_id)

    async def _start(self, facts: StartFacts) -> Ending:
        """Send the start once; where its answer is lost, read what became of it."""
        try:
            changed = await self._backend.start(
                facts.run_id,
                acknowledged=not facts.can_proceed,
                connection=facts.connection,
            )
        except BackendError as lost:
            return await self._resolve(facts, lost)
        except BenchgateError as refusal:
            return refused(facts, str(refusal))
        told = RunSnapshot(
            run_id=facts.run_id, status=changed.status, template_name=facts.template_name
        )
        return Started(snapshot=told)

    async def _resolve(self, facts: StartFacts, lost: BackendError) -> Ending:
        try:
            with within(RESOLVE_SECONDS_MAX):
                snapshot = await self._backend.snapshot(facts.run_id)
        except BenchgateError:
            return _in_doubt(facts, lost)
        if snapshot.status != RunStatus.PREPARED:
            return Started(snapshot=snapshot)
        if lost.may_be_on_its_way:
            return _in_doubt(facts, lost)
        return refused(facts, f"{lost} The run was not started. The yes is spent.")


def _begun(snapshot: RunSnapshot) -> Happening:
    return Happening(event=ComparisonEvent.BEGIN, run_id=snapshot.run_id)


def _in_doubt(facts: StartFacts, lost: BackendError) -> NotStarted:
    return refused(facts, f"{lost} {NOT_KNOWN}").model_copy(update={"in_doubt": True})


def _not_begun(ending: NotStarted) -> Happening:
    event = ComparisonEvent.LOSE if ending.in_doubt else ComparisonEvent.HOLD
    return Happening(event=event, run_id=ending.subject_id, reason=ending.reason)
