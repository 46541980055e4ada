"""What a template may say, and what is read out of it."""

import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchgate.domain.templates import (
    CONNECTIONS_MAX,
    DURATION_SECONDS_MAX,
    SQL_CHARACTERS_MAX,
    LoadMode,
    QueryKind,
    ScalingMode,
    TableType,
    TemplateConfig,
    TemplateDraft,
    WorkerLoss,
    WriteTarget,
)
from tests.unit.examples import CONFIG, config_of

SHARES = [
    "custom_point_lookup_pct",
    "custom_range_scan_pct",
    "custom_insert_pct",
    "custom_update_pct",
]


def refused(**changes: object) -> str:
    """The message with which a configuration with *changes* is refused."""
    with pytest.raises(ValidationError) as caught:
        config_of(**changes)
    return str(caught.value)


@pytest.mark.parametrize(
    "shares", [(100, 0, 0, 0), (25, 25, 25, 25), (33.33, 33.33, 33.34, 0), (99.99, 0.01, 0, 0)]
)
def test_a_workload_sums_to_all_of_it(shares: tuple[float, ...]) -> None:
    config = config_of(**dict(zip(SHARES, shares, strict=True)))
    assert [share.share_pct for share in config.workload] == [pct for pct in shares if pct]


@pytest.mark.parametrize(
    ("shares", "sum_pct"),
    [
        ((0, 0, 0, 0), "0"),
        ((50, 0, 0, 0), "50"),
        ((60, 60, 0, 0), "120"),
        ((99.98, 0, 0, 0), "99.98"),
    ],
)
def test_a_workload_that_does_not_is_refused_with_its_sum(
    shares: tuple[float, ...], sum_pct: str
) -> None:
    message = refused(**dict(zip(SHARES, shares, strict=True)))
    assert f"must sum to 100, they sum to {sum_pct}" in message


@given(st.lists(st.integers(0, 100), min_size=4, max_size=4))
def test_the_sum_alone_decides(shares: list[int]) -> None:
    fields = CONFIG | dict(zip(SHARES, shares, strict=True))
    if sum(shares) == 100:
        config = TemplateConfig.model_validate(fields)
        assert config.write_pct == shares[2] + shares[3]
    else:
        with pytest.raises(ValidationError):
            TemplateConfig.model_validate(fields)


@pytest.mark.parametrize(
    "change",
    [
        {"database": ""},
        {"database": "d" * 1_025},
        {"table_name": ""},
        {"table_name": "t" * 256},
        {"table_type": "CSV"},
        {"load_mode": "FAST"},
        {"duration": 0},
        {"duration": -1},
        {"duration": DURATION_SECONDS_MAX + 1},
        {"duration": 1e300},
        {"warmup": -1},
        {"think_time": -1},
        {"concurrent_connections": 0},
        {"concurrent_connections": CONNECTIONS_MAX + 1},
        {"custom_point_lookup_pct": -20, "custom_range_scan_pct": 120},
        {"custom_point_lookup_pct": float("nan")},
        {"target_qps": 0},
        {"target_qps": float("inf")},
        {"target_qps": 1e12},
        {"start_concurrency": 1_001},
        {"concurrency_increment": 0},
        {"step_duration_seconds": 9},
        {"custom_insert_query": "x" * (SQL_CHARACTERS_MAX + 1)},
        {"scaling": {"min_workers": 0}},
        {"scaling": {"mode": "FIXED", "min_workers": 10_000, "min_connections": 10_000}},
        {"load_mode": "QPS"},
        {"arrivals": "SOMETIMES"},
        {"write_target": "ELSEWHERE"},
        {"worker_loss": "IGNORE"},
        {"guardrails": {"max_cpu_percent": 0}},
        {"guardrails": {"max_seconds": 0}},
        {"target_insert_p95_latency_ms": 0},
        {"target_update_error_rate_pct": 101},
        {"generic_queries": [{"operation_type": "READ", "weight_pct": 0}] * 51},
        {"generic_queries": [{"weight_pct": 0}]},
    ],
    ids=lambda change: str(change)[:60],
)
def test_what_is_out_of_bounds_is_refused(change: dict[str, Any]) -> None:
    assert refused(**change)


@pytest.mark.parametrize("missing", ["database", "table_name"])
def test_a_target_is_required(missing: str) -> None:
    fields = {key: value for key, value in CONFIG.items() if key != missing}
    with pytest.raises(ValidationError, match=missing):
        TemplateConfig.model_validate(fields)


def test_null_means_the_default() -> None:
    config = config_of(warmup=None, concurrent_connections=None, schema=None, scaling=None)
    assert (config.warmup, config.concurrent_connections, config.schema_name) == (0, 10, "")
    assert config.scaling.mode is ScalingMode.AUTO


def test_minus_one_means_no_limit() -> None:
    config = config_of(
        concurrent_connections=-1, scaling={"max_workers": -1, "max_connections": -1}
    )
    assert config.concurrent_connections == 10
    assert (config.scaling.max_workers, config.scaling.max_connections) == (None, None)


def test_an_objective_of_minus_one_is_none() -> None:
    config = config_of(
        target_point_lookup_p95_latency_ms=-1,
        target_range_scan_p99_latency_ms=20,
        target_insert_error_rate_pct=0,
    )
    assert config.target_point_lookup_p95_latency_ms is None
    assert config.target_range_scan_p99_latency_ms == 20
    assert config.target_insert_error_rate_pct == 0


def test_what_writes_writes_to_a_copy_and_no_guardrail_is_on_by_itself() -> None:
    config = config_of(guardrails={"max_cpu_percent": None})
    assert config.write_target is WriteTarget.SCRATCH
    assert config.worker_loss is WorkerLoss.FAIL
    assert (config.guardrails.enabled, config.guardrails.max_cpu_percent) == (False, 80)


@pytest.mark.parametrize(
    ("insert_pct", "target", "copies"),
    [
        (10, WriteTarget.SCRATCH, True),
        (10, WriteTarget.IN_PLACE, False),
        (0, WriteTarget.SCRATCH, False),
    ],
)
def test_only_a_load_that_writes_and_not_in_place_makes_a_copy(
    insert_pct: int, target: WriteTarget, copies: bool
) -> None:
    shares = {"custom_point_lookup_pct": 80 - insert_pct, "custom_insert_pct": insert_pct}
    assert config_of(**shares, write_target=target).copies_writes is copies


def spaced(text: str) -> str:
    return f" {text} "


@pytest.mark.parametrize("spelt", [str.lower, str.title, spaced])
def test_names_are_taken_in_any_case(spelt: Callable[[str], str]) -> None:
    own = {"operation_type": spelt("WRITE"), "weight_pct": 20, "sql": "DELETE FROM t"}
    config = config_of(
        table_type=spelt("SQLITE"),
        load_mode=spelt("FIND_MAX_CONCURRENCY"),
        scaling={"mode": spelt("BOUNDED")},
        custom_range_scan_pct=0,
        generic_queries=[own],
    )
    assert config.table_type is TableType.SQLITE
    assert config.load_mode is LoadMode.FIND_MAX_CONCURRENCY
    assert config.scaling.mode is ScalingMode.BOUNDED
    assert config.write_pct == 20


@pytest.mark.parametrize("value", [1, True, ["POSTGRES"]])
def test_a_name_that_is_no_text_is_refused(value: object) -> None:
    assert "table_type" in refused(table_type=value)


def test_keys_of_other_backends_are_kept() -> None:
    config = config_of(use_cached_result=False, guardrails={"enabled": True, "patience": 3})
    again = TemplateConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.model_dump()["use_cached_result"] is False
    assert again.model_dump()["guardrails"]["patience"] == 3
    assert again.model_dump()["schema"] == "public"


def test_a_configuration_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValidationError):
        TemplateConfig.model_validate("SELECT 1")


def test_the_workload_has_a_fixed_order_and_only_what_has_a_share() -> None:
    config = config_of(
        custom_point_lookup_pct=10,
        custom_range_scan_pct=0,
        custom_insert_pct=20,
        custom_update_pct=30,
        custom_update_query="UPDATE t SET a = 1",
        custom_insert_query="",
        generic_queries=[
            {"operation_type": "READ", "weight_pct": 15, "query": "SELECT 1"},
            {"operation_type": "WRITE", "weight_pct": 25, "query_text": "DELETE FROM t"},
            {"operation_type": "READ", "weight_pct": 0, "sql": "SELECT 2"},
        ],
    )
    assert [(s.kind, s.share_pct, s.writes, s.sql) for s in config.workload] == [
        (QueryKind.POINT_LOOKUP, 10, False, None),
        (QueryKind.INSERT, 20, True, None),
        (QueryKind.UPDATE, 30, True, "UPDATE t SET a = 1"),
        (QueryKind.GENERIC_SQL, 15, False, "SELECT 1"),
        (QueryKind.GENERIC_SQL, 25, True, "DELETE FROM t"),
    ]
    assert config.write_pct == 75


@pytest.mark.parametrize(
    ("change", "connections"),
    [
        ({"concurrent_connections": 12}, 12),
        ({"load_mode": "FIND_MAX_CONCURRENCY", "start_concurrency": 7}, 7),
        ({"scaling": {"mode": "FIXED", "min_workers": 3, "min_connections": 5}}, 15),
        ({"scaling": {"mode": "BOUNDED", "min_workers": 3, "min_connections": 5}}, 8),
    ],
    ids=str,
)
def test_the_load_mode_says_how_many_connections_open(
    change: dict[str, Any], connections: int
) -> None:
    assert config_of(**change).connections == connections


def test_a_search_has_no_expected_end() -> None:
    assert config_of(warmup=5, duration=60).expected_seconds == 65
    assert config_of(load_mode="FIND_MAX_CONCURRENCY").expected_seconds is None


@pytest.mark.parametrize(
    ("schema", "target"), [("public", "bench.public.orders"), ("", "bench.orders")]
)
def test_the_target_is_written_as_a_person_would(schema: str, target: str) -> None:
    assert config_of(schema=schema).target == target


@pytest.mark.parametrize("name", ["", "n" * 256])
def test_a_template_has_a_name_of_bounded_length(name: str) -> None:
    with pytest.raises(ValidationError, match="template_name"):
        TemplateDraft(template_name=name, config=config_of())


def test_the_workload_is_read_once_and_belongs_to_its_own_configuration() -> None:
    own: dict[str, Any] = {"operation_type": "READ", "weight_pct": 20, "parameters": [1, {}]}
    fields: dict[str, Any] = {
        "custom_range_scan_pct": 0,
        "generic_queries": [own],
        "_workload": "a key",
    }
    config, same = config_of(**fields), config_of(**fields)
    assert config.workload is config.workload
    assert (config, config.model_dump_json()) == (same, same.model_dump_json())
    assert config.model_dump()["_workload"] == "a key"
    for again in (
        copy(config),
        deepcopy(config),
        config.model_copy(),
        config.model_copy(deep=True),
        pickle.loads(pickle.dumps(config)),
        TemplateConfig.model_validate_json(config.model_dump_json()),
    ):
        assert again == config
        assert again.workload == config.workload
    changed = config.model_copy(update={"custom_point_lookup_pct": 0})
    assert [share.kind for share in changed.workload] == [QueryKind.GENERIC_SQL]
