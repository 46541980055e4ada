"""The tools of comparisons over a scripted backend: what each of them answers with."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
import respx
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, ResourceLink, TextContent

from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

Era = Literal["auto", "legacy"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["auto", "legacy"])]

URL = "http://127.0.0.1:8000"
QUICK = Pace(first_look_seconds=0.1, look_seconds=0.2, turn_seconds=0.1)
PATIENCE_SECONDS = 20
CONFIG = {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100, "duration": 10}
MADE_AT = "2026-01-01T00:00:00Z"
HEALTH = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}
FIGURES = {"total_queries": 1_000, "average_qps": 100, "error_rate": 0, "p95_latency_ms": 9}
DASHBOARD = "/dashboard/r1"


def template(template_id: str) -> dict[str, Any]:
    return {
        "template_id": template_id,
        "template_name": f"orders {template_id}",
        "config": CONFIG,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }


def status(value: str, **known: object) -> httpx.Response:
    told = {"test_id": "t1", "run_id": "r1", "status": value, "dashboard_url": DASHBOARD}
    return httpx.Response(200, json=told | known)


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    """A backend with two templates, whose first run is started by the first call for it."""
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    for template_id in ("a", "b"):
        router.get(f"/api/templates/{template_id}").respond(json=template(template_id))
    router.post("/api/runs/").respond(201, json={"run_id": "r1", "status": "PREPARED"})
    about = {"run_id": "r1", "test_id": "t1", "status": "PREPARED", "created_at": MADE_AT}
    known = {"template_id": "a", "template_name": "orders a", "config": CONFIG}
    router.get("/api/runs/r1/").respond(json=about | known)
    router.get("/api/runs/r1/preflight").respond(json={"run_id": "r1"})
    test = router.get("/api/tests/t1/", name="test").mock(return_value=status("PREPARED"))

    def start(_: httpx.Request) -> httpx.Response:
        test.return_value = status("RUNNING")
        return httpx.Response(202, json={"run_id": "r1", "status": "STARTING"})

    def stop(_: httpx.Request) -> httpx.Response:
        test.return_value = status("CANCELLED")
        return httpx.Response(200, json={"run_id": "r1", "status": "CANCELLED"})

    router.post("/api/runs/r1/start", name="start").mock(side_effect=start)
    router.post("/api/runs/r1/stop").mock(side_effect=stop)
    with router:
        yield router


async def say_yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": "yes"})


@asynccontextmanager
async def host(folder: Path, era: Era, **known: Any) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL, **known})
    async with (
        open_gate(settings, pace=QUICK) as server,
        Client(server, mode=era, elicitation_callback=None if known else say_yes) as client,
    ):
        yield client


def told(result: CallToolResult) -> tuple[dict[str, Any], str]:
    block = result.content[0]
    assert isinstance(block, TextContent)
    assert result.structured_content is not None
    return result.structured_content, block.text


async def planned(client: Client, **known: object) -> dict[str, Any]:
    arguments = {"template_ids": ["a", "b"], **known}
    answer, _ = told(await client.call_tool("create_comparison", arguments))
    return {"comparison_id": answer["comparison_id"]}


async def started(client: Client) -> dict[str, Any]:
    about = await planned(client)
    answer, text = told(await client.call_tool("start_comparison", about))
    assert (answer["outcome"], answer["mode"], answer["run_id"]) == ("started", "pause", "r1")
    assert text.startswith("## Test Started")
    return about


@pytest.mark.usefixtures("backend")
async def test_a_comparison_is_planned_with_its_runs(tmp_path: Path, era: Era) -> None:
    arguments = {"template_ids": ["a", "b"], "variants": ["A", "B"], "repeats": 3}
    async with host(tmp_path, era) as client:
        answer, text = told(await client.call_tool("create_comparison", arguments))
        progress, table = told(
            await client.call_tool("get_comparison", {"comparison_id": answer["comparison_id"]})
        )
    assert (answer["state"], answer["run_count"], answer["cautions"]) == ("planned", 6, [])
    assert "6. `B (3/3)`: template `orders b`" in text.splitlines()
    assert [line["status"] for line in progress["lines"]] == ["PENDING"] * 6
    assert "| A (1/3) | PENDING | - | - |" in table.splitlines()
    assert "next_check_seconds" not in progress
    assert "run_id" not in progress


@pytest.mark.usefixtures("backend")
async def test_a_wait_for_a_test_under_way_brings_its_figures(tmp_path: Path, era: Era) -> None:
    lines: list[str | None] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        lines.append(message)

    async with host(tmp_path, era) as client:
        about = await started(client)
        progress, _ = told(
            await client.call_tool(
                "get_comparison", about | {"wait_seconds": 0.5}, progress_callback=listen
            )
        )
    assert (progress["state"], progress["run_id"]) == ("running", "r1")
    assert [line["status"] for line in progress["lines"]] == ["RUNNING", "PENDING"]
    assert progress["next_check_seconds"]
    assert lines[0] is not None
    assert lines[0].startswith("0 of 2 completed; orders a RUNNING")


async def test_results_of_a_comparison_have_links_and_pages(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era) as client:
        about = await started(client)
        backend["test"].return_value = status("COMPLETED", **FIGURES)
        with anyio.fail_after(PATIENCE_SECONDS):
            state = "running"
            while state == "running":
                looked = await client.call_tool("get_comparison", about | {"wait_seconds": 1})
                state = told(looked)[0]["state"]
        result = await client.call_tool("get_results", about)
    handed, text = told(result)
    assert state == "paused"
    assert (handed["run_ids"], handed["status"]) == (["r1"], "PAUSED")
    assert f"**Dashboard:** <{URL}{DASHBOARD}>" in text.splitlines()
    links = [str(link.uri) for link in result.content if isinstance(link, ResourceLink)]
    assert links == ["benchgate://runs/r1/summary.csv", "benchgate://runs/r1/series.csv"]


@pytest.mark.usefixtures("backend")
async def test_a_stop_of_its_run_stops_the_comparison(tmp_path: Path, era: Era) -> None:
    async with host(tmp_path, era) as client:
        about = await started(client)
        stopped, text = told(await client.call_tool("stop_run", {"run_id": "r1"}))
        progress, _ = told(await client.call_tool("get_comparison", about))
    assert stopped["comparison_id"] == about["comparison_id"]
    assert "is stopped with it" in text
    assert progress["state"] == "stopped"


async def test_a_question_that_waits_is_told_and_nothing_runs(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era, approval_channels="chat") as client:
        about = await planned(client)
        unasked, text = told(await client.call_tool("start_comparison", about))
        waiting = [
            told(await client.call_tool("get_comparison", about | {"wait_seconds": seconds}))[0]
            for seconds in (0, 0.5)
        ]
        words = about | {"confirmation": "yes"}
        uncoded, _ = told(await client.call_tool("start_comparison", words))
    assert (unasked["outcome"], unasked["state"]) == ("awaiting_approval", "awaiting_choice")
    assert "A) Run all tests sequentially" in text
    assert uncoded["outcome"] == "not_credible"
    assert [answer["approval"] for answer in waiting] == ["asked", "asked"]
    assert not backend["start"].called


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    "arguments",
    [{}, {"run_ids": ["r1"], "comparison_id": "cmp-1"}, {"run_ids": None}],
    ids=["neither", "both", "null"],
)
async def test_results_are_of_runs_or_of_a_comparison(
    tmp_path: Path, era: Era, arguments: dict[str, Any]
) -> None:
    async with host(tmp_path, era) as client:
        refused, _ = told(await client.call_tool("get_results", arguments))
    assert refused["code"] == "invalid_input"
    assert "Either run_ids or comparison_id" in refused["message"]
