"""`/api/templates/{template_id}/readiness`: what speaks against a start before there is a run."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchgate.backend.drivers.port import Driver
from benchgate.domain.templates import TableType
from tests.unit.backend.scripted import (
    ScriptedLoad,
    draft,
    new_run,
    new_template,
    orders,
    scripted_app,
    served,
    until_status,
)

pytestmark = pytest.mark.anyio

WRITES: dict[str, Any] = {"custom_point_lookup_pct": 70, "custom_update_pct": 30}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(scripted_app(tmp_path)) as http:
        yield http


async def readiness(http: httpx.AsyncClient, template_id: str) -> dict[str, Any]:
    answer = await http.get(f"/api/templates/{template_id}/readiness")
    assert answer.status_code == 200, answer.text
    return answer.json()


def titles(ready: dict[str, Any]) -> list[str]:
    return [warning["title"] for warning in ready["warnings"]]


async def test_a_template_that_can_start_is_told_as_it_is_saved(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    template_id = await new_template(http, draft(orders(tmp_path)))
    assert await readiness(http, template_id) == {
        "template": (await http.get(f"/api/templates/{template_id}")).json(),
        "connection": None,
        "copies_writes": False,
        "bound": None,
        "active_run_id": None,
        "warnings": [],
        "can_proceed": True,
    }


async def test_a_search_is_told_with_its_bound_before_and_after_there_is_a_run(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    search = draft(orders(tmp_path), load_mode="FIND_MAX_CONCURRENCY", duration=60, warmup=0)
    run_id = await new_run(http, search)
    run = (await http.get(f"/api/runs/{run_id}")).json()
    bound = {"seconds_max": 90, "steps_max": 3, "concurrency_max": 1_000}
    assert run["bound"] == bound
    assert (await readiness(http, run["template_id"]))["bound"] == bound


@pytest.mark.parametrize("table", ["orders", "invoices"])
async def test_a_template_is_warned_of_as_a_run_of_it_would_be(
    http: httpx.AsyncClient, tmp_path: Path, table: str
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path), table_name=table, **WRITES))
    report = (await http.get(f"/api/runs/{run_id}/preflight")).json()
    template_id = (await http.get(f"/api/runs/{run_id}")).json()["template_id"]
    ready = await readiness(http, template_id)
    assert ready["warnings"] == report["warnings"]
    assert "Concurrent Writers on SQLite" in titles(ready)
    assert ready["can_proceed"] is report["can_proceed"] is (table == "orders")


async def test_the_server_is_told_as_a_person_knows_it(http: httpx.AsyncClient) -> None:
    server = {"connection_name": "staging", "connection_type": "POSTGRES", "host": "127.0.0.1"}
    reference = server | {"port": 1, "username": "bench", "password_env": "NO_SUCH_VARIABLE"}
    saved = (await http.post("/api/connections/", json=reference)).json()
    postgres = {"table_type": "POSTGRES", "connection_id": saved["connection_id"]}
    ready = await readiness(http, await new_template(http, draft("bench", **postgres)))
    assert ready["connection"] == "127.0.0.1:1/bench as bench (staging)"
    assert titles(ready) == ["Password Not Found"]


async def test_no_database_is_looked_at_while_one_is_loaded(tmp_path: Path) -> None:
    def never(_: TableType) -> Driver:
        raise AssertionError("the target is looked at")

    load, table = ScriptedLoad(), orders(tmp_path)
    async with served(scripted_app(tmp_path, load, drivers=never)) as http:
        active = await new_run(http, draft(table))
        # A start that is acknowledged is one without a look.
        acknowledged = {"acknowledged": True}
        assert (await http.post(f"/api/runs/{active}/start", json=acknowledged)).is_success
        await load.under_way.wait()
        writing = await readiness(http, await new_template(http, draft(table, **WRITES)))
        too_many = draft(table, concurrent_connections=1_001)
        not_driven = await readiness(http, await new_template(http, too_many))
        load.finish.set()
        await until_status(http, active, "COMPLETED")
    assert writing["active_run_id"] == not_driven["active_run_id"] == active
    assert titles(writing) == ["Concurrent Writers on SQLite"]
    assert titles(not_driven) == ["Too Many Connections"]
    assert (writing["can_proceed"], not_driven["can_proceed"]) == (True, False)


async def test_a_template_that_does_not_exist_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/templates/tpl-none/readiness/")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "Template not found: tpl-none"
