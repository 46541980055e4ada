"""The tools of comparisons over a scripted backend: what each of them answers with."""

import json
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
from mcp.client.session import ElicitationFnT
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
YES, NO = {"decision": "yes"}, {"decision": "no"}
SERIES = {"decision": "yes", "mode": "A) sequential"}
WARNING = {"severity": "medium", "title": "Cold", "message": "The cache is cold."}


def template(template_id: str) -> dict[str, Any]:
    return {
        "template_id": template_id,
        "template_name": f"orders {template_id}",
        "config": CONFIG,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }


def status(value: str, number: int = 1, **known: object) -> httpx.Response:
    told = {"test_id": f"t{number}", "run_id": f"r{number}", "status": value}
    return httpx.Response(200, json=told | {"dashboard_url": DASHBOARD} | known)


def put_run(router: respx.MockRouter, number: int, template_id: str) -> None:
    """A run that is prepared, and that the first call for it starts."""
    run_id, name = f"r{number}", "test" if number == 1 else f"test {number}"
    about = {"run_id": run_id, "test_id": f"t{number}", "status": "PREPARED", "created_at": MADE_AT}
    of = {"template_id": template_id, "template_name": f"orders {template_id}", "config": CONFIG}
    router.get(f"/api/runs/{run_id}/").respond(json=about | of)
    router.get(f"/api/runs/{run_id}/preflight", name=f"preflight {number}").respond(
        json={"run_id": run_id}
    )
    test = router.get(f"/api/tests/t{number}/", name=name).mock(
        return_value=status("PREPARED", number)
    )

    def start(_: httpx.Request) -> httpx.Response:
        test.return_value = status("RUNNING", number)
        return httpx.Response(202, json={"run_id": run_id, "status": "STARTING"})

    def stop(_: httpx.Request) -> httpx.Response:
        test.return_value = status("CANCELLED", number)
        return httpx.Response(200, json={"run_id": run_id, "status": "CANCELLED"})

    router.post(f"/api/runs/{run_id}/start", name="start" if number == 1 else None).mock(
        side_effect=start
    )
    router.post(f"/api/runs/{run_id}/stop").mock(side_effect=stop)


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    """A backend with two templates, and a run of each."""
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    for template_id in ("a", "b"):
        router.get(f"/api/templates/{template_id}").respond(json=template(template_id))

    def create(request: httpx.Request) -> httpx.Response:
        run_id = "r1" if json.loads(request.content)["template_id"] == "a" else "r2"
        return httpx.Response(201, json={"run_id": run_id, "status": "PREPARED"})

    router.post("/api/runs/").mock(side_effect=create)
    put_run(router, 1, "a")
    put_run(router, 2, "b")
    with router:
        yield router


def answers(*contents: dict[str, str]) -> ElicitationFnT:
    """A person who answers one question after another, and the rest with yes."""
    left = iter(contents)

    async def say(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={**next(left, YES)})

    return say


@asynccontextmanager
async def host(
    folder: Path, era: Era, *said: dict[str, str], **known: Any
) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL, **known})
    async with (
        open_gate(settings, pace=QUICK) as server,
        Client(server, mode=era, elicitation_callback=None if known else answers(*said)) as client,
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


async def started(client: Client, mode: str = "pause") -> dict[str, Any]:
    about = await planned(client)
    answer, text = told(await client.call_tool("start_comparison", about))
    assert (answer["outcome"], answer["mode"], answer["run_id"]) == ("started", mode, "r1")
    assert text.startswith("## Test Started")
    return about


async def until_it_rests(client: Client, about: dict[str, Any]) -> tuple[dict[str, Any], str]:
    with anyio.fail_after(PATIENCE_SECONDS):
        while True:
            looked = told(await client.call_tool("get_comparison", about | {"wait_seconds": 1}))
            if looked[0]["state"] != "running":
                return looked


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
        rests, _ = await until_it_rests(client, about)
        result = await client.call_tool("get_results", about)
    handed, text = told(result)
    assert rests["state"] == "paused"
    assert (handed["run_ids"], handed["status"]) == (["r1"], "PAUSED")
    assert f"- orders a: **Dashboard:** <{URL}{DASHBOARD}>" in text.splitlines()
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


async def test_an_answer_about_a_run_that_a_stop_has_ended_is_none_any_more(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era, YES, NO) as client:
        about = await started(client)
        backend["test"].return_value = status("COMPLETED", **FIGURES)
        await until_it_rests(client, about)
        declined, _ = told(await client.call_tool("start_comparison", about))
        no, _ = told(await client.call_tool("get_comparison", about))
        await client.call_tool("stop_run", {"run_id": "r2"})
        progress, text = told(await client.call_tool("get_comparison", about))
    assert (declined["outcome"], no["approval"]) == ("declined", "declined")
    assert (progress["state"], "approval" in progress) == ("stopped", False)
    assert "Only if the person wants it resumed, `start_comparison` asks them." in text


async def test_an_answer_about_one_run_is_none_about_a_series(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    """`start_comparison` asks about all that is left, whatever was said to its next run."""
    changed = {"run_id": "r2", "warnings": [WARNING]}
    backend["preflight 2"].respond(json=changed)
    async with host(tmp_path, era, SERIES, NO, NO) as client:
        about = await started(client, "sequential")
        backend["test"].return_value = status("COMPLETED", **FIGURES)
        paused, _ = await until_it_rests(client, about)
        alone, _ = told(await client.call_tool("start_run", {"run_id": "r2"}))
        unasked, _ = told(await client.call_tool("get_comparison", about))
        whole, _ = told(await client.call_tool("start_comparison", about))
        asked, _ = told(await client.call_tool("get_comparison", about))
    assert (paused["state"], alone["outcome"], whole["outcome"]) == (
        "paused",
        "declined",
        "declined",
    )
    assert "approval" not in unasked
    assert asked["approval"] == "declined"


async def test_an_answer_against_the_preflights_advice_is_one_about_what_comes_next(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    against = {"run_id": "r2", "warnings": [WARNING | {"severity": "high"}], "can_proceed": False}
    backend["preflight 2"].respond(json=against)
    async with host(tmp_path, era, SERIES, NO) as client:
        about = await started(client, "sequential")
        backend["test"].return_value = status("COMPLETED", **FIGURES)
        await until_it_rests(client, about)
        await client.call_tool("start_run", {"run_id": "r2"})
        progress, _ = told(await client.call_tool("get_comparison", about))
    assert progress["approval"] == "declined"


async def test_a_prepared_run_names_the_comparison_that_it_belongs_to(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async with host(tmp_path, era, YES, NO) as client:
        about = await started(client)
        backend["test"].return_value = status("COMPLETED", **FIGURES)
        await until_it_rests(client, about)
        await client.call_tool("start_comparison", about)
        run, text = told(await client.call_tool("get_status", {"run_id": "r2"}))
    assert (run["status"], run["comparison_id"]) == ("PREPARED", about["comparison_id"])
    assert "start_run" not in text


@pytest.mark.usefixtures("backend")
async def test_a_comparison_whose_id_is_lost_is_found_again(tmp_path: Path, era: Era) -> None:
    async with host(tmp_path, era) as client:
        none, nothing = told(await client.call_tool("get_comparison", {}))
        first, second = await planned(client, comparison_type="size"), await planned(client)
        answer, text = told(await client.call_tool("get_comparison", {}))
    assert (none, "`create_comparison` plans one" in nothing) == ({"open": []}, True)
    found = [one["comparison_id"] for one in answer["open"]]
    assert found == [second["comparison_id"], first["comparison_id"]]
    assert f"- {first['comparison_id']} `size`: planned, 0 of 2 completed." in text
