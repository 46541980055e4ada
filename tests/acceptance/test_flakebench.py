"""Whole conversations with FlakeBench, as it behaves, in both eras of the protocol."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client

from benchgate.settings import Settings
from tests.acceptance.comparing import YES_A, YES_B, quick_client_of
from tests.acceptance.person import ERAS, YES, Era, Person, call, text_of
from tests.flakebench.app import served
from tests.flakebench.clock import ManualClock, ScaledClock
from tests.flakebench.runs import Pace
from tests.flakebench.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

# One second of the wall is half a minute of the backend's; it repeats an early answer for two.
SPEED = 30
ENDED_WITHIN_SECONDS = 30


@pytest.fixture
def world() -> World:
    return World(clock=ScaledClock(SPEED), pace=Pace(cache_s=2 * SPEED))


@asynccontextmanager
async def talking(world: World, tmp_path: Path, era: Era, person: Person) -> AsyncGenerator[Client]:
    """A client of a gate that knows of the backend nothing but its address."""
    async with served(world) as url:
        settings = Settings.model_validate({"backend_url": url, "data_dir": tmp_path})
        async with quick_client_of(settings, era, person) as client:
            yield client


async def test_a_benchmark_is_run_from_its_template_to_its_hand_over(
    world: World, tmp_path: Path, era: Era
) -> None:
    person = Person(YES)
    async with talking(world, tmp_path, era, person) as client:
        listed = await call(client, "list_templates")
        assert "tpl-fixed" in [line["template_id"] for line in listed["templates"]]
        run_id = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        assert (await call(client, "preflight", run_id=run_id))["can_proceed"]
        started = await call(client, "start_run", run_id=run_id)
        assert started["outcome"] == "started"
        with anyio.fail_after(ENDED_WITHIN_SECONDS):
            while (told := await call(client, "get_status", run_id=run_id, wait_seconds=25))[
                "status"
            ] != "COMPLETED":
                pass
        handed = await call(client, "get_results", run_ids=[run_id])
    assert len(person.questions) == 1
    assert world.counts.starts[run_id] == 1
    assert told["summary"]["total_queries"] > 0
    assert handed["summary_metrics"] == told["summary"]
    assert not [path for path in world.counts.requests if path.startswith("GET /api/test/")]


async def test_two_tests_are_compared_one_after_the_other(
    world: World, tmp_path: Path, era: Era
) -> None:
    person = Person(YES_A)
    async with talking(world, tmp_path, era, person) as client:
        planned = await call(client, "create_comparison", template_ids=["tpl-fixed", "tpl-qps"])
        wanted = {"comparison_id": planned["comparison_id"]}
        assert (await call(client, "start_comparison", **wanted))["outcome"] == "started"
        with anyio.fail_after(2 * ENDED_WITHIN_SECONDS):
            while (seen := await call(client, "get_comparison", **wanted, wait_seconds=5))[
                "state"
            ] == "running":
                assert sum(_is_live(world, run_id) for run_id in [*world.runs]) <= 1
        results = await call(client, "get_results", **wanted)
    assert seen["state"] == "completed"
    assert len(person.questions) == 1
    assert sorted(world.counts.starts.values()) == [1, 1]
    assert [one["status"] for one in results["tests"]] == ["COMPLETED", "COMPLETED"]


async def test_a_run_that_somebody_else_started_is_seen_before_anything_starts(
    world: World, tmp_path: Path, era: Era
) -> None:
    person = Person(YES_B)
    async with talking(world, tmp_path, era, person) as client:
        mine = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        theirs = world.create("tpl-findmax").run_id
        world.start(theirs)
        refused = await call(client, "start_run", run_id=mine)
        assert refused["outcome"] == "refused"
        assert theirs in refused["reason"]
        stopped = await call(client, "stop_run", run_id=theirs)
        assert stopped["status"] in {"CANCELLING", "CANCELLED"}
    assert not person.questions
    assert world.counts.starts[mine] == 0


async def test_a_run_that_gets_ready_is_not_started_a_second_time(tmp_path: Path, era: Era) -> None:
    # On this clock a run is STARTING for as long as anybody looks.
    clock = ManualClock()
    world = World(clock=clock)
    async with talking(world, tmp_path, era, Person(YES)) as client:
        run_id = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        assert (await call(client, "start_run", run_id=run_id))["outcome"] == "started"
        again = await call(client, "start_run", run_id=run_id)
        assert (await call(client, "get_status", run_id=run_id))["status"] == "STARTING"
    assert again["outcome"] != "started"
    assert world.counts.starts[run_id] == 1


async def test_an_outage_of_its_database_is_not_told_as_a_run_that_is_gone(
    world: World, tmp_path: Path, era: Era
) -> None:
    async with talking(world, tmp_path, era, Person(YES)) as client:
        run_id = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        world.outage = True
        result = await client.call_tool("get_status", {"run_id": run_id})
    assert result.is_error
    assert "Snowflake" in text_of(result)


async def test_a_guardrail_is_told_as_what_stopped_the_run(
    world: World, tmp_path: Path, era: Era
) -> None:
    async with talking(world, tmp_path, era, Person(YES)) as client:
        run_id = (await call(client, "create_run", template_id="tpl-findmax"))["run_id"]
        run = world.runs[run_id]
        run.start(world.clock.now(), pools_missing=False)
        assert (await call(client, "get_status", run_id=run_id))["status"] != "PREPARED"
        world.guardrail(run_id)
        told = await call(client, "get_status", run_id=run_id, wait_seconds=10)
    assert told["status"] == "STOPPED"
    assert told["reason"].startswith("Guardrail triggered")


def _is_live(world: World, run_id: str) -> bool:
    run = world.current(run_id)
    return run is not None and run.status in {"STARTING", "RUNNING", "STOPPING", "CANCELLING"}
