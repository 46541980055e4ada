"""What every place for workers has to keep, on this machine and on a Ray cluster of two nodes.

The driver is a script, so that each figure is known beforehand to the last count.
"""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from benchgate.backend.engine import places
from benchgate.backend.engine.accounts import latency_figures
from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.crew import drive
from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.load import Load, Outcome, Tick
from benchgate.domain.runs import Phase
from benchgate.domain.templates import WorkerLoss
from benchgate.errors import ClusterError
from tests.integration.backend_process import backend, workers_of
from tests.integration.databases import PostgresDatabase, SqliteDatabase, until
from tests.integration.originals import make_orders, orders_draft
from tests.integration.scripted import (
    NS_PER_MS,
    OPERATIONS,
    driver_for,
    latencies_ns,
    notes,
)
from tests.integration.servers import PostgresServer
from tests.integration.workplaces import (
    PATHS,
    ROOT,
    Ear,
    Here,
    Nodes,
    OnTick,
    Site,
    load_in,
    opened,
    running_nodes,
)
from tests.unit.backend.scripted import new_run, until_status

pytestmark = pytest.mark.anyio

LOSS_SEEN_LIMIT_S = 5.0  # a loss takes 2 s to be seen, and the report of a second one more
ORPHANS_LIMIT_S = 5.0
EVER_S = 600


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    if find_spec("ray") is None:
        pytest.skip("the extra `ray` is not installed")
    with running_nodes(tmp_path_factory.mktemp("ray")) as running:
        yield running


@pytest.fixture(params=["this machine", "a Ray cluster"])
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    site: Site = Here() if request.param == "this machine" else request.getfixturevalue("nodes")
    site.make_ready()
    return site


async def carry_out(
    site: Site, load: Load, ear: Ear | None = None, stop: anyio.Event | None = None
) -> Outcome:
    """Carry *load* out at *site*, and see that no worker of it is left."""
    with anyio.fail_after(60):
        async with opened(site.address) as place:
            outcome = await drive(
                load,
                stop=stop or anyio.Event(),
                observer=ear or Ear(),
                workplace=place,
                drivers=driver_for,
            )
    left = [note.pid for note in notes(Path(load.target.database)) if lives(note.pid)]
    assert left == [], "a worker outlived its load"
    return outcome


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def survives(site: Site, load: Load, on_tick: OnTick) -> str:
    """Lose a worker on the way, and see the others load with all connections; what is told."""
    ear = Ear(on_tick)
    outcome = await carry_out(site, load, ear)
    assert outcome.failure is None
    assert len(ear.ticks) == load.warmup_seconds + load.duration_seconds
    assert ear.ticks[-1].metrics.active_connections == load.connections
    assert outcome.findings is not None
    assert outcome.findings.generator.workers_lost == 1
    # A machine that is busy with other tests may also tell that a worker began late.
    end = "The others took its connections over."
    (remark,) = (each for each in outcome.findings.remarks if each.endswith(end))
    return remark


async def test_workers_begin_together_and_their_counts_are_merged_exactly(
    site: Site, tmp_path: Path
) -> None:
    ear = Ear()
    outcome = await carry_out(site, load_in(tmp_path), ear)
    assert (outcome.failure, outcome.errors) == (None, ())
    assert [tick.phase for tick in ear.ticks] == [Phase.WARMUP, Phase.MEASUREMENT]
    assert [tick.metrics.active_connections for tick in ear.ticks] == [4, 4]
    one, two = notes(tmp_path)
    assert abs(one.start_epoch_ns - two.start_epoch_ns) < 20 * NS_PER_MS
    assert one.has_stopped
    assert two.has_stopped
    union = LatencyHistogram()
    union.record([*latencies_ns(one.first_connection), *latencies_ns(two.first_connection)])
    assert outcome.findings is not None
    (kind,) = outcome.findings.kinds
    # The warm-up is in none of it.
    assert kind.service == latency_figures(union)
    assert (kind.total_queries, kind.rows_read) == (2 * OPERATIONS, 2 * OPERATIONS)
    assert outcome.summary is not None
    assert outcome.summary.p99_latency_ms == union.percentile_ms(99)


async def test_a_stop_ends_every_worker_in_good_time(site: Site, tmp_path: Path) -> None:
    stop = anyio.Event()

    async def stop_it(_: Tick) -> None:
        stop.set()

    load = load_in(tmp_path, duration_s=EVER_S)
    outcome = await carry_out(site, load, Ear(stop_it), stop)
    assert outcome.failure is None
    assert outcome.elapsed_seconds < 5
    assert all(note.has_stopped for note in notes(tmp_path))


async def test_a_killed_worker_fails_the_run(site: Site, tmp_path: Path) -> None:
    async def kill_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            os.kill(notes(tmp_path)[1].pid, signal.SIGKILL)

    outcome = await carry_out(site, load_in(tmp_path, duration_s=EVER_S), Ear(kill_one))
    assert outcome.failure is not None
    assert outcome.failure.startswith("Worker ")
    assert str(notes(tmp_path)[1].pid) in outcome.failure
    assert outcome.elapsed_seconds < 1 + LOSS_SEEN_LIMIT_S


async def test_the_others_take_over_from_a_killed_worker(site: Site, tmp_path: Path) -> None:
    async def kill_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            os.kill(notes(tmp_path)[1].pid, signal.SIGKILL)

    await survives(site, load_in(tmp_path, duration_s=2, loss=WorkerLoss.REDISTRIBUTE), kill_one)


@asynccontextmanager
async def loading_process(site: Site, load: Load) -> AsyncGenerator[int]:
    """Another process that carries out *load*; its id, once both workers load."""
    command = [sys.executable, "-m", "tests.integration.load_process"]
    command += [site.address, load.model_dump_json()]
    async with await anyio.open_process(command, stdout=None, stderr=None, cwd=ROOT) as process:
        await until(lambda: len(notes(Path(load.target.database))) == 2, limit_s=30)
        yield process.pid


async def test_a_killed_backend_leaves_no_worker(site: Site, tmp_path: Path) -> None:
    async with loading_process(site, load_in(tmp_path, duration_s=EVER_S)) as pid:
        workers = [note.pid for note in notes(tmp_path)]
        # The way to a cluster is a process as well, and may be killed together with the backend.
        between = {child.pid for child in psutil.Process(pid).children()} - set(workers)
        for each in (pid, *between):
            os.kill(each, signal.SIGKILL)
        await until(lambda: not any(map(lives, workers)), limit_s=ORPHANS_LIMIT_S)


async def test_a_run_survives_the_loss_of_a_machine(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)
    nodes.make_ready()

    lost: list[str] = []

    async def lose_one(tick: Tick) -> None:
        if tick.elapsed_seconds == 1:
            lost.append(await anyio.to_thread.run_sync(nodes.lose))

    load = load_in(tmp_path, duration_s=4, loss=WorkerLoss.REDISTRIBUTE)
    remark = await survives(nodes, load, lose_one)
    assert f"on {lost[0]}) is gone" in remark


async def test_a_backend_loads_postgres_from_every_machine_of_its_cluster(
    nodes: Nodes, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.make_ready()
    monkeypatch.setenv("PYTHONPATH", PATHS)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    database = PostgresDatabase(postgres)
    make_orders(database)
    free: dict[str, Any] = {"scaling": {}, "concurrent_connections": 4, "duration": 3}
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await new_run(http, await orders_draft(http, database, **free))
        # The nodes share a machine here, and with it the server that each of them reaches.
        refused = await http.post(f"/api/runs/{run_id}/start")
        assert "Each Node Would Load Its Own Server" in refused.text
        acknowledged = {"acknowledged": True}
        (await http.post(f"/api/runs/{run_id}/start", json=acknowledged)).raise_for_status()
        await until_status(http, run_id, "RUNNING")
        # What the backend has started is the way to the cluster alone.
        (child,) = workers_of(process)
        assert "benchgate.backend.engine.cluster.bridge" in child.cmdline()
        await until(lambda: postgres.sessions(application_name(run_id)) == 4)
        done = await until_status(http, run_id, "COMPLETED")
    assert (done["summary"]["error_rate"], done["findings"]["generator"]["workers"]) == (0, 2)
    assert done["summary"]["total_queries"] > 100
    assert postgres.sessions(application_name(run_id)) == 0


async def test_a_cluster_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("the extra `ray` is not installed")
    with anyio.fail_after(15), pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 cannot be used"):
        await places.drive(
            load_in(tmp_path), stop=anyio.Event(), observer=Ear(), ray_address="127.0.0.1:1"
        )


async def test_a_file_is_loaded_from_its_own_machine_whatever_cluster_there_is(
    tmp_path: Path,
) -> None:
    file = SqliteDatabase(tmp_path / "items.db")
    file.sql("CREATE TABLE items (id INTEGER PRIMARY KEY)", "INSERT INTO items VALUES (1)")
    load = load_in(tmp_path, warmup_s=0).model_copy(update={"target": file.target("items")})
    outcome = await places.drive(
        load, stop=anyio.Event(), observer=Ear(), ray_address="127.0.0.1:1"
    )
    assert outcome.failure is None
    assert outcome.summary is not None
    assert outcome.summary.total_queries > 0
