"""The dialect of FlakeBench: which of its routes tells what, and which of its answers to believe.

A run has one id there; routes want their slash or none, each its own way. What exists may be told
as not found while its database is out of reach, and a finished run's first answer is repeated for
minutes, so the figures are asked for when they are known to be counted.
"""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import anyio
from pydantic import TypeAdapter

from benchgate.domain.bounds import Bound, bound_of
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
from benchgate.domain.preflight import PreflightReport, PreflightWarning, may_proceed
from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus, is_terminal
from benchgate.domain.templates import TableType, Template, TemplateConfig, TemplateDraft
from benchgate.domain.text import one_line
from benchgate.errors import (
    BackendError,
    BackendOutage,
    BackendUnavailable,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
)
from benchgate.gate.dialects.flakebench import configs, payloads, refusals, snapshots, warnings
from benchgate.gate.dialects.flakebench.moments import Moments
from benchgate.gate.dialects.flakebench.stream import Updates
from benchgate.gate.dialects.port import Activity, Memory, Shelf
from benchgate.gate.names import UNKNOWN_RUN_HINT
from benchgate.gate.transport.wire import Wire

CREATE_SECONDS_MAX = 25
# The call that stops a run comes back when its workers are gone; whoever waits need not.
STOP_SECONDS_MAX = 4
# A finished run's first answer is repeated for so long.
FIGURES_SECONDS_MAX = 330
ROWS_MAX = 100
# A greeting comes first, and then an update a second.
MESSAGES_TO_A_REASON = 2
REASON_SECONDS_MAX = 3
# A stream that is stuck must not hide for longer where a run really stands.
UNREAD_SECONDS_MAX = 60
LOADING = frozenset(
    {RunStatus.STARTING, RunStatus.RUNNING, RunStatus.STOPPING, RunStatus.CANCELLING}
)

Shape = TypeVar("Shape")

TEMPLATES = TypeAdapter(payloads.Templates)
TEMPLATE = TypeAdapter(payloads.Template)
TEST = TypeAdapter(payloads.Test)
ROWS = TypeAdapter(payloads.Rows)
WAREHOUSES = TypeAdapter(list[payloads.Warehouse])


class FlakeBench:
    """A FlakeBench server."""

    def __init__(self, wire: Wire, memory: Memory) -> None:
        """Speak over *wire*; *memory* knows why a run ended, and that the end was our wish."""
        self._wire = wire
        self._memory = memory
        # When each run was first seen to have ended: its own times are not of our clock.
        self._ended_at = Moments()
        # When the details of each were read last.
        self._read_at = Moments()

    async def shelf(self) -> Shelf:
        """All saved templates, and which of them cannot be read."""
        return configs.shelf_of(await self._wire.get("/api/templates/", TEMPLATES))

    async def templates(self) -> list[Template]:
        """All saved templates that can be read, newest first."""
        return list((await self.shelf()).templates)

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        return configs.template_of(await self._saved(template_id))

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        body = draft.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        try:
            saved = await self._wire.post("/api/templates/", TEMPLATE, body=body)
        except BackendError as exc:
            # A configuration that it refuses is an internal error to it, the reason beside it.
            if exc.debug is None:
                raise
            raise InvalidInput(exc.debug) from exc
        return configs.template_of(saved)

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template, as far as it alone tells."""
        template = await self.template(template_id)
        found = await self._foreseen(template.config)
        return TemplateReadiness(
            template=template,
            connection=await self._connection(template.config.connection_id),
            bound=self.bound(template.config),
            warnings=tuple(found),
            can_proceed=may_proceed(found),
        )

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return configs.connections_of(await self._saved_connections())

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        return [row for told in await self._rows() if (row := snapshots.run_row_of(told))]

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        try:
            created = await self._wire.post(
                "/api/runs/",
                TypeAdapter(payloads.RunCreated),
                body={"template_id": template_id},
                seconds_max=CREATE_SECONDS_MAX,
            )
        except NotFound as gone:
            raise await self._truly(gone) from gone
        return RunCreated(
            run_id=created.run_id,
            status=created.status,
            dashboard_url=self._wire.link(created.dashboard_url),
        )

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created, as far as that is told."""
        told, sighting = await self._enrichment(run_id), await self._memory.recall(run_id)
        if self._is_counting(told, sighting.snapshot):
            raise Conflict(refusals.BEING_COUNTED)
        test = await self._test(run_id)
        template = await self._template_of(test)
        wanted = template.config.model_dump().get("connection_id") if template else None
        named = wanted if isinstance(wanted, str) and wanted else None
        return configs.detail_of(
            test,
            template,
            connection=await self._connection(named),
            dashboard_url=self._dashboard(run_id),
        )

    async def readiness(self, run_id: str) -> Readiness | None:  # noqa: ARG002 - the port's
        """None: that takes several questions here."""
        return None

    async def preflight(self, run_id: str) -> PreflightReport:
        """What the run's template gives reason to warn of, and what the backend adds to it."""
        try:
            told = await self._wire.get(
                f"/api/runs/{run_id}/preflight", TypeAdapter(PreflightReport)
            )
        except NotFound as gone:
            raise await self._truly(gone, of=run_id) from gone
        found = (*told.warnings, *await self._foreseen((await self.run(run_id)).config))
        return PreflightReport(
            run_id=run_id, warnings=found, can_proceed=told.can_proceed and may_proceed(found)
        )

    async def start(
        self,
        run_id: str,
        *,
        acknowledged: bool = False,  # noqa: ARG002
        connection: str | None = None,  # noqa: ARG002
    ) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        The route answers every refusal with "not found"; what that means is read elsewhere.
        """
        try:
            return await self._change(f"/api/runs/{run_id}/start")
        except BackendUnavailable:
            raise
        except (NotFound, BackendError) as refusal:
            present = await self._present(run_id, refusal)
            if present == RunStatus.STARTING:
                debug = refusal.debug if isinstance(refusal, BackendError) else None
                reason = f": {one_line(debug).rstrip('.')}" if debug else refusals.NO_POOLS
                raise Conflict(refusals.HALF_STARTED.format(reason=reason)) from refusal
            if isinstance(refusal, BackendError):
                raise
            if present != RunStatus.PREPARED:
                raise Conflict(f"The run is {present} already.") from refusal
        # Refused while it was PREPARED, so nothing has begun; here the reason is told, and a start
        # that is now possible is the one that was wanted.
        return await self._change(f"/api/tests/{run_id}/start")

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run, without waiting for its workers to be gone.

        Raises:
            BackendUnavailable: whether it was taken is not known.
        """
        try:
            return await self._change(f"/api/runs/{run_id}/stop", seconds_max=STOP_SECONDS_MAX)
        except NotFound as gone:
            raise await self._truly(gone, of=run_id) from gone
        except BackendUnavailable as slow:
            if not slow.may_be_on_its_way:
                raise
            return RunChanged(run_id=run_id, status=await self._present(run_id, slow))

    async def _present(self, run_id: str, trouble: BenchgateError) -> str:
        """The run's status after an act that came to *trouble*, which stands if nobody tells."""
        try:
            return (await self._test(run_id)).status.upper()
        except BackendError:
            raise trouble from None

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        sighting = await self._memory.recall(run_id)
        last = sighting.snapshot
        if last is not None and last.is_settled:
            return last
        told = await self._enrichment(run_id)
        # Meanwhile the stream may have told more.
        sighting = await self._memory.recall(run_id)
        last = sighting.snapshot
        if self._is_counting(told, last):
            return snapshots.counting(run_id, last)
        is_over = is_terminal((told.test_status or "").upper())
        if last is not None and not is_over and self._need_not_read(last, sighting.own_stop):
            return last
        test, read_at = await self._test(run_id), datetime.now(UTC)
        self._read_at[run_id] = anyio.current_time()
        sighting = await self._memory.recall(run_id)
        last = sighting.snapshot
        if sighting.own_stop is None and test.status.upper() in snapshots.STOPPED_AS:
            sighting = await self._memory.recall(run_id, anew=True)
        snapshot = snapshots.snapshot_of(
            test,
            last=last,
            own_stop=sighting.own_stop,
            waited_out=self._is_waited_out(test),
            read_at=read_at,
        )
        if snapshot.is_settled and snapshot.status == RunStatus.FAILED and not snapshot.reason:
            snapshot = await self._with_reason(snapshot)
        return snapshot.model_copy(update={"dashboard_url": self._dashboard(run_id)})

    async def _with_reason(self, failed: RunSnapshot) -> RunSnapshot:
        """*failed* with the reason that the stream still knows: perhaps it is no failure at all."""
        told = failed
        try:
            async with self.stream(failed.run_id) as updates:
                for _ in range(MESSAGES_TO_A_REASON):
                    told = await updates.next(told, seconds_max=REASON_SECONDS_MAX)
        except BackendError:
            return told
        return told

    @asynccontextmanager
    async def stream(self, run_id: str) -> AsyncGenerator[Updates]:
        """The run's updates, one a second. For an unknown id it would tell of a run without end."""
        async with self._wire.stream(f"/ws/test/{run_id}") as frames:
            yield Updates(frames, self._memory)

    def bound(self, config: TemplateConfig) -> Bound | None:
        """A search's bound: here it has none of its own."""
        return bound_of(config)

    async def series(self, run_id: str) -> Series:
        """The run's seconds; none before it is counted, since an early answer would be repeated."""
        if not (await self.snapshot(run_id)).is_settled:
            return Series(test_id=run_id, snapshots=(), count=0)
        seconds = await self._wire.get(
            f"/api/tests/{run_id}/metrics", TypeAdapter(payloads.Seconds)
        )
        return configs.series_of(seconds)

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        summary = await self._wire.get(
            f"/api/tests/{run_id}/error-summary", TypeAdapter(payloads.Errors)
        )
        return configs.errors_of(summary)

    async def activity(self) -> Activity:
        """The first run that is loading something; FlakeBench would start another beside it."""
        loading = (row.test_id for row in await self._rows() if row.status.upper() in LOADING)
        return Activity(active_run_id=next(loading, None))

    async def _rows(self) -> tuple[payloads.Row, ...]:
        return (await self._wire.get(f"/api/tests?page_size={ROWS_MAX}", ROWS)).results

    async def _test(self, run_id: str) -> payloads.Test:
        try:
            test = await self._wire.get(f"/api/tests/{run_id}", TEST)
        except NotFound as gone:
            raise await self._truly(gone, of=run_id) from gone
        if test.test_id != run_id:
            raise BackendError("FlakeBench answered about another run than the one asked for.")
        return test

    async def _saved(self, template_id: str) -> payloads.Template:
        try:
            return await self._wire.get(f"/api/templates/{template_id}", TEMPLATE)
        except NotFound as gone:
            raise await self._truly(gone) from gone

    async def _template_of(self, test: payloads.Test) -> payloads.Template | None:
        """The template of a run; one that has been deleted since leaves the run as it is."""
        try:
            return await self._saved(test.template_id) if test.template_id else None
        except NotFound:
            return None

    async def _saved_connections(self) -> payloads.Connections:
        return await self._wire.get("/api/connections/", TypeAdapter(payloads.Connections))

    async def _connection(self, connection_id: str | None) -> str | None:
        if connection_id is None:
            return configs.NOT_NAMED
        return configs.connection_name(await self._saved_connections(), connection_id)

    async def _change(self, path: str, *, seconds_max: float | None = None) -> RunChanged:
        shape = TypeAdapter(payloads.RunChanged)
        changed = await self._wire.post(path, shape, seconds_max=seconds_max)
        return RunChanged(run_id=changed.run_id, status=changed.status)

    async def _truly(self, gone: NotFound, *, of: str | None = None) -> NotFound | BackendOutage:
        """*gone*, as that *of* a run in our words, unless nothing exists at all."""
        if await self._wire.get("/api/templates/", TEMPLATES) or await self._rows():
            return NotFound(f"Run not found: {of}", hint=UNKNOWN_RUN_HINT) if of else gone
        return BackendOutage(refusals.OUTAGE, hint=refusals.OUTAGE_HINT)

    async def _enrichment(self, run_id: str) -> payloads.Enrichment:
        """How far the counting of a run has come, which is never told from a cache."""
        try:
            return await self._wire.get(
                f"/api/tests/{run_id}/enrichment-status", TypeAdapter(payloads.Enrichment)
            )
        except NotFound as gone:
            raise await self._truly(gone, of=run_id) from gone

    def _need_not_read(self, last: RunSnapshot, own_stop: OwnStop | None) -> bool:
        """Whether the stream tells what there is to know of a run.

        Then its details are not read, because the end might come just before they are; but now
        and then, since a stream may be stuck, and after a stop, of which it hears late.
        """
        since_seconds = anyio.current_time() - self._read_at.get(last.run_id, -math.inf)
        is_live = snapshots.is_told_live(last, now=datetime.now(UTC))
        return is_live and own_stop is None and since_seconds < UNREAD_SECONDS_MAX

    def _is_counting(self, told: payloads.Enrichment, last: RunSnapshot | None) -> bool:
        """Whether a run has ended and its details must not be asked for yet.

        What is told to be over elsewhere only is not in the figures either.
        """
        is_over = is_terminal((told.test_status or "").upper())
        is_counting = not snapshots.is_enriched(told) if is_over else snapshots.has_ended(last)
        return is_counting and not self._is_late(told.test_id)

    def _is_waited_out(self, test: payloads.Test) -> bool:
        return is_terminal(test.status.upper()) and self._is_late(test.test_id)

    def _is_late(self, run_id: str) -> bool:
        """Whether a run ended so long ago that nobody waits for its figures any more."""
        ended_at = self._ended_at.setdefault(run_id, anyio.current_time())
        return anyio.current_time() - ended_at > FIGURES_SECONDS_MAX

    async def _foreseen(self, config: TemplateConfig) -> list[PreflightWarning]:
        warehouse_type = await self._warehouse_type(config)
        return warnings.foreseen(config, warehouse_type=warehouse_type, bound=self.bound(config))

    async def _warehouse_type(self, config: TemplateConfig) -> str | None:
        """The type of a template's warehouse where that matters; None where it cannot be seen."""
        if config.table_type is not TableType.INTERACTIVE or not config.warehouse_name:
            return None
        try:
            found = await self._wire.get("/api/warehouses/", WAREHOUSES)
        except BenchgateError:
            return None
        wanted = config.warehouse_name.casefold()
        return next((one.type for one in found if one.name.casefold() == wanted), None)

    def _dashboard(self, run_id: str) -> str | None:
        return self._wire.link(f"/dashboard/{run_id}")
