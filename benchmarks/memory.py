"""Whether a long run needs more memory than a short one: half an hour at a moderate rate.

A backend of its own carries out a run on PostgreSQL that is created and started over its API, and
is asked for its state all the time, as by somebody who watches. What is compared is the resident
memory of the backend, and of the worker that has grown the most, around two moments.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

import anyio
import httpx
import psutil

from benchmarks import ground
from benchmarks.ground import CONNECTIONS, STATEMENT, rows_on_a_server
from benchmarks.table import Row
from demo.postgres import LOOPBACK, USERNAME, PostgresServer
from tests.integration.backend_process import backend

MINUTES = 30
FIRST_MINUTES = 1
WINDOW_SECONDS = 30  # after each of the two moments
EVERY_SECONDS = 5
RATE_PER_S = 500
BAR_PCT = 10
SECONDS_PER_MINUTE = 60
BYTES_PER_MB = 1_000_000
WORKER = "benchgate.backend.engine.worker"


class Sample(NamedTuple):
    """Resident memory at one moment, that of the workers by their ids."""

    seconds: float
    backend_bytes: int
    workers_bytes: dict[int, int]


class Growth(NamedTuple):
    """Resident memory around two moments."""

    first_bytes: float
    last_bytes: float

    @property
    def pct(self) -> float:
        """How much was added."""
        return 100 * (self.last_bytes / self.first_bytes - 1)


async def rows() -> list[Row]:
    """How much the backend and its workers have grown."""
    return await rows_on_a_server(_measured)


async def _measured(server: PostgresServer) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as folder:
        async with backend(Path(folder, "data")) as process, process.client() as http:
            run_id = await _started(http, server)
            samples = await _followed(http, run_id, psutil.Process(process.process.pid))
            (await http.post(f"/api/runs/{run_id}/stop")).raise_for_status()
    ours = _growth(samples, lambda sample: sample.backend_bytes)
    workers = [
        _growth(samples, lambda sample, pid=pid: sample.workers_bytes[pid])
        for pid in samples[0].workers_bytes
    ]
    worst = max(workers, key=lambda growth: growth.pct)
    return [*_grown("the backend", ours), *_grown("a worker", worst)]


async def _started(http: httpx.AsyncClient, server: PostgresServer) -> str:
    """The id of a run that has been told to start."""
    connection = {
        "connection_name": "measured",
        "connection_type": "POSTGRES",
        "host": LOOPBACK,
        "port": server.port,
        "username": USERNAME,
        "passfile": str(server.passfile),
    }
    saved = await _posted(http, "/api/connections/", connection)
    config = {
        "table_type": "POSTGRES",
        "connection_id": saved["connection_id"],
        "database": ground.DATABASE,
        "table_name": ground.TABLE,
        "custom_point_lookup_pct": 100,
        "custom_point_lookup_query": STATEMENT,
        "load_mode": "QPS",
        "target_qps": RATE_PER_S,
        "concurrent_connections": CONNECTIONS,
        "duration": int(MINUTES * SECONDS_PER_MINUTE + 3 * WINDOW_SECONDS),
    }
    template = await _posted(
        http, "/api/templates/", {"template_name": "half an hour", "config": config}
    )
    run = await _posted(http, "/api/runs/", {"template_id": template["template_id"]})
    run_id = str(run["run_id"])
    await _posted(http, f"/api/runs/{run_id}/start", {"acknowledged": True})
    return run_id


async def _posted(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


async def _followed(http: httpx.AsyncClient, run_id: str, process: psutil.Process) -> list[Sample]:
    """Samples from the first second under load to the last moment that is compared."""
    samples: list[Sample] = []
    began = monotonic()
    until_seconds = MINUTES * SECONDS_PER_MINUTE + WINDOW_SECONDS
    while not samples or samples[-1].seconds < until_seconds:
        await anyio.sleep(EVERY_SECONDS)
        told = (await http.get(f"/api/tests/{run_id}/")).raise_for_status().json()
        assert told["status"] in {"STARTING", "RUNNING"}, told
        if told["status"] == "STARTING":
            began = monotonic()
        else:
            samples.append(_sample(process, monotonic() - began))
    return samples


def _sample(process: psutil.Process, seconds: float) -> Sample:
    workers = [child for child in process.children() if WORKER in child.cmdline()]
    return Sample(
        seconds,
        process.memory_info().rss,
        {worker.pid: worker.memory_info().rss for worker in workers},
    )


def _growth(samples: list[Sample], memory: Callable[[Sample], int]) -> Growth:
    first, last = (
        median(
            memory(sample)
            for sample in samples
            if 0 <= sample.seconds - minutes * SECONDS_PER_MINUTE <= WINDOW_SECONDS
        )
        for minutes in (FIRST_MINUTES, MINUTES)
    )
    return Growth(first, last)


def _grown(whose: str, growth: Growth) -> list[Row]:
    return [
        Row(name=f"memory of {whose}, growth", measured=growth.pct, bar=BAR_PCT, unit="%"),
        Row(
            name=f"  after {FIRST_MINUTES:g} min",
            measured=growth.first_bytes / BYTES_PER_MB,
            bar=None,
            unit="MB",
        ),
        Row(
            name=f"  after {MINUTES:g} min",
            measured=growth.last_bytes / BYTES_PER_MB,
            bar=None,
            unit="MB",
        ),
    ]
