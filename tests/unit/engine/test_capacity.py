"""How many connections a load can have, and how far a search may go."""

from typing import Any

import pytest

from benchgate.backend.drivers.port import Survey
from benchgate.backend.engine.capacity import free_connections, search_bound, search_limit
from benchgate.domain.bounds import Bound
from tests.unit.examples import config_of

BOUNDED = {"max_workers": 4, "max_connections": 25}


@pytest.mark.parametrize(
    ("survey", "free"),
    [
        (Survey(connections_max=100, connections_used=10, connections_reserved=3), 87),
        (Survey(connections_max=100, connections_used=10), 90),
        (Survey(connections_max=100, connections_used=99, connections_reserved=3), 0),
        (Survey(connections_max=100), None),
        (Survey(connections_used=1), None),
        (Survey(), None),
    ],
)
def test_what_others_have_and_what_is_reserved_is_not_free(survey: Survey, free: int) -> None:
    assert free_connections(survey) == free


@pytest.mark.parametrize(
    ("config", "free", "limit"),
    [
        ({}, None, 10_000),
        ({}, 87, 87),
        ({}, 0, 0),
        ({"scaling": BOUNDED}, None, 100),
        ({"scaling": BOUNDED}, 87, 87),
        ({"scaling": BOUNDED}, 120, 100),
        ({"scaling": {"max_workers": 4}}, None, 800),
        ({"scaling": {"max_connections": 25}}, None, 10_000),
        ({"table_type": "SQLITE"}, None, 1_000),
        ({"table_type": "DUCKDB", "scaling": BOUNDED}, None, 100),
        ({"table_type": "HYBRID"}, None, 1_000),
    ],
)
def test_a_search_ends_at_the_lowest_of_its_limits(
    config: dict[str, Any], free: int | None, limit: int
) -> None:
    survey = Survey() if free is None else Survey(connections_max=free, connections_used=0)
    assert search_limit(config_of(load_mode="FIND_MAX_CONCURRENCY", **config), survey) == limit


@pytest.mark.parametrize(
    ("config", "most"),
    [({}, 1_000), ({"scaling": BOUNDED}, 100), ({"scaling": {"max_workers": 10}}, 2_000)],
)
def test_a_search_is_bounded_whatever_its_server_has_left(
    config: dict[str, Any], most: int
) -> None:
    search = config_of(load_mode="FIND_MAX_CONCURRENCY", duration=300, warmup=10, **config)
    bound = Bound(seconds_max=310, steps_max=10, concurrency_max=most)
    assert search_bound(search) == bound


def test_what_ends_by_its_time_has_no_bound() -> None:
    assert search_bound(config_of()) is None
