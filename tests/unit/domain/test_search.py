"""A search finds the level that a database bears, within its steps, and says why it ended."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.search import (
    GAP_PCT,
    Search,
    SearchEnd,
    StepPurpose,
)
from benchgate.domain.stability import Estimate, StepFigures, estimate
from tests.unit.domain.searches import PLAN, Measure, exact, figures_of, plan_with, searched

RAMP, BACKOFF, BISECTION = StepPurpose


def bearing(level: int) -> Measure:
    """A database on which operations fail from above *level* connections on."""
    return lambda concurrency: figures_of(concurrency, error_rate=2 * (concurrency > level))


class Queue:
    """A database that serves so many operations at a time, and its seconds scatter by chance."""

    def __init__(self, seats: int, seed: int, *, noise: float, seconds: int = 27) -> None:
        self.seats = seats
        self.noise = noise
        self.seconds = seconds
        self.generator = random.Random(seed)

    def __call__(self, concurrency: int) -> StepFigures:
        mean_ms = 10 * max(1, concurrency / self.seats)
        qps = self.scattered(1_000 * concurrency / mean_ms, self.noise)
        return StepFigures(
            concurrency=concurrency,
            seconds=self.seconds,
            total_queries=int((qps.value or 0) * self.seconds),
            qps=qps,
            p50_latency_ms=self.scattered(mean_ms, self.noise),
            # Percentiles scatter more than what all operations have a part in.
            p95_latency_ms=self.scattered(1.8 * mean_ms, 3 * self.noise),
            p99_latency_ms=self.scattered(2.5 * mean_ms, 4 * self.noise),
            error_rate=0,
        )

    def scattered(self, mean: float, noise: float) -> Estimate:
        draw = self.generator.lognormvariate
        return estimate([mean * draw(0, noise) for _ in range(self.seconds)])


def way(search: Search) -> list[tuple[StepPurpose, int]]:
    return [(step.purpose, step.concurrency) for step in search.steps]


@pytest.mark.parametrize(
    ("plan", "level", "expected"),
    [
        # The last step of the way up is the ceiling itself, however far that is.
        ({"concurrency_max": 20}, 1_000, [(RAMP, 5), (RAMP, 15), (RAMP, 20)]),
        ({"concurrency_max": 5}, 1_000, [(RAMP, 5)]),
        # Back once, and then the gap is halved until nothing is left of it.
        (
            {},
            12,
            [
                (RAMP, 5),
                (RAMP, 15),
                (BACKOFF, 5),
                (BISECTION, 10),
                (BISECTION, 12),
                (BISECTION, 13),
            ],
        ),
        ({"increment": 1}, 6, [(RAMP, 5), (RAMP, 6), (RAMP, 7), (BACKOFF, 6)]),
        # A first step that is too much leads down, and there is nothing to go back to.
        ({}, 2, [(RAMP, 5), (BISECTION, 2), (BISECTION, 3)]),
        ({}, 0, [(RAMP, 5), (BISECTION, 2), (BISECTION, 1)]),
        ({"start_concurrency": 1}, 0, [(RAMP, 1)]),
        # Of a gap of 5 % of its upper end nothing more is to be learned.
        (
            {"start_concurrency": 80, "increment": 20},
            100,
            [(RAMP, 80), (RAMP, 100), (RAMP, 105), (BACKOFF, 100)],
        ),
        ({"steps_max": 3}, 12, [(RAMP, 5), (RAMP, 15), (BACKOFF, 5)]),
    ],
)
def test_a_search_goes_up_back_once_and_into_the_gap(
    plan: dict[str, int], level: int, expected: list[tuple[StepPurpose, int]]
) -> None:
    search = searched(bearing(level), plan_with(**plan))
    assert way(search) == expected
    assert [step.number for step in search.steps] == list(range(1, len(expected) + 1))


def test_a_best_level_that_does_not_hold_is_the_new_upper_end() -> None:
    def tiring(concurrency: int) -> StepFigures:
        tried = len(seen)
        seen.append(concurrency)
        return figures_of(concurrency, error_rate=2 * (concurrency > (25 if tried < 3 else 17)))

    seen: list[int] = []
    search = searched(tiring)
    assert way(search)[:5] == [(RAMP, 5), (RAMP, 15), (RAMP, 25), (RAMP, 35), (BACKOFF, 25)]
    assert way(search)[5:] == [(BISECTION, 20), (BISECTION, 17), (BISECTION, 18)]
    assert search.outcome().best_concurrency == 17


def test_what_did_not_hold_when_tried_again_is_told_so() -> None:
    errors = iter([0, 0, 2, 2])
    plan = plan_with(increment=1)
    search = searched(lambda level: figures_of(level, error_rate=next(errors)), plan, steps=4)
    assert search.outcome().reason == (
        "5 connections were stable and 6 were not any more: 2% of the operations failed (limit 1%)"
    )


def test_a_first_level_that_held_only_once_is_not_told_as_if_it_never_had() -> None:
    errors = iter([0, 2, 2, 2, 2])
    search = searched(lambda level: figures_of(level, error_rate=next(errors)))
    assert [level for _, level in way(search)] == [5, 15, 5, 2, 1]
    assert search.outcome().best_concurrency is None
    assert search.outcome().reason.startswith("no level stayed stable: 2% of")


def test_latency_is_held_against_the_first_stable_step_and_qps_against_the_best_below() -> None:
    def measured(concurrency: int) -> StepFigures:
        changes = {
            5: {"p95_latency_ms": exact(2)},
            15: {"p95_latency_ms": exact(2.3), "qps": exact(200)},
            25: {"p95_latency_ms": exact(2.39), "qps": exact(191)},
            35: {"p95_latency_ms": exact(2.5), "qps": exact(189)},
        }
        return figures_of(concurrency).model_copy(update=changes[concurrency])

    search = searched(measured, steps=4)
    assert [step.is_stable for step in search.steps] == [True, True, True, False]
    assert search.steps[-1].reasons == (
        "QPS fell 5.5% against 15 connections (limit 5%, noise ±0.0%)",
        "p95 rose 25.0% against the first stable step (limit 20%, noise ±0.0%)",
    )


def test_a_level_with_less_qps_than_a_higher_one_is_no_worse_for_that() -> None:
    # Of 35 connections 25 are left; 30 have fewer QPS than 35 had, and more than 25.
    search = searched(bearing(30))
    assert way(search)[3:6] == [(RAMP, 35), (BACKOFF, 25), (BISECTION, 30)]
    assert search.steps[5].is_stable


@pytest.mark.parametrize(
    ("level", "plan", "steps", "end", "best", "reason"),
    [
        (
            1_000,
            {"concurrency_max": 25},
            9,
            SearchEnd.CEILING_STABLE,
            25,
            "the limit of 25 connections was reached and was stable",
        ),
        (
            1_000,
            {"start_concurrency": 1, "concurrency_max": 1},
            9,
            SearchEnd.CEILING_STABLE,
            1,
            "the limit of 1 connection was reached and was stable",
        ),
        (
            12,
            {},
            9,
            SearchEnd.GAP_CLOSED,
            12,
            "12 connections were stable and 13 were not: 2% of the operations failed (limit 1%)",
        ),
        (
            1,
            {},
            9,
            SearchEnd.GAP_CLOSED,
            1,
            "1 connection was stable and 2 were not: 2% of the operations failed (limit 1%)",
        ),
        (
            0,
            {},
            9,
            SearchEnd.GAP_CLOSED,
            None,
            "no step was stable: 2% of the operations failed (limit 1%)",
        ),
        (
            1_000,
            {"steps_max": 3},
            9,
            SearchEnd.STEPS_SPENT,
            25,
            "the 3 steps that its duration allows were used; "
            "25 connections were stable, and nothing higher was tried",
        ),
        (
            12,
            {"steps_max": 3},
            9,
            SearchEnd.STEPS_SPENT,
            5,
            "the 3 steps that its duration allows were used; 5 connections were stable "
            "and 15 were not: 2% of the operations failed (limit 1%)",
        ),
        # Whoever has an answer with the last step has not run out of steps.
        (
            1_000,
            {"concurrency_max": 25, "steps_max": 3},
            9,
            SearchEnd.CEILING_STABLE,
            25,
            "the limit of 25 connections was reached and was stable",
        ),
        (
            1_000,
            {},
            2,
            SearchEnd.TIME_SPENT,
            15,
            "its time was used up; 15 connections were stable, and nothing higher was tried",
        ),
        (
            0,
            {},
            1,
            SearchEnd.TIME_SPENT,
            None,
            "its time was used up; no step was stable: 2% of the operations failed (limit 1%)",
        ),
        (
            0,
            {},
            0,
            SearchEnd.TIME_SPENT,
            None,
            "its time was used up; no step was completed",
        ),
    ],
)
def test_an_end_is_told_with_what_was_found(
    *,
    level: int,
    plan: dict[str, int],
    steps: int,
    end: SearchEnd,
    best: int | None,
    reason: str,
) -> None:
    outcome = searched(bearing(level), plan_with(**plan), steps=steps).outcome()
    assert (outcome.end, outcome.best_concurrency, outcome.reason) == (end, best, reason)
    assert outcome.best_qps == (best and 10 * best)


def test_a_search_that_is_over_makes_no_step() -> None:
    search = searched(bearing(12))
    with pytest.raises(AssertionError, match="is over"):
        search.after(figures_of(12))


def test_a_step_at_another_level_than_planned_is_none_of_the_search() -> None:
    with pytest.raises(AssertionError, match="as it was planned"):
        Search(plan=PLAN).after(figures_of(6))


@given(
    start=st.integers(1, 60),
    increment=st.integers(1, 60),
    beyond=st.integers(0, 300),
    level=st.integers(0, 400),
    steps_max=st.integers(3, 400),
    luck=st.integers(0, 2**32),
)
def test_a_search_ends_within_the_steps_that_it_announced(**drawn: int) -> None:
    plan = plan_with(
        start_concurrency=drawn["start"],
        increment=drawn["increment"],
        concurrency_max=drawn["start"] + drawn["beyond"],
        steps_max=drawn["steps_max"],
    )
    generator = random.Random(drawn["luck"])

    def erratic(level: int) -> StepFigures:
        fails = (level > drawn["level"]) ^ (generator.random() < 0.1)
        return figures_of(level, error_rate=2 * fails)

    search, announced = Search(plan=plan), [plan.steps_max]
    while (following := search.next_concurrency) is not None:
        assert 1 <= following <= plan.concurrency_max
        announced.append(search.steps_at_most)
        assert announced[-1] <= announced[-2]
        search = search.after(erratic(following))
    assert len(search.steps) == search.steps_at_most <= announced[-1]
    tried = [step.concurrency for step in search.steps if step.purpose is not BACKOFF]
    assert len({*tried}) == len(tried)


@given(st.integers(1, 110), st.integers(1, 60), st.integers(1, 60))
def test_a_steady_database_is_found_as_exactly_as_is_promised(
    level: int, start: int, increment: int
) -> None:
    plan = plan_with(start_concurrency=start, increment=increment, steps_max=200)
    found = searched(bearing(level), plan).outcome().best_concurrency
    assert found is not None
    reachable = min(level, plan.concurrency_max)
    assert found <= reachable <= found + max(0, GAP_PCT / 100 * (reachable + 1))


@pytest.mark.parametrize("seed", range(20))
def test_a_search_converges_to_the_knee_of_a_noisy_queue(seed: int) -> None:
    # With 50 seats latency has risen by 20 % at 60 connections.
    search = searched(Queue(50, seed, noise=0.03))
    outcome = search.outcome()
    assert outcome.end is SearchEnd.GAP_CLOSED
    assert outcome.best_concurrency is not None
    assert 52 <= outcome.best_concurrency <= 68
    assert len(search.steps) <= 13


def test_a_search_from_above_the_knee_finds_it_from_there() -> None:
    def measured(level: int) -> StepFigures:
        return figures_of(level, answered=0) if level > 30 else queue(level)

    queue = Queue(25, seed=1, noise=0.01)
    search = searched(measured, plan_with(start_concurrency=90))
    assert way(search)[:3] == [(RAMP, 90), (BISECTION, 45), (BISECTION, 22)]
    assert search.steps[0].reasons == ("no operation was answered",)
    assert search.outcome().best_concurrency in range(28, 31)


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_alone_does_not_end_a_search(noise: float) -> None:
    ends = [searched(Queue(10_000, seed, noise=noise)).outcome().end for seed in range(40)]
    assert ends == [SearchEnd.CEILING_STABLE] * 40


@pytest.mark.parametrize(("noise", "seconds"), [(0.05, 7), (0.1, 27)])
def test_of_many_searches_with_much_noise_few_end_by_it(noise: float, seconds: int) -> None:
    loud = [Queue(10_000, seed, noise=noise, seconds=seconds) for seed in range(60)]
    ends = [searched(queue).outcome().end for queue in loud]
    assert ends.count(SearchEnd.CEILING_STABLE) >= 0.9 * len(ends)
