"""A comparison whose backend cannot be reached: it says so, loses its yes, and is found again."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from benchgate.gate.comparisons import driver
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:8000"
IMPATIENT = Pace(
    first_look_seconds=0.1, look_seconds=0.2, turn_seconds=0.05, unreachable_seconds_max=0.3
)
PATIENT = IMPATIENT.model_copy(update={"unreachable_seconds_max": 600})
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
GONE = httpx.ConnectError("gone")


def template(template_id: str) -> dict[str, Any]:
    return {
        "template_id": template_id,
        "template_name": f"orders {template_id}",
        "config": CONFIG,
        "created_at": MADE_AT,
        "updated_at": MADE_AT,
    }


def status(value: str, **known: object) -> httpx.Response:
    return httpx.Response(200, json={"test_id": "t1", "run_id": "r1", "status": value} | known)


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    """A backend whose first run is under way as soon as it is started."""
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    for template_id in ("a", "b"):
        router.get(f"/api/templates/{template_id}").respond(json=template(template_id))
    router.post("/api/runs/", name="create").respond(
        201, json={"run_id": "r1", "status": "PREPARED"}
    )
    about = {"run_id": "r1", "test_id": "t1", "status": "PREPARED", "created_at": MADE_AT}
    known = {"template_id": "a", "template_name": "orders a", "config": CONFIG}
    router.get("/api/runs/r1/").respond(json=about | known)
    router.get("/api/runs/r1/preflight").respond(json={"run_id": "r1"})
    router.get("/api/tests/t1/", name="test").mock(return_value=status("RUNNING"))
    router.post("/api/runs/r1/start", name="start").respond(
        202, json={"run_id": "r1", "status": "STARTING"}
    )
    with router:
        yield router


async def say_all(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": "yes", "mode": "A) sequential"})


@asynccontextmanager
async def host(folder: Path, pace: Pace) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL})
    async with (
        open_gate(settings, pace=pace) as server,
        Client(server, elicitation_callback=say_all) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert result.structured_content is not None
    assert not result.is_error, result.structured_content
    return result.structured_content


async def started(client: Client) -> str:
    created = await call(client, "create_comparison", template_ids=["a", "b"])
    comparison_id: str = created["comparison_id"]
    begun = await call(client, "start_comparison", comparison_id=comparison_id)
    assert (begun["outcome"], begun["mode"]) == ("started", "sequential")
    return comparison_id


async def seen(
    client: Client, comparison_id: str, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The comparison, once it is so."""
    with anyio.fail_after(PATIENCE_SECONDS):
        while not is_so(
            told := await call(
                client, "get_comparison", comparison_id=comparison_id, wait_seconds=0.1
            )
        ):
            pass
    return told


def is_in(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda told: told["state"] == state


async def test_a_backend_that_is_gone_for_too_long_interrupts_and_the_run_is_found_again(
    backend: respx.MockRouter, tmp_path: Path
) -> None:
    async with host(tmp_path, IMPATIENT) as client:
        comparison_id = await started(client)
        backend["test"].mock(side_effect=GONE)
        lost = await seen(client, comparison_id, is_in("interrupted"))
        assert "could not be reached" in lost["reason"]
        refused = await call(client, "start_comparison", comparison_id=comparison_id)
        assert refused["outcome"] == "refused"

        backend["test"].mock(side_effect=None, return_value=status("COMPLETED", summary=FIGURES))
        found = await seen(client, comparison_id, is_in("paused"))
    assert [line["status"] for line in found["lines"]] == ["COMPLETED", "PENDING"]
    # The yes to the series has lapsed: nothing else was made or started.
    assert backend["create"].call_count == 1
    assert backend["start"].call_count == 1


async def test_a_backend_that_is_gone_for_a_while_is_waited_for(
    backend: respx.MockRouter, tmp_path: Path
) -> None:
    async with host(tmp_path, PATIENT) as client:
        comparison_id = await started(client)
        backend["test"].mock(side_effect=GONE)
        calls = backend["test"].call_count
        await seen(client, comparison_id, lambda _: backend["test"].call_count > calls + 5)
        backend["create"].mock(side_effect=GONE)
        backend["test"].mock(side_effect=None, return_value=status("COMPLETED", summary=FIGURES))
        told = await seen(
            client, comparison_id, lambda told: told["lines"][0]["status"] == "COMPLETED"
        )
    assert told["state"] == "running"
    assert told.get("reason") is None


async def test_a_test_that_the_backend_still_counts_is_settled_some_time_after_it_was_seen_to_end(
    backend: respx.MockRouter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with host(tmp_path, PATIENT) as client:
        comparison_id = await started(client)
        backend["create"].mock(side_effect=GONE)
        # Without any times of its own, as the specification allows.
        counting = status("COMPLETED", phase="PROCESSING", summary=FIGURES)
        backend["test"].mock(return_value=counting)
        calls = backend["test"].call_count
        told = await seen(client, comparison_id, lambda _: backend["test"].call_count > calls + 5)
        assert told["lines"][1]["status"] == "PENDING"
        assert backend["create"].call_count == 1

        monkeypatch.setattr(driver, "SETTLE_MAX", timedelta(0))
        await seen(client, comparison_id, lambda _: backend["create"].call_count > 1)


async def test_a_test_that_has_been_counted_is_settled_at_once(
    backend: respx.MockRouter, tmp_path: Path
) -> None:
    async with host(tmp_path, PATIENT) as client:
        comparison_id = await started(client)
        backend["create"].mock(side_effect=GONE)
        backend["test"].mock(return_value=status("COMPLETED", summary=FIGURES))
        await seen(client, comparison_id, lambda _: backend["create"].call_count > 1)
