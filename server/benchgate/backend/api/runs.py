"""`/api/runs`: creating, checking, starting and stopping runs."""

import secrets
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Body, Query

from benchgate.backend.clock import Clock, new_id
from benchgate.backend.dashboard.keys import DashboardKeys
from benchgate.backend.engine.conductor import Conductor
from benchgate.backend.engine.preflight import Preflight
from benchgate.backend.runs import RunTable
from benchgate.backend.templates import TemplateTable
from benchgate.backend.watch import Watch
from benchgate.domain.contract import (
    CreateRun,
    Readiness,
    RunChanged,
    RunCreated,
    RunDetail,
    RunRow,
    StartRun,
)
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.runs import RunStatus

SEED_BITS = 32
LISTED_DEFAULT = 25
LISTED_MAX = 100

Wanted = Annotated[StartRun, Body()]
AS_ADVISED = StartRun()

Limit = Annotated[int, Query(ge=1, le=LISTED_MAX)]


def record_routes(
    runs: RunTable,
    templates: TemplateTable,
    *,
    watch: Watch,
    keys: DashboardKeys,
    clock: Clock,
) -> APIRouter:
    """The routes that read and add to the record."""
    router = APIRouter(prefix="/api/runs", tags=["runs"])

    @router.post("", status_code=201)
    def create_run(wanted: CreateRun) -> RunCreated:
        """Create a PREPARED run. It keeps the template's configuration as it is now."""
        template = templates.get(wanted.template_id)
        seed = secrets.randbits(SEED_BITS)
        run = runs.add(template, run_id=new_id("run"), seed=seed, at=clock())
        return RunCreated(run_id=run.run_id, status=run.status, dashboard_url=keys.link(run.run_id))

    @router.get("")
    def list_runs(limit: Limit = LISTED_DEFAULT, status: RunStatus | None = None) -> list[RunRow]:
        """The newest runs first, all or those of one status."""
        return runs.newest(limit=limit, status=status)

    @router.get("/{run_id}")
    def get_run(run_id: str) -> RunDetail:
        """Which test the run is, and the configuration that it was created with."""
        return watch.detail(run_id)

    return router


def control_routes(
    conductor: Conductor, preflight: Preflight, runs: RunTable, *, watch: Watch
) -> APIRouter:
    """The routes that make something happen."""
    router = APIRouter(prefix="/api/runs", tags=["runs"])

    @router.get("/{run_id}/preflight")
    async def get_preflight(run_id: str) -> PreflightReport:
        """What to know before the start, the database having been looked at."""
        run = await anyio.to_thread.run_sync(runs.get, run_id)
        return await preflight.report(run)

    @router.get("/{run_id}/readiness")
    async def get_readiness(run_id: str) -> Readiness:
        """Everything to know before a start; no database is looked at while another is loaded."""
        run = await anyio.to_thread.run_sync(runs.get, run_id)
        detail = await anyio.to_thread.run_sync(watch.detail_of, run)
        active_run_id = conductor.active_run_id
        can_start = active_run_id is None and run.status == RunStatus.PREPARED
        report = await preflight.report(run) if can_start else None
        return Readiness(run=detail, active_run_id=active_run_id, preflight=report)

    @router.post("/{run_id}/start", status_code=202)
    async def start_run(run_id: str, wanted: Wanted = AS_ADVISED) -> RunChanged:
        """Start a prepared run; 409 with the true reason when that is not possible.

        A high warning of the preflight is such a reason, unless the body says `acknowledged`:
        then only what this backend cannot drive at all is refused, and a target that cannot be
        loaded ends the run as FAILED with the database's reason. Another server than the
        `connection` that the body names is such a reason too.
        """
        run = await conductor.start(
            run_id, acknowledged=wanted.acknowledged, connection=wanted.connection
        )
        return RunChanged(run_id=run.run_id, status=run.status)

    @router.post("/{run_id}/stop", status_code=202)
    async def stop_run(run_id: str) -> RunChanged:
        """Stop a run. One that has ended answers the status that it ended in."""
        run = await conductor.stop(run_id)
        return RunChanged(run_id=run.run_id, status=run.status)

    return router
