"""FlakeBench over HTTP: what its refusals mean, what is waited for, and what is never asked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from benchgate.domain.runs import OwnStop, RunSnapshot
from benchgate.domain.templates import TemplateConfig, TemplateDraft
from benchgate.errors import BackendUnavailable, Conflict, InvalidInput, NotFound
from benchgate.gate.backend import Backend
from benchgate.gate.dialects import recognition
from benchgate.gate.dialects.flakebench import dialect
from benchgate.gate.sightings import Sightings
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.flakebench.app import ORIGIN, client
from tests.flakebench.clock import ManualClock
from tests.flakebench.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock=clock)


@pytest.fixture
def sightings() -> Sightings:
    return Sightings()


@pytest.fixture
async def flakebench(
    world: World, sightings: Sightings, signs: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Backend]:
    monkeypatch.setattr(recognition, "SIGNS", signs)
    async with client(world) as http:
        address = Address(url=ORIGIN, dashboard_url="http://bench.example")
        yield Backend(Configured(address), http, sightings=sightings)


async def new_run(flakebench: Backend, template_id: str = "tpl-fixed") -> str:
    return (await flakebench.create_run(template_id)).run_id


async def ended(flakebench: Backend, clock: ManualClock, run_id: str) -> RunSnapshot:
    """The run's end, looked at every second of the backend."""
    for _ in range(1_000):
        told = await flakebench.snapshot(run_id)
        if told.is_terminal:
            return told
        clock.advance(1)
    raise AssertionError("the run has not ended")


async def test_a_run_is_what_its_test_and_its_template_tell(flakebench: Backend) -> None:
    created = await flakebench.create_run("tpl-fixed")
    detail = await flakebench.run(created.run_id)
    assert detail.test_id == detail.run_id == created.run_id
    assert (detail.status, detail.template_id) == ("PREPARED", "tpl-fixed")
    link = f"http://bench.example/dashboard/{created.run_id}"
    assert created.dashboard_url == detail.dashboard_url == link


async def test_a_live_run_has_no_figures_and_a_completed_one_has_its_final_ones(
    flakebench: Backend, clock: ManualClock
) -> None:
    run_id = await new_run(flakebench)
    assert (await flakebench.start(run_id)).status == "STARTING"
    clock.advance(5)
    live = await flakebench.snapshot(run_id)
    assert (live.status, live.metrics, live.summary) == ("RUNNING", None, None)
    end = await ended(flakebench, clock, run_id)
    assert end.status == "COMPLETED"
    assert end.summary is not None
    assert end.summary.total_queries > 0


@pytest.mark.parametrize("template_id", ["tpl-fixed", "tpl-findmax"])
async def test_figures_that_come_after_the_end_are_waited_for(
    flakebench: Backend, world: World, clock: ManualClock, template_id: str
) -> None:
    world.zero_terminal = True
    run_id = await new_run(flakebench, template_id)
    await flakebench.start(run_id)
    end = await ended(flakebench, clock, run_id)
    assert end.summary is not None
    assert end.summary.total_queries > 0


@pytest.mark.parametrize(
    ("change", "reads"),
    [({}, 0), ({"age": 6}, 1), ({"phase": "PROCESSING"}, 0), ({"own_stop": OwnStop()}, 1)],
    ids=["live", "old", "being counted", "stopped by us"],
)
async def test_details_are_not_read_while_the_stream_tells_them(
    flakebench: Backend,
    sightings: Sightings,
    world: World,
    clock: ManualClock,
    change: dict[str, Any],
    reads: int,
) -> None:
    run_id = await new_run(flakebench)
    await flakebench.start(run_id)
    clock.advance(5)
    known = await flakebench.snapshot(run_id)
    updated_at = datetime.now(UTC) - timedelta(seconds=change.get("age", 0))
    phase = change.get("phase", known.phase)
    told = {"source": "stream", "updated_at": updated_at, "phase": phase}
    await sightings.note(known.model_copy(update=told))
    if own_stop := change.get("own_stop"):
        await sightings.note_stop(run_id, own_stop)
    before = world.counts.requests[f"GET /api/tests/{run_id}"]
    assert (await flakebench.snapshot(run_id)).is_terminal is False
    assert world.counts.requests[f"GET /api/tests/{run_id}"] - before == reads


async def test_a_failure_that_the_stream_has_not_heard_of_is_read(
    flakebench: Backend, sightings: Sightings, world: World, clock: ManualClock
) -> None:
    run_id = await new_run(flakebench)
    await flakebench.start(run_id)
    clock.advance(5)
    known = await flakebench.snapshot(run_id)
    told = {"source": "stream", "updated_at": datetime.now(UTC)}
    await sightings.note(known.model_copy(update=told))
    world.fail(run_id)
    clock.advance(60)
    assert (await flakebench.snapshot(run_id)).status == "FAILED"


@pytest.mark.parametrize("stop_reads_failed", [False, True])
async def test_the_figures_of_a_run_that_was_stopped_are_not_asked_for_too_early(
    flakebench: Backend, world: World, clock: ManualClock, stop_reads_failed: bool
) -> None:
    run_id = await new_run(flakebench, "tpl-long")
    await flakebench.start(run_id)
    clock.advance(20)
    await flakebench.snapshot(run_id)
    world.stop_reads_failed = stop_reads_failed
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flakebench.stop, run_id)
        await anyio.wait_all_tasks_blocked()
        clock.advance(world.pace.stop_s)
    told = await flakebench.snapshot(run_id)
    assert (told.status, told.reason) == ("CANCELLED", OwnStop().reason)
    clock.advance(world.pace.reconcile_s)
    told = await flakebench.snapshot(run_id)
    assert told.is_settled
    assert told.summary is not None
    assert told.elapsed_seconds > 0


async def test_a_run_that_nobody_knew_is_not_asked_about_while_it_is_counted(
    flakebench: Backend, world: World, clock: ManualClock
) -> None:
    run_id = world.create("tpl-fixed").run_id
    world.start(run_id)
    clock.advance(world.runs[run_id].plan.expected_s + world.pace.prepare_s + world.pace.drain_s)
    assert (await flakebench.snapshot(run_id)).phase == "PROCESSING"
    with pytest.raises(Conflict, match="being counted"):
        await flakebench.run(run_id)
    clock.advance(world.pace.enrich_s)
    assert (await flakebench.snapshot(run_id)).summary is not None


async def test_a_stuck_stream_hides_nothing_for_long(
    flakebench: Backend,
    sightings: Sightings,
    world: World,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialect, "UNREAD_SECONDS_MAX", 0)
    run_id = await new_run(flakebench, "tpl-long")
    await flakebench.start(run_id)
    clock.advance(5)
    known = await flakebench.snapshot(run_id)
    clock.advance(100)
    told = {"source": "stream", "updated_at": datetime.now(UTC)}
    await sightings.note(known.model_copy(update=told))
    assert (await flakebench.snapshot(run_id)).elapsed_seconds == known.elapsed_seconds + 100


async def test_a_start_that_fails_halfway_is_told_with_its_reason(
    flakebench: Backend, world: World
) -> None:
    world.spawn_fails = True
    run_id = await new_run(flakebench)
    with pytest.raises(Conflict, match=r"could not spawn a worker\. It will never load anything"):
        await flakebench.start(run_id)


async def test_a_start_that_is_refused_is_told_with_the_true_reason(
    flakebench: Backend, world: World
) -> None:
    run_id = await new_run(flakebench)
    del world.templates["tpl-fixed"]
    with pytest.raises(InvalidInput, match="Template tpl-fixed not found"):
        await flakebench.start(run_id)
    assert world.counts.starts[run_id] == 0


async def test_a_run_that_runs_already_is_not_started_a_second_time(
    flakebench: Backend, world: World, clock: ManualClock
) -> None:
    run_id = await new_run(flakebench)
    await flakebench.start(run_id)
    clock.advance(5)
    with pytest.raises(Conflict, match="RUNNING already"):
        await flakebench.start(run_id)
    assert world.counts.starts[run_id] == 1


async def test_a_start_that_was_refused_halfway_is_not_repeated(
    flakebench: Backend, world: World
) -> None:
    world.pools_missing = True
    config = world.templates["tpl-fixed"]["config"] | {"table_type": "HYBRID"}
    template_id = world.save("keyed", config)["template_id"]
    run_id = await new_run(flakebench, template_id)
    with pytest.raises(Conflict, match="value pools"):
        await flakebench.start(run_id)
    paths = [path for path in world.counts.requests if path.endswith("/start")]
    assert paths == [f"POST /api/runs/{run_id}/start"]


async def test_a_stop_is_told_as_wanted_while_the_workers_go(
    flakebench: Backend,
    world: World,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialect, "STOP_SECONDS_MAX", 0.1)
    world.stop_reads_failed = True
    run_id = await new_run(flakebench)
    await flakebench.start(run_id)
    clock.advance(5)
    assert (await flakebench.stop(run_id)).status == "CANCELLING"
    clock.advance(60)
    await anyio.wait_all_tasks_blocked()
    end = await ended(flakebench, clock, run_id)
    assert end.status == "CANCELLED"
    assert "benchgate" in (end.reason or "")


async def test_what_is_gone_is_told_so_while_other_things_exist(flakebench: Backend) -> None:
    for asked in (flakebench.snapshot, flakebench.run, flakebench.preflight, flakebench.stop):
        with pytest.raises(NotFound):
            await asked("no-such-run")
    with pytest.raises(NotFound):
        await flakebench.create_run("no-such-template")
    with pytest.raises(NotFound):
        await flakebench.template("no-such-template")


async def test_when_nothing_exists_at_all_an_outage_is_told(
    flakebench: Backend, world: World
) -> None:
    run_id = await new_run(flakebench)
    world.outage = True
    for asked in (flakebench.snapshot, flakebench.run, flakebench.preflight, flakebench.stop):
        with pytest.raises(BackendUnavailable, match="Snowflake"):
            await asked(run_id)
    with pytest.raises(BackendUnavailable, match="Snowflake"):
        await flakebench.create_run("tpl-fixed")


async def test_a_run_that_was_deleted_is_gone_whatever_was_known_of_it(
    flakebench: Backend, world: World
) -> None:
    run_id = await new_run(flakebench)
    await flakebench.snapshot(run_id)
    del world.runs[run_id]
    with pytest.raises(NotFound):
        await flakebench.snapshot(run_id)


async def test_what_is_saved_badly_hides_nothing_else(flakebench: Backend, world: World) -> None:
    world.templates["bad"] = world.templates["tpl-fixed"] | {
        "template_id": "bad",
        "template_name": "Bad",
        "config": None,
    }
    shelf = await flakebench.shelf()
    assert "tpl-fixed" in {template.template_id for template in shelf.templates}
    assert [one.template_name for one in shelf.unreadable] == ["Bad"]
    with pytest.raises(NotFound, match="Run not found: no-such-run"):
        await flakebench.snapshot("no-such-run")


async def test_a_template_that_does_not_hold_is_refused_with_the_reason(
    flakebench: Backend,
) -> None:
    config = (await flakebench.template("tpl-fixed")).config.model_dump(by_alias=True)
    wrong = TemplateConfig.model_validate(config | {"min_concurrency": 5})
    with pytest.raises(InvalidInput, match=r"use scaling\.min_connections"):
        await flakebench.save_template(TemplateDraft(template_name="copy", config=wrong))


async def test_the_preflight_adds_what_the_template_gives_reason_to_warn_of(
    flakebench: Backend, world: World
) -> None:
    writes = {"custom_point_lookup_pct": 0, "custom_range_scan_pct": 0, "custom_update_pct": 100}
    config = world.templates["tpl-fixed"]["config"] | writes | {"concurrent_connections": 50}
    template_id = world.save("writers", config)["template_id"]
    ready = await flakebench.template_readiness(template_id)
    report = await flakebench.preflight(await new_run(flakebench, template_id))
    assert not ready.can_proceed
    assert not report.can_proceed
    assert {warning.source for warning in report.warnings} == {"benchgate"}


async def test_only_a_run_that_loads_something_is_in_the_way(
    flakebench: Backend, clock: ManualClock
) -> None:
    assert (await flakebench.activity()).active_run_id is None
    run_id = await new_run(flakebench)
    assert (await flakebench.activity()).active_run_id is None
    await flakebench.start(run_id)
    activity = await flakebench.activity()
    assert (activity.active_run_id, activity.is_exclusive) == (run_id, False)
    await ended(flakebench, clock, run_id)
    assert (await flakebench.activity()).active_run_id is None


async def test_the_seconds_of_a_run_are_not_asked_for_before_its_end(
    flakebench: Backend, world: World, clock: ManualClock
) -> None:
    run_id = await new_run(flakebench)
    await flakebench.start(run_id)
    clock.advance(5)
    assert (await flakebench.series(run_id)).count == 0
    assert not world.counts.requests[f"GET /api/tests/{run_id}/metrics"]
    await ended(flakebench, clock, run_id)
    series = await flakebench.series(run_id)
    assert series.count == len(series.snapshots) > 0


async def test_lists_and_errors_are_read(flakebench: Backend) -> None:
    run_id = await new_run(flakebench)
    assert [row.run_id for row in await flakebench.runs()] == [run_id]
    assert "tpl-fixed" in {template.template_id for template in await flakebench.templates()}
    assert (await flakebench.connections()).total >= 0
    assert (await flakebench.errors(run_id)).test_id == run_id
    assert await flakebench.readiness(run_id) is None


async def test_every_path_is_asked_for_in_the_one_form_that_answers_directly(
    world: World, clock: ManualClock, signs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    redirected: list[str] = []

    async def hear(response: httpx.Response) -> None:
        if response.is_redirect:
            redirected.append(response.request.url.path)

    monkeypatch.setattr(recognition, "SIGNS", signs)
    config = world.templates["tpl-fixed"]["config"] | {"table_type": "INTERACTIVE"}
    world.save("warehouse", config, template_id="tpl-warehouse")
    async with client(world) as http:
        http.event_hooks["response"].append(hear)
        backend = Backend(Configured(Address(url=ORIGIN, dashboard_url=ORIGIN)), http)
        for look in (backend.shelf, backend.connections, backend.runs, backend.activity):
            await look()
        saved = await backend.save_template(
            TemplateDraft(template_name="copy", config=(await backend.template("tpl-fixed")).config)
        )
        await backend.template_readiness("tpl-warehouse")
        run_id = await new_run(backend, saved.template_id)
        for ask in (backend.run, backend.preflight, backend.start, backend.errors, backend.stop):
            await ask(run_id)
        await ended(backend, clock, run_id)
        await backend.series(run_id)
        world.outage = True
        with pytest.raises(BackendUnavailable):
            await backend.run(run_id)
    assert world.counts.starts[run_id] == 1
    assert redirected == []
