"""What a template gives reason to warn of on FlakeBench, which itself warns of nothing."""

from typing import Any

import pytest

from benchgate.domain.bounds import Bound
from benchgate.domain.preflight import PreflightWarning, Severity, may_proceed
from benchgate.domain.text import MESSAGE_CHARACTERS_MAX
from benchgate.gate.dialects.flakebench.configs import template_of
from benchgate.gate.dialects.flakebench.warnings import foreseen
from tests.unit.gate.dialects.flakebench_samples import saved_template

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
SEARCH = {"load_mode": "FIND_MAX_CONCURRENCY", "concurrent_connections": None}
POOL = {"ai_workload": {"pool_id": "p-1"}}
POSTGRES = {
    "table_type": "POSTGRES",
    "database": "bench",
    "schema": "public",
    "table_name": "orders",
    "connection_id": "c-1",
}


def warned(config: dict[str, Any], **known: Any) -> list[PreflightWarning]:
    """The warnings of a template that is harmless but for *config*."""
    return foreseen(template_of(saved_template(config)).config, **known)


def severities(config: dict[str, Any], **known: Any) -> list[tuple[str, Severity]]:
    """Title and severity of each warning."""
    return [(one.title, one.severity) for one in warned(config, **known)]


@pytest.mark.parametrize(
    "config", [{}, POSTGRES, {"table_type": "HYBRID"} | POOL, {"table_type": "DYNAMIC"}]
)
def test_a_harmless_template_gives_no_reason(config: dict[str, Any]) -> None:
    assert warned(config) == []


@pytest.mark.parametrize(
    ("connections", "severity"), [(20, None), (21, MEDIUM), (40, MEDIUM), (41, HIGH)]
)
def test_writers_on_a_standard_table_wait_for_its_lock(
    connections: int, severity: Severity | None
) -> None:
    config = {
        "concurrent_connections": connections,
        "custom_point_lookup_pct": 50,
        "custom_update_pct": 50,
    }
    found = [] if severity is None else [("High Write Concurrency on Standard Table", severity)]
    assert severities(config) == found
    assert may_proceed(warned(config)) is (severity is not HIGH)


def test_every_warning_says_that_it_is_benchgates_and_what_to_do() -> None:
    configs: list[dict[str, Any]] = [
        {"concurrent_connections": 99, "custom_point_lookup_pct": 0, "custom_update_pct": 100},
        {"table_type": "INTERACTIVE"},
        SEARCH | {"scaling": {"max_workers": 1, "max_connections": 2}},
        {"table_type": "POSTGRES"},
    ]
    found = [one for config in configs for one in warned(config)]
    assert len({one.title for one in found}) == 7
    for one in found:
        assert one.source == "benchgate"
        assert one.recommendations
        assert one.message.endswith(".")
        assert "table_type" in one.details


@pytest.mark.parametrize(
    ("warehouse", "kind", "severity"),
    [
        ("WH", "INTERACTIVE", None),
        ("WH", "interactive", None),
        ("WH", "STANDARD", HIGH),
        ("WH", None, MEDIUM),
        (None, None, HIGH),
        (None, "INTERACTIVE", HIGH),
    ],
)
def test_an_interactive_table_needs_an_interactive_warehouse(
    warehouse: str | None, kind: str | None, severity: Severity | None
) -> None:
    config = {"table_type": "INTERACTIVE", "warehouse_name": warehouse} | POOL
    title = "Interactive Table Without Interactive Warehouse"
    found = [] if severity is None else [(title, severity)]
    assert severities(config, warehouse_type=kind) == found


@pytest.mark.parametrize("prepared", [None, {}, {"pool_id": None}, {"pool_id": ""}, "p-1", []])
def test_keys_come_from_pools_that_must_have_been_prepared(prepared: object) -> None:
    config = {"table_type": "HYBRID", "ai_workload": prepared}
    (warning,) = warned(config)
    assert (warning.title, warning.severity) == ("Value Pools Not Prepared", HIGH)
    assert warning.details["operations"] == ["POINT_LOOKUP"]
    assert "POINT_LOOKUP on HYBRID tables" in warning.message


def test_inserts_alone_need_no_pool() -> None:
    config = {"table_type": "HYBRID", "custom_point_lookup_pct": 0, "custom_insert_pct": 100}
    assert warned(config) == []


@pytest.mark.parametrize(
    ("scaling", "seconds_max", "severity"),
    [
        ({}, None, HIGH),
        ({}, 300, LOW),
        ({"max_workers": 2, "max_connections": 10}, 300, MEDIUM),
        ({"max_workers": 2, "max_connections": 10}, None, HIGH),
    ],
)
def test_a_search_has_no_bound_but_ours(
    scaling: dict[str, int], seconds_max: int | None, severity: Severity
) -> None:
    bound = None if seconds_max is None else Bound(seconds_max=seconds_max, steps_max=10)
    (warning,) = warned(SEARCH | {"scaling": scaling}, bound=bound)
    title = "Search Ended by benchgate's Bound" if bound else "Search Without Bound"
    assert (warning.title, warning.severity) == (title, severity)
    assert ("benchgate stops it after 300 s" in warning.message) is (seconds_max == 300)
    assert ("Scaling allows 20 connections" in warning.message) is bool(scaling)
    # Whoever is asked sees all of it.
    assert len(warning.message) <= MESSAGE_CHARACTERS_MAX


def test_the_bound_of_a_search_is_told_with_who_keeps_it() -> None:
    scaling = {"max_workers": 9_999, "max_connections": 9_999}
    config = SEARCH | {"scaling": scaling, "duration": 86_400, "step_duration_seconds": 10}
    (warning,) = warned(config, bound=Bound(seconds_max=172_800, steps_max=8_640))
    assert "benchgate stops it after 172800 s or 8640 steps" in warning.message
    assert warning.message.endswith("the next one to start stops it.")
    assert len(warning.message) <= MESSAGE_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("config", "asked_by"),
    [
        (
            {"concurrent_connections": 21, "scaling": {"max_workers": 2, "max_connections": 10}},
            "concurrent_connections",
        ),
        ({"concurrent_connections": 201, "scaling": {"max_workers": 1}}, "concurrent_connections"),
        (
            {"load_mode": "QPS", "target_qps": 300, "scaling": {"max_workers": 20}},
            "target_qps",
        ),
        (
            {
                "scaling": {
                    "mode": "FIXED",
                    "min_workers": 3,
                    "max_workers": 2,
                    "min_connections": 10,
                    "max_connections": 10,
                }
            },
            "min_workers times min_connections",
        ),
    ],
)
def test_more_load_than_scaling_allows_is_out_of_reach(
    config: dict[str, Any], asked_by: str
) -> None:
    (warning,) = warned(config)
    assert (warning.title, warning.severity) == ("Load Out of Reach of Scaling", HIGH)
    assert warning.details["asked_for_by"] == asked_by


@pytest.mark.parametrize(
    "config",
    [
        {"concurrent_connections": 20, "scaling": {"max_workers": 2, "max_connections": 10}},
        {"concurrent_connections": 200, "scaling": {"max_workers": 1}},
        {"concurrent_connections": 9_999, "scaling": {"max_connections": 1}},
        {
            "load_mode": "QPS",
            "target_qps": 300,
            "concurrent_connections": -1,
            "scaling": {"max_workers": 2},
        },
    ],
)
def test_load_within_what_scaling_allows_is_no_reason(config: dict[str, Any]) -> None:
    assert warned(config) == []


def test_a_search_that_begins_above_its_limit_is_out_of_reach() -> None:
    config = SEARCH | {"start_concurrency": 30, "scaling": {"max_workers": 1, "max_connections": 9}}
    assert ("Load Out of Reach of Scaling", HIGH) in severities(
        config, bound=Bound(seconds_max=60, steps_max=3)
    )


def test_a_postgres_template_names_its_connection() -> None:
    assert severities(POSTGRES | {"connection_id": None}) == [("Connection Missing", MEDIUM)]


@pytest.mark.parametrize("key", ["database", "schema", "table_name"])
def test_names_in_upper_case_are_others_on_postgres(key: str) -> None:
    (warning,) = warned(POSTGRES | {key: "Orders"})
    assert (warning.title, warning.severity) == ("Upper-Case Names on PostgreSQL", MEDIUM)
    assert warning.details["names"] == ["Orders"]


@pytest.mark.parametrize("source", ["postgres", 5, None])
def test_a_source_that_nobody_knows_is_the_backend(source: object) -> None:
    told = {"severity": "low", "title": "t", "message": "m", "source": source}
    assert PreflightWarning.model_validate(told).source == "backend"
