"""The whole backend in process, over a real SQLite table, with a load that a test can script.

What a look at the server and the machine finds is scripted too: no warning hangs on where a test
is run.
"""

import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from benchgate.backend.app import Identity, create_app
from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Driver, Survey, Target
from benchgate.backend.drivers.sqlite.driver import SqliteDriver
from benchgate.backend.engine.load import Load, Observer, Outcome, Tick
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.domain.runs import LiveMetrics, Phase, Summary
from benchgate.domain.templates import TableType

TOKEN = "the-token-of-this-test"
ORIGIN = "http://127.0.0.1:8000"
IDENTITY = Identity(instance_id="this-life", token=SecretStr(TOKEN))
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WAIT_SECONDS_MAX = 60
# Between operations where the load is a real one, so that it leaves the machine to the test.
THINK_MS = 5
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.01, 0.1
NOON = datetime(2026, 2, 13, 12, tzinfo=UTC)

METRICS = LiveMetrics(
    qps=1247,
    p50_latency_ms=12,
    p95_latency_ms=45,
    p99_latency_ms=89,
    error_rate=0.5,
    active_connections=2,
    total_queries=1247,
)
SUMMARY = Summary(
    total_queries=2494,
    average_qps=1247,
    p50_latency_ms=12,
    p95_latency_ms=45,
    p99_latency_ms=89,
    error_rate=0.5,
)


def outcome(**changes: Any) -> Outcome:
    """A load that went well, but for *changes*."""
    values = {"summary": SUMMARY, "measured_seconds": 2, "elapsed_seconds": 3} | changes
    return Outcome.model_validate(values)


def seconds(count: int, *, warmup: int = 1) -> list[Tick]:
    """The first *count* ticks of a load."""
    return [
        Tick(
            at=NOON + timedelta(seconds=number),
            elapsed_seconds=number,
            phase=Phase.WARMUP if number <= warmup else Phase.MEASUREMENT,
            metrics=METRICS,
        )
        for number in range(1, count + 1)
    ]


class ScriptedLoad:
    """Reports what it is told to, then waits to be finished or stopped."""

    def __init__(
        self, *, ticks: Sequence[Tick] = (), ends: Outcome | Exception | None = None
    ) -> None:
        self.ticks = ticks
        self.ends = ends or outcome()
        self.is_ready = True
        self.heard: Load | None = None
        self.observer: Observer | None = None
        self.under_way = anyio.Event()
        self.finish = anyio.Event()

    async def __call__(self, load: Load, *, stop: anyio.Event, observer: Observer) -> Outcome:
        self.heard, self.observer = load, observer
        if self.is_ready:
            await observer.ready()
            for tick in self.ticks:
                await observer.ticked(tick)
        self.under_way.set()
        await _either(stop, self.finish)
        if self.is_ready:
            await observer.draining()
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends


class Surveyed(SqliteDriver):
    """The real driver of a file, but what a survey finds is as it is told."""

    def __init__(self, found: Survey | Exception) -> None:
        self._found = found

    async def survey(self, target: Target) -> Survey:
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def surveyed(found: Survey | Exception | None = None) -> Callable[[TableType], Driver]:
    """The drivers, of which that of SQLite comes to *found* when it surveys; else to nothing."""

    def driver(table_type: TableType) -> Driver:
        is_file = table_type is TableType.SQLITE
        return cast("Driver", Surveyed(found or Survey())) if is_file else driver_for(table_type)

    return driver


async def _either(first: anyio.Event, second: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(event: anyio.Event) -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(wait, first)
        tasks.start_soon(wait, second)


@asynccontextmanager
async def served(
    app: FastAPI, headers: Mapping[Any, Any] = BEARER
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of *app*, which lives as long; it shows the token unless it is told otherwise."""
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as http,
    ):
        yield http


def scripted_app(data_dir: Path, load: ScriptedLoad | None = None, **parts: Any) -> FastAPI:
    """The backend over *data_dir*, whose loads are *load*."""
    scripted: dict[str, Any] = {"drivers": surveyed(), "surroundings": Surroundings(cores=8)}
    return create_app(data_dir, IDENTITY, drive=load or ScriptedLoad(), **(scripted | parts))


def orders(folder: Path, rows: int = 50) -> Path:
    """An SQLite file with a table of orders."""
    path = folder / "orders.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL)")
        database.executemany(
            "INSERT INTO orders VALUES (?, ?)", [(n, f"customer {n}") for n in range(rows)]
        )
    return path


def draft(database: Path | str, *, name: str = "Point lookups", **config: Any) -> dict[str, Any]:
    """The body that saves a template on the table `orders` of *database*."""
    fixed: dict[str, Any] = {
        "table_type": "SQLITE",
        "database": str(database),
        "schema": "main",
        "table_name": "orders",
        "custom_point_lookup_pct": 100,
        "concurrent_connections": 2,
        "duration": 2,
        "warmup": 1,
        "think_time": THINK_MS,
    }
    return {"template_name": name, "config": fixed | config}


async def new_template(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    """The id of a template saved as *body*."""
    response = await http.post("/api/templates/", json=body)
    assert response.status_code == 201, response.text
    return response.json()["template_id"]


async def new_run(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    """The id of a prepared run of a template saved as *body*."""
    template_id = await new_template(http, body)
    response = await http.post("/api/runs/", json={"template_id": template_id})
    assert response.status_code == 201, response.text
    return response.json()["run_id"]


def growing_pauses() -> Iterator[float]:
    """Between looks: short, for what is over at once, and longer for what takes its time.

    A look costs the process time that it looks at.
    """
    pause = LOOK_SECONDS_MIN
    while True:
        yield pause
        pause = min(1.5 * pause, LOOK_SECONDS_MAX)


async def until(
    http: httpx.AsyncClient, run_id: str, reached: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The run's status as soon as it is as *reached* says."""
    with anyio.fail_after(WAIT_SECONDS_MAX):
        pauses = growing_pauses()
        while True:
            status = (await http.get(f"/api/tests/{run_id}/")).json()
            if reached(status):
                return status
            await anyio.sleep(next(pauses))


async def eventually(holds: Callable[[], bool]) -> None:
    """Return as soon as *holds* does, of something that sends no word of itself."""
    with anyio.fail_after(WAIT_SECONDS_MAX):
        for pause in growing_pauses():
            if holds():
                return
            await anyio.sleep(pause)


async def until_status(http: httpx.AsyncClient, run_id: str, status: str) -> dict[str, Any]:
    """The run's status as soon as it is *status*."""
    return await until(http, run_id, lambda seen: seen["status"] == status)
