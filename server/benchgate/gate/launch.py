"""Takes a yes and starts the run on it, if what was asked about is still so: once, never again.

An answer that is lost on the way to the backend is resolved by reading the run's state; a start
is never repeated.
"""

import logging

import anyio

from benchgate.domain.approvals import NOT_STARTED, Approval, ApprovalState
from benchgate.domain.facts import StartFacts
from benchgate.domain.runs import RunSnapshot, RunStatus
from benchgate.errors import BackendError, BenchgateError, Conflict, StoreError
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.backend import Backend, within
from benchgate.gate.endings import Changed, Ending, Started, not_approved, refused
from benchgate.gate.facts import FactsReader, Obstacle

logger = logging.getLogger(__name__)

RESOLVE_SECONDS_MAX = 15
NOT_KNOWN = (
    "Whether the run started is not known: read its status before anything else. "
    "The yes is spent and starts nothing later."
)


class Launch:
    """Starts runs, each on one yes."""

    def __init__(self, backend: Backend, desk: Desk, facts: FactsReader) -> None:
        """Start on *backend*, with approvals from *desk* that must still fit the *facts*."""
        self._backend = backend
        self._desk = desk
        self._facts = facts
        # Not a set: of two calls for one run, the one that comes too late ends first.
        self._starting: list[str] = []

    def is_starting(self, run_id: str) -> bool:
        """Whether a call of this process has taken a yes for it and not come back yet."""
        return run_id in self._starting

    async def decided(self, approval: Approval) -> Ending | Changed:
        """What an answered question leads to; a yes to what is no longer so is asked for anew.

        Raises:
            BenchgateError: the facts cannot be read; a yes then stays good for as long as it is.
        """
        if approval.state is not ApprovalState.APPROVED:
            return not_approved(approval)
        read_at = utc_now()
        now = await self._facts.read(approval.subject.subject_id)
        if isinstance(now, Obstacle):
            return refused(now, now.reason)
        if now.digest == approval.digest:
            return await self.start(approval, now)
        try:
            await self._desk.supersede(approval.approval_id)
        except Conflict:
            return not_approved(await self._desk.get(approval.approval_id))
        return Changed(facts=now, read_at=read_at, before=approval.facts)

    async def start(self, approval: Approval, facts: StartFacts) -> Ending:
        """Take the yes to *facts*, just read, and start.

        A caller who goes away now can no longer interrupt it.
        """
        ending: Ending = refused(facts, "The start was interrupted.")
        with anyio.CancelScope(shield=True):
            self._starting.append(facts.run_id)
            try:
                ending = await self._take_and_start(approval, facts)
            finally:
                self._starting.remove(facts.run_id)
        return ending

    async def _take_and_start(self, approval: Approval, facts: StartFacts) -> Ending:
        try:
            taken = await self._desk.take(approval.approval_id)
        except Conflict:
            return not_approved(await self._desk.get(approval.approval_id))
        if taken.state is not ApprovalState.USED:
            return not_approved(taken)
        ending = await self._start(facts)
        if not isinstance(ending, Started):
            is_known = not ending.reason.endswith(NOT_KNOWN)
            await self._settle(approval, (NOT_STARTED if is_known else "") + ending.reason)
            return ending
        # Beside the look at the run, since both only tell what has happened.
        snapshot = ending.snapshot
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._settle, approval, snapshot.status)
            snapshot = await self._backend.snapshot_or(snapshot)
        return Started(snapshot=snapshot)

    async def _settle(self, approval: Approval, result: str) -> None:
        try:
            await self._desk.settle(approval.approval_id, result)
        except StoreError:
            # What happened must still be told; the record only lacks the note of it.
            logger.exception("What became of the start of %s could not be noted", approval.subject)

    async def _start(self, facts: StartFacts) -> Ending:
        """Send the start once; where its answer is lost, read what became of it."""
        try:
            changed = await self._backend.start(facts.run_id, acknowledged=not facts.can_proceed)
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
            return refused(
                facts,
                f"{lost} {NOT_KNOWN}",
            )
        if snapshot.status == RunStatus.PREPARED:
            return refused(facts, f"{lost} The run was not started. The yes is spent.")
        return Started(snapshot=snapshot)
