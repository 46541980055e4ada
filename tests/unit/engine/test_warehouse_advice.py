"""What a Snowflake warehouse gives reason to warn of."""

from typing import Any

import pytest

from benchgate.backend.drivers.port import Survey, Warehouse
from benchgate.backend.engine.advice import Look, advice
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.backend.engine.warehouse_advice import WAREHOUSE_RULES
from benchgate.domain.preflight import PreflightWarning, Severity
from tests.unit.examples import config_of

AWAKE = Warehouse(
    name="BENCH_WH",
    state="STARTED",
    size="X-Small",
    resumes_by_itself=True,
    statements_running=0,
    statements_queued=0,
    statements_at_once=8,
)
QUEUES = (Severity.MEDIUM, "Statements May Queue in the Warehouse")
OTHER_SIZE = (Severity.MEDIUM, "Warehouse Has Another Size")


def told(config: dict[str, Any] | None = None, **changes: Any) -> list[PreflightWarning]:
    standard = {"table_type": "STANDARD", "warehouse_name": "BENCH_WH"}
    look = Look(
        config=config_of(**(standard | (config or {}))),
        survey=Survey(warehouse=AWAKE.model_copy(update=changes)),
        surroundings=Surroundings(cores=4),
    )
    return advice(WAREHOUSE_RULES, look)


def severities(warnings: list[PreflightWarning]) -> list[tuple[Severity, str]]:
    return [(one.severity, one.title) for one in warnings]


def test_without_a_warehouse_to_look_at_there_is_nothing_to_say() -> None:
    config = config_of(table_type="STANDARD", warehouse_size="LARGE")
    look = Look(config=config, survey=Survey(), surroundings=Surroundings(cores=4))
    assert advice(WAREHOUSE_RULES, look) == []


@pytest.mark.parametrize(
    ("state", "resumes", "expected"),
    [
        ("STARTED", False, []),
        ("RESUMING", False, []),
        ("SUSPENDED", False, [(Severity.HIGH, "Warehouse Is Suspended")]),
        ("SUSPENDED", True, [(Severity.LOW, "Warehouse Has to Resume")]),
        ("SUSPENDING", True, [(Severity.LOW, "Warehouse Has to Resume")]),
    ],
)
def test_a_warehouse_that_sleeps_is_told_with_what_wakes_it(
    state: str, *, resumes: bool, expected: list[tuple[Severity, str]]
) -> None:
    warnings = told(state=state, resumes_by_itself=resumes)
    assert severities(warnings) == expected
    for one in warnings:
        assert one.of_a_moment
        assert one.details["auto_resume"] is resumes


@pytest.mark.parametrize(
    ("warmup", "remedy"),
    [(0, "Set warmup to cover it"), (30, "Leave enough of the warm-up for it")],
)
def test_waking_belongs_into_the_warm_up(warmup: int, remedy: str) -> None:
    (warning,) = told({"warmup": warmup}, state="SUSPENDED")
    assert warning.recommendations == (remedy,)


@pytest.mark.parametrize(
    ("config", "changes", "expected"),
    [
        ({"concurrent_connections": 8}, {}, []),
        ({"concurrent_connections": 9}, {}, [QUEUES]),
        ({"concurrent_connections": 9}, {"clusters_max": 2}, []),
        ({"concurrent_connections": 17}, {"clusters_max": 2}, [QUEUES]),
        ({"concurrent_connections": 99}, {"statements_at_once": None}, []),
        ({"load_mode": "FIND_MAX_CONCURRENCY", "start_concurrency": 8}, {}, []),
        ({"load_mode": "FIND_MAX_CONCURRENCY", "start_concurrency": 9}, {}, [QUEUES]),
        ({"load_mode": "QPS", "target_qps": 10, "concurrent_connections": 99}, {}, []),
    ],
    ids=str,
)
def test_more_than_a_warehouse_takes_at_once_queues(
    config: dict[str, Any], changes: dict[str, Any], expected: list[tuple[Severity, str]]
) -> None:
    assert severities(told(config, **changes)) == expected


def test_what_the_queue_begins_with_is_told_in_its_figures() -> None:
    (warning,) = told({"concurrent_connections": 20}, clusters_max=2)
    assert "begins with 20 connections" in warning.message
    assert "takes 16 statements at once (MAX_CONCURRENCY_LEVEL 8, clusters 2" in warning.message
    assert warning.recommendations[0] == "Use 16 connections or fewer"


@pytest.mark.parametrize(
    ("named", "size", "expected"),
    [
        (None, "X-Small", []),
        ("XSMALL", "X-Small", []),
        ("x-small", "X-Small", []),
        ("XXLARGE", "2X-Large", []),
        ("Medium", "", []),
        ("Medium", "X-Small", [OTHER_SIZE]),
    ],
)
def test_the_cost_of_another_size_is_not_the_cost(
    named: str | None, size: str, expected: list[tuple[Severity, str]]
) -> None:
    warnings = told({"warehouse_size": named}, size=size)
    assert severities(warnings) == expected
    for one in warnings:
        assert "is X-Small, and the template says Medium" in one.message
