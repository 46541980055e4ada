"""A backend that is killed while a run writes: what ends by itself, and what the next one clears.

The run works on a scratch copy, which is what its template means by default.
"""

import signal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.engine.conductor import CRASHED
from tests.integration.backend_process import are_gone, backend, workers_of
from tests.integration.databases import Database, PostgresDatabase
from tests.integration.originals import left, make_orders, orders_draft
from tests.unit.backend.scripted import eventually, new_run, until

pytestmark = pytest.mark.anyio

WRITES: dict[str, Any] = {
    "custom_point_lookup_pct": 50,
    "custom_insert_pct": 25,
    "custom_update_pct": 25,
    "duration": 600,
    "scaling": {"max_workers": 2},
}
WORKERS_END_SECONDS_MAX = 5
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'benchgate {}'"
OTHERS = "run-of-somebody-else"


def make_look_alikes(database: Database) -> None:
    """What has the name of a scratch copy of ours, and was not made by us."""
    scratch = driver_for(database.target("orders").table_type).scratch(
        database.target("orders"), OTHERS
    )
    if isinstance(database, PostgresDatabase):
        database.sql(
            f"DROP SCHEMA IF EXISTS {scratch.schema_name} CASCADE",
            f"CREATE SCHEMA {scratch.schema_name}",
            f"CREATE TABLE {scratch.schema_name}.orders (id integer)",
        )
        return
    copy = Path(scratch.database)
    copy.write_text("somebody's")
    copy.with_name(copy.name + ".mark").write_text("somebody's as well")


async def under_load(http: httpx.AsyncClient, database: Database) -> str:
    """A run that writes and does not end by itself."""
    run_id = await new_run(http, await orders_draft(http, database, **WRITES))
    started = await http.post(f"/api/runs/{run_id}/start")
    assert started.status_code == 202, started.text
    await until(http, run_id, lambda seen: bool(seen["metrics"] and seen["metrics"]["qps"]))
    return run_id


def sessions(database: Database, run_id: str) -> int:
    """How many sessions of the run a server still has; a file has none."""
    is_served = isinstance(database, PostgresDatabase)
    return int(database.sql(SESSIONS.format(run_id))) if is_served else 0


async def test_a_killed_backend_leaves_the_table_as_it_was_and_the_next_removes_the_copy(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    make_orders(database)
    make_look_alikes(database)
    before = left(database)
    async with backend(data_dir) as process:
        async with process.client() as http:
            run_id = await under_load(http, database)
        workers = workers_of(process)
        assert workers
        assert left(database)[1] != before[1], "there is no copy"
        assert await process.told(signal.SIGKILL) == -signal.SIGKILL
        with anyio.fail_after(WORKERS_END_SECONDS_MAX):
            await eventually(lambda: are_gone(workers))
            await eventually(lambda: sessions(database, run_id) == 0)
    assert left(database)[0] == before[0]
    async with backend(data_dir) as process, process.client() as http:
        lost = (await http.get(f"/api/tests/{run_id}/")).json()
        assert (lost["status"], lost["reason"]) == ("FAILED", CRASHED)
        await eventually(lambda: left(database) == before)
        assert (await http.get("/health")).json()["active_run_id"] is None
