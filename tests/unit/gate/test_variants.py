"""Creating a run with changes: what is saved, and that nothing is where a rule is broken."""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import respx
from mcp import Client
from mcp.types import CallToolResult, TextContent

from benchgate.gate.home import RECORD_FILE
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

Era = Literal["auto", "legacy"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["auto", "legacy"])]

URL = "http://127.0.0.1:8000"
TEMPLATE: dict[str, Any] = {
    "template_id": "tpl-1",
    "template_name": "orders",
    "config": {
        "table_type": "POSTGRES",
        "database": "bench",
        "schema": "public",
        "table_name": "orders",
        "custom_point_lookup_pct": 80,
        "custom_range_scan_pct": 20,
        "concurrent_connections": 50,
        "a_backends_own_key": "kept",
    },
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}
TEST = {"test_id": "t1", "run_id": "r1", "status": "PREPARED", "template_id": "tpl-2"}


HEALTH = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/api/templates/tpl-1", name="template").respond(json=TEMPLATE)
    router.post("/api/templates/", name="save").respond(
        201, json=TEMPLATE | {"template_id": "tpl-2"}
    )
    router.post("/api/runs/", name="create").respond(
        201, json={"run_id": "r1", "status": "PREPARED"}
    )
    router.get("/api/runs/r1/").respond(
        json={
            "run_id": "r1",
            "test_id": "t1",
            "status": "PREPARED",
            "template_id": "tpl-2",
            "template_name": "orders (8 connections)",
            "config": TEMPLATE["config"],
            "created_at": "2026-01-01T00:00:00Z",
        }
    )
    router.get("/api/tests/t1/").respond(json=TEST | {"template_name": "orders (8 connections)"})
    with router:
        yield router


@asynccontextmanager
async def host(folder: Path, era: Era) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL})
    async with open_gate(settings) as server, Client(server, mode=era) as client:
        yield client


async def create(folder: Path, era: Era, **arguments: object) -> CallToolResult:
    async with host(folder, era) as client:
        return await client.call_tool("create_run", {"template_id": "tpl-1", **arguments})


def told(result: CallToolResult) -> tuple[dict[str, Any], str]:
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert result.structured_content is not None
    return result.structured_content, block.text


def body_of(route: respx.Route) -> dict[str, Any]:
    assert route.call_count == 1
    request: httpx.Request = route.calls.last.request
    return json.loads(request.content)


async def test_a_changed_run_is_created_from_a_new_template(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    changes = {"concurrent_connections": 8, "duration": 30}
    created, text = told(await create(tmp_path, era, changes=changes))
    saved = body_of(backend["save"])
    assert saved["template_name"] == "orders (8 connections, 30 s)"
    assert saved["config"] == TEMPLATE["config"] | changes
    assert "tpl-1" in saved["description"]
    assert body_of(backend["create"]) == {"template_id": "tpl-2"}
    assert (created["run_id"], created["template_id"]) == ("r1", "tpl-2")
    assert created["template_name"] == "orders (8 connections)"
    assert "**Template:** `tpl-2`, a new one with the changes" in text.splitlines()


@pytest.mark.parametrize("arguments", [{}, {"changes": None}], ids=str)
async def test_without_changes_the_template_itself_is_run(
    backend: respx.MockRouter, tmp_path: Path, era: Era, arguments: dict[str, Any]
) -> None:
    created, text = told(await create(tmp_path, era, **arguments))
    assert body_of(backend["create"]) == {"template_id": "tpl-1"}
    assert created["template_id"] == "tpl-1"
    assert not backend["template"].called
    assert not backend["save"].called
    assert "**Template:**" not in text


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, "nothing in them differs from the template"),
        ({"concurrent_connections": 50}, "nothing in them differs from the template"),
        ({"duration": None}, "nothing in them differs from the template"),
        ({"target_qps": 100}, "has no effect in load mode CONCURRENCY"),
        ({"custom_point_lookup_pct": 30}, "custom_point_lookup_pct: 30 cannot be used"),
        ({"concurrent_connections": 0}, "greater than or equal to 1"),
        ({"duration": 86_401}, "less than or equal to 86400"),
        ({"duration": "soon"}, "valid integer"),
        ({"custom_insert_pct": 101}, "less than or equal to 100"),
        ({"table_name": "payroll"}, "changes.table_name: 'payroll' cannot be used"),
        ({"duration": 30, "custom_insert_query": "DROP TABLE x"}, "changes.custom_insert_query"),
        ({"a_backends_own_key": "other"}, "changes.a_backends_own_key"),
        ([], "changes"),
        ("half of it", "changes"),
    ],
    ids=str,
)
async def test_changes_that_break_a_rule_are_refused_with_it_and_nothing_is_saved(
    backend: respx.MockRouter, tmp_path: Path, era: Era, changes: object, rule: str
) -> None:
    result = await create(tmp_path, era, changes=changes)
    refusal, text = told(result)
    assert result.is_error
    assert refusal["code"] == "invalid_input"
    assert rule in refusal["message"]
    assert refusal["hint"]
    assert "**Failed to create run**" in text
    assert not backend["save"].called
    assert not backend["create"].called


async def test_an_unknown_template_is_told_before_anything_is_saved(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["template"].respond(404, json={"detail": "There is no template tpl-1."})
    result = await create(tmp_path, era, changes={"duration": 30})
    refusal, _ = told(result)
    assert (refusal["code"], refusal["message"]) == ("not_found", "There is no template tpl-1.")
    assert not backend["save"].called


async def test_a_template_that_cannot_be_saved_makes_no_run(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["save"].respond(409, json={"detail": "That name is taken."})
    result = await create(tmp_path, era, changes={"duration": 30})
    refusal, _ = told(result)
    assert (refusal["code"], refusal["message"]) == ("conflict", "That name is taken.")
    assert not backend["create"].called


async def test_no_tool_but_a_start_makes_a_record(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend.get("/api/runs/r1/preflight").respond(json={"run_id": "r1"})
    backend.post("/api/runs/r1/stop").respond(json={"run_id": "r1", "status": "CANCELLED"})
    backend.get("/health").respond(json=HEALTH)
    async with host(tmp_path / "data", era) as client:
        await client.call_tool("create_run", {"template_id": "tpl-1"})
        await client.call_tool("preflight", {"run_id": "r1"})
        looked = await client.call_tool("get_status", {"run_id": "r1", "wait_seconds": 25})
        handed = await client.call_tool("get_results", {"run_ids": ["r1"]})
        unknown = {"comparison_id": "cmp-1"}
        for tool in ("get_comparison", "start_comparison", "get_results"):
            assert told(await client.call_tool(tool, unknown))[0]["code"] == "not_found"
        await client.call_tool("stop_run", {"run_id": "r1"})
        assert not (tmp_path / "data").exists()
        started = await client.call_tool("start_run", {"run_id": "r1"})
        assert told(started)[0]["outcome"] == "awaiting_approval"
        assert (tmp_path / "data" / RECORD_FILE).exists()
    assert "approval" not in told(looked)[0]
    assert not {"approvals", "ledger_head"} & (handed.structured_content or {}).keys()
