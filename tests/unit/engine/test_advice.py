"""What a survey gives reason to warn of: every rule, on both sides of where it begins to speak."""

from typing import Any

import pytest

from benchgate.backend.drivers.port import ConnectionReference, Survey
from benchgate.backend.engine import advice as advices
from benchgate.backend.engine.advice import SERVER_RULES, Look, advice
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.domain.preflight import PreflightWarning, Severity
from tests.unit.examples import config_of
from tests.unit.tree import ROOT

LOW, MEDIUM, HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH
CORES = 4
FILE = {"database": "/srv/live/shop.db", "table_type": "SQLITE", "concurrent_connections": 1}
QPS: dict[str, Any] = {"load_mode": "QPS", "target_qps": 100}
SEARCH: dict[str, Any] = {"load_mode": "FIND_MAX_CONCURRENCY"}
WRITES: dict[str, Any] = {"custom_point_lookup_pct": 75, "custom_update_pct": 5}


def told(
    config: dict[str, Any] | None = None,
    *,
    surroundings: dict[str, Any] | None = None,
    connection: ConnectionReference | None = None,
    **survey: Any,
) -> list[PreflightWarning]:
    look = Look(
        config=config_of(**(config or {})),
        survey=Survey(**survey),
        surroundings=Surroundings.model_validate({"cores": CORES} | (surroundings or {})),
        connection=connection,
    )
    return advice(SERVER_RULES, look)


def severities(warnings: list[PreflightWarning]) -> list[tuple[Severity, str]]:
    return [(one.severity, one.title) for one in warnings]


def only(warnings: list[PreflightWarning]) -> PreflightWarning:
    (warning,) = warnings
    assert warning.recommendations
    assert warning.details["target"] == "bench.public.orders"
    return warning


@pytest.mark.parametrize(
    "table_type", ["POSTGRES", "SQLITE", "DUCKDB", "STANDARD", "HYBRID", "INTERACTIVE", "DYNAMIC"]
)
@pytest.mark.parametrize("load", [{}, QPS, SEARCH])
def test_of_what_nobody_can_tell_nothing_is_said(table_type: str, load: dict[str, Any]) -> None:
    assert told({"table_type": table_type, "concurrent_connections": 4} | load) == []


def full(free: int) -> dict[str, Any]:
    """A server that has *free* connections left."""
    return {"connections_max": 100, "connections_used": 97 - free, "connections_reserved": 3}


FEW, NONE = (MEDIUM, "Few Connections Left"), (HIGH, "Not Enough Connections Left")
LIMITED, SHORT = (LOW, "Search Limited by Connections"), (MEDIUM, "Search Limited by Connections")
NARROW = {"max_workers": 2, "max_connections": 10}


@pytest.mark.parametrize(
    ("load", "free", "expected"),
    [
        ({"concurrent_connections": 20}, 25, None),
        ({"concurrent_connections": 20}, 24, FEW),
        ({"concurrent_connections": 20}, 20, FEW),
        ({"concurrent_connections": 20}, 19, NONE),
        ({"concurrent_connections": 1}, 0, NONE),
        ({"scaling": {"mode": "FIXED", "min_workers": 4, "min_connections": 5}}, 19, NONE),
        (QPS | {"concurrent_connections": 20}, 25, None),
        (QPS | {"concurrent_connections": 20}, 24, FEW),
        (QPS | {"concurrent_connections": 20}, 19, FEW),
        (QPS | {"concurrent_connections": 20}, 4, FEW),
        (QPS | {"concurrent_connections": 20}, 3, NONE),
        (QPS | {"concurrent_connections": 20}, 0, NONE),
        (QPS | {"concurrent_connections": 20, "starting_threads": 0}, 4, FEW),
        (QPS | {"concurrent_connections": 20, "starting_threads": 12}, 12, FEW),
        (QPS | {"concurrent_connections": 20, "starting_threads": 12}, 11, NONE),
        (QPS | {"concurrent_connections": 5, "starting_threads": 12}, 10, None),
        (SEARCH | {"start_concurrency": 5}, 5, LIMITED),
        (SEARCH | {"start_concurrency": 5}, 4, NONE),
        (SEARCH | {"scaling": NARROW}, 25, None),
        (SEARCH | {"scaling": NARROW}, 24, FEW),
        (SEARCH | {"scaling": NARROW}, 20, FEW),
        (SEARCH | {"scaling": NARROW}, 19, SHORT),
        (SEARCH | {"scaling": {"max_workers": 2}}, 20, SHORT),
        (SEARCH | {"scaling": {"max_workers": 1, "max_connections": 1}}, 5, FEW),
    ],
)
def test_a_load_is_held_against_the_connections_that_are_left(
    load: dict[str, Any], free: int, expected: tuple[Severity, str] | None
) -> None:
    assert severities(told(load, **full(free))) == ([expected] if expected else [])


@pytest.mark.parametrize("unknown", ["connections_max", "connections_used"])
def test_half_of_a_measurement_is_none(unknown: str) -> None:
    assert told({"concurrent_connections": 90}, **(full(1) | {unknown: None})) == []


def test_what_was_measured_of_the_connections_is_in_message_and_details() -> None:
    warning = only(told({"concurrent_connections": 20}, **full(12)))
    assert warning.message == (
        "The server takes 100 connections, 85 are in use and 3 reserved, so 12 are left: "
        "20 are needed at once."
    )
    assert warning.recommendations[0] == "Use at most 7 connections"
    assert warning.details["connections_max"] == 100
    assert warning.details["connections_used"] == 85
    assert warning.details["connections_reserved"] == 3
    assert warning.details["connections_free"] == 12
    assert warning.details["connections_at_start"] == 20
    assert warning.details["connections_wanted"] == 20


def test_a_rate_may_come_to_want_connections_that_are_not_there() -> None:
    warning = only(told(QPS | {"concurrent_connections": 20}, **full(12)))
    assert "up to the limit of 20, they are refused" in warning.message


def test_how_far_a_search_can_go_is_said() -> None:
    assert "goes no higher than 30." in only(told(SEARCH, **full(30))).message
    narrow = only(told(SEARCH | {"scaling": NARROW}, **full(15)))
    assert "goes no higher than 15, where scaling allows 20." in narrow.message


@pytest.mark.parametrize(
    ("active", "expected"), [(None, None), (0, None), (1, LOW), (3, LOW), (4, MEDIUM), (90, MEDIUM)]
)
def test_others_at_work_are_in_the_figures(active: int | None, expected: Severity | None) -> None:
    warnings = told(active_sessions=active)
    assert [one.severity for one in warnings] == ([expected] if expected else [])
    for one in warnings:
        assert one.message.startswith(f"{active} other session")
        assert one.details["active_sessions"] == active


@pytest.mark.parametrize(
    ("config", "is_replica", "expected"),
    [
        ({}, True, (LOW, "Target Is a Replica")),
        (WRITES, True, (HIGH, "Writes to a Replica")),
        ({}, False, None),
        (WRITES, False, None),
        (WRITES, None, None),
    ],
)
def test_a_replica_takes_no_writes(
    config: dict[str, Any], *, is_replica: bool | None, expected: tuple[Severity, str] | None
) -> None:
    warnings = told(config, is_replica=is_replica)
    assert severities(warnings) == ([expected] if expected else [])


PRODUCTION = (MEDIUM, "This Looks Like Production")


@pytest.mark.parametrize(
    ("connection", "config", "name"),
    [
        ({"host": "db.prod.example.com"}, {}, "db.prod.example.com"),
        ({"service": "live"}, {}, "live"),
        ({"host": "staging", "hostaddr": "prod.example.com"}, {}, "prod.example.com"),
        ({"account": "acme-prod"}, {"table_type": "STANDARD"}, "acme-prod"),
        ({"host": "staging"}, {"database": "orders_prod"}, "orders_prod"),
        (None, FILE, "/srv/live/shop.db"),
        ({"host": "staging"}, {"database": "products"}, None),
        ({"username": "prod"}, {}, None),
        (None, {}, None),
    ],
)
def test_names_of_the_target_may_sound_like_production(
    connection: dict[str, Any] | None, config: dict[str, Any], name: str | None
) -> None:
    reference = ConnectionReference.model_validate(connection) if connection else None
    warnings = told(config, connection=reference)
    assert severities(warnings) == ([PRODUCTION] if name else [])
    for one in warnings:
        assert one.details["name"] == name
        assert one.message.startswith(f"{name} fits {one.details['pattern']}, ")


def test_what_production_is_called_is_for_the_user_to_say() -> None:
    own = {"production_patterns": ("crown*",)}
    assert told(surroundings=own, connection=ConnectionReference(host="db-prod")) == []
    crown = ConnectionReference(host="crown-jewels")
    assert severities(told(surroundings=own, connection=crown)) == [PRODUCTION]


@pytest.mark.parametrize("table_type", ["SQLITE", "DUCKDB"])
@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ({"concurrent_connections": 4}, None),
        ({"concurrent_connections": 5}, LOW),
        ({"concurrent_connections": 16}, LOW),
        ({"concurrent_connections": 17}, MEDIUM),
        ({"concurrent_connections": 17, "think_time": 1}, None),
        (QPS | {"concurrent_connections": 17}, None),
        (SEARCH | {"start_concurrency": 17}, None),
    ],
)
def test_threads_are_held_against_the_cores(
    table_type: str, load: dict[str, Any], expected: Severity | None
) -> None:
    warnings = told({"table_type": table_type} | load, is_on_this_machine=True)
    title = "More Connections Than Cores"
    assert severities(warnings) == ([(expected, title)] if expected else [])


def test_one_core_is_told_as_one() -> None:
    config = {"table_type": "SQLITE", "concurrent_connections": 2}
    assert "threads that share 1 core:" in only(told(config, surroundings={"cores": 1})).message


LIMIT = (MEDIUM, "Load Generator May Be the Limit")
BESIDE = (LOW, "Server Runs on This Machine")


@pytest.mark.parametrize(
    ("config", "survey", "expected"),
    [
        ({"concurrent_connections": 1_000}, {}, []),
        ({"concurrent_connections": 1_001}, {}, [LIMIT]),
        ({"concurrent_connections": 1_001}, {"is_on_this_machine": False}, [LIMIT]),
        ({"concurrent_connections": 1_001, "think_time": 1}, {}, []),
        ({"concurrent_connections": 500}, {"is_on_this_machine": True}, [BESIDE]),
        ({"concurrent_connections": 501}, {"is_on_this_machine": True}, [LIMIT, BESIDE]),
        ({"table_type": "HYBRID", "concurrent_connections": 128}, {}, []),
        ({"table_type": "HYBRID", "concurrent_connections": 129}, {}, [LIMIT]),
        (QPS | {"concurrent_connections": 10_000}, {}, []),
        (SEARCH, {}, []),
    ],
)
def test_connections_are_held_against_the_cores_that_drive_them(
    config: dict[str, Any], survey: dict[str, Any], expected: list[tuple[Severity, str]]
) -> None:
    assert severities(told(config, **survey)) == expected


REACH = (MEDIUM, "Rate Out of This Machine's Reach")


@pytest.mark.parametrize(
    ("config", "survey", "expected"),
    [
        ({"target_qps": 200_000}, {}, []),
        ({"target_qps": 200_001}, {}, [REACH]),
        ({"target_qps": 100_000}, {"is_on_this_machine": True}, [BESIDE]),
        ({"target_qps": 100_001}, {"is_on_this_machine": True}, [REACH, BESIDE]),
        ({"target_qps": 1_000_000, "table_type": "SQLITE"}, {"is_on_this_machine": True}, []),
        ({"target_qps": 1_000_001, "table_type": "DUCKDB"}, {}, [REACH]),
        ({"target_qps": 1_000_001, "load_mode": "CONCURRENCY"}, {}, []),
    ],
)
def test_a_rate_is_held_against_the_cores_that_send_it(
    config: dict[str, Any], survey: dict[str, Any], expected: list[tuple[Severity, str]]
) -> None:
    assert severities(told(QPS | config, **survey)) == expected


def test_a_single_core_is_shared_and_still_counts_as_one() -> None:
    one = {"cores": 1}
    config = QPS | {"target_qps": 50_001}
    reach, beside = told(config, surroundings=one, is_on_this_machine=True)
    assert reach.details["cores_for_load"] == beside.details["cores"] == 1
    assert "50,001 operations per second are asked for; 1 core of this machine" in reach.message


THRESHOLDS = [
    f"fewer than {advices.CONNECTIONS_SPARE} would be left",
    f"{advices.SESSIONS_BUSY} or more | 1 to {advices.SESSIONS_BUSY - 1} ",
    f"more than {advices.THREADS_PER_CORE_MAX} busy connections to a file",
    f"more than {advices.SOCKETS_PER_CORE_MAX} to a server",
    f"({advices.SNOWFLAKE_PER_CORE_MAX} to Snowflake)",
    f"more than {advices.SERVER_OPERATIONS_PER_CORE_S:,} operations per second",
    f"({advices.FILE_OPERATIONS_PER_CORE_S:,} on a file)",
]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_page_on_templates_tells_where_each_rule_begins(threshold: str) -> None:
    assert threshold in (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
