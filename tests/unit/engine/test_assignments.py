from typing import Any

import pytest

from benchgate.backend.engine.assignments import application_name, assignments, workers_for
from benchgate.backend.engine.load import Schedule
from benchgate.domain.templates import QueryKind, QueryShare, TableType, WorkerLoss
from tests.unit.engine.loads import TARGET, load_of

SERVER = TARGET.model_copy(update={"table_type": TableType.POSTGRES})


def test_a_session_name_fits_what_a_server_keeps() -> None:
    assert application_name("run-1") == "benchgate run-1"
    assert len(application_name("r" * 64)) == 63


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 2),
        ({"connections": 1}, 1),
        ({"workers_max": 1}, 1),
        ({"workers_max": 8}, 2),
        ({"workers_min": 3}, 3),
        ({"workers_min": 9}, 4),
    ],
)
def test_there_are_as_many_workers_as_usual_within_the_templates_limits(
    limits: dict[str, int], expected: int
) -> None:
    assert workers_for(load_of(**limits), 2) == expected


def test_no_template_asks_for_more_workers_than_the_machine_can_bear() -> None:
    many = load_of(connections=5_000, connections_at_start=5_000, workers_min=3_000)
    assert workers_for(many, 2) == 16


def test_a_database_that_takes_one_process_gets_one_worker() -> None:
    assert workers_for(load_of(workers_min=3), 2, at_most=1) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 1),
        ({"schedule": Schedule(rate_per_s=5_001)}, 2),
        ({"connections": 251, "connections_at_start": 4}, 2),
        ({"decode_rows": True}, 8),
        ({"workers_min": 3}, 3),
        ({"workload": (QueryShare(kind=QueryKind.RANGE_SCAN, share_pct=100, writes=False),)}, 2),
    ],
)
def test_a_schedule_takes_no_more_workers_than_keep_it(
    change: dict[str, Any], expected: int
) -> None:
    paced = {"schedule": Schedule(rate_per_s=2_000), "connections": 100} | change
    assert workers_for(load_of(target=SERVER, **paced), 8) == expected


def test_a_client_that_costs_much_has_all_workers_for_its_schedule() -> None:
    load = load_of(schedule=Schedule(rate_per_s=10), connections=100)
    assert workers_for(load, 8) == 8


def test_no_two_workers_have_the_same_connections() -> None:
    load = load_of(connections=7, connections_at_start=3)
    given = assignments(load, 2)
    assert [each.connections for each in given] == [4, 3]
    assert [each.connections_at_start for each in given] == [2, 1]
    assert [each.first_connection for each in given] == [0, 4]
    assert {each.connections_in_all for each in given} == {7}
    assert {each.application_name for each in given} == {"benchgate run-1"}


def test_whoever_may_have_to_take_over_has_room_for_all() -> None:
    given = assignments(load_of(worker_loss=WorkerLoss.REDISTRIBUTE), 2)
    assert [each.connections for each in given] == [4, 4]
    assert [each.connections_at_start for each in given] == [2, 2]
    assert [each.first_connection for each in given] == [0, 4]
    assert {each.connections_in_all for each in given} == {8}


def test_each_worker_has_its_part_of_a_schedule() -> None:
    parts = [each.arrivals for each in assignments(load_of(schedule=Schedule(rate_per_s=1_000)), 2)]
    assert [part and (part.part, part.parts, part.rate_per_s) for part in parts] == [
        (0, 2, 1_000),
        (1, 2, 1_000),
    ]
    assert assignments(load_of(), 1)[0].arrivals is None
