"""Owns the one active run: begins it, ends it, and never has two.

The record is written before the load is told, so whatever happens to this process, a run is never
forgotten: what is recorded as active and driven by nobody is FAILED when the next process starts.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from benchgate.backend.engine.active import ActiveRun, RunObserver
from benchgate.backend.engine.board import Board, Live
from benchgate.backend.engine.copies import Copies
from benchgate.backend.engine.load import Load, Observer, Outcome
from benchgate.backend.engine.preflight import not_driven
from benchgate.backend.engine.preparation import Preparation
from benchgate.backend.engine.record import RETRY_SECONDS, Record
from benchgate.backend.runs import Ending, Run, active_elsewhere, refuse_unless_prepared
from benchgate.domain.cost import spent
from benchgate.domain.findings import Findings
from benchgate.domain.preflight import PreflightReport, PreflightWarning, Severity
from benchgate.domain.runs import Phase, RunEvent, is_active, is_terminal
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, Conflict, StoreError

START_SECONDS_MAX = 180  # to copy a table takes most of it
REASON_CHARACTERS_MAX = 1_000
STOP_SECONDS_MAX = 10
CLOSE_SECONDS_MAX = 2

CRASHED = "The backend ended while this run was active."
UNRECORDED = "The end of this run could not be recorded."
SHUT_DOWN = "The backend was shut down while this run was active."
BROKEN = "The load engine broke; the backend's log says how."
CUT_OFF = "The load did not answer in time and was cut off."

log = logging.getLogger(__name__)


class Drive(Protocol):
    """Loads a target from worker processes until its time is over or it is told to stop."""

    async def __call__(self, load: Load, *, stop: anyio.Event, observer: Observer) -> Outcome:
        """Run *load*; a load that cannot go on says so in the outcome."""
        ...


class Conductor:
    """Moves runs along the table of states, one at a time."""

    def __init__(
        self,
        record: Record,
        *,
        drive: Drive,
        inspect: Callable[[Run], Awaitable[PreflightReport]],
        described: Callable[[TemplateConfig], str | None],
        preparation: Preparation,
        copies: Copies,
    ) -> None:
        """Keep *record*; *inspect* may refuse a start, *drive* carries out what is prepared.

        *described* tells the server that a configuration leads to, and may block.
        Of *copies* those are removed that a backend before this one has left.
        """
        self.board = Board()
        self._record = record
        self._drive = drive
        self._inspect = inspect
        self._described = described
        self._preparation = preparation
        self._copies = copies
        self._active: ActiveRun | None = None
        self._tasks: TaskGroup | None = None

    @property
    def active_run_id(self) -> str | None:
        """The run that loads a database now, or is about to."""
        return self._active.run_id if self._active else None

    @asynccontextmanager
    async def conducting(self) -> AsyncGenerator[None]:
        """Runs can be started inside; on leaving, the active one is stopped and recorded."""
        await self._record.fail_active(CRASHED)
        await self._record.forget_oldest_seconds()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            # A database that does not answer must not keep the backend from serving.
            tasks.start_soon(self._copies.remove_leftovers)
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._close()
                tasks.cancel_scope.cancel()

    async def start(
        self, run_id: str, *, acknowledged: bool = False, connection: str | None = None
    ) -> Run:
        """Begin a prepared run.

        *acknowledged* says that a person wants it against the preflight's high warnings; what
        they tell of the target then shows in how the run ends. *connection* is the server that
        they were shown; without it the run goes wherever its configuration leads.

        Raises:
            Conflict: it cannot be started; the message is the true reason.
        """
        run = await self._record.get(run_id)
        refuse_unless_prepared(run)
        with ExitStack() as undo:
            active = self._claim(run_id)
            undo.callback(self._release, active)
            refuse_if_high(await self._warnings(run, acknowledged=acknowledged))
            if connection is not None:
                await self._refuse_elsewhere(run, connection)
            # Whatever is recorded as active while this claim is held is driven by nobody.
            await self._record.fail_active(UNRECORDED)
            run = await self._record.begin(run_id)
            active.begun = True
            assert self._tasks is not None, "a run is started only while conducting"
            self._tasks.start_soon(self._conduct, run, active)
            undo.pop_all()
        self.board.post(Live(run_id=run_id, phase=Phase.PREPARING))
        return run

    async def stop(self, run_id: str) -> Run:
        """Stop a run, or cancel a prepared one; a run that has ended is left as it is."""
        run = await self._record.get(run_id)
        if is_terminal(run.status):
            return run
        try:
            run = await self._record.move(run_id, RunEvent.STOP)
        except Conflict:  # it ended between the two looks
            return await self._record.get(run_id)
        if self._active and self._active.run_id == run_id and is_active(run.status):
            self._active.end_within(STOP_SECONDS_MAX)
        elif self._active is None and is_active(run.status):
            # Its end could not be written once, and nobody drives it any more.
            await self._record.fail_active(UNRECORDED)
            run = await self._record.get(run_id)
        self.board.announce()
        return run

    async def _warnings(self, run: Run, *, acknowledged: bool) -> Sequence[PreflightWarning]:
        """What may forbid the start; the target is not looked at where that decides nothing."""
        if acknowledged:
            return not_driven(run.config)
        return (await self._inspect(run)).warnings

    async def _refuse_elsewhere(self, run: Run, connection: str) -> None:
        """Refuse a start at another server: a default, a service or a variable may change."""
        leads_to = await anyio.to_thread.run_sync(self._described, run.config)
        if leads_to != connection:
            raise Conflict(
                f"The run leads to another server than the one that was shown: to "
                f"{leads_to or 'none'}, and not to {one_line(connection)}.",
                hint="Have the question put anew: it shows the server to which the run leads.",
            )

    def _claim(self, run_id: str) -> ActiveRun:
        if self._active is not None:
            raise active_elsewhere(self._active.run_id)
        self._active = ActiveRun(run_id)
        return self._active

    def _release(self, active: ActiveRun) -> None:
        self._active = None
        self.board.post(None)
        active.ended.set()

    async def _conduct(self, run: Run, active: ActiveRun) -> None:
        outcome = await self._outcome(run, active)
        failure = active.failure or outcome.failure
        ending = Ending(
            failed=failure is not None,
            limited=outcome.stopped is not None,
            reason=one_line(failure or active.reason or told(outcome), REASON_CHARACTERS_MAX)
            or None,
            summary=outcome.summary,
            elapsed_seconds=outcome.elapsed_seconds,
            measured_seconds=outcome.measured_seconds if outcome.summary else None,
            cost_credits=spent(run.config, outcome.elapsed_seconds).credits,
            errors=outcome.errors,
            findings=outcome.findings,
        )
        await self._record.end(run.run_id, ending)
        self._release(active)

    async def _outcome(self, run: Run, active: ActiveRun) -> Outcome:
        """What the load came to; one that broke or hung comes to a failure."""
        observer = RunObserver(run, active, record=self._record, board=self.board)
        failure = CUT_OFF
        try:
            with active.scope:
                active.allow(START_SECONDS_MAX)
                return await self._driven(run, active, observer)
        except BenchgateError as exc:
            failure = str(exc)
        except Exception:
            # Whatever the engine did, the run must end in the record and the backend must live.
            log.exception("The load of run %s broke", run.run_id)
            failure = BROKEN
        elapsed = observer.last.elapsed_seconds if observer.last else 0
        return Outcome(summary=None, measured_seconds=0, elapsed_seconds=elapsed, failure=failure)

    async def _driven(self, run: Run, active: ActiveRun, observer: RunObserver) -> Outcome:
        """What the load came to, with what could not be taken away after it."""
        outcome = Outcome(summary=None, measured_seconds=0, elapsed_seconds=0)
        async with self._preparation.prepared(run, active.stop) as prepared:
            if prepared.load is not None:
                outcome = await self._drive(prepared.load, stop=active.stop, observer=observer)
        if prepared.remark is None:
            return outcome
        findings = outcome.findings or Findings()
        remarks = (*findings.remarks, prepared.remark)
        return outcome.model_copy(
            update={"findings": findings.model_copy(update={"remarks": remarks})}
        )

    async def _close(self) -> None:
        active = self._active
        if active is not None and active.begun:
            active.reason = SHUT_DOWN
            with suppress(Conflict, StoreError):
                await self._record.move(active.run_id, RunEvent.STOP)
            active.end_within(CLOSE_SECONDS_MAX)
            with anyio.move_on_after(CLOSE_SECONDS_MAX + RETRY_SECONDS):
                await active.ended.wait()
        with suppress(StoreError):
            await self._record.fail_active(CRASHED)


def told(outcome: Outcome) -> str:
    """What a reader of *outcome* has to know beside its figures, in one text."""
    notes = outcome.findings.notes if outcome.findings else ()
    return " ".join([*([outcome.stopped] if outcome.stopped else []), *notes])


def refuse_if_high(warnings: Sequence[PreflightWarning]) -> None:
    """Refuse a start of which *warnings* say that it should not be, in the first one's words."""
    worst = next((w for w in warnings if w.severity is Severity.HIGH), None)
    if worst is None:
        return
    hint = worst.recommendations[0] if worst.recommendations else None
    raise Conflict(f"{worst.title}: {worst.message}", hint=hint)
