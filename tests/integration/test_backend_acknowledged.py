"""Runs that a person had started against the preflight: they end with the database's reason."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.backend.app import create_app
from tests.integration.servers import PostgresServer
from tests.unit.backend.scripted import IDENTITY, draft, new_run, orders, served, until_status

pytestmark = pytest.mark.anyio

END_SECONDS_MAX = 30


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    data = tmp_path / "data"
    data.mkdir()
    async with served(create_app(data, IDENTITY)) as http:
        yield http


async def ended(http: httpx.AsyncClient, body: dict[str, Any], status: str) -> dict[str, Any]:
    """How a run ended that the preflight had advised against."""
    run_id = await new_run(http, body)
    assert not (await http.get(f"/api/runs/{run_id}/preflight")).json()["can_proceed"]
    path = f"/api/runs/{run_id}/start"
    assert (await http.post(path)).status_code == 409
    started = await http.post(path, json={"acknowledged": True})
    assert started.status_code == 202, started.text
    with anyio.fail_after(END_SECONDS_MAX):
        return await until_status(http, run_id, status)


async def assert_is_well(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """The backend holds nothing back of the failed run, and loads the next one."""
    assert (await http.get("/health")).json()["active_run_id"] is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run_id = await new_run(http, draft(orders(elsewhere), duration=1, warmup=0))
    assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 202
    assert (await until_status(http, run_id, "COMPLETED"))["summary"]["error_rate"] == 0


NOTHING_LIKE_IT = "SELECT nothing_like_it FROM {table} WHERE id = ?"


@pytest.mark.parametrize(
    ("rows", "config", "reason"),
    [
        (50, {"table_name": "invoices"}, "no such table: main.invoices"),
        (0, {}, "empty"),
        (50, {"custom_point_lookup_query": NOTHING_LIKE_IT}, "nothing_like_it"),
    ],
    ids=["no table", "no rows", "no column"],
)
async def test_a_target_that_cannot_be_loaded_fails_the_run_with_the_true_reason(
    http: httpx.AsyncClient, tmp_path: Path, rows: int, config: dict[str, Any], reason: str
) -> None:
    failed = await ended(http, draft(orders(tmp_path, rows=rows), **config), "FAILED")
    assert reason in failed["reason"]
    await assert_is_well(http, tmp_path)


async def test_a_file_that_is_not_there_fails_the_run_and_is_not_made(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    failed = await ended(http, draft(tmp_path / "nowhere.db"), "FAILED")
    assert "nowhere.db" in failed["reason"]
    assert not (tmp_path / "nowhere.db").exists()
    await assert_is_well(http, tmp_path)


async def test_a_connection_that_does_not_exist_fails_the_run(http: httpx.AsyncClient) -> None:
    body = draft("bench", table_type="POSTGRES", connection_id="gone")
    failed = await ended(http, body, "FAILED")
    assert "connection gone does not exist" in failed["reason"]


async def test_a_table_that_a_server_does_not_have_fails_the_run(
    http: httpx.AsyncClient, postgres: PostgresServer
) -> None:
    place = postgres.reference.model_dump(include={"host", "username"})
    saved = {"connection_name": "local", "connection_type": "POSTGRES", **place}
    connection = (await http.post("/api/connections/", json=saved)).json()
    target: dict[str, Any] = {
        "table_type": "POSTGRES",
        "schema": "public",
        "table_name": "no_such_orders",
        "connection_id": connection["connection_id"],
    }
    failed = await ended(http, draft("postgres", **target), "FAILED")
    assert "no_such_orders" in failed["reason"]


async def test_a_target_that_has_come_to_be_meanwhile_is_loaded(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What a preflight tells is of its moment, which is why a person may know better."""
    path = orders(tmp_path)
    body = draft(path, table_name="invoices", duration=1, warmup=0)
    run_id = await new_run(http, body)
    assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 409
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE orders RENAME TO invoices")
    await http.post(f"/api/runs/{run_id}/start", json={"acknowledged": True})
    with anyio.fail_after(END_SECONDS_MAX):
        done = await until_status(http, run_id, "COMPLETED")
    assert done["summary"]["total_queries"] > 0
