"""Runs that write, over REST with real workers: what they change, leave and refuse."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.backend.app import create_app
from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.drivers.port import Target
from tests.integration.databases import Database, DuckdbDatabase, PostgresDatabase, SqliteDatabase
from tests.integration.originals import left, make_orders, orders_draft
from tests.integration.servers import PostgresServer
from tests.unit.backend.scripted import IDENTITY, eventually, new_run, served, until_status

pytestmark = pytest.mark.anyio

WRITES: dict[str, Any] = {
    "custom_point_lookup_pct": 0,
    "custom_insert_pct": 50,
    "custom_update_pct": 50,
}
UPDATES: dict[str, Any] = {"custom_point_lookup_pct": 0, "custom_update_pct": 100}
ANYWAY = {"acknowledged": True}


@pytest.fixture
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A backend whose folder is not the one of the files that it loads."""
    async with served(create_app(tmp_path_factory.mktemp("data"), IDENTITY)) as http:
        yield http


@pytest.fixture(params=["sqlite", "duckdb"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each database that is a file."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "test.db")
    return DuckdbDatabase(tmp_path / "test.duckdb")


async def ended(
    http: httpx.AsyncClient, run_id: str, status: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """How the run ended, once it has been started."""
    started = await http.post(f"/api/runs/{run_id}/start", json=body or {})
    assert started.status_code == 202, started.text
    return await until_status(http, run_id, status)


async def test_writes_are_safe_to_repeat_unless_the_table_itself_is_wanted(
    http: httpx.AsyncClient, database: Database
) -> None:
    make_orders(database)
    before = left(database)
    # Two transactions of DuckDB's that meet at one row do not wait for each other.
    alone: dict[str, Any] = {"concurrent_connections": 1}
    number = alone if isinstance(database, DuckdbDatabase) else {}
    body = await orders_draft(http, database, **WRITES, **number)
    for _ in range(2):
        done = await ended(http, await new_run(http, body), "COMPLETED")
        assert done["summary"]["total_queries"] > 10
        assert done["summary"]["error_rate"] == 0
        assert left(database) == before

    in_place = await orders_draft(http, database, **WRITES, write_target="IN_PLACE")
    run_id = await new_run(http, in_place)
    refused = await http.post(f"/api/runs/{run_id}/start")
    assert refused.status_code == 409
    assert "Writes Go To The Real Table" in refused.text
    assert left(database) == before
    await ended(http, run_id, "COMPLETED", ANYWAY)
    assert int(database.sql("SELECT count(*) FROM orders")) > 500
    assert left(database)[1] == before[1]


def beside(database: Database, scratch: Target) -> None:
    """Something that is not ours, where the scratch copy would lie."""
    if isinstance(database, PostgresDatabase):
        database.sql(
            f"CREATE SCHEMA {scratch.schema_name}",
            f"CREATE TABLE {scratch.schema_name}.orders (id integer)",
        )
    else:
        Path(scratch.database).write_text("somebody's")


def is_untouched(database: Database, scratch: Target) -> bool:
    """Whether that is there as it was made."""
    if isinstance(database, PostgresDatabase):
        return database.sql(f"SELECT count(*) FROM {scratch.schema_name}.orders") == "0"
    return Path(scratch.database).read_text() == "somebody's"


async def test_a_copy_that_cannot_be_made_fails_the_run_and_takes_nothing_with_it(
    http: httpx.AsyncClient, database: Database
) -> None:
    make_orders(database)
    run_id = await new_run(http, await orders_draft(http, database, **WRITES))
    target = database.target("orders")
    scratch = driver_for(target.table_type).scratch(target, run_id)
    beside(database, scratch)
    before = left(database)
    failed = await ended(http, run_id, "FAILED")
    assert re.search("exists|is there already", failed["reason"])
    assert failed["summary"] is None
    assert left(database) == before
    assert is_untouched(database, scratch)


async def test_a_user_who_may_not_copy_learns_that_and_leaves_nothing(
    http: httpx.AsyncClient, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres)
    make_orders(database)
    database.sql("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    body = await orders_draft(http, database, username="reader", **WRITES)
    before = left(database)
    run_id = await new_run(http, body)
    refused = await http.post(f"/api/runs/{run_id}/start")
    assert refused.status_code == 409
    assert "No Scratch Copy Possible" in refused.text
    failed = await ended(http, run_id, "FAILED", ANYWAY)
    assert "permission denied for database" in failed["reason"]
    assert left(database) == before


async def test_a_stop_ends_the_copying_at_once(
    http: httpx.AsyncClient, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres)
    make_orders(database)
    before = left(database)
    run_id = await new_run(http, await orders_draft(http, database, **WRITES))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with anyio.create_task_group() as tasks:
        # Whoever copies the table waits for this.
        lock = "BEGIN; LOCK TABLE orders; SELECT pg_sleep(3); COMMIT"
        tasks.start_soon(anyio.to_thread.run_sync, database.sql, lock)
        held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
        await eventually(lambda: database.sql(held) != "0")
        started = await http.post(f"/api/runs/{run_id}/start", json=ANYWAY)
        assert started.status_code == 202
        await eventually(lambda: database.sql(waiting) != "0")
        await http.post(f"/api/runs/{run_id}/stop")
        stopped = await until_status(http, run_id, "CANCELLED")
        assert stopped["summary"] is None
        assert database.sql(held) != "0", "the copying was waited for"
    assert left(database) == before
    assert (await http.get("/health")).json()["active_run_id"] is None


async def test_sql_that_names_the_original_is_refused(
    http: httpx.AsyncClient, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres)
    make_orders(database)
    before = left(database)
    sql = "UPDATE public.orders SET customer = 'x' WHERE id = ?"
    body = await orders_draft(http, database, **UPDATES, custom_update_query=sql)
    run_id = await new_run(http, body)
    refused = await http.post(f"/api/runs/{run_id}/start")
    assert refused.status_code == 409
    assert "Writes Go Past the Scratch Copy" in refused.text
    failed = await ended(http, run_id, "FAILED", ANYWAY)
    assert "instead of its scratch copy" in failed["reason"]
    assert left(database) == before


async def test_sql_that_names_the_table_of_a_file_changes_the_copy(
    http: httpx.AsyncClient, file: Database
) -> None:
    make_orders(file)
    before = left(file)
    sql = "UPDATE main.orders SET customer = 'x' WHERE id = ?"
    # Two transactions of DuckDB's that meet at one row do not wait for each other.
    alone: dict[str, Any] = {**UPDATES, "concurrent_connections": 1}
    body = await orders_draft(http, file, **alone, custom_update_query=sql)
    done = await ended(http, await new_run(http, body), "COMPLETED")
    assert done["summary"]["total_queries"] > 10
    assert done["summary"]["error_rate"] == 0
    assert left(file) == before


async def test_sql_that_the_database_does_not_understand_is_refused_in_its_words(
    http: httpx.AsyncClient, database: Database
) -> None:
    make_orders(database)
    sql = "SELECT * FORM {table} WHERE id = ?"
    body = await orders_draft(http, database, custom_point_lookup_query=sql)
    run_id = await new_run(http, body)
    report = (await http.get(f"/api/runs/{run_id}/preflight")).json()
    assert not report["can_proceed"]
    (warning,) = (one for one in report["warnings"] if one["severity"] == "high")
    assert "The SQL of POINT_LOOKUP cannot be used: " in warning["message"]
    assert "syntax error" in warning["message"].lower()
    refused = await http.post(f"/api/runs/{run_id}/start")
    assert refused.status_code == 409
    assert warning["message"] in refused.json()["detail"]
    assert (await http.get(f"/api/tests/{run_id}/")).json()["status"] == "PREPARED"
