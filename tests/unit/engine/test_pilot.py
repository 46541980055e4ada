"""Who leads a load: what a search does with the seconds that it hears."""

from collections.abc import Callable

import pytest

from benchgate.backend.engine.accounts import Accounts
from benchgate.backend.engine.guard import MachineSample
from benchgate.backend.engine.ledger import Second
from benchgate.backend.engine.load import Ramp, Schedule
from benchgate.backend.engine.pilot import (
    SETTLING_SECONDS_MAX,
    Pilot,
    SearchPilot,
    SteadyPilot,
    pilot_of,
)
from benchgate.backend.engine.steps import Makers
from benchgate.domain.search import SearchEnd, SearchPlan
from benchgate.domain.stability import Estimate, StepFigures
from tests.unit.engine.loads import load_of
from tests.unit.engine.reports import SECOND_NS, report

CALM = MachineSample(cpu_pct=10, memory_pct=10)
ALONE = Makers(workers=1, cores=2)
PLAN = SearchPlan(
    start_concurrency=2,
    increment=2,
    concurrency_max=6,
    steps_max=20,
    qps_stability_pct=5,
    latency_stability_pct=20,
    max_error_rate_pct=1,
)


def second_of(
    connections: int,
    latency_ms: float = 1,
    *,
    is_measured: bool = True,
    seconds: float = 1,
    answered: int | None = None,
    cpu_pct: float = 10,
) -> Second:
    count = 10 * connections if answered is None else answered
    interval_ns = int(seconds * SECOND_NS)
    cpu_ns = int(interval_ns * cpu_pct / 100)
    told = report(1, *[latency_ms] * count, interval_ns=interval_ns, cpu_ns=cpu_ns)
    accounts = Accounts()
    accounts.enter(told)
    return Second(
        accounts=accounts, reports={0: told}, connections=connections, is_measured=is_measured
    )


def search(step_seconds: int = 4, makers: Makers = ALONE) -> SearchPilot:
    return SearchPilot(Ramp(plan=PLAN, step_seconds=step_seconds), makers)


def flown(
    pilot: Pilot,
    latency_of: Callable[[int], float],
    *,
    offered: int = 100,
    cpu_pct_of: Callable[[int], float] = lambda _: 10,
) -> list[int]:
    """The levels that *pilot* goes to, on a database that opens at most *offered* connections."""
    levels: list[int] = []
    for _ in range(1_000):
        if pilot.is_over:
            return levels
        if not levels or levels[-1] != pilot.connections:
            levels.append(pilot.connections)
        opened = min(pilot.connections, offered)
        pilot.hear(second_of(opened, latency_of(opened), cpu_pct=cpu_pct_of(opened)), CALM)
    raise AssertionError("the search does not end")


def test_a_search_goes_up_to_its_limit_while_all_is_well() -> None:
    pilot = search()
    assert flown(pilot, lambda _: 1) == [2, 4, 6]
    assert pilot.found is not None
    assert pilot.found.outcome.end is SearchEnd.CEILING_STABLE
    assert pilot.found.outcome.best_concurrency == 6
    assert pilot.position.current_step == pilot.position.total_steps == 3
    # What stands for the run is the best step, of which the first second settled.
    assert pilot.standing is not None
    assert (pilot.standing.accounts.answered, pilot.standing.seconds) == (180, 3)


def test_a_search_finds_where_latency_begins_to_rise() -> None:
    pilot = search()
    assert flown(pilot, lambda connections: 1 if connections < 5 else 5) == [2, 4, 6, 4, 5]
    assert pilot.found is not None
    assert pilot.found.outcome.best_concurrency == 4
    assert pilot.standing is not None
    assert pilot.standing.accounts.latency().percentile_ms(95) == pytest.approx(1, rel=1e-3)


def test_a_step_back_that_fails_leaves_the_run_to_the_stable_step_below() -> None:
    pilot = search(step_seconds=2)
    # The second visit to four connections is as slow as six were.
    visits: list[int] = []

    def latency_of(connections: int) -> float:
        visits.append(connections)
        return 1 if connections == 2 or (connections == 4 and 6 not in visits) else 5

    flown(pilot, latency_of)
    assert pilot.found is not None
    assert pilot.found.outcome.best_concurrency == 2
    assert pilot.standing is not None
    assert pilot.standing.accounts.answered == 20


def test_nothing_counts_to_a_step_before_its_connections_are_open() -> None:
    pilot = search(step_seconds=4)
    for opened in (0, 1, 2):
        pilot.hear(second_of(opened, latency_ms=500), CALM)
    for _ in range(2):
        pilot.hear(second_of(2), None)
    assert pilot.found is not None
    (step,) = pilot.found.steps
    assert step.figures.seconds == 2
    assert step.figures.p99_latency_ms.value == pytest.approx(1, rel=1e-3)


def test_seconds_that_a_worker_catches_up_with_are_no_peaks_and_no_noise() -> None:
    """One second of a step is four seconds long, and the three that follow next to nothing."""

    def step_of(*seconds: Second) -> StepFigures:
        pilot = search(step_seconds=9)
        for second in (second_of(2), *seconds):
            pilot.hear(second, CALM)
        assert pilot.found is not None
        (step,) = pilot.found.steps
        return step.figures

    even = [second_of(2)] * 4
    late = second_of(2, seconds=4, answered=80)
    hasty = [second_of(2, latency_ms=50, seconds=1e-5, answered=count) for count in (1, 0, 0)]
    punctual = step_of(*even, *even)
    caught_up = step_of(*even, late, *hasty)
    assert punctual.qps == Estimate(value=20, std_error=0, n=8)
    assert caught_up.seconds == pytest.approx(8, rel=1e-4)
    assert caught_up.qps.value == pytest.approx(161 / 8, rel=1e-3)
    assert caught_up.qps.std_error < 0.2
    # What is too short is no sample of a percentile; it counts to the step's own.
    assert caught_up.p99_latency_ms.std_error == 0
    assert caught_up.p99_latency_ms.n == 5


def test_a_step_settles_in_a_second_and_not_in_a_moment() -> None:
    pilot = search(step_seconds=4)
    for seconds in (1e-5, 1e-5, 1, 1, 1):
        pilot.hear(second_of(2, latency_ms=1 if seconds == 1 else 900, seconds=seconds), CALM)
    assert pilot.found is not None
    (step,) = pilot.found.steps
    assert step.figures.p99_latency_ms.value == pytest.approx(1, rel=1e-3)


def test_a_step_that_is_disturbed_is_measured_anew() -> None:
    pilot = search(step_seconds=4)
    for connections in (2, 2, 2):
        pilot.hear(second_of(connections, latency_ms=700), CALM)
    assert pilot.disturb()
    # Until the others have taken over what is missing, nothing counts.
    for connections in (1, 1, 2, 2):
        pilot.hear(second_of(connections), CALM)
    assert pilot.found is not None
    assert pilot.found.steps == ()
    pilot.hear(second_of(2), CALM)
    (step,) = pilot.found.steps
    assert (step.figures.seconds, step.figures.qps.value) == (2, 20)
    assert step.figures.p99_latency_ms.value == pytest.approx(1, rel=1e-3)
    assert step.is_stable
    assert pilot.found.outcome.has_lost_workers


def test_where_no_step_has_begun_nothing_is_measured_anew() -> None:
    assert not search().disturb()
    assert not pilot_of(load_of(), workers=2, cores=2).disturb()


def test_a_silence_of_a_step_belongs_to_what_stands_for_the_run() -> None:
    pilot = search(step_seconds=12)
    for answered in (20, 20, 20, 0, 0, 0, 0, 20, 20, 20, 20, 20):
        pilot.hear(second_of(2, answered=answered), CALM)
    assert pilot.standing is not None
    assert pilot.standing.unanswered_s == 4


def test_the_warmup_belongs_to_no_step() -> None:
    pilot = search()
    for _ in range(20):
        pilot.hear(second_of(2, is_measured=False), CALM)
    assert pilot.position.current_step == 1
    assert pilot.found is not None
    assert pilot.found.steps == ()
    assert pilot.standing is None


def test_connections_that_are_not_to_be_had_make_a_step_unstable() -> None:
    pilot = search(step_seconds=2)
    flown(pilot, lambda _: 1, offered=3)
    assert pilot.found is not None
    outcome = pilot.found.outcome
    assert outcome.best_concurrency == 3
    assert "could not be opened" in outcome.reason
    assert SETTLING_SECONDS_MAX > 2


def test_a_search_that_is_over_hears_no_more() -> None:
    pilot = search()
    flown(pilot, lambda _: 1)
    before = pilot.found
    pilot.hear(second_of(6), CALM)
    assert pilot.found == before


def test_a_steady_load_stays_as_it_is() -> None:
    pilot = pilot_of(load_of(), workers=1, cores=2)
    assert isinstance(pilot, SteadyPilot)
    pilot.hear(second_of(3), CALM)
    assert (pilot.connections, pilot.is_over) == (4, False)
    assert pilot.position.current_concurrency == 4
    assert (pilot.found, pilot.standing, pilot.position.current_step) == (None, None, None)


def test_a_rate_shows_the_connections_that_it_has_come_to_need() -> None:
    pilot = pilot_of(
        load_of(schedule=Schedule(rate_per_s=10), connections_at_start=1), workers=1, cores=2
    )
    assert pilot.position.current_concurrency == 1
    pilot.hear(second_of(3), CALM)
    assert (pilot.connections, pilot.position.current_concurrency) == (4, 3)


def test_a_ramp_is_led_by_a_search() -> None:
    load = load_of(ramp=Ramp(plan=PLAN, step_seconds=10))
    assert isinstance(pilot_of(load, workers=1, cores=2), SearchPilot)


def slow_from_five(connections: int) -> float:
    return 1 if connections < 5 else 5


def test_the_generators_health_is_that_of_the_step_that_stands_for_the_run() -> None:
    busy_below = search()
    flown(busy_below, slow_from_five, cpu_pct_of=lambda level: 97 if level == 2 else 10)
    assert busy_below.standing is not None
    assert busy_below.standing.health.busiest_worker_cpu_pct == 10
    assert busy_below.standing.health.machine_cpu_pct == 10
    busy_there = search()
    flown(busy_there, slow_from_five, cpu_pct_of=lambda level: 97 if level == 4 else 10)
    assert busy_there.standing is not None
    assert busy_there.standing.health.is_limit


@pytest.mark.parametrize("is_in_process", [True, False])
def test_a_search_that_the_generator_ended_does_not_blame_the_database(
    *, is_in_process: bool
) -> None:
    pilot = search(makers=Makers(workers=1, cores=2, is_in_process=is_in_process))
    flown(pilot, slow_from_five, cpu_pct_of=lambda level: 97 if level >= 5 else 10)
    assert pilot.found is not None
    outcome = pilot.found.outcome
    assert outcome.best_concurrency == 4
    # Where the database lives in the worker, its work is what keeps the worker busy.
    assert outcome.is_lower_bound is not is_in_process
    assert ("at 5 the load generator itself was the limit" in outcome.reason) is not is_in_process
