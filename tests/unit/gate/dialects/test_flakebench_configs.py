"""FlakeBench's templates, runs and connections: what is read of them, and which word counts."""

from typing import Any

import pytest

from benchgate.domain.templates import LoadMode, QueryKind
from benchgate.errors import BackendError
from benchgate.gate.dialects.flakebench.configs import (
    NOT_NAMED,
    connection_name,
    connections_of,
    detail_of,
    errors_of,
    shelf_of,
    template_of,
)
from benchgate.gate.dialects.flakebench.payloads import Connections, Errors
from tests.unit.gate.dialects.flakebench_samples import TESTS, recorded, saved_template

CONNECTION: dict[str, Any] = {
    "connection_id": "c-1",
    "connection_name": "Prod",
    "connection_type": "POSTGRES",
    "host": "db.example.com",
    "port": 5432,
    "username": "bench",
    "is_default": True,
    "has_password": True,
    "password": "hunter2",
}


def connections(**changes: object) -> Connections:
    """One saved connection with *changes*."""
    return Connections.model_validate({"connections": [CONNECTION | changes], "total": 1})


def test_a_template_is_read_whole_and_its_unknown_keys_are_kept() -> None:
    saved = saved_template(
        {"ai_workload": {"pool_id": "p"}, "connection_id": "c-1"},
        tags={"team": "a", "odd": 3},
        usage_count=4,
        last_used_at="2026-11-23T13:00:00",
    )
    template = template_of(saved)
    assert template.config.target == "BENCH.PUBLIC.ORDERS"
    assert template.config.model_extra == {"ai_workload": {"pool_id": "p"}}
    assert template.config.connection_id == "c-1"
    assert (template.tags, template.usage_count) == ({"team": "a"}, 4)
    assert template.last_used_at is not None


def test_a_template_without_tags_has_none() -> None:
    assert template_of(saved_template()).tags is None


@pytest.mark.parametrize(
    ("key", "told", "meant"),
    [
        ("duration", 0, 300),
        ("start_concurrency", 0, 5),
        ("concurrency_increment", 0, 10),
        ("max_error_rate_pct", 0, 1),
        ("concurrent_connections", -1, 10),
        ("concurrent_connections", "", 10),
        ("concurrent_connections", None, 10),
        ("target_qps", 0, None),
        ("target_qps", -1, None),
        ("starting_threads", "", None),
        ("warmup", 0, 0),
    ],
)
def test_what_flakebench_reads_as_left_open_is_the_default(
    key: str, told: object, meant: object
) -> None:
    assert getattr(template_of(saved_template({key: told})).config, key) == meant


def test_limits_of_scaling_may_be_null_or_open() -> None:
    scaling = {"mode": "bounded", "min_workers": None, "max_workers": -1, "max_connections": 50}
    told = template_of(saved_template({"scaling": scaling})).config.scaling
    assert (told.min_workers, told.max_workers, told.max_connections) == (1, None, 50)


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"table_type": "CLAY"}, "table_type"),
        ({"step_duration_seconds": 5}, "step_duration_seconds"),
        ({"custom_point_lookup_pct": 50}, "percentages must sum to 100"),
        ({"table_name": ""}, "table_name"),
        ({"scaling": "wide"}, "scaling"),
    ],
)
def test_a_template_that_cannot_be_run_says_why_and_hides_no_other(
    config: dict[str, Any], where: str
) -> None:
    bad = saved_template(config, template_name="Odd\none")
    with pytest.raises(BackendError, match=where):
        template_of(bad)
    shelf = shelf_of([bad, saved_template()])
    assert [one.template_id for one in shelf.templates] == ["tpl-fixed"]
    assert [one.template_name for one in shelf.unreadable] == ["Odd\none"]
    assert shelf.unreadable[0].reason.startswith("The template Odd one cannot be run: ")


@pytest.mark.parametrize("name", TESTS)
def test_a_recorded_run_is_told_with_or_without_its_template(name: str) -> None:
    test = recorded(name)
    for template in (saved_template(), None):
        told = detail_of(test, template, connection=None)
        assert (told.run_id, told.test_id) == (test.test_id, test.test_id)
        assert told.template_id == test.template_id
        assert told.config.target == "BENCH.PUBLIC.ORDERS"
        assert told.config.load_mode == test.load_mode
        assert told.config.duration == test.duration


def test_what_the_run_fixed_counts_and_not_what_the_template_says_by_now() -> None:
    test = recorded(
        "rest_qps_running",
        scaling={"mode": "BOUNDED", "max_workers": 2, "min_workers": None},
        custom_point_lookup_pct=40.0,
        custom_update_pct=60.0,
        table_type="HYBRID",
    )
    changed = saved_template(
        {
            "duration": 999,
            "warmup": 99,
            "table_name": "OTHER",
            "database": "ELSEWHERE",
            "generic_queries": [{"operation_type": "WRITE", "weight_pct": 50, "sql": "DELETE"}],
            "think_time": 7,
            "connection_id": "c-1",
        }
    )
    told = detail_of(test, changed, connection="Prod", dashboard_url="http://b/dashboard/r")
    config = told.config
    assert config.load_mode is LoadMode.QPS
    assert (config.duration, config.warmup, config.target_qps) == (60, 2, 300)
    assert config.target == "BENCH.PUBLIC.ORDERS"
    assert {share.kind: share.share_pct for share in config.workload} == {
        QueryKind.POINT_LOOKUP: 40,
        QueryKind.UPDATE: 60,
    }
    assert config.scaling.max_workers == 2
    assert (config.think_time, config.connection_id) == (7, "c-1")
    assert (told.connection, told.dashboard_url) == ("Prod", "http://b/dashboard/r")
    assert told.bound is None


def test_statements_of_ones_own_come_from_the_template() -> None:
    test = recorded("rest_prepared", custom_point_lookup_pct=40.0)
    own = {"operation_type": "READ", "weight_pct": 60, "sql": "SELECT 1"}
    template = saved_template({"generic_queries": [own]})
    told = detail_of(test, template, connection=None).config
    assert [share.kind for share in told.workload] == [
        QueryKind.POINT_LOOKUP,
        QueryKind.GENERIC_SQL,
    ]
    with pytest.raises(BackendError, match="sum to 100"):
        detail_of(test, None, connection=None)


def test_the_number_of_connections_is_the_runs_until_workers_report() -> None:
    template = saved_template({"concurrent_connections": 50})
    fixed = detail_of(recorded("rest_prepared"), template, connection=None)
    assert fixed.config.concurrent_connections == 10
    running = recorded("rest_fixed_running", concurrent_connections=200)
    assert detail_of(running, template, connection=None).config.concurrent_connections == 50
    silent = recorded("rest_prepared", concurrent_connections=None)
    assert detail_of(silent, template, connection=None).config.concurrent_connections == 50


@pytest.mark.parametrize("full_name", [None, "ORDERS", "A.B.C.D", "BENCH..ORDERS"])
def test_a_full_name_that_leaves_doubt_is_not_taken_apart(full_name: str | None) -> None:
    test = recorded("rest_prepared", table_full_name=full_name, scaling=None)
    told = detail_of(test, saved_template({"database": "HERE"}), connection=None)
    assert told.config.target == "HERE.PUBLIC.ORDERS"


def test_a_run_without_a_time_of_creation_cannot_be_told() -> None:
    with pytest.raises(BackendError, match="when the run"):
        detail_of(recorded("rest_prepared", created_at=None), None, connection=None)


def test_a_run_without_a_template_has_none() -> None:
    test = recorded("rest_prepared", template_id=None, template_name=None, test_name=None)
    told = detail_of(test, None, connection=None)
    assert (told.template_id, told.template_name) == ("", "")


def test_connections_are_listed_without_secrets() -> None:
    told = connections_of(connections())
    assert told.total == 1
    assert told.connections[0].has_password
    assert "hunter2" not in told.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "db.example.com:5432 as bench (Prod)"),
        ({"username": None, "port": None}, "db.example.com (Prod)"),
        ({"host": None, "account": "acme", "username": None}, "acme (Prod)"),
        ({"host": None}, "Prod"),
        ({"connection_id": "c-2"}, "There is no connection c-1"),
    ],
)
def test_a_connection_is_named_as_a_person_knows_it(changes: dict[str, Any], shown: str) -> None:
    assert connection_name(connections(**changes), "c-1") == shown


def test_a_template_without_a_connection_leads_where_flakebench_wants() -> None:
    assert connection_name(connections(), None) == NOT_NAMED


def test_errors_are_told_by_class() -> None:
    told = errors_of(
        Errors.model_validate(
            {
                "test_id": "r",
                "query_tag": None,
                "available": True,
                "rows": [
                    {"source": "SNOWFLAKE", "summary": "s", "message": "m", "count": 3},
                    {"message": "bare", "count": 1, "level": None},
                ],
                "hierarchy": {},
            }
        )
    )
    assert [(row.source, row.summary, row.count) for row in told.rows] == [
        ("SNOWFLAKE", "s", 3),
        ("APP", "bare", 1),
    ]
