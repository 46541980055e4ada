"""What differs between tests besides what is compared is told, in the words of its kind."""

import pytest

from benchgate.domain.likeness import TELLERS, Caution, CautionKind, cautions
from tests.unit.examples import config_of

OPEN = {"load_mode": "FIND_MAX_CONCURRENCY", "step_duration_seconds": 30}
LOOKUPS = {"custom_point_lookup_pct": 100, "custom_range_scan_pct": 0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"duration": 300},
            {CautionKind.DURATION: ("60s after 5s of warm-up", "300s after 5s of warm-up")},
        ),
        (
            {"warmup": 0},
            {CautionKind.DURATION: ("60s after 5s of warm-up", "60s after 0s of warm-up")},
        ),
        (
            {"concurrent_connections": 64},
            {CautionKind.LOAD: ("8 connections", "64 connections")},
        ),
        (
            {"think_time": 20},
            {
                CautionKind.LOAD: (
                    "8 connections",
                    "8 connections, 20 ms between operations",
                )
            },
        ),
        (
            LOOKUPS,
            {CautionKind.WORKLOAD: ("80% point lookup, 20% range scan", "100% point lookup")},
        ),
        (
            {"custom_point_lookup_query": "SELECT 1"},
            {CautionKind.STATEMENTS: ("the built-in ones", "SELECT 1")},
        ),
        (
            {"load_mode": "QPS", "target_qps": 500},
            {
                CautionKind.MODE: ("CONCURRENCY", "QPS"),
                CautionKind.LOAD: ("8 connections", "500 QPS on 8 connections"),
            },
        ),
        (
            OPEN | {"start_concurrency": 8},
            {
                CautionKind.MODE: ("CONCURRENCY", "FIND_MAX_CONCURRENCY"),
                CautionKind.DURATION: ("60s after 5s of warm-up", "open, in steps of 30s"),
                CautionKind.LOAD: (
                    "8 connections",
                    "8 connections, +10 each step; ends at QPS -5%, p95 +20%, errors 1%",
                ),
            },
        ),
    ],
    ids=str,
)
def test_what_differs_is_a_caution(
    change: dict[str, object], expected: dict[CautionKind, tuple[str, ...]]
) -> None:
    found = cautions([config_of(), config_of(**change)])
    assert {one.kind: one.values for one in found} == expected


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"concurrent_connections": 64}, "500 QPS on 64 connections"),
        ({"think_time": 20}, "500 QPS on 8 connections, 20 ms between operations"),
        ({"starting_threads": 2}, "500 QPS on 8 connections, 2 to begin with"),
        ({"target_qps": 501}, "501 QPS on 8 connections"),
    ],
    ids=str,
)
def test_what_differs_in_a_paced_load_is_a_caution(change: dict[str, object], told: str) -> None:
    paced = {"load_mode": "QPS", "target_qps": 500}
    (caution,) = cautions([config_of(**paced), config_of(**paced | change)])
    assert caution == Caution(kind=CautionKind.LOAD, values=("500 QPS on 8 connections", told))


@pytest.mark.parametrize(
    ("change", "kind", "told"),
    [
        ({"start_concurrency": 9}, CautionKind.LOAD, "9 connections,"),
        ({"think_time": 20}, CautionKind.LOAD, "20 ms between operations"),
        ({"concurrency_increment": 25}, CautionKind.LOAD, "+25 each step"),
        ({"qps_stability_pct": 10}, CautionKind.LOAD, "QPS -10%"),
        ({"latency_stability_pct": 50}, CautionKind.LOAD, "p95 +50%"),
        ({"max_error_rate_pct": 2.5}, CautionKind.LOAD, "errors 2.5%"),
        ({"step_duration_seconds": 60}, CautionKind.DURATION, "open, in steps of 60s"),
    ],
    ids=str,
)
def test_what_differs_in_a_search_is_a_caution(
    change: dict[str, object], kind: CautionKind, told: str
) -> None:
    (caution,) = cautions([config_of(**OPEN), config_of(**OPEN | change)])
    assert caution.kind is kind
    before, after = caution.values
    assert told in after
    assert told not in before


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"table_type": "SQLITE"},
        {"database": "other", "schema": "other", "table_name": "customers"},
        {"postgres_instance_size": "STANDARD_M", "connection_id": "c-2"},
        {"custom_point_lookup_query": ""},
        {"custom_insert_query": "INSERT INTO orders VALUES (1)"},
    ],
    ids=str,
)
def test_what_is_compared_or_never_runs_is_no_caution(change: dict[str, object]) -> None:
    assert cautions([config_of(), config_of(**change)]) == ()


def test_each_test_has_its_value_in_their_order() -> None:
    configs = [config_of(duration=seconds) for seconds in (60, 30, 60)]
    (caution,) = cautions(configs)
    assert caution == Caution(
        kind=CautionKind.DURATION,
        values=("60s after 5s of warm-up", "30s after 5s of warm-up", "60s after 5s of warm-up"),
    )


def test_several_statements_of_ones_own_are_told_one_after_the_other() -> None:
    own = config_of(custom_point_lookup_query="SELECT 1", custom_range_scan_query="SELECT 2")
    (caution,) = cautions([own, config_of()])
    assert caution.values == ("SELECT 1; SELECT 2", "the built-in ones")


def test_what_a_statement_of_ones_own_is_bound_to_is_told_with_it() -> None:
    one, other = (
        config_of(
            custom_range_scan_pct=0,
            generic_queries=[
                {"operation_type": "READ", "weight_pct": 20, "sql": "SELECT ?", "parameters": given}
            ],
        )
        for given in ([{"key": True}], [5])
    )
    (caution,) = cautions([one, other])
    assert caution == Caution(
        kind=CautionKind.STATEMENTS,
        values=('SELECT ? with {"key":true}', 'SELECT ? with {"value":5}'),
    )


def test_every_kind_is_told() -> None:
    assert list(TELLERS) == list(CautionKind)
