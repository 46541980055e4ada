"""What the template alone gives reason to warn of."""

import pytest

from benchgate.domain.preflight import (
    PreflightReport,
    PreflightWarning,
    Severity,
    about,
    report,
    warnings_of,
    worst_first,
)
from tests.unit.examples import HIGH, MEDIUM, config_of


def writing(table_type: str, *, connections: int, write_pct: float) -> list[PreflightWarning]:
    return warnings_of(
        config_of(
            table_type=table_type,
            concurrent_connections=connections,
            custom_point_lookup_pct=100 - write_pct,
            custom_range_scan_pct=0,
            custom_update_pct=write_pct,
        )
    )


@pytest.mark.parametrize(
    ("connections", "write_pct", "severity"),
    [
        (20, 50, None),
        (21, 50, Severity.MEDIUM),
        (40, 50, Severity.MEDIUM),
        (41, 50, Severity.HIGH),
        (10_000, 100, Severity.HIGH),
        (10_000, 0, None),
    ],
)
def test_writers_on_a_standard_table_wait_for_its_lock(
    connections: int, write_pct: float, severity: Severity | None
) -> None:
    warnings = writing("STANDARD", connections=connections, write_pct=write_pct)
    assert [w.severity for w in warnings] == ([severity] if severity else [])


def test_the_warning_is_the_specifications_with_what_it_was_reckoned_from() -> None:
    (warning,) = writing("STANDARD", connections=50, write_pct=30)
    assert warning.title == "High Write Concurrency on Standard Table"
    assert warning.message.startswith("About 15 concurrent INSERT/UPDATE operations")
    assert warning.details["write_percentage"] == 30
    assert warning.details["concurrent_connections"] == 50
    assert "HYBRID" in warning.recommendations[0]


def test_the_recommended_number_of_connections_does_not_warn() -> None:
    (warning,) = writing("STANDARD", connections=100, write_pct=30)
    (number,) = [word for word in warning.recommendations[1].split() if word.isdecimal()]
    assert writing("STANDARD", connections=int(number), write_pct=30) == []


def searching(**changes: object) -> list[PreflightWarning]:
    mix = {"custom_point_lookup_pct": 70, "custom_range_scan_pct": 0, "custom_update_pct": 30}
    search = {"load_mode": "FIND_MAX_CONCURRENCY", "duration": 300}
    return warnings_of(config_of(table_type="STANDARD", **mix, **(search | changes)))


@pytest.mark.parametrize(
    ("changes", "severity", "connections"),
    [
        # Ten steps from 5 connections on, each of 10 more.
        ({}, Severity.HIGH, 95),
        ({"duration": 150}, Severity.MEDIUM, 45),
        ({"duration": 90}, None, 25),
        ({"scaling": {"max_workers": 1, "max_connections": 40}}, Severity.MEDIUM, 40),
        ({"scaling": {"max_workers": 1, "max_connections": 33}}, None, 33),
        ({"start_concurrency": 80, "duration": 30}, Severity.HIGH, 100),
    ],
)
def test_a_search_that_writes_is_reckoned_by_the_highest_level_that_it_may_come_to(
    changes: dict[str, object], severity: Severity | None, connections: int
) -> None:
    warnings = searching(**changes)
    assert [w.severity for w in warnings] == ([severity] if severity else [])
    for warning in warnings:
        assert f"at the {connections} connections that the search may come to, " in warning.message
        assert warning.details["concurrent_connections"] == connections
        assert warning.recommendations[1].startswith("Keep the search to 33 connections, by max_")


def test_statements_of_ones_own_count_as_writes_when_they_say_so() -> None:
    own = {"operation_type": "WRITE", "weight_pct": 80, "sql": "DELETE FROM t"}
    config = config_of(
        table_type="STANDARD",
        concurrent_connections=30,
        custom_point_lookup_pct=0,
        generic_queries=[own],
    )
    assert [w.severity for w in warnings_of(config)] == [Severity.HIGH]


@pytest.mark.parametrize("table_type", ["HYBRID", "INTERACTIVE", "DYNAMIC", "POSTGRES"])
def test_other_tables_take_concurrent_writes(table_type: str) -> None:
    assert writing(table_type, connections=100, write_pct=100) == []


@pytest.mark.parametrize("table_type", ["SQLITE", "DUCKDB"])
@pytest.mark.parametrize(
    ("connections", "write_pct", "count"), [(1, 100, 0), (2, 1, 1), (50, 100, 1), (50, 0, 0)]
)
def test_a_file_is_not_written_to_by_many_at_a_time(
    table_type: str, connections: int, write_pct: float, count: int
) -> None:
    warnings = writing(table_type, connections=connections, write_pct=write_pct)
    assert [w.severity for w in warnings] == [Severity.MEDIUM] * count


@pytest.mark.parametrize(
    ("table_type", "effect"),
    [
        ("SQLITE", "share one writer at a time, and 30% of the workload writes: write latency"),
        ("DUCKDB", "are threads of the one process that may write, and 30% of the workload"),
    ],
)
def test_the_lock_model_of_a_file_is_told_with_the_load(table_type: str, effect: str) -> None:
    (warning,) = writing(table_type, connections=8, write_pct=30)
    assert f"8 connections {effect}" in warning.message
    assert warning.details == {
        "write_percentage": 30,
        "concurrent_connections": 8,
        "table_type": table_type,
    }


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"load_mode": "QPS", "target_qps": 50}, "Up to 8 connections share"),
        ({"load_mode": "FIND_MAX_CONCURRENCY"}, "5 or more connections share"),
        ({"load_mode": "FIND_MAX_CONCURRENCY", "start_concurrency": 1}, "1 or more connections"),
    ],
)
def test_how_many_write_is_told_as_far_as_it_is_known(load: dict[str, object], words: str) -> None:
    mix = {"custom_point_lookup_pct": 80, "custom_range_scan_pct": 0, "custom_update_pct": 20}
    (warning,) = warnings_of(config_of(table_type="SQLITE", **mix, **load))
    assert words in warning.message


def test_a_warning_names_its_target_on_one_line() -> None:
    warning = about(
        config_of(table_name="or\nders"),
        severity=Severity.LOW,
        title="Title",
        message="Message.",
        recommendations=("Do it",),
        details={"figure": 7},
    )
    assert warning.details == {
        "target": "bench.public.or ders",
        "table_type": "POSTGRES",
        "figure": 7,
    }


@pytest.mark.parametrize(
    ("warnings", "can_proceed"),
    [([], True), ([MEDIUM], True), ([MEDIUM, HIGH], False), ([HIGH, MEDIUM], False)],
)
def test_a_high_warning_alone_forbids_the_run(
    warnings: list[PreflightWarning], can_proceed: bool
) -> None:
    made = report("r", warnings)
    assert (made.run_id, made.warnings) == ("r", worst_first(warnings))
    assert made.can_proceed is can_proceed


def test_the_worst_warnings_come_first_and_those_of_one_severity_stay_in_their_order() -> None:
    low = MEDIUM.model_copy(update={"severity": Severity.LOW})
    later = MEDIUM.model_copy(update={"title": "Later"})
    expected = (HIGH, MEDIUM, later, low)
    assert worst_first([low, MEDIUM, HIGH, later]) == expected
    told = {"run_id": "r", "warnings": [one.model_dump() for one in (low, MEDIUM, HIGH, later)]}
    assert PreflightReport.model_validate(told).warnings == expected
