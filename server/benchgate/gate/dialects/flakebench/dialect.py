"""The dialect of FlakeBench: which of its routes tells what, and which of its answers to believe.

A run has one id there; routes want their slash or none, each its own way. What exists may be told
as not found while its database is out of reach, and a finished run's first answer is repeated for
minutes, so the figures are asked for when they are known to be counted.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

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
from benchgate.domain.runs import OwnStop, Phase, RunSnapshot, RunStatus, is_terminal
from benchgate.domain.templates import TableType, Template, TemplateConfig, TemplateDraft
from benchgate.errors import (
    BackendError,
    BackendUnavailable,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
)
from benchgate.gate.dialects.flakebench import configs, payloads, snapshots, warnings
from benchgate.gate.dialects.flakebench.stream import Updates
from benchgate.gate.dialects.port import Activity, Memory, Shelf
from benchgate.gate.transport.wire import Wire

CREATE_SECONDS_MAX = 25
# The call that stops a run comes back when its workers are gone; whoever waits need not.
STOP_SECONDS_MAX = 4
# A finished run's first answer is repeated for so long.
FIGURES_SECONDS_MAX = 330
ROWS_MAX = 100
SUSPECTS_MAX = 5
REMEMBERED_RUNS_MAX = 1_000
LOADING = frozenset(
    {RunStatus.STARTING, RunStatus.RUNNING, RunStatus.STOPPING, RunStatus.CANCELLING}
)
OUTAGE = (
    "FlakeBench says that nothing at all exists, which it does while its own database, the "
    "Snowflake account behind it, cannot be reached."
)
OUTAGE_HINT = "Check FlakeBench's connection to Snowflake; nothing is known to be lost."
HALF_STARTED = (
    "FlakeBench refused the start after it had marked the run as starting; most often the value "
    "pools that a HYBRID or INTERACTIVE table needs were never prepared. Stop the run, prepare "
    "the template in FlakeBench, and create another run."
)

Shape = TypeVar("Shape")

TEMPLATES = TypeAdapter(list[payloads.Template])
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
        self._ended_at: OrderedDict[str, datetime] = OrderedDict()

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
            warnings=tuple(found),
            can_proceed=may_proceed(found),
        )

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return configs.connections_of(await self._saved_connections())

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        return [snapshots.run_row_of(row) for row in await self._rows()]

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
        test = await self._test(run_id)
        template = await self._template_of(test)
        wanted = template.config.model_dump().get("connection_id") if template else None
        return configs.detail_of(
            test,
            template,
            connection=await self._connection(wanted if isinstance(wanted, str) else None),
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
            raise await self._truly(gone) from gone
        found = (*told.warnings, *await self._foreseen((await self.run(run_id)).config))
        return PreflightReport(
            run_id=run_id, warnings=found, can_proceed=told.can_proceed and may_proceed(found)
        )

    async def start(self, run_id: str, *, acknowledged: bool = False) -> RunChanged:  # noqa: ARG002
        """Start a run. Whoever calls this holds a person's yes.

        The route answers every refusal with "not found"; what that means is read elsewhere.
        """
        try:
            return await self._change(f"/api/runs/{run_id}/start")
        except NotFound as refusal:
            present = await self._test(run_id)
            if present.status.upper() != RunStatus.PREPARED:
                reason = HALF_STARTED if present.status.upper() == RunStatus.STARTING else ""
                raise Conflict(reason or f"The run is {present.status} already.") from refusal
        # Refused while it was PREPARED, so nothing has begun; here the reason is told, and a start
        # that is now possible is the one that was wanted.
        return await self._change(f"/api/tests/{run_id}/start")

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run, without waiting for its workers to be gone."""
        try:
            return await self._change(f"/api/runs/{run_id}/stop", seconds_max=STOP_SECONDS_MAX)
        except NotFound as gone:
            raise await self._truly(gone) from gone
        except BackendUnavailable as slow:
            if not slow.may_be_on_its_way:
                raise
            return RunChanged(run_id=run_id, status=RunStatus.CANCELLING)

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        sighting = await self._memory.recall(run_id)
        last = sighting.snapshot
        if last is not None and last.is_settled:
            return last
        if last is not None and (held := await self._held_back(last, sighting.own_stop)):
            return held
        test, read_at = await self._test(run_id), datetime.now(UTC)
        if sighting.own_stop is None and test.status.upper() in snapshots.STOPPED_AS:
            sighting = await self._memory.recall(run_id, anew=True)
        snapshot = snapshots.snapshot_of(
            test,
            last=last,
            own_stop=sighting.own_stop,
            waited_out=self._is_waited_out(test),
            read_at=read_at,
        )
        return snapshot.model_copy(update={"dashboard_url": self._dashboard(run_id)})

    @asynccontextmanager
    async def stream(self, run_id: str) -> AsyncGenerator[Updates]:
        """The run's updates, one a second. For an unknown id it would tell of a run without end."""
        async with self._wire.stream(f"/ws/test/{run_id}") as frames:
            yield Updates(frames, self._memory)

    def bound(self, config: TemplateConfig) -> Bound | None:
        """A search's bound: here it has none of its own."""
        return bound_of(config)

    async def series(self, run_id: str) -> Series:
        """The run's seconds; none before its end, since an early answer would be repeated."""
        if not is_terminal((await self.snapshot(run_id)).status):
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
        suspects = [row.test_id for row in await self._rows() if _is_loading(row.status)]
        for run_id in suspects[:SUSPECTS_MAX]:
            if _is_loading((await self._test(run_id)).status):
                return Activity(active_run_id=run_id)
        return Activity()

    async def _rows(self) -> tuple[payloads.Row, ...]:
        return (await self._wire.get(f"/api/tests?page_size={ROWS_MAX}", ROWS)).results

    async def _test(self, run_id: str) -> payloads.Test:
        try:
            test = await self._wire.get(f"/api/tests/{run_id}", TEST)
        except NotFound as gone:
            raise await self._truly(gone) from gone
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

    async def _truly(self, gone: NotFound) -> NotFound | BackendUnavailable:
        """*gone*, unless nothing exists at all."""
        if await self._wire.get("/api/templates/", TEMPLATES) or await self._rows():
            return gone
        return BackendUnavailable(OUTAGE, hint=OUTAGE_HINT)

    async def _held_back(self, last: RunSnapshot, own_stop: OwnStop | None) -> RunSnapshot | None:
        """What is known of a run whose details must not be asked for, or need not be; else None.

        They must not be while they are counted. They need not be while the stream tells all of
        them, and are not, because the end might come just before they are read. Of a stop the
        stream hears late.
        """
        run_id = last.run_id
        try:
            told = await self._wire.get(
                f"/api/tests/{run_id}/enrichment-status", TypeAdapter(payloads.Enrichment)
            )
        except NotFound as gone:
            raise await self._truly(gone) from gone
        is_over = is_terminal((told.test_status or "").upper())
        is_live = own_stop is None and snapshots.is_told_live(last, now=datetime.now(UTC))
        if is_live and not is_over:
            return last
        # What is told to be over elsewhere only is not in the figures either.
        has_ended = last.is_terminal or last.phase == Phase.PROCESSING
        is_counting = not snapshots.is_enriched(told) if is_over else has_ended
        if not is_counting or self._is_late(run_id):
            return None
        counted = {"status": RunStatus.STOPPING, "phase": Phase.PROCESSING, "metrics": None}
        return last if last.is_terminal else last.model_copy(update=counted)

    def _is_waited_out(self, test: payloads.Test) -> bool:
        return is_terminal(test.status.upper()) and self._is_late(test.test_id)

    def _is_late(self, run_id: str) -> bool:
        """Whether a run ended so long ago that nobody waits for its figures any more."""
        now = datetime.now(UTC)
        ended_at = self._ended_at.setdefault(run_id, now)
        while len(self._ended_at) > REMEMBERED_RUNS_MAX:
            self._ended_at.popitem(last=False)
        return (now - ended_at).total_seconds() > FIGURES_SECONDS_MAX

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


def _is_loading(status: str) -> bool:
    return status.upper() in LOADING
