"""A template with another load: exactly what was asked for is other, or nothing is made at all."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchgate.domain.templates import LoadMode, Template, TemplateConfig
from benchgate.domain.variants import COUNTS_IN, SHARES, WORDS, LoadChanges, variant
from benchgate.errors import InvalidInput
from tests.unit.examples import config_of, template_of

FIXED = {"mode": "FIXED", "min_workers": 3, "min_connections": 5}
SEARCH = {"load_mode": "FIND_MAX_CONCURRENCY"}
PACED = {"load_mode": "QPS", "target_qps": 100}
BOUNDS = ("type", "minimum", "maximum", "exclusiveMinimum", "description")


def changes_of(**changes: object) -> LoadChanges:
    return LoadChanges.model_validate(changes)


def refused(template: Template, **changes: object) -> InvalidInput:
    """The refusal of *changes*."""
    with pytest.raises(InvalidInput) as caught:
        variant(template, changes_of(**changes))
    return caught.value


def bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """What *schema* says of a number, null as an alternative left out."""
    (number,) = [a for a in schema.get("anyOf", [schema]) if a != {"type": "null"}]
    both = schema | number
    return {key: both[key] for key in BOUNDS if key in both}


@pytest.mark.parametrize("name", LoadChanges.model_fields)
def test_a_change_has_the_limits_of_the_template(name: str) -> None:
    template = TemplateConfig.model_json_schema()["properties"][name]
    change = LoadChanges.model_json_schema()["properties"][name]
    assert bounds(change) == bounds(template)
    assert change["default"] is None


@pytest.mark.parametrize(
    "change",
    [{"database": "d"}, {"custom_insert_query": "x"}, {"load_mode": "QPS"}, {"scaling": FIXED}],
    ids=str,
)
def test_what_is_loaded_and_how_cannot_be_changed(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        changes_of(**change)


@pytest.mark.parametrize(
    "change",
    [{"duration": 0}, {"custom_insert_pct": 101}, {"target_qps": float("nan")}, {"warmup": 1.5}],
    ids=str,
)
def test_a_change_beyond_its_limits_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        changes_of(**change)


def test_a_variant_is_named_by_what_changed_and_says_where_it_comes_from() -> None:
    tags = {"team": "orders"}
    draft = variant(template_of(tags=tags), changes_of(duration=90, concurrent_connections=4))
    assert draft.template_name == "Orders lookup (4 connections, 90 s)"
    assert draft.description == (
        "Derived from the template Orders lookup (tpl-1), with 4 connections, 90 s."
    )
    assert draft.tags == tags
    assert (draft.config.duration, draft.config.concurrent_connections) == (90, 4)


def test_what_is_as_it_was_is_no_change() -> None:
    draft = variant(template_of(), changes_of(duration=60, concurrent_connections=1))
    assert draft.template_name == "Orders lookup (1 connection)"


@pytest.mark.parametrize("change", [{}, {"duration": None}, {"duration": 60, "warmup": 5}], ids=str)
def test_changes_that_change_nothing_are_refused(change: dict[str, Any]) -> None:
    assert "nothing in them differs" in str(refused(template_of(), **change))


def test_keys_of_other_backends_are_kept_wherever_they_stand() -> None:
    own = {"operation_type": "READ", "weight_pct": 0, "sql": "SELECT ?", "parameters": [1]}
    config = config_of(
        guardrails={"enabled": True, "limit": None},
        scaling={"mode": "AUTO", "patience": 3},
        generic_queries=[own],
    )
    changed = variant(template_of(config=config), changes_of(duration=90)).config
    assert changed.model_dump() == config.model_dump() | {"duration": 90}
    assert changed.model_dump(mode="json")["generic_queries"][0]["parameters"] == [1]
    assert changed.model_fields_set == config.model_fields_set


@pytest.mark.parametrize(
    ("config", "change", "words"),
    [
        ({}, {"target_qps": 500}, "target_qps: 500 has no effect in load mode CONCURRENCY"),
        ({}, {"start_concurrency": 6}, "it counts in FIND_MAX_CONCURRENCY only"),
        (PACED, {"max_error_rate_pct": 2}, "no effect in load mode QPS"),
        (SEARCH, {"concurrent_connections": 4}, "it counts in CONCURRENCY and QPS only"),
        ({"scaling": FIXED}, {"concurrent_connections": 4}, "FIXED at 3 x 5 connections"),
        (PACED | {"scaling": FIXED}, {"concurrent_connections": 4}, "scaling is FIXED"),
    ],
    ids=str,
)
def test_a_change_that_the_load_would_not_heed_is_refused(
    config: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    refusal = refused(template_of(config=config_of(**config)), **change)
    assert words in str(refusal)
    assert f"Leave {next(iter(change))} out" in refusal.hint


@pytest.mark.parametrize(
    ("config", "change", "name"),
    [
        (PACED, {"target_qps": 0.5, "starting_threads": 1}, "(0.5 QPS, 1 starting thread)"),
        (SEARCH, {"start_concurrency": 6, "warmup": 0}, "(from 6 connections, 0 s warm-up)"),
        ({"scaling": FIXED}, {"think_time": 20}, "(20 ms think time)"),
    ],
    ids=str,
)
def test_what_the_load_mode_heeds_can_be_changed(
    config: dict[str, Any], change: dict[str, Any], name: str
) -> None:
    draft = variant(template_of(config=config_of(**config)), changes_of(**change))
    assert draft.template_name == f"Orders lookup {name}"


def test_percentages_must_sum_to_all_of_the_workload_with_the_statements_of_ones_own() -> None:
    own = {"operation_type": "WRITE", "weight_pct": 20, "sql": "DELETE FROM t"}
    template = template_of(config=config_of(custom_range_scan_pct=0, generic_queries=[own]))
    refusal = refused(template, custom_point_lookup_pct=70, custom_insert_pct=15)
    assert str(refusal) == (
        "custom_point_lookup_pct: 70, custom_insert_pct: 15 cannot be used: "
        "the workload's percentages must sum to 100, they sum to 105."
    )
    assert "custom_point_lookup_pct 80" in refusal.hint
    assert "generic_queries 20 in all" in refusal.hint
    draft = variant(template, changes_of(custom_point_lookup_pct=70, custom_insert_pct=10))
    assert draft.template_name == "Orders lookup (70% point lookups, 10% inserts)"
    assert draft.config.write_pct == 30


def test_a_long_name_is_cut_in_its_middle_and_keeps_its_changes() -> None:
    name = "begin " + "n" * 2_000 + " end"
    shorter = variant(template_of(template_name=name[:300] + " end"), changes_of(duration=90))
    assert shorter.template_name.startswith("begin nnn")
    assert shorter.template_name.endswith("nnn end (90 s)")
    assert "…" in shorter.template_name
    longest = variant(template_of(template_name=name), changes_of(duration=90))
    assert 250 <= len(longest.template_name) <= 255


def test_of_more_changes_than_a_name_can_hold_the_rest_is_counted() -> None:
    many = {
        "start_concurrency": 999,
        "concurrency_increment": 499,
        "step_duration_seconds": 3_599,
        "qps_stability_pct": 12.345678,
        "latency_stability_pct": 999.5,
        "max_error_rate_pct": 12.345678,
        "warmup": 86_399,
        "think_time": 3_599_999,
        "custom_point_lookup_pct": 33.33,
        "custom_range_scan_pct": 33.33,
        "custom_insert_pct": 16.67,
        "custom_update_pct": 16.67,
    }
    template = template_of(template_name="n" * 255, config=config_of(**SEARCH))
    draft = variant(template, changes_of(**many))
    assert len(draft.template_name) <= 255
    assert draft.template_name.startswith("nnn")
    assert "(from 999 connections, " in draft.template_name
    assert draft.template_name.endswith(" and 5 more)")
    assert "at most 12.345678% errors." in (draft.description or "")


def test_a_name_in_which_nothing_can_be_seen_leaves_what_changed() -> None:
    draft = variant(template_of(template_name="\u200b\n"), changes_of(duration=90))
    assert draft.template_name == "(90 s)"


def test_more_tags_than_a_draft_takes_do_not_stand_in_the_way() -> None:
    tags = {f"tag {number}": "x" for number in range(60)}
    draft = variant(template_of(tags=tags), changes_of(duration=90))
    assert len(draft.tags or {}) == 50


def test_every_change_has_words_and_every_load_mode_something_of_its_own() -> None:
    assert WORDS.keys() == LoadChanges.model_fields.keys()
    assert {*COUNTS_IN, *SHARES, "duration", "warmup", "think_time"} == WORDS.keys()
    assert {mode for modes in COUNTS_IN.values() for mode in modes} == {*LoadMode}


def numbers(name: str) -> st.SearchStrategy[float]:
    """Any value that the template takes for *name*."""
    said = bounds(LoadChanges.model_json_schema()["properties"][name])
    low, high = said.get("minimum", 0.25), said["maximum"]
    if name in SHARES:
        return st.sampled_from([0, 10, 20, 30, 40, 50, 60, 70, 80, 100])
    return st.integers(low, high) if said["type"] == "integer" else st.floats(low, high)


LOADS = st.fixed_dictionaries(
    {
        "load_mode": st.sampled_from(LoadMode),
        "target_qps": st.sampled_from([100, 0.5]),
        "scaling": st.sampled_from([FIXED, {"mode": "AUTO", "patience": 3}]),
    },
    optional={
        "duration": numbers("duration"),
        "guardrails": st.dictionaries(st.text(max_size=5), st.none() | st.integers()),
    },
)
# Few at a time: of many, one is nearly always refused.
CHANGES = st.sets(st.sampled_from([*WORDS]), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: numbers(name) for name in names})
)
NAMES = st.text(min_size=1, max_size=400)


@given(LOADS, CHANGES, NAMES)
@example({}, {"custom_point_lookup_pct": 60, "custom_update_pct": 20}, "n" * 255)
@example(SEARCH, {"start_concurrency": 7}, "orders")
def test_a_variant_differs_in_what_was_changed_and_in_nothing_else(
    load: dict[str, Any], change: dict[str, Any], name: str
) -> None:
    template = template_of(template_name=name, config=config_of(**load))
    before = template.model_dump_json()
    known = template.config.model_dump()
    with suppress(InvalidInput):
        draft = variant(template, changes_of(**change))
        different = {key: value for key, value in change.items() if known[key] != value}
        assert different
        assert draft.config.model_dump() == known | different
        assert draft.template_name.endswith(")")
    assert template.model_dump_json() == before


def test_a_template_that_cannot_be_saved_anew_is_refused_with_the_rule() -> None:
    query = {"operation_type": "READ", "weight_pct": 20, "sql": "SELECT 1", "parameters": [1] * 101}
    template = template_of(config=config_of(custom_range_scan_pct=0, generic_queries=[query]))
    message = str(refused(template, duration=7))
    assert message == (
        "The template cannot be saved anew: number 1 of generic_queries has more than 100 "
        "parameters."
    )
