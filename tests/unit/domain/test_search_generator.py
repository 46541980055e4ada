"""A search that ends at what its load generator can do says so, and blames no database."""

import pytest

from benchgate.domain.stability import StepFigures
from tests.unit.domain.searches import Measure, exact, figures_of, plan_with, searched


def with_a_spent_generator(level: int, **figures: object) -> Measure:
    """A load whose generator has nothing left from above *level* connections on."""

    def measured(concurrency: int) -> StepFigures:
        if concurrency <= level:
            return figures_of(concurrency)
        worse: dict[str, object] = {"is_generator_spent": True, "p95_latency_ms": exact(9)}
        return figures_of(concurrency).model_copy(update=worse | figures)

    return measured


def test_a_maximum_that_the_generator_set_is_a_lower_bound_and_says_so() -> None:
    outcome = searched(with_a_spent_generator(12)).outcome()
    assert outcome.is_lower_bound
    assert outcome.reason == (
        "12 connections were stable, and at 13 the load generator itself was the limit: "
        "p95 rose 350.0% against the first stable step (limit 20%, noise ±0.0%)"
    )
    assert outcome.caution == (
        "Limited by the load generator: treat the maximum of 12 connections as a lower bound."
    )


@pytest.mark.parametrize(
    "figures", [{"error_rate": 2}, {"connections_missing": 1}, {"is_generator_spent": False}]
)
def test_what_the_database_refuses_is_no_fault_of_the_generator(figures: dict[str, object]) -> None:
    outcome = searched(with_a_spent_generator(12, **figures)).outcome()
    assert not outcome.is_lower_bound
    assert outcome.reason.startswith("12 connections were stable and 13 were not: ")
    assert outcome.caution is None


def test_a_generator_that_was_spent_at_every_level_has_found_no_maximum() -> None:
    levels = iter([1_000, 0, 0, 0, 0])

    def measured(concurrency: int) -> StepFigures:
        return with_a_spent_generator(next(levels))(concurrency)

    found = searched(measured).outcome()
    assert found.best_concurrency is None
    assert found.reason.startswith("no level stayed stable, and at 1 the load generator itself")
    assert found.caution is not None
    assert "no maximum was found" in found.caution


def test_a_maximum_that_fewer_workers_have_found_is_a_lower_bound_and_says_so() -> None:
    begun = searched(figures_of, plan_with(concurrency_max=15), steps=1)
    whole, lost = begun.after(figures_of(15)), begun.after_loss().after(figures_of(15))
    assert whole.outcome().caution is None
    assert lost.outcome().is_lower_bound
    assert lost.outcome().caution == (
        "After the loss of a worker the later steps of the search were made by fewer workers: "
        "treat its maximum as a lower bound."
    )
    assert lost.after_loss().outcome() == lost.outcome()
    # A loss after the last step has changed none.
    assert whole.after_loss().outcome() == whole.outcome()
