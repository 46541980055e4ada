"""Runs with statements of a person's own, over REST with real workers: figures and refusals."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from benchgate.backend.app import create_app
from tests.integration.databases import Database, PostgresDatabase
from tests.integration.originals import left, make_orders, orders_draft
from tests.integration.servers import PostgresServer
from tests.unit.backend.scripted import IDENTITY, new_run, served, until_status

pytestmark = pytest.mark.anyio

BY_COLUMNS: dict[str, Any] = {
    "label": "by customer",
    "operation_type": "READ",
    "weight_pct": 30,
    "sql": "SELECT id FROM {table} WHERE customer = ? AND id = ?",
    "parameters": [{"column": "customer"}, {"column": "id"}],
}
DELETION: dict[str, Any] = {
    "label": "clean up",
    "operation_type": "WRITE",
    "weight_pct": 10,
    "sql": "DELETE FROM {table} WHERE id = ?",
}
RENAMING: dict[str, Any] = {
    "operation_type": "WRITE",
    "weight_pct": 10,
    "sql": "UPDATE {table} SET customer = ? WHERE id >= ?",
    # Most rows keep their customers, so that the reads go on finding them.
    "parameters": [{"choice": ["somebody", "nobody"]}, {"min": 400, "max": 500}],
}
MIX: dict[str, Any] = {
    "custom_point_lookup_pct": 50,
    "generic_queries": [BY_COLUMNS, DELETION, RENAMING],
    # On DuckDB two that write the same row at the same time get in each other's way.
    "concurrent_connections": 1,
}
MODES: tuple[dict[str, Any], ...] = (
    {"load_mode": "CONCURRENCY"},
    {"load_mode": "QPS", "target_qps": 200},
)


@pytest.fixture
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A backend whose folder is not the one of the files that it loads."""
    async with served(create_app(tmp_path_factory.mktemp("data"), IDENTITY)) as http:
        yield http


async def warnings_of(http: httpx.AsyncClient, run_id: str, severity: str) -> list[dict[str, Any]]:
    """What the preflight says with that severity."""
    report = (await http.get(f"/api/runs/{run_id}/preflight")).json()
    return [one for one in report["warnings"] if one["severity"] == severity]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode["load_mode"])
async def test_own_statements_run_beside_lookups_and_their_writes_on_a_copy(
    http: httpx.AsyncClient, database: Database, mode: dict[str, Any]
) -> None:
    make_orders(database)
    before = left(database)
    run_id = await new_run(http, await orders_draft(http, database, **(MIX | mode)))
    titles = [one["title"] for one in await warnings_of(http, run_id, "medium")]
    assert "Deletes May Run the Table Empty" in titles
    started = await http.post(f"/api/runs/{run_id}/start", json={})
    assert started.status_code == 202, started.text
    done = await until_status(http, run_id, "COMPLETED")
    assert done["summary"]["error_rate"] == 0
    kinds = {one["kind"]: one for one in done["findings"]["kinds"]}
    assert set(kinds) == {"POINT_LOOKUP", "GENERIC_SQL"}
    own = kinds["GENERIC_SQL"]
    assert own["total_queries"] > 20
    assert own["rows_read"] > 0
    assert own["rows_written"] > 0
    assert kinds["POINT_LOOKUP"]["rows_written"] == 0
    assert left(database) == before


async def test_what_fails_is_told_as_a_statement_of_ones_own(
    http: httpx.AsyncClient, database: Database
) -> None:
    make_orders(database)
    clash = {
        "operation_type": "WRITE",
        "weight_pct": 50,
        "sql": "INSERT INTO {table} VALUES (?, 'again')",
        "parameters": [{"key": True}],
    }
    config: dict[str, Any] = {"custom_point_lookup_pct": 50, "generic_queries": [clash]}
    run_id = await new_run(http, await orders_draft(http, database, **config))
    await http.post(f"/api/runs/{run_id}/start", json={})
    await until_status(http, run_id, "COMPLETED")
    rows = (await http.get(f"/api/tests/{run_id}/error-summary")).json()["rows"]
    assert {row["query_type"] for row in rows} == {"GENERIC_SQL"}


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (DELETION | {"sql": "DELETE FORM {table}"}, "GENERIC_SQL (clean up) cannot be used: "),
        (DELETION | {"sql": "DROP TABLE {table}"}, "GENERIC_SQL (clean up) begins with DROP"),
        (RENAMING | {"parameters": [1]}, "GENERIC_SQL (number 1) has 2 parameters"),
        (
            BY_COLUMNS | {"parameters": [{"strategy": "offset_from_previous"}, 1]},
            'is {"strategy": "offset_from_previous"}, which is no form',
        ),
    ],
    ids=["syntax", "first word", "count", "form"],
)
async def test_what_cannot_be_driven_is_refused_before_the_start(
    http: httpx.AsyncClient, database: Database, own: dict[str, Any], reason: str
) -> None:
    make_orders(database)
    config: dict[str, Any] = {
        "custom_point_lookup_pct": 100 - own["weight_pct"],
        "generic_queries": [own],
    }
    run_id = await new_run(http, await orders_draft(http, database, **config))
    (warning,) = await warnings_of(http, run_id, "high")
    assert warning["title"] == "Statement Cannot Be Used"
    assert reason in warning["message"]
    refused = await http.post(f"/api/runs/{run_id}/start")
    assert refused.status_code == 409


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM public.orders WHERE id = ?",
        "MERGE INTO orders AS o USING {table} AS t ON o.id = t.id AND o.id = ? "
        "WHEN MATCHED THEN DELETE",
    ],
)
async def test_a_write_that_names_the_original_is_refused(
    http: httpx.AsyncClient, postgres: PostgresServer, sql: str
) -> None:
    database = PostgresDatabase(postgres)
    make_orders(database)
    before = left(database)
    config: dict[str, Any] = {
        "custom_point_lookup_pct": 90,
        "generic_queries": [DELETION | {"sql": sql}],
    }
    run_id = await new_run(http, await orders_draft(http, database, **config))
    (warning,) = await warnings_of(http, run_id, "high")
    assert warning["title"] == "Writes Go Past the Scratch Copy"
    assert "GENERIC_SQL (clean up)" in warning["message"]
    started = await http.post(f"/api/runs/{run_id}/start", json={"acknowledged": True})
    assert started.status_code == 202
    failed = await until_status(http, run_id, "FAILED")
    assert "instead of its scratch copy" in failed["reason"]
    assert left(database) == before
