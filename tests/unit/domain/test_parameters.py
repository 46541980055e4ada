"""What is read from the parameters of a template, and what stays as it was given."""

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from benchgate.backend.drivers.operations import KEYS_MAX, VALUES_MAX
from benchgate.domain.parameters import (
    BY_STRATEGY,
    CHOICES_MAX,
    PARAMETERS_MAX,
    Between,
    FixedValue,
    Known,
    OfColumn,
    OfKey,
    OneOf,
    Parameter,
    Unknown,
    parameters_of,
)
from benchgate.domain.templates import (
    GenericQuery,
    QueryKind,
    QueryShare,
    TemplateConfig,
    TemplateDraft,
)
from tests.unit.examples import config_of
from tests.unit.tree import ROOT

ANY: TypeAdapter[Known | Unknown] = TypeAdapter(Parameter)


@pytest.mark.parametrize("value", [5, 5.0, -1, "five", "", True, False, None, 2**70])
def test_a_plain_value_is_what_is_bound(value: object) -> None:
    for given in (value, {"value": value}, {"strategy": "literal", "value": value}):
        (read,) = parameters_of([given])
        assert isinstance(read, FixedValue)
        assert read.value == value
        assert type(read.value) is type(value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"column": "day"}, OfColumn(column="day")),
        ({"column": "day", "name": "when"}, OfColumn(column="day")),
        ({"key": True}, OfKey(key=True)),
        ({"min": 1, "max": 9}, Between(min=1, max=9)),
        ({"min": -1.5, "max": -1.5}, Between(min=-1.5, max=-1.5)),
        ({"min": 1, "max": 9, "integer": False}, Between(min=1, max=9, integer=False)),
        ({"choice": [1, "a", None]}, OneOf.model_validate({"choice": [1, "a", None]})),
        ({"values": [True]}, OneOf.model_validate({"choice": [True]})),
    ],
    ids=str,
)
def test_each_form_is_known_by_its_key(given: object, meant: Known) -> None:
    assert parameters_of([given]) == (meant,)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (
            {"strategy": "sample_from_table", "column": "DAY", "pool_id": "p", "form": "own"},
            OfColumn(column="DAY"),
        ),
        (
            {"strategy": " CHOICE ", "values": ["a"], "param_type": "choice", "table": "t"},
            OneOf.model_validate({"choice": ["a"]}),
        ),
        (
            {"strategy": "random_numeric", "min": 1, "max": 2},
            Between(min=1, max=2, integer=False),
        ),
        (
            {"strategy": "random_numeric", "min": 1, "max": 2, "integer": True},
            Between(min=1, max=2, integer=True),
        ),
    ],
    ids=str,
)
def test_the_real_products_strategies_mean_the_same(given: object, meant: Known) -> None:
    assert parameters_of([given]) == (meant,)


@pytest.mark.parametrize(
    "given",
    [
        {},
        [1],
        {"key": False},
        {"key": "id"},
        {"column": ""},
        {"column": 5},
        {"column": "day", "modulo": 5},
        {"column": "day", "min": 1, "max": 2},
        {"min": 1},
        {"min": 2, "max": 1},
        {"min": True, "max": 2},
        {"min": "1", "max": "2"},
        {"min": 1, "max": float("inf")},
        {"choice": []},
        {"choice": "abc"},
        {"choice": [[1]]},
        {"choice": [0] * (CHOICES_MAX + 1)},
        {"value": {"a": 1}},
        {"strategy": "literal"},
        {"strategy": "offset_from_previous", "depends_on": 1, "offset": 7},
        {"strategy": None, "column": "day"},
        {"column": "day", "position": "first"},
    ],
    ids=lambda given: str(given)[:60],
)
def test_what_has_no_known_form_stays_unknown(given: object) -> None:
    (read,) = parameters_of([given])
    assert isinstance(read, Unknown)
    assert len(read.shown) <= 80


def test_an_unknown_form_is_shown_as_it_was_given() -> None:
    assert parameters_of([{"modulo": 5}]) == (Unknown(shown='{"modulo": 5}'),)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, '{"value":null}'),
        ({"strategy": "sample_from_table", "column": "day", "position": 1}, '{"column":"day"}'),
        ({"key": True}, '{"key":true}'),
        ({"min": 1, "max": 9}, '{"min":1,"max":9}'),
        ({"values": ["a", 1]}, '{"choice":["a",1]}'),
        ({"modulo": 5}, '{"modulo": 5}'),
    ],
    ids=str,
)
def test_a_parameter_is_told_as_it_would_be_written(given: object, told: str) -> None:
    assert parameters_of([given])[0].told == told


def test_a_position_goes_before_the_order_of_the_list() -> None:
    second = {"strategy": "choice", "values": ["b"], "position": 2}
    first = {"column": "a", "position": 1}
    read = parameters_of(["last", second, first])
    assert [one.form for one in read] == ["column", "choice", "value"]


@pytest.mark.parametrize(
    ("between", "is_whole"),
    [
        (Between(min=1, max=2), True),
        (Between(min=1, max=2.0), False),
        (Between(min=1.0, max=2.0, integer=True), True),
        (Between(min=1, max=2, integer=False), False),
    ],
    ids=str,
)
def test_whole_ends_mean_whole_numbers_unless_it_is_said(
    between: Between, *, is_whole: bool
) -> None:
    assert between.is_whole is is_whole


@pytest.mark.parametrize(
    "given", [5, 5.0, True, None, "5", {"column": "a"}, {"key": True}, {"modulo": 5}], ids=str
)
def test_a_parameter_crosses_a_pipe_unchanged(given: object) -> None:
    (read,) = parameters_of([given])
    again = ANY.validate_json(read.model_dump_json())
    assert again == read
    assert repr(again) == repr(read)


def test_a_template_keeps_its_parameters_as_they_are_and_its_workload_has_them_read() -> None:
    given = [{"strategy": "random_in_range", "column": "day", "pool_id": "p"}, 1, 1.0, None]
    own = {"operation_type": "READ", "weight_pct": 20, "sql": "SELECT 1", "parameters": given}
    config = config_of(custom_range_scan_pct=0, generic_queries=[own])
    assert config.model_dump(mode="json")["generic_queries"][0]["parameters"] == given
    *_, share = config.workload
    assert [one.form for one in share.parameters] == ["unknown", "value", "value", "value"]


def test_the_page_on_templates_shows_forms_that_are_known() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    own = page.partition("### Statements of `generic_queries`")[2].partition("\n### ")[0]
    example = json.loads(own.partition("```json\n")[2].partition("```")[0])
    _, reading, writing = TemplateDraft.model_validate(example).config.workload
    assert [one.form for one in reading.parameters] == ["column", "choice", "value"]
    assert [one.form for one in writing.parameters] == ["range", "key"]
    shown = [json.loads(entry) for entry in re.findall(r"^\| `(\{.*?\})` \|", own, re.MULTILINE)]
    forms = [one.form for one in parameters_of(shown)]
    assert forms == ["column", "key", "range", "choice"]
    for strategy in BY_STRATEGY:
        assert f"`{strategy}`" in own
    for limit in (CHOICES_MAX, KEYS_MAX, VALUES_MAX):
        assert f"at most {limit:,}" in own


def test_parameters_that_are_null_are_none() -> None:
    own = {"operation_type": "READ", "weight_pct": 1, "parameters": None}
    assert GenericQuery.model_validate(own).parameters == ()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("", "GENERIC_SQL"),
        ("by\ncustomer", "GENERIC_SQL (by customer)"),
        ("x" * 120, f"GENERIC_SQL ({'x' * 39}…)"),
    ],
)
def test_a_message_calls_a_statement_by_its_label(label: str, name: str) -> None:
    share = QueryShare(kind=QueryKind.GENERIC_SQL, share_pct=1, writes=False, label=label)
    assert share.name == name


def test_statements_without_a_label_are_counted() -> None:
    own = [
        {"operation_type": "READ", "weight_pct": pct, "sql": "SELECT 1", "label": label}
        for pct, label in ((10, "first"), (0, ""), (10, ""))
    ]
    config = config_of(custom_range_scan_pct=0, generic_queries=own)
    assert [share.name for share in config.workload] == [
        "POINT_LOOKUP",
        "GENERIC_SQL (first)",
        "GENERIC_SQL (number 3)",
    ]


def own(parameters: object) -> TemplateConfig:
    """A configuration with a statement of its own that has *parameters*."""
    query = {"operation_type": "READ", "weight_pct": 20, "sql": "SELECT 1"}
    return config_of(custom_range_scan_pct=0, generic_queries=[query | {"parameters": parameters}])


@pytest.mark.parametrize("given", [{"a": 1}, {"column": "day"}, "five", 5, True], ids=str)
def test_parameters_that_are_no_list_are_one_that_is_not_known(given: object) -> None:
    stored = own(given).model_dump_json()
    config = TemplateConfig.model_validate_json(stored)
    assert config.model_dump_json() == stored
    assert config.generic_queries[0].parameters == given
    assert config.workload[-1].parameters == (Unknown(shown=json.dumps(given)),)


def test_more_parameters_than_a_draft_takes_stay_readable() -> None:
    for number, is_taken in ((PARAMETERS_MAX, True), (PARAMETERS_MAX + 1, False)):
        config = TemplateConfig.model_validate_json(own([1] * number).model_dump_json())
        assert len(config.workload[-1].parameters) == number
        if is_taken:
            TemplateDraft(template_name="Orders", config=config)
        else:
            with pytest.raises(ValidationError, match="number 1 of generic_queries has more than"):
                TemplateDraft(template_name="Orders", config=config)


def test_parameters_that_are_nested_too_deeply_are_refused() -> None:
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    for given in (deep, [deep], {"a": deep}):
        with pytest.raises(ValidationError, match="parameters are nested too deeply"):
            own(given)
