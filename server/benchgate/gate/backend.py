"""The one port to a benchmark backend, whichever dialect it speaks.

Callers see values of the domain and never a backend's own shapes. Which dialect a server speaks
is found out from its answers, remembered, and found out anew after it has not been understood.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeGuard, TypeVar

import anyio
import httpx

from benchgate.domain.bounds import Bound
from benchgate.domain.contract import (
    ConnectionList,
    ErrorSummary,
    Readiness,
    RunChanged,
    RunCreated,
    RunDetail,
    RunRow,
    Series,
    TemplateReadiness,
)
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus, is_terminal
from benchgate.domain.templates import Template, TemplateConfig, TemplateDraft
from benchgate.errors import BackendError, BackendUnavailable, BenchgateError, NotFound
from benchgate.gate.dialects.port import Activity, Dialect, Shelf, Stream
from benchgate.gate.dialects.recognition import recognised
from benchgate.gate.sightings import Sightings
from benchgate.gate.transport.wire import Whereabouts, Wire, within

LOOK_AFTER_ACT_SECONDS_MAX = 5
# With these a backend answers a stop that came too late to have stopped anything.
ENDED_BEFORE = frozenset({RunStatus.COMPLETED, RunStatus.FAILED})
# As these a list may tell what was stopped.
TOLD_AS = frozenset({RunStatus.FAILED, RunStatus.CANCELLED})
# So long may a backend take to hear of a stop.
STOP_TAKEN_SECONDS_MAX = 60
GOING_ON = frozenset({RunStatus.STARTING, RunStatus.RUNNING})
NOT_STOPPED = (
    "The run was not stopped, and its load may go on: check that the backend runs, then call again."
)
# The whole answer of a web framework that knows no such route; who misses a thing names it.
NO_ROUTE = "Not Found"

T = TypeVar("T")


class Noted:
    """A stream of which all that it tells is remembered."""

    def __init__(self, stream: Stream, sightings: Sightings) -> None:
        """Pass on what *stream* tells, and note it in *sightings*."""
        self._stream = stream
        self._sightings = sightings

    async def next(self, last: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What the next message adds to *last*; *last* itself where it adds nothing.

        Raises:
            BackendError: nothing came in time, or nothing more will come.
        """
        snapshot = await self._stream.next(last, seconds_max=seconds_max)
        return snapshot if snapshot is last else await self._sightings.note(snapshot)


class Backend:
    """A backend, typed."""

    def __init__(
        self,
        whereabouts: Whereabouts,
        http: httpx.AsyncClient,
        *,
        sightings: Sightings | None = None,
    ) -> None:
        """Speak through *http*, which the caller owns, to wherever *whereabouts* says.

        What is read of runs goes into *sightings*.
        """
        self._wire = Wire(whereabouts, http)
        self._sightings = sightings or Sightings()
        self._dialect: Dialect | None = None
        self._is_doubtful = False
        # Since when runs are known to go on although we have stopped them.
        self._going_on: dict[str, float] = {}

    @property
    def identity(self) -> str:
        """The backend within which tests run one at a time, without asking or starting it."""
        return self._wire.identity

    async def is_known_alive(self) -> bool:
        """Whether there is a backend to ask without starting one."""
        return await self._wire.is_known_alive()

    async def shelf(self) -> Shelf:
        """All saved templates, and which of them cannot be read."""
        return await self._ask(lambda it: it.shelf())

    async def templates(self) -> list[Template]:
        """All saved templates that can be read, newest first."""
        return await self._ask(lambda it: it.templates())

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        return await self._ask(lambda it: it.template(template_id))

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        return await self._ask(lambda it: it.save_template(draft))

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template now, before there is a run of it.

        Only the embedded backend looks at the target of what is no run yet, and tells what is
        active beside it.
        """
        return await self._ask(lambda it: it.template_readiness(template_id))

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return await self._ask(lambda it: it.connections())

    async def runs(self) -> list[RunRow]:
        """The newest runs, each with the status that is known of it."""
        return [await self._as_known(row) for row in await self._ask(lambda it: it.runs())]

    async def _as_known(self, row: RunRow) -> RunRow:
        """*row* by what its run has ended of, which a list does not always tell."""
        if row.status not in TOLD_AS:
            return row
        known = (await self._sightings.recall(row.run_id)).snapshot
        return row.model_copy(update={"status": known.status}) if _is_end(known) else row

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        return await self._ask(lambda it: it.create_run(template_id))

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created."""
        return await self._ask(lambda it: it.run(run_id))

    async def readiness(self, run_id: str) -> Readiness | None:
        """All that speaks for or against a start now; None where that takes several questions."""
        return await self._ask(lambda it: it.readiness(run_id))

    async def preflight(self, run_id: str) -> PreflightReport:
        """The backend's warnings for a run, as of now."""
        return await self._ask(lambda it: it.preflight(run_id))

    async def start(
        self, run_id: str, *, acknowledged: bool = False, connection: str | None = None
    ) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        *acknowledged* says that it is a yes against the preflight's advice, *connection* which
        server it is a yes to.
        """
        return await self._ask(
            lambda it: it.start(run_id, acknowledged=acknowledged, connection=connection)
        )

    async def stop(self, run_id: str, *, own_stop: OwnStop | None = None) -> RunChanged:
        """Stop a run, on a person's request unless *own_stop* says otherwise.

        That it was our wish is remembered before it is sent, and forgotten if it was not taken:
        whatever ends the run later is not to be told as our stop.
        """
        is_news = await self._sightings.note_stop(run_id, own_stop or OwnStop())
        try:
            changed = await self._ask(lambda it: it.stop(run_id))
        except BenchgateError as exc:
            if is_news and _was_not_taken(exc):
                await self._sightings.forget_stop(run_id)
            if isinstance(exc, BackendUnavailable):
                exc.hint = NOT_STOPPED if not exc.may_be_on_its_way else exc.hint
            raise
        if changed.status in ENDED_BEFORE and (is_news or changed.status == RunStatus.COMPLETED):
            await self._sightings.forget_stop(run_id)
        elif is_terminal(changed.status):
            await self._note_end(changed, own_stop or OwnStop())
        return changed

    async def _note_end(self, changed: RunChanged, own_stop: OwnStop) -> None:
        """A stop has ended its run: that is known before the run itself can be asked about it."""
        run_id = changed.run_id
        last = (await self._sightings.recall(run_id)).snapshot
        if last is None or not last.is_terminal:
            last = last or RunSnapshot(run_id=run_id, status=changed.status)
            ended = {"status": own_stop.status, "reason": own_stop.reason, "phase": None}
            await self._sightings.note(last.model_copy(update=ended | {"metrics": None}))

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run; of one that is known to have ended, also without it.

        Raises:
            BenchgateError: it cannot be asked about.
        """
        try:
            snapshot = await self._ask(lambda it: it.snapshot(run_id))
        except BackendUnavailable as exc:
            last = (await self._sightings.recall(run_id, anew=True)).snapshot
            if last is not None and last.is_settled:
                return last
            raise _with_last(exc, last) from exc
        await self._doubt_stop(snapshot)
        return await self._sightings.note(snapshot)

    async def last(self, run_id: str) -> RunSnapshot | None:
        """What was last known of a run, without asking."""
        return (await self._sightings.recall(run_id)).snapshot

    async def _doubt_stop(self, snapshot: RunSnapshot) -> None:
        """A run that goes on long after our stop has not taken it, and ends of something else."""
        run_id = snapshot.run_id
        is_stopped = (await self._sightings.recall(run_id)).own_stop is not None
        if not is_stopped or snapshot.status not in GOING_ON:
            self._going_on.pop(run_id, None)
            return
        since = self._going_on.setdefault(run_id, anyio.current_time())
        if anyio.current_time() - since > STOP_TAKEN_SECONDS_MAX:
            del self._going_on[run_id]
            await self._sightings.forget_stop(run_id)

    @asynccontextmanager
    async def stream(self, run_id: str) -> AsyncGenerator[Stream]:
        """The run's own stream; whether there is such a run has to be known before.

        Raises:
            BackendError: it cannot be opened.
        """
        async with (await self._recognised()).stream(run_id) as stream:
            yield Noted(stream, self._sightings)

    async def bound(self, config: TemplateConfig) -> Bound | None:
        """When a run must be stopped by us, because the backend would never end it by itself."""
        return (await self._recognised()).bound(config)

    async def snapshot_or(self, told: RunSnapshot) -> RunSnapshot:
        """The newest known state, or *told* by an act that worked where only the look fails."""
        try:
            with within(LOOK_AFTER_ACT_SECONDS_MAX):
                return await self.snapshot(told.run_id)
        except BenchgateError:
            return told

    async def series(self, run_id: str) -> Series:
        """The run's seconds."""
        return await self._ask(lambda it: it.series(run_id))

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        return await self._ask(lambda it: it.errors(run_id))

    async def activity(self) -> Activity:
        """What runs on it now, as far as it says so."""
        return await self._ask(lambda it: it.activity())

    async def _ask(self, act: Callable[[Dialect], Awaitable[T]]) -> T:
        dialect = await self._recognised()
        try:
            return await act(dialect)
        except BackendError:
            # Another server may answer at that address by now, in a dialect of its own.
            self._is_doubtful = True
            raise
        except NotFound as gone:
            # It is the route that does not exist: so one does not speak there.
            self._is_doubtful = self._is_doubtful or str(gone) == NO_ROUTE
            raise

    async def _recognised(self) -> Dialect:
        if self._dialect is None or self._is_doubtful:
            found = await recognised(self._wire, self._sightings, present=self._dialect)
            # Who speaks as before stays, because a dialect remembers since when it waits.
            if self._dialect is None or type(found) is not type(self._dialect):
                self._dialect = found
            self._is_doubtful = False
        return self._dialect


def _is_end(known: RunSnapshot | None) -> TypeGuard[RunSnapshot]:
    return known is not None and known.is_terminal


def _was_not_taken(exc: BenchgateError) -> bool:
    """Whether what was answered with *exc* cannot have been done: refused, or never sent."""
    if isinstance(exc, BackendUnavailable):
        return not exc.may_be_on_its_way
    return not isinstance(exc, BackendError)


def _with_last(exc: BackendUnavailable, last: RunSnapshot | None) -> BackendUnavailable:
    """*exc*, with what was last known of the run."""
    if last is None or last.updated_at is None:
        return exc
    at = last.updated_at.strftime("%H:%M:%S UTC")
    seen = f"Run {last.run_id} was last seen {last.status}, at {at}."
    told = type(exc)(f"{exc} {seen}", hint=exc.hint)
    told.may_be_on_its_way = exc.may_be_on_its_way
    return told
