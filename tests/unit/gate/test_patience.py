"""Nothing outlasts a host's patience, and what has worked is told as that."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent

from benchgate.gate import backend as port
from benchgate.gate import facts
from benchgate.gate.server import open_gate
from benchgate.gate.tools import toolset
from benchgate.gate.tools.runs import PROGRESS_STEP_SECONDS
from benchgate.settings import Settings

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:8000"
RUN: dict[str, Any] = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "PREPARED",
    "template_id": "a",
    "template_name": "orders",
    "config": {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100},
    "created_at": "2026-01-01T00:00:00Z",
}
HEALTH = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}


async def hang(_: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


async def say_yes_slowly(
    context: ClientRequestContext, params: ElicitRequestParams
) -> ElicitResult:
    await anyio.sleep(0.6)
    return ElicitResult(action="accept", content={"decision": "yes"})


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter limits, so that a test need not wait for the real ones."""
    monkeypatch.setattr(toolset, "CALL_SECONDS_MAX", 4)
    monkeypatch.setattr(facts, "FACTS_SECONDS_MAX", 1)
    monkeypatch.setattr(port, "LOOK_AFTER_ACT_SECONDS_MAX", 0.2)


@pytest.fixture
def more_hurried(hurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a backend that never answers: of it, a longer limit would not see more."""
    monkeypatch.setattr(toolset, "CALL_SECONDS_MAX", 2)


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.get(path__startswith="/ws/").respond(404, json={"detail": "Not Found"})
        yield router


@pytest.fixture
async def client(hurried: None, tmp_path: Path) -> AsyncIterator[Client]:
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "backend_url": URL, "ask_wait_seconds": 1}
    )
    async with (
        open_gate(settings) as server,
        Client(server, mode="legacy", elicitation_callback=say_yes_slowly) as client,
    ):
        yield client


def told(result: CallToolResult) -> tuple[dict[str, Any], str]:
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert result.structured_content is not None
    return result.structured_content, block.text


@pytest.mark.usefixtures("more_hurried")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("preflight", {"run_id": "r1"}),
        ("list_templates", {}),
        ("list_connections", {}),
        ("create_run", {"template_id": "a"}),
        ("start_run", {"run_id": "r1"}),
        ("get_status", {"run_id": "r1", "wait_seconds": 25}),
        ("stop_run", {"run_id": "r1"}),
        ("get_results", {"run_ids": ["r1", "r2"]}),
        ("get_errors", {"run_id": "r1"}),
    ],
)
async def test_a_backend_that_hangs_is_told_in_time(
    backend: respx.MockRouter, client: Client, tool: str, arguments: dict[str, object]
) -> None:
    backend.route().mock(side_effect=hang)
    with anyio.fail_after(8):
        refusal, text = told(await client.call_tool(tool, arguments))
    assert refusal["code"] == "backend_unavailable"
    assert "Connection Lost" in text


@pytest.mark.parametrize(
    ("tool", "arguments", "path", "status"),
    [
        ("create_run", {"template_id": "a"}, "/api/runs/", "PREPARED"),
        ("stop_run", {"run_id": "r1"}, "/api/runs/r1/stop", "CANCELLING"),
    ],
)
async def test_what_worked_is_told_although_nothing_can_be_read_afterwards(
    backend: respx.MockRouter,
    client: Client,
    tool: str,
    arguments: dict[str, str],
    path: str,
    status: str,
) -> None:
    backend.post(path).respond(202, json={"run_id": "r1", "status": status})
    backend.route().mock(side_effect=hang)
    with anyio.fail_after(8):
        result, text = told(await client.call_tool(tool, arguments))
    assert (result["run_id"], result["status"]) == ("r1", status)
    assert "❌" not in text


async def test_all_dialogs_of_one_call_share_one_wait(
    backend: respx.MockRouter, client: Client
) -> None:
    changing = [
        httpx.Response(200, json=RUN | {"config": RUN["config"] | {"duration": seconds}})
        for seconds in range(10, 40)
    ]
    backend.get("/api/runs/r1/").mock(side_effect=changing)
    backend.get("/health").respond(json=HEALTH)
    backend.get("/api/runs/r1/preflight").respond(json={"run_id": "r1"})
    backend.get("/api/tests/t1/").respond(500)
    result, _ = told(await client.call_tool("start_run", {"run_id": "r1"}))
    assert result["outcome"] == "awaiting_approval"


async def test_progress_rises_with_every_notification_also_before_the_load(
    backend: respx.MockRouter, client: Client
) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    test = {"test_id": "t1", "run_id": "r1"}
    backend.get("/api/runs/r1/").respond(json=RUN)
    backend.get("/api/tests/t1/").mock(
        side_effect=[
            httpx.Response(200, json=test | {"status": status})
            for status in ("STARTING", "STARTING", "COMPLETED")
        ]
    )
    await client.call_tool(
        "get_status", {"run_id": "r1", "wait_seconds": 25}, progress_callback=hear
    )
    assert heard == [0, PROGRESS_STEP_SECONDS]


async def test_a_record_whose_driver_is_missing_is_told_by_its_setting(
    backend: respx.MockRouter, tmp_path: Path
) -> None:
    backend.get("/api/runs/r1/").respond(json=RUN)
    backend.get("/health").respond(json=HEALTH)
    backend.get("/api/runs/r1/preflight").respond(json={"run_id": "r1"})
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "backend_url": URL, "database_url": "postgresql+pg8000://h/d"}
    )
    async with (
        open_gate(settings) as server,
        Client(server, mode="legacy", elicitation_callback=say_yes_slowly) as client,
    ):
        refusal, _ = told(await client.call_tool("start_run", {"run_id": "r1"}))
    assert refusal["code"] == "store"
    assert "BENCHGATE_DATABASE_URL" in refusal["hint"]
