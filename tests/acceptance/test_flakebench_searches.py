"""Searches that FlakeBench would never end are ended by benchgate, in both eras of the protocol."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from benchgate.settings import Settings
from tests.acceptance.comparing import quick_client_of
from tests.acceptance.person import ERAS, YES, Era, Person, call, text_of
from tests.flakebench.app import served
from tests.flakebench.clock import Clock, ManualClock, ScaledClock
from tests.flakebench.plans import CLAMPED, SEARCH, config_of
from tests.flakebench.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

# One second of the wall is half a minute of the backend's.
SPEED = 30
ENDED_WITHIN_SECONDS = 30
LOOK_SECONDS = 0.05
FOUND = "best so far 10 threads at 500 QPS"


def world_of(clock: Clock, *, duration: int) -> World:
    """A backend with `tpl-endless`, a search that repeats its second step for ever."""
    world = World(clock=clock)
    config = config_of(**SEARCH, scaling=CLAMPED) | {"duration": duration}
    world.save("Endless", config, template_id="tpl-endless")
    return world


@asynccontextmanager
async def talking(url: str, tmp_path: Path, era: Era, *answers: Any) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"backend_url": url, "data_dir": tmp_path})
    async with quick_client_of(settings, era, Person(*answers or (YES,))) as client:
        yield client


async def started(client: Client, template_id: str = "tpl-endless") -> str:
    """The id of a run that a person has said yes to."""
    run_id: str = (await call(client, "create_run", template_id=template_id))["run_id"]
    told = await call(client, "start_run", run_id=run_id)
    assert told["outcome"] == "started"
    return run_id


async def ended(client: Client, run_id: str) -> dict[str, Any]:
    """What is told of a run once there is nothing more to wait for."""
    with anyio.fail_after(ENDED_WITHIN_SECONDS):
        while (told := await call(client, "get_status", run_id=run_id, wait_seconds=25)).get(
            "next_check_seconds"
        ):
            pass
    return told


async def until_status(world: World, run_id: str, *wanted: str) -> None:
    """Until the backend's own record says so, without a word to any gate."""
    with anyio.fail_after(ENDED_WITHIN_SECONDS):
        while world.runs[run_id].status not in wanted:  # noqa: ASYNC110 - the backend sends no word
            await anyio.sleep(LOOK_SECONDS)


def stops(world: World, run_id: str) -> int:
    return world.counts.requests[f"POST /api/runs/{run_id}/stop"]


@pytest.mark.parametrize(
    ("duration", "bound"),
    [(30, "32 s"), (600, "4 steps")],
    ids=["time", "steps"],
)
async def test_a_search_without_end_is_stopped_at_its_bound(
    tmp_path: Path, era: Era, duration: int, bound: str
) -> None:
    world = world_of(ScaledClock(SPEED), duration=duration)
    async with served(world) as url, talking(url, tmp_path, era) as client:
        run_id = await started(client)
        told = await ended(client, run_id)
        text = text_of(await client.call_tool("get_status", {"run_id": run_id}))
        handed = await call(client, "get_results", run_ids=[run_id])
    reason = f"Stopped by benchgate: its bound of {bound} was reached; {FOUND}"
    assert (told["status"], told["reason"]) == ("STOPPED", reason)
    assert text.startswith("## Test Stopped")
    assert "measured nothing" not in text
    assert "summary_metrics" not in handed
    assert stops(world, run_id) == 1


async def test_the_person_is_told_of_the_bound_before_the_start(tmp_path: Path, era: Era) -> None:
    world = world_of(ScaledClock(SPEED), duration=600)
    async with served(world) as url, talking(url, tmp_path, era) as client:
        run_id = (await call(client, "create_run", template_id="tpl-endless"))["run_id"]
        told = await call(client, "preflight", run_id=run_id)
    (warning,) = told["warnings"]
    assert told["can_proceed"]
    assert "benchgate stops it after 602 s or 4 steps" in warning["message"]


async def test_the_next_gate_stops_a_search_when_the_first_is_gone(
    tmp_path: Path, era: Era
) -> None:
    clock = ManualClock()
    world = world_of(clock, duration=30)
    async with served(world) as url:
        async with talking(url, tmp_path, era) as client:
            run_id = await started(client)
        clock.advance(3_600)
        assert world.current(run_id) is not None
        assert (world.runs[run_id].status, stops(world, run_id)) == ("RUNNING", 0)
        async with talking(url, tmp_path, era) as client:
            await until_status(world, run_id, "CANCELLING")
            clock.advance(60)
            told = await ended(client, run_id)
    assert told["status"] == "STOPPED"
    assert told["reason"].startswith("Stopped by benchgate: its bound of 32 s was reached")
    assert stops(world, run_id) == 1


async def test_a_search_that_somebody_else_started_is_left_alone(tmp_path: Path, era: Era) -> None:
    world = world_of(ScaledClock(SPEED), duration=30)
    async with served(world) as url, talking(url, tmp_path, era) as client:
        await ended(client, await started(client, "tpl-fixed"))
        theirs = world.create("tpl-endless").run_id
        world.start(theirs)
        with anyio.fail_after(ENDED_WITHIN_SECONDS):
            while (told := await call(client, "get_status", run_id=theirs, wait_seconds=1))[
                "elapsed_seconds"
            ] < 60:
                pass
        text = text_of(await client.call_tool("get_status", {"run_id": theirs}))
    assert (told["status"], stops(world, theirs)) == ("RUNNING", 0)
    assert "**Best so far:** 10 threads at 500 QPS" in text
