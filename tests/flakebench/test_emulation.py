"""The emulation, held against what is known of the real product."""

from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest

from tests.flakebench.app import client
from tests.flakebench.clock import ManualClock, ScaledClock
from tests.flakebench.samples import Json, sample
from tests.flakebench.steps import RUN_NOT_FOUND, new_run, seen, started
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock=clock)


async def start_refused(http: httpx.AsyncClient, run_id: str) -> str:
    """The true reason why the run cannot be started; the run's own route tells a false one."""
    told = await http.post(f"/api/runs/{run_id}/start")
    assert (told.status_code, told.json()) == (404, RUN_NOT_FOUND)
    answer = await http.post(f"/api/tests/{run_id}/start")
    assert answer.status_code == 400
    reason: str = answer.json()["detail"]
    return reason


async def test_creation_is_201_and_the_run_is_its_own_test(world: World) -> None:
    async with client(world) as http:
        answer = await http.post("/api/runs/", json={"template_id": "tpl-fixed", "more": 1})
        created = answer.json()
        body = await seen(http, created["run_id"])
    assert answer.status_code == 201
    assert created["dashboard_url"] == f"/dashboard/{UUID(created['run_id'])}"
    assert created["status"] == "PREPARED"
    assert body["test_id"] == body["run_id"] == created["run_id"]


@pytest.mark.parametrize(
    ("template_id", "after_s", "name"),
    [
        ("tpl-fixed", None, "rest_prepared"),
        ("tpl-fixed", 5, "rest_fixed_running"),
        ("tpl-fixed", 60, "rest_fixed_terminal"),
        ("tpl-findmax", 6, "rest_findmax_running"),
        ("tpl-findmax", 80, "rest_findmax_terminal"),
        ("tpl-qps", 30, "rest_qps_running"),
        ("tpl-qps", 90, "rest_qps_terminal"),
    ],
)
async def test_a_payload_has_the_recorded_keys(
    world: World, clock: ManualClock, template_id: str, after_s: int | None, name: str
) -> None:
    async with client(world) as http:
        run_id = await (new_run if after_s is None else started)(http, template_id)
        clock.advance(after_s or 0)
        body = await seen(http, run_id)
    assert body["status"] == sample(name)["status"]
    assert body.keys() == sample(name).keys()
    assert {"metrics", "total_steps", "current_step"}.isdisjoint(body)
    searched: Json = sample(name)["find_max_result"] or {}
    assert (body["find_max_result"] or {}).keys() == searched.keys()


@pytest.mark.parametrize("template_id", ["tpl-fixed", "tpl-qps", "tpl-findmax"])
async def test_every_figure_is_zero_while_a_run_is_live(
    world: World, clock: ManualClock, template_id: str
) -> None:
    async with client(world) as http:
        run_id = await started(http, template_id)
        clock.advance(7)
        body = await seen(http, run_id)
        summary = (await http.get(f"/api/tests/{run_id}/error-summary")).json()
        cached = (await http.get("/api/runs/cache-status")).json()
    assert (body["status"], body["phase"]) == ("RUNNING", "MEASUREMENT")
    figures = ("qps", "p50_latency_ms", "total_operations", "credits_used", "elapsed_seconds")
    assert [body[name] for name in figures] == [0] * 5
    assert body["timing"]["elapsed_display_seconds"] == 7
    assert summary["rows"] == []
    assert cached["runs"][run_id]["workers"]["worker-0"]["qps"] > 0


async def test_a_run_goes_through_its_statuses_and_phases(world: World, clock: ManualClock) -> None:
    told: list[Any] = []
    async with client(world) as http:
        run_id = await started(http)
        for _ in range(12):
            run = world.current(run_id)
            assert run is not None
            shown = run.seen(clock.now())
            told.append((shown.status, shown.phase))
            clock.advance(1)
    assert list(dict.fromkeys(told)) == [
        ("STARTING", "PREPARING"),
        ("RUNNING", "WARMUP"),
        ("RUNNING", "MEASUREMENT"),
        ("RUNNING", "PROCESSING"),
        ("STOPPING", "PROCESSING"),
    ]


async def test_a_start_answers_starting_and_warns_of_nothing(world: World) -> None:
    async with client(world) as http:
        run_id = await new_run(http)
        answer = await http.post(f"/api/runs/{run_id}/start")
        body = await seen(http, run_id)
    assert answer.status_code == 202
    assert answer.json() == {"run_id": run_id, "status": "STARTING", "warnings": []}
    assert (body["status"], body["phase"]) == ("STARTING", "PREPARING")


@pytest.mark.parametrize("template_id", ["tpl-fixed", "tpl-writes"])
async def test_the_preflight_never_warns(
    world: World, clock: ManualClock, template_id: str
) -> None:
    async with client(world) as http:
        run_id = await started(http, template_id)
        clock.advance(60)
        report = (await http.get(f"/api/runs/{run_id}/preflight")).json()
        assert (await http.get("/api/runs/unknown/preflight")).json() == RUN_NOT_FOUND
    assert report == {"run_id": run_id, "warnings": [], "can_proceed": True}
    assert report.keys() == sample("preflight_high").keys()


async def test_a_start_that_is_refused_hides_its_reason(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(3)
        assert (
            await start_refused(http, run_id) == f"Run {run_id} is in status RUNNING, cannot start"
        )
        clock.advance(60)
        assert "COMPLETED" in await start_refused(http, run_id)
        orphan = await new_run(http)
        await http.delete("/api/templates/tpl-fixed")
        assert "not found in" in await start_refused(http, orphan)
        for route in ("runs", "tests"):
            answer = await http.post(f"/api/{route}/unknown/start")
            assert (answer.status_code, answer.json()) == (404, RUN_NOT_FOUND)


async def test_missing_pools_are_noticed_too_late(world: World, clock: ManualClock) -> None:
    world.pools_missing = True
    async with client(world) as http:
        run_id = await new_run(http, "tpl-hybrid")
        assert "value pools" in await start_refused(http, run_id)
        clock.advance(3_600)
        assert (await seen(http, run_id))["status"] == "STARTING"


async def test_an_outage_looks_like_nothing_being_there(world: World) -> None:
    async with client(world) as http:
        run_id = await started(http)
        world.outage = True
        actions = ("start", "stop")
        answers = [await http.post(f"/api/runs/{run_id}/{action}") for action in actions]
        answers.append(await http.post("/api/runs/", json={"template_id": "tpl-fixed"}))
        answers += [
            await http.get(path)
            for path in (
                f"/api/runs/{run_id}/preflight",
                f"/api/tests/{run_id}",
                "/api/templates/tpl-fixed",
            )
        ]
        assert {one.status_code for one in answers} == {404}
        assert (await http.get("/api/templates/")).json() == []
        assert (await http.get("/api/warehouses/")).json() == []
        assert (await http.get("/api/connections/")).json() == {"connections": [], "total": 0}
        assert (await http.get("/api/tests")).json() == {"results": [], "total_pages": 1}
        assert (await http.get("/health")).json()["status"] == "healthy"


async def test_an_outage_takes_its_time_but_not_over_its_health(
    world: World, clock: ManualClock
) -> None:
    world.outage, world.outage_s = True, 10
    async with client(world) as http, anyio.create_task_group() as tasks:
        answers: list[httpx.Response] = []

        async def look() -> None:
            answers.append(await http.get("/api/templates/"))

        tasks.start_soon(look)
        await clock.elapse(9)
        assert (await http.get("/health")).status_code == 200
        assert answers == []
        await clock.elapse(1)
        assert answers[0].json() == []


async def test_a_connector_that_raises_is_503_but_not_for_a_test(world: World) -> None:
    async with client(world) as http:
        run_id = await new_run(http)
        world.connector_raises = True
        answer = await http.get(f"/api/runs/{run_id}/preflight")
        assert (answer.status_code, answer.json()["detail"]["operation"]) == (
            503,
            "get preflight warnings",
        )
        looked = await http.get(f"/api/tests/{run_id}")
    assert (looked.status_code, looked.json()) == (404, {"detail": "Test not found"})


async def test_two_runs_at_once_and_one_run_twice_are_accepted(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        one, other = await started(http), await started(http)
        assert (await http.post(f"/api/runs/{one}/start")).status_code == 202
        clock.advance(5)
        assert [(await seen(http, run_id))["status"] for run_id in (one, other)] == ["RUNNING"] * 2
    assert (world.counts.starts[one], world.counts.starts[other]) == (2, 1)
    assert world.runs[one].worker_sets == 2


async def test_a_search_goes_step_by_step_and_ends_by_itself(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_id = await started(http, "tpl-findmax")
        clock.advance(3)
        assert (await seen(http, run_id))["find_max_result"] is None
        clock.advance(20)
        body = await seen(http, run_id)
        assert body["timing"]["total_expected_seconds"] == 0
        assert body["find_max_result"]["current_concurrency"] == 10
        clock.advance(60)
        result = (await seen(http, run_id))["find_max_result"]
    recorded = sample("rest_findmax_terminal")["find_max_result"]
    same = ("concurrency", "stable", "stop_reason", "is_backoff")
    assert [[step[key] for key in same] for step in result["step_history"]] == [
        [step[key] for key in same] for step in recorded["step_history"]
    ]
    assert result["final_best_concurrency"] == 10
    assert result["final_reason"] == recorded["final_reason"]


async def test_a_clamped_search_repeats_its_step_for_ever(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http, "tpl-clamped")
        clock.advance(3_604)
        body = await seen(http, run_id)
    result = body["find_max_result"]
    assert body["status"] == "RUNNING"
    assert {step["concurrency"] for step in result["step_history"][1:]} == {10}
    assert len(result["step_history"]) > 300
    assert result["next_planned_concurrency"] == 15


async def test_an_unknown_template_is_not_named(world: World) -> None:
    async with client(world) as http:
        answer = await http.post("/api/runs/", json={"template_id": "abc"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Template not found"})


async def test_the_stub_tells_of_anything_that_it_runs(world: World) -> None:
    async with client(world) as http:
        told = (await http.get("/api/test/anything")).json()
        stopped = (await http.post("/api/test/anything/stop")).json()
    assert (told["status"], told["duration"], told["elapsed"]) == ("running", 300, 45)
    assert stopped["status"] == "stopped"


async def test_a_scaled_clock_makes_seconds_short() -> None:
    world = World(clock=ScaledClock(speed=1_000))
    async with client(world) as http:
        run_id = await started(http)
        with anyio.fail_after(10):
            await world.clock.sleep(20)
        assert (await seen(http, run_id))["status"] == "COMPLETED"
