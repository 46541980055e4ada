"""A crew leads workers through a load, wherever they run; here they are tasks."""

from collections.abc import Callable

import anyio
import pytest

from benchgate.backend.drivers.port import FINISH_LIMIT_S, Assignment, Course, Recorder
from benchgate.backend.engine.crew import STOP_LIMIT_S, drive
from benchgate.backend.engine.load import Load, Outcome, Ramp, Tick
from benchgate.domain.failures import FailureKind
from benchgate.domain.findings import SessionsProof
from benchgate.domain.search import SearchPlan
from benchgate.domain.templates import Guardrails, QueryKind, WorkerLoss
from tests.unit.engine.loads import TICK_S, Ear, Here, Pretence, load_of

pytestmark = pytest.mark.anyio

PLAN = SearchPlan(
    start_concurrency=2,
    increment=2,
    concurrency_max=2,
    steps_max=3,
    qps_stability_pct=50,
    latency_stability_pct=100,
    max_error_rate_pct=100,
)


async def carried_out(
    load: Load,
    driver: Pretence,
    *,
    on_tick: Callable[[Tick, Here], None] | None = None,
    ear: Ear | None = None,
    stop: anyio.Event | None = None,
) -> tuple[Outcome, Here]:
    place = Here(driver)

    def watch(tick: Tick) -> None:
        if on_tick is not None:
            on_tick(tick, place)

    outcome = None
    with anyio.fail_after(30):
        async with anyio.create_task_group() as place.tasks:
            outcome = await drive(
                load,
                stop=stop or anyio.Event(),
                observer=ear or Ear(watch),
                workplace=place,
                drivers=lambda _: driver,  # pyright: ignore[reportArgumentType]
            )
    assert place.closed
    assert outcome is not None
    return outcome, place


async def test_workers_share_a_load_and_their_counts_are_added_up() -> None:
    driver, ear = Pretence(left=0), Ear()
    outcome, place = await carried_out(load_of(warmup_seconds=1), driver, ear=ear)
    assert outcome.failure is None
    assert [given.connections for given in driver.assignments] == [2, 2]
    assert [given.first_connection for given in driver.assignments] == [0, 2]
    assert len(place.members) == 2
    assert ear.heard == ["ready", "draining"]
    assert [tick.metrics.active_connections for tick in ear.ticks] == [4, 4]
    assert outcome.summary is not None
    assert outcome.summary.total_queries == ear.ticks[-1].metrics.total_queries
    assert outcome.summary.p99_latency_ms == pytest.approx(2, rel=1e-3)


async def test_a_database_is_asked_for_what_a_run_has_left_in_it() -> None:
    driver = Pretence(left=3)
    outcome, _ = await carried_out(load_of(), driver)
    assert driver.ended == ["benchgate run-1"]
    assert outcome.findings is not None
    assert outcome.findings.sessions == SessionsProof(found=4, left=3)
    assert "Sessions of the run still in the database: 3." in outcome.findings.notes


async def test_sessions_that_hang_are_ended_by_the_database() -> None:
    driver = Pretence(left=0)
    driver.hangs_until = anyio.Event()
    began_s = anyio.current_time()
    outcome, _ = await carried_out(load_of(), driver)
    assert outcome.failure is None
    # First those that have taken long already, then, when the others have had their time, all.
    assert driver.standby.wishes == [FINISH_LIMIT_S, 0]
    assert driver.standby.was_let_go
    assert FINISH_LIMIT_S < anyio.current_time() - began_s - 1 < STOP_LIMIT_S


async def test_no_session_is_ended_while_its_worker_does_not_know_of_the_end() -> None:
    driver = Pretence(left=0)
    driver.hangs_until = anyio.Event()

    def stop_late(tick: Tick, place: Here) -> None:
        place.members[1].slow_s = 2 * FINISH_LIMIT_S

    guardrails = Guardrails(enabled=True, max_seconds=1)
    load = load_of(duration_seconds=60, guardrails=guardrails)
    outcome, _ = await carried_out(load, driver, on_tick=stop_late)
    assert outcome.stopped
    assert driver.standby.wishes == [FINISH_LIMIT_S, 0]
    assert not driver.standby.was_hasty


async def test_a_stop_while_nobody_stands_by_yet_begins_nothing() -> None:
    driver, ear, stop = Pretence(left=0), Ear(), anyio.Event()
    driver.standby.is_slow = True
    outcomes: list[Outcome] = []

    async def carry_out() -> None:
        outcomes.append((await carried_out(load_of(), driver, ear=ear, stop=stop))[0])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(carry_out)
        await anyio.sleep(0.1)
        stop.set()
    (outcome,) = outcomes
    assert (outcome.failure, outcome.summary, outcome.elapsed_seconds) == (None, None, 0)
    assert ear.heard == []


async def test_nobody_waits_long_for_what_stands_by() -> None:
    driver = Pretence(left=0)
    driver.standby.is_slow = True
    outcome, _ = await carried_out(load_of(), driver)
    assert outcome.failure is None
    assert outcome.summary is not None


async def test_workers_that_end_by_themselves_need_nobody_for_it() -> None:
    driver = Pretence(left=0)
    await carried_out(load_of(), driver)
    assert 0 not in driver.standby.wishes
    assert driver.standby.was_let_go


async def test_a_database_that_cannot_be_asked_is_no_proof() -> None:
    outcome, _ = await carried_out(load_of(), Pretence(left=None))
    assert outcome.findings is not None
    assert outcome.findings.sessions is None
    assert any("the database is gone" in note for note in outcome.findings.notes)


async def test_a_worker_that_cannot_begin_fails_the_load_with_its_reason() -> None:
    outcome, _ = await carried_out(load_of(), Pretence(refuses="no such table", left=0))
    assert outcome.failure == "no such table"
    assert outcome.summary is None


def lose_one(tick: Tick, place: Here) -> None:
    if tick.elapsed_seconds == 1:
        place.members[1].kill()


def lose_the_first(tick: Tick, place: Here) -> None:
    if tick.elapsed_seconds == 2:
        place.members[0].kill()


async def test_a_lost_worker_fails_the_load() -> None:
    outcome, _ = await carried_out(load_of(duration_seconds=60), Pretence(left=0), on_tick=lose_one)
    assert outcome.failure == "Worker 2 is no more."


async def test_the_others_take_the_share_of_a_lost_worker_over_where_they_may() -> None:
    driver = Pretence(left=0)
    seen: list[Tick] = []

    def watch(tick: Tick, place: Here) -> None:
        seen.append(tick)
        lose_one(tick, place)

    load = load_of(duration_seconds=4, worker_loss=WorkerLoss.REDISTRIBUTE)
    outcome, _ = await carried_out(load, driver, on_tick=watch)
    assert outcome.failure is None
    # Nobody's connections bear the numbers of another's.
    assert [given.first_connection for given in driver.assignments] == [0, 4]
    assert seen[-1].metrics.active_connections == 4
    assert outcome.findings is not None
    assert outcome.findings.generator.workers_lost == 1
    assert any("Worker 2 is no more." in note for note in outcome.findings.notes)


async def test_a_worker_that_is_lost_in_a_search_is_not_taken_for_the_databases_fault() -> None:
    driver = Pretence(left=0)
    plan = PLAN.model_copy(
        update={"qps_stability_pct": 5, "start_concurrency": 4, "concurrency_max": 4}
    )
    load = load_of(
        duration_seconds=60,
        ramp=Ramp(plan=plan, step_seconds=3),
        worker_loss=WorkerLoss.REDISTRIBUTE,
    )
    outcome, place = await carried_out(load, driver, on_tick=lose_the_first)
    assert outcome.findings is not None
    assert outcome.findings.search is not None
    (step,) = outcome.findings.search.steps
    assert step.is_stable
    assert (step.figures.concurrency, step.figures.connections_missing) == (4, 0)
    assert any("The step under way was measured anew." in note for note in outcome.findings.notes)
    # What one worker does for all of them is for the next one to do.
    assert [course.is_first for course in driver.courses] == [True, True]
    assert place.members[0].was_killed


async def test_a_search_tells_how_the_generator_was_doing_in_its_best_step() -> None:
    load = load_of(duration_seconds=60, ramp=Ramp(plan=PLAN, step_seconds=2))
    outcome, _ = await carried_out(load, Pretence(left=0))
    assert outcome.findings is not None
    assert outcome.findings.search is not None
    assert outcome.findings.search.outcome.best_concurrency == 2
    assert outcome.findings.generator.workers == 2
    assert outcome.findings.generator.machine_cpu_pct is not None


async def test_a_guardrail_stops_the_run_with_its_reason() -> None:
    guardrails = Guardrails(enabled=True, max_seconds=1)
    load = load_of(duration_seconds=60, guardrails=guardrails)
    outcome, _ = await carried_out(load, Pretence(left=0))
    assert outcome.stopped == "Guardrail: the limit of 1 s was reached."
    assert outcome.failure is None
    assert outcome.summary is not None


class Dying(Pretence):
    """A driver of a database that answers nothing any more as soon as it `is_dead`."""

    is_dead = False

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        recorder.connections_changed(1)
        meter = recorder.meter(QueryKind.POINT_LOOKUP)
        await course.ready()
        while not course.stopped.is_set():
            if self.is_dead:
                recorder.failed(None, FailureKind.CONNECTION, "refused")
            else:
                meter.rows.append(1)
                meter.service_ns.append(1_000)
            await anyio.sleep(TICK_S)
        recorder.connections_changed(-1)


async def test_a_search_whose_database_is_gone_in_the_step_that_decides_it_has_failed() -> None:
    driver = Dying(left=0)

    def die(tick: Tick, place: Here) -> None:
        driver.is_dead = tick.elapsed_seconds >= 2

    plan = PLAN.model_copy(update={"steps_max": 1})
    load = load_of(duration_seconds=60, ramp=Ramp(plan=plan, step_seconds=6))
    outcome, _ = await carried_out(load, driver, on_tick=die)
    assert outcome.failure == "Nothing worked at the end: refused"
