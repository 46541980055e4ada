"""The dialect of the specification: the embedded backend's, and that of others which keep to it."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import TypeAdapter

from benchgate.domain.bounds import Bound
from benchgate.domain.contract import (
    ConnectionList,
    ErrorSummary,
    Health,
    Readiness,
    RunChanged,
    RunCreated,
    RunDetail,
    RunRow,
    Series,
    StartRun,
    TemplateReadiness,
    TestStatus,
)
from benchgate.domain.preflight import PreflightReport, may_proceed, warnings_of
from benchgate.domain.runs import Phase, RunSnapshot, is_terminal
from benchgate.domain.templates import Template, TemplateConfig, TemplateDraft
from benchgate.domain.text import one_line
from benchgate.gate.dialects.port import Activity, Shelf
from benchgate.gate.dialects.specification_stream import Metrics
from benchgate.gate.transport.wire import Wire

REMEMBERED_RUNS_MAX = 1_000


class Specification:
    """A backend that keeps to the specification."""

    def __init__(self, wire: Wire) -> None:
        """Speak over *wire*."""
        self._wire = wire
        self._test_ids: OrderedDict[str, str] = OrderedDict()

    async def shelf(self) -> Shelf:
        """All saved templates: who keeps to the specification saves none that cannot be run."""
        return Shelf(templates=tuple(await self.templates()))

    async def templates(self) -> list[Template]:
        """All saved templates, newest first."""
        return await self._wire.get("/api/templates/", TypeAdapter(list[Template]))

    async def template(self, template_id: str) -> Template:
        """One saved template."""
        return await self._wire.get(f"/api/templates/{template_id}", TypeAdapter(Template))

    async def save_template(self, draft: TemplateDraft) -> Template:
        """*draft* as a new template. What it leaves open is left to the backend's defaults."""
        body = draft.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        return await self._wire.post("/api/templates/", TypeAdapter(Template), body=body)

    async def template_readiness(self, template_id: str) -> TemplateReadiness:
        """What speaks for or against starting a template now, before there is a run of it.

        Only the embedded backend looks at the target of what is no run yet, and tells what is
        active beside it.
        """
        if (await self._wire.address()).is_embedded:
            path = f"/api/templates/{template_id}/readiness"
            return await self._wire.get(path, TypeAdapter(TemplateReadiness))
        template = await self.template(template_id)
        warnings = warnings_of(template.config)
        return TemplateReadiness(
            template=template,
            connection=template.config.connection_id or None,
            warnings=tuple(warnings),
            can_proceed=may_proceed(warnings),
        )

    async def connections(self) -> ConnectionList:
        """All saved connections."""
        return await self._wire.get("/api/connections/", TypeAdapter(ConnectionList))

    async def runs(self) -> list[RunRow]:
        """The newest runs."""
        return await self._wire.get("/api/runs/", TypeAdapter(list[RunRow]))

    async def create_run(self, template_id: str) -> RunCreated:
        """A new PREPARED run of a template."""
        created = await self._wire.post(
            "/api/runs/", TypeAdapter(RunCreated), body={"template_id": template_id}
        )
        return created.model_copy(update={"dashboard_url": self._wire.link(created.dashboard_url)})

    async def run(self, run_id: str) -> RunDetail:
        """What was fixed when the run was created."""
        detail = await self._wire.get(f"/api/runs/{run_id}/", TypeAdapter(RunDetail))
        self._remember(run_id, detail.test_id)
        return detail.model_copy(update={"dashboard_url": self._wire.link(detail.dashboard_url)})

    async def readiness(self, run_id: str) -> Readiness | None:
        """All that speaks for or against a start now; None where that takes several questions."""
        if not (await self._wire.address()).is_embedded:
            return None
        ready = await self._wire.get(f"/api/runs/{run_id}/readiness", TypeAdapter(Readiness))
        self._remember(run_id, ready.run.test_id)
        return ready

    async def preflight(self, run_id: str) -> PreflightReport:
        """The backend's warnings for a run, as of now."""
        return await self._wire.get(f"/api/runs/{run_id}/preflight", TypeAdapter(PreflightReport))

    async def start(
        self, run_id: str, *, acknowledged: bool = False, connection: str | None = None
    ) -> RunChanged:
        """Start a run. Whoever calls this holds a person's yes.

        *acknowledged* says that it is a yes against the preflight's advice, *connection* which
        server it is a yes to.
        """
        wanted = StartRun(acknowledged=acknowledged, connection=connection)
        body = wanted.model_dump(exclude_defaults=True) or None
        return await self._wire.post(
            f"/api/runs/{run_id}/start", TypeAdapter(RunChanged), body=body
        )

    async def stop(self, run_id: str) -> RunChanged:
        """Stop a run."""
        return await self._wire.post(f"/api/runs/{run_id}/stop", TypeAdapter(RunChanged))

    async def snapshot(self, run_id: str) -> RunSnapshot:
        """The newest known state of a run."""
        test_id = await self._test_id(run_id)
        status = await self._wire.get(f"/api/tests/{test_id}/", TypeAdapter(TestStatus))
        return _snapshot(run_id, status, dashboard_url=self._wire.link(status.dashboard_url))

    @asynccontextmanager
    async def stream(self, run_id: str) -> AsyncGenerator[Metrics]:
        """The run's metrics, one frame a second."""
        async with self._wire.stream(f"/ws/runs/{run_id}/metrics") as frames:
            yield Metrics(frames)

    def bound(self, config: TemplateConfig) -> Bound | None:  # noqa: ARG002 - the port's
        """None: a backend that keeps to the specification ends its runs by itself."""
        return None

    async def series(self, run_id: str) -> Series:
        """The run's seconds."""
        test_id = await self._test_id(run_id)
        return await self._wire.get(f"/api/tests/{test_id}/metrics/", TypeAdapter(Series))

    async def errors(self, run_id: str) -> ErrorSummary:
        """The run's errors by category."""
        test_id = await self._test_id(run_id)
        return await self._wire.get(
            f"/api/tests/{test_id}/error-summary/", TypeAdapter(ErrorSummary)
        )

    async def activity(self) -> Activity:
        """What runs on it now, as far as it says so."""
        health = await self._wire.get("/health", TypeAdapter(Health))
        return Activity(active_run_id=health.active_run_id, is_exclusive=health.is_exclusive)

    async def _test_id(self, run_id: str) -> str:
        return self._test_ids.get(run_id) or (await self.run(run_id)).test_id

    def _remember(self, run_id: str, test_id: str) -> None:
        self._test_ids[run_id] = test_id
        while len(self._test_ids) > REMEMBERED_RUNS_MAX:
            self._test_ids.popitem(last=False)


def _snapshot(run_id: str, status: TestStatus, *, dashboard_url: str | None) -> RunSnapshot:
    """The specification's test payload as a snapshot."""
    timing = status.timing
    return RunSnapshot(
        run_id=run_id,
        status=one_line(status.status, 40),
        phase=one_line(status.phase, 40) if status.phase else None,
        template_id=status.template_id,
        template_name=status.template_name,
        reason=status.reason,
        elapsed_seconds=timing.elapsed_display_seconds,
        expected_seconds=timing.total_expected_seconds,
        measured_seconds=timing.measured_seconds,
        current_step=status.current_step,
        total_steps=status.total_steps,
        current_concurrency=status.current_concurrency,
        best_concurrency=status.best_concurrency,
        best_qps=status.best_qps,
        metrics=status.metrics,
        summary=status.summary,
        estimated_cost=status.estimated_cost,
        dashboard_url=dashboard_url,
        started_at=status.started_at,
        updated_at=status.updated_at,
        source="rest",
        is_settled=is_terminal(status.status) and status.phase != Phase.PROCESSING,
    )
