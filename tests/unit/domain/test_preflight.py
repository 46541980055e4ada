"""What the template alone gives reason to warn of."""

import pytest

from benchgate.domain.preflight import PreflightWarning, Severity, report, warnings_of
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


@pytest.mark.parametrize(
    ("connections", "write_pct", "count"), [(1, 100, 0), (2, 1, 1), (50, 100, 1), (50, 0, 0)]
)
def test_sqlite_has_one_writer_at_a_time(connections: int, write_pct: float, count: int) -> None:
    warnings = writing("SQLITE", connections=connections, write_pct=write_pct)
    assert [w.severity for w in warnings] == [Severity.MEDIUM] * count


@pytest.mark.parametrize(
    ("warnings", "can_proceed"),
    [([], True), ([MEDIUM], True), ([MEDIUM, HIGH], False), ([HIGH, MEDIUM], False)],
)
def test_a_high_warning_alone_forbids_the_run(
    warnings: list[PreflightWarning], can_proceed: bool
) -> None:
    made = report("r", warnings)
    assert (made.run_id, made.warnings) == ("r", tuple(warnings))
    assert made.can_proceed is can_proceed
