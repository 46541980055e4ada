"""A search is planned from its template, within what the database offers."""

import pytest

from benchgate.domain.search import CONCURRENCY_MAX_DEFAULT, plan_of
from tests.unit.examples import config_of

SEARCH = {"load_mode": "FIND_MAX_CONCURRENCY", "duration": 300, "start_concurrency": 5}


@pytest.mark.parametrize(
    ("scaling", "server_max", "start", "highest"),
    [
        ({}, None, 5, CONCURRENCY_MAX_DEFAULT),
        ({}, 97, 5, 97),
        ({}, 3, 3, 3),
        ({}, 0, 1, 1),
        ({"max_workers": 2, "max_connections": 30}, None, 5, 60),
        ({"max_workers": 2, "max_connections": 30}, 97, 5, 60),
        ({"max_workers": 2, "max_connections": 30}, 40, 5, 40),
        # A worker without a limit gets 200 connections.
        ({"max_workers": 1}, None, 5, 200),
        ({"max_connections": 30}, None, 5, CONCURRENCY_MAX_DEFAULT),
    ],
)
def test_a_plan_goes_as_far_as_scaling_and_server_allow(
    scaling: dict[str, int], server_max: int | None, start: int, highest: int
) -> None:
    plan = plan_of(config_of(**SEARCH, scaling=scaling), server_max=server_max)
    assert (plan.start_concurrency, plan.concurrency_max) == (start, highest)


def test_a_plan_has_the_limits_of_its_template_and_the_steps_of_its_bound() -> None:
    limits = {"qps_stability_pct": 3, "latency_stability_pct": 50, "max_error_rate_pct": 2}
    plan = plan_of(config_of(**SEARCH, **limits, concurrency_increment=7), server_max=None)
    assert plan.model_dump(include={*limits}) == limits
    assert (plan.increment, plan.steps_max) == (7, 10)


def test_only_a_search_can_be_planned() -> None:
    with pytest.raises(AssertionError, match="only a search is planned"):
        plan_of(config_of(), server_max=None)
