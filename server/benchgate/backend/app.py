"""The composition root of the embedded backend: the only module that knows every concrete class."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr

from benchgate import __version__
from benchgate.backend.api import connections as connection_api
from benchgate.backend.api import live, problems, reference, service
from benchgate.backend.api import runs as run_api
from benchgate.backend.api import templates as template_api
from benchgate.backend.api import tests as test_api
from benchgate.backend.api.edges import BodyLimit, OnePath, SafeHeaders
from benchgate.backend.auth import Guard
from benchgate.backend.clock import Clock, utc_now
from benchgate.backend.connections import ConnectionTable
from benchgate.backend.dashboard import page
from benchgate.backend.dashboard.keys import DashboardKeys
from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Driver
from benchgate.backend.engine import crew
from benchgate.backend.engine.conductor import Conductor, Drive
from benchgate.backend.engine.copies import Copies
from benchgate.backend.engine.preflight import Preflight
from benchgate.backend.engine.preparation import Preparation
from benchgate.backend.engine.record import Record
from benchgate.backend.engine.surroundings import Surroundings, look_around
from benchgate.backend.engine.targets import Targets
from benchgate.backend.lifetime import Lifetime, Touch
from benchgate.backend.runs import RunTable
from benchgate.backend.series import SeriesTable
from benchgate.backend.store import open_store
from benchgate.backend.templates import TemplateTable
from benchgate.backend.watch import Watch
from benchgate.domain.contract import Problem
from benchgate.domain.templates import TableType
from benchgate.domain.values import Value


class Identity(Value):
    """Who this life of the backend is, and under which host it listens."""

    instance_id: str
    token: SecretStr
    bound_host: str = "127.0.0.1"


class _Parts:
    """The objects that the routes share, wired once."""

    def __init__(
        self,
        data_dir: Path,
        identity: Identity,
        *,
        drive: Drive,
        drivers: Callable[[TableType], Driver],
        clock: Clock,
        surroundings: Surroundings,
    ) -> None:
        self.engine = open_store(data_dir)
        self.templates = TemplateTable(self.engine)
        self.connections = ConnectionTable(self.engine)
        self.runs = RunTable(self.engine)
        self.series = SeriesTable(self.engine)
        self.targets = Targets(self.connections, drivers)
        self.preflight = Preflight(self.targets, drivers, surroundings)
        record = Record(self.runs, self.series, clock)
        copies = Copies(record, drivers)
        self.conductor = Conductor(
            record,
            drive=drive,
            inspect=self.preflight.report,
            described=self.targets.described,
            preparation=Preparation(self.targets, copies, drivers=drivers),
            copies=copies,
        )
        self.keys = DashboardKeys(identity.token, clock)
        self.watch = Watch(
            self.runs,
            self.conductor.board,
            targets=self.targets,
            keys=self.keys,
            clock=clock,
        )


def create_app(
    data_dir: Path,
    identity: Identity,
    *,
    drive: Drive = crew.drive,
    drivers: Callable[[TableType], Driver] = driver_for,
    clock: Clock = utc_now,
    lifetime: Lifetime | None = None,
    surroundings: Surroundings | None = None,
) -> FastAPI:
    """The whole backend over the state in *data_dir*, ready to be served.

    Without *surroundings* it looks around itself.

    Raises:
        StoreError: the state cannot be opened.
    """
    lifetime = lifetime or Lifetime()
    parts = _Parts(
        data_dir,
        identity,
        drive=drive,
        drivers=drivers,
        clock=clock,
        surroundings=surroundings or look_around(),
    )
    app = FastAPI(
        title="benchgate backend",
        summary="Database load tests on loopback: the specification's REST contract.",
        version=__version__,
        lifespan=partial(_life, parts=parts, lifetime=lifetime),
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
        responses={"4XX": {"model": Problem, "description": "A refusal, with what to do next"}},
    )
    problems.install(app)
    for router in _routers(parts, drivers=drivers, clock=clock):
        app.include_router(router)
    app.include_router(service.about_routes(parts.conductor, instance_id=identity.instance_id))
    app.include_router(service.end_routes(parts.conductor, lifetime))
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit)
    app.add_middleware(Touch, lifetime=lifetime)
    app.add_middleware(Guard, token=identity.token, bound_host=identity.bound_host)
    app.add_middleware(OnePath)
    app.add_middleware(SafeHeaders)
    app.add_middleware(problems.CrashSeam)
    return app


def _routers(
    parts: _Parts, *, drivers: Callable[[TableType], Driver], clock: Clock
) -> list[APIRouter]:
    runs, watch, series = parts.runs, parts.watch, parts.series
    streams, door = live.Streams(watch), page.Door(parts.keys)
    return [
        template_api.routes(parts.templates, clock),
        template_api.readiness_routes(
            parts.templates, parts.conductor, parts.preflight, targets=parts.targets
        ),
        connection_api.routes(parts.connections, drivers, clock=clock),
        run_api.record_routes(runs, parts.templates, watch=watch, keys=parts.keys, clock=clock),
        run_api.control_routes(parts.conductor, parts.preflight, runs, watch=parts.watch),
        test_api.routes(runs, series, watch),
        live.routes(streams),
        page.page_routes(door, watch, series),
        page.stream_routes(door, streams),
        page.asset_routes(),
        reference.routes(),
    ]


@asynccontextmanager
async def _life(_: FastAPI, *, parts: _Parts, lifetime: Lifetime) -> AsyncGenerator[None]:
    """What lives as long as the app is served."""
    try:
        async with parts.conductor.conducting(), anyio.create_task_group() as tasks:
            tasks.start_soon(lifetime.watch, lambda: parts.conductor.active_run_id is not None)
            yield
            tasks.cancel_scope.cancel()
    finally:
        parts.engine.dispose()
