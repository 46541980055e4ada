"""How runs of the emulation end, and what is told of it when."""

import anyio
import httpx
import pytest

from tests.flakebench.app import client
from tests.flakebench.clock import ManualClock
from tests.flakebench.runs import GUARDRAIL, STOPPED_BY_USER
from tests.flakebench.samples import sample
from tests.flakebench.steps import RUN_NOT_FOUND, new_run, row, seen, started
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock=clock)


@pytest.mark.parametrize(("reads_failed", "told"), [(False, "CANCELLED"), (True, "FAILED")])
async def test_a_stop_blocks_and_may_be_told_as_a_failure(
    world: World, clock: ManualClock, reads_failed: bool, told: str
) -> None:
    world.stop_reads_failed = reads_failed
    async with client(world) as http, anyio.create_task_group() as tasks:
        run_id = await started(http)
        clock.advance(5)
        answers: list[httpx.Response] = []

        async def stop() -> None:
            answers.append(await http.post(f"/api/runs/{run_id}/stop"))

        tasks.start_soon(stop)
        await clock.elapse(4)
        assert (await seen(http, run_id))["status"] == "CANCELLING"
        assert answers == []
        await clock.elapse(2)
        assert answers[0].status_code == 202
        assert answers[0].json() == {"run_id": run_id, "status": "CANCELLED", "warnings": []}
        body = await seen(http, run_id)
        assert body["status"] == told
        assert body.get("cancellation_reason") == (None if reads_failed else STOPPED_BY_USER)


async def test_a_stop_of_what_runs_not_answers_at_once(world: World) -> None:
    async with client(world) as http:
        run_id = await new_run(http)
        answers = [await http.post(f"/api/runs/{run_id}/stop") for _ in range(2)]
        assert (await http.post("/api/runs/unknown/stop")).json() == RUN_NOT_FOUND
    assert [one.json()["status"] for one in answers] == ["CANCELLED"] * 2


async def test_a_guardrail_fails_the_run_with_a_reason_that_vanishes(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_id = await started(http, "tpl-guardrail")
        clock.advance(3)
        world.guardrail(run_id)
        first = await seen(http, run_id)
        clock.advance(world.pace.cache_s + 1)
        later = await seen(http, run_id)
    assert first.keys() == sample("rest_guardrail_terminal").keys()
    assert (first["status"], first["phase"]) == ("FAILED", "WARMUP")
    assert first["cancellation_reason"] == GUARDRAIL
    assert first["autoscale_max_cpu_percent"] == 80
    assert later["status"] == "FAILED"
    assert {"phase", "cancellation_reason"}.isdisjoint(later)


async def test_a_lost_worker_leaves_figures_behind(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http, "tpl-long")
        clock.advance(10)
        world.fail(run_id)
        clock.advance(world.pace.reconcile_s)
        body = await seen(http, run_id)
    assert body.keys() == sample("rest_failed_terminal").keys()
    assert (body["status"], body["failure_reason"]) == ("FAILED", None)
    assert body["total_operations"] > 0


@pytest.mark.parametrize(
    ("template_id", "is_zero_for_all", "end_s"),
    [("tpl-findmax", False, 47), ("tpl-fixed", True, 12)],
)
async def test_a_first_terminal_payload_without_figures_is_repeated(
    world: World, clock: ManualClock, template_id: str, is_zero_for_all: bool, end_s: float
) -> None:
    world.zero_terminal = is_zero_for_all
    async with client(world) as http:
        run_id = await started(http, template_id)
        clock.advance(end_s)
        first = await seen(http, run_id)
        clock.advance(world.pace.reconcile_s + world.pace.enrich_s)
        again, fresh = await seen(http, run_id), await row(http, run_id)
        settled = (await http.get(f"/api/tests/{run_id}/enrichment-status")).json()
        clock.advance(world.pace.cache_s)
        later = await seen(http, run_id)
    assert (first["status"], first["phase"]) == ("COMPLETED", "PROCESSING")
    assert (first["total_operations"], first["qps"]) == (0, 0)
    assert first["timing"]["elapsed_display_seconds"] == 0
    assert again == first
    assert (fresh["status"], fresh["ops_per_sec"] > 0) == ("COMPLETED", True)
    assert (settled["test_status"], settled["enrichment_status"]) == ("COMPLETED", "COMPLETED")
    assert (later["total_operations"] > 0, "phase" in later) == (True, False)


async def test_a_pending_enrichment_sticks_as_well(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(12)
        first, listed = await seen(http, run_id), await row(http, run_id)
        clock.advance(world.pace.enrich_s)
        again = await seen(http, run_id)
        settled = (await http.get(f"/api/tests/{run_id}/enrichment-status")).json()
    assert (first["enrichment_status"], first["phase"]) == ("PENDING", "PROCESSING")
    assert listed["status"] == "PROCESSING"
    assert again == first
    assert settled["enrichment_status"] == "COMPLETED"


async def test_a_series_that_was_read_early_stays_empty(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(11)
        first = (await http.get(f"/api/tests/{run_id}/metrics")).json()
        clock.advance(20)
        again = (await http.get(f"/api/tests/{run_id}/metrics")).json()
        clock.advance(world.pace.cache_s)
        later = (await http.get(f"/api/tests/{run_id}/metrics")).json()
    assert first == again
    assert (first["count"], later["count"]) == (0, 6)


async def test_costs_are_known_only_at_the_end(world: World, clock: ManualClock) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(5)
        live = await seen(http, run_id)
        clock.advance(60)
        body = await seen(http, run_id)
    assert (live["credits_used"], live["cost_calculation_method"]) == (0, "unavailable")
    assert body["credits_used"] == pytest.approx(8 / 3_600 * 4)
    assert (body["cost_per_hour"], body["cost_calculation_method"]) == (16, "estimated")


async def test_errors_are_percent_and_the_rate_is_the_last_seconds(
    world: World, clock: ManualClock
) -> None:
    world.error_share = 0.02
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(60)
        body, listed = await seen(http, run_id), await row(http, run_id)
        statistics = (await http.get(f"/api/tests/{run_id}/statistics")).json()
        summary = (await http.get(f"/api/tests/{run_id}/error-summary")).json()
        unknown = await http.get("/api/tests/unknown/error-summary")
    assert body["error_rate"] == listed["error_rate"] == 2
    assert body["failed_operations"] == summary["rows"][0]["count"] == 55
    assert statistics["throughput"]["avg_qps"] < body["qps"] == body["ops_per_sec"]
    assert (unknown.status_code, unknown.json()["rows"]) == (200, [])


async def test_a_stopped_run_has_no_reason_once_it_is_settled(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_id = await started(http)
        run = world.runs[run_id]
        run.stop(clock.now())
        clock.advance(world.pace.stop_s + world.pace.reconcile_s)
        body = await seen(http, run_id)
    assert body.keys() == sample("rest_user_stopped").keys()
    assert body["status"] == "CANCELLED"


@pytest.mark.parametrize("end", ["complete", "fail", "guardrail", "stop"])
async def test_no_run_is_ever_stopped_by_that_name(
    world: World, clock: ManualClock, end: str
) -> None:
    told: set[str] = set()
    async with client(world) as http:
        run_id = await started(http)
        run = world.runs[run_id]
        ends = {
            "complete": lambda: None,
            "fail": lambda: world.fail(run_id),
            "guardrail": lambda: world.guardrail(run_id),
            "stop": lambda: run.stop(clock.now()),
        }
        for second in range(40):
            clock.advance(1)
            told |= {(await row(http, run_id))["status"], run.status, run.result_status}
            if second == 4:
                ends[end]()
    assert "STOPPED" not in told
    assert run.status in {"COMPLETED", "FAILED", "CANCELLED"}


async def test_a_deleted_run_goes_on_answering_from_the_cache(
    world: World, clock: ManualClock
) -> None:
    async with client(world) as http:
        run_id = await started(http)
        clock.advance(60)
        body = await seen(http, run_id)
        deleted = [await http.delete(f"/api/tests/{one}") for one in (run_id, "unknown")]
        assert [one.status_code for one in deleted] == [204, 204]
        assert await seen(http, run_id) == body
        clock.advance(world.pace.cache_s)
        gone = await http.get(f"/api/tests/{run_id}")
    assert (gone.status_code, gone.json()) == (404, {"detail": "Test not found"})
