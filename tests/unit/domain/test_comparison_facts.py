"""What a person is shown of a whole comparison: its digest, its sums, and what differs in it."""

from typing import Any

import pytest

from benchgate.domain.bounds import Bound
from benchgate.domain.cost import Cost, CostBasis
from benchgate.domain.facts import (
    ComparisonFacts,
    Difference,
    ListedTest,
    TestFacts,
    differences,
    differing_test,
    is_same_test,
)
from benchgate.domain.likeness import Caution, CautionKind
from tests.unit.examples import HIGH, MEDIUM, comparison_facts_of, config_of, facts_of

CAUTION = Caution(kind=CautionKind.DURATION, values=("60s", "30s"))


def with_test(number: int, **changes: object) -> ComparisonFacts:
    """The facts of the examples, with *changes* in the test of that number."""
    tests = list(comparison_facts_of().tests)
    tests[number - 1] = tests[number - 1].model_copy(update=changes)
    return comparison_facts_of(tests=tuple(tests))


def told(after: ComparisonFacts) -> list[tuple[str, str, str]]:
    """How *after* differs from the facts of the examples."""
    found = differences(comparison_facts_of(), after)
    return [(one.name, one.before, one.after) for one in found]


@pytest.mark.parametrize(
    "change",
    [
        {"comparison_id": "cmp-2"},
        {"comparison_type": "table_type"},
        {"tests": comparison_facts_of().tests[:1]},
        {"tests": comparison_facts_of().tests[::-1]},
        {"order": (1, 0)},
        {"done": 1},
        {"cautions": (CAUTION,)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_fact_of_a_comparison_counts(change: dict[str, Any]) -> None:
    assert comparison_facts_of(**change).digest != comparison_facts_of().digest


def test_every_fact_of_a_comparison_has_a_test_above() -> None:
    tested = {"comparison_id", "comparison_type", "tests", "order", "done", "cautions"}
    assert set(ComparisonFacts.model_fields) == tested


LISTED_CHANGES: list[dict[str, Any]] = [
    {"variant": "Large"},
    {"template_id": "tpl-9"},
    {"template_name": "Other"},
    {"config": config_of(duration=61)},
    {"connection": None},
    {"copies_writes": True},
    {"bound": Bound(seconds_max=310, steps_max=10)},
    {"estimated_cost": Cost(credits=1, basis=CostBasis.RATE)},
    {"warnings": (MEDIUM,)},
    {"can_proceed": False},
]


@pytest.mark.parametrize("change", LISTED_CHANGES, ids=lambda change: next(iter(change)))
def test_every_fact_of_each_listed_test_counts_and_is_told(change: dict[str, Any]) -> None:
    changed = with_test(2, **change)
    assert changed.digest != comparison_facts_of().digest
    assert all(name.startswith("test 2, ") for name, _, _ in told(changed))
    assert len(told(changed)) == 1


def test_every_fact_of_a_listed_test_has_a_test_above() -> None:
    tested = {name for change in LISTED_CHANGES for name in change}
    assert set(ListedTest.model_fields) == tested


def test_what_differs_is_told_with_the_number_of_its_test() -> None:
    assert told(with_test(2, config=config_of(duration=300))) == [("test 2, duration", "60", "300")]
    assert told(with_test(1, connection=None)) == [
        ("test 1, connection", "db.example:5432 as bench (orders-db)", "none")
    ]


def test_what_is_left_and_its_cautions_are_told_before_the_tests() -> None:
    found = told(comparison_facts_of(order=(1,), cautions=(CAUTION,)))
    assert [name for name, _, _ in found] == ["runs left", "cautions"]
    assert found[0] == ("runs left", "2", "1")


def test_a_test_that_is_gone_is_told_fact_by_fact() -> None:
    found = told(comparison_facts_of(tests=comparison_facts_of().tests[:1], order=(0,)))
    assert ("test 2, variant", "Small", "none") in found
    assert {name.split(",")[0] for name, _, _ in found} == {"runs left", "test 2"}


def test_a_backends_own_key_does_not_pass_for_a_fact_of_a_listed_test() -> None:
    (difference,) = told(with_test(1, config=config_of(connection="mine")))
    assert difference == ("test 1, connection (configuration)", "none", "mine")


@pytest.mark.parametrize("key", ["1\nvariant", "2\ntest", "\nvariant", "x\ny"])
def test_a_backends_own_key_does_not_pass_for_that_of_another_test(key: str) -> None:
    config = config_of(**{key: "mine"})
    (difference,) = differences(facts_of(), facts_of(config))
    assert not difference.name.startswith("test ")
    (difference,) = differences(comparison_facts_of(), with_test(2, config=config))
    assert difference.name.startswith("test 2, ")
    assert "test 1" not in difference.name


def test_a_run_and_a_whole_have_no_fact_in_common() -> None:
    found = differences(facts_of(), comparison_facts_of())
    assert {one.after for one in found if not one.name.startswith("test ")} >= {"2"}


def test_the_facts_of_a_comparison_survive_being_stored() -> None:
    odd = config_of(a_key_of_another_backend=float("nan"))
    facts = with_test(1, config=odd, warnings=(HIGH,)).model_copy(update={"cautions": (CAUTION,)})
    stored = ComparisonFacts.model_validate_json(facts.model_dump_json())
    assert stored.digest == facts.digest


def test_a_comparison_is_called_by_its_variants() -> None:
    assert comparison_facts_of().name == "2 tests: X-Small, Small"


@pytest.mark.parametrize(("order", "seconds"), [((0, 1), 130), ((1,), 65), ((0, 1, 0), 195)])
def test_the_time_of_a_whole_is_that_of_all_its_runs(order: tuple[int, ...], seconds: int) -> None:
    assert comparison_facts_of(order=order).expected_seconds == seconds


def test_the_time_of_a_whole_is_open_while_one_with_an_open_end_is_left() -> None:
    facts = with_test(1, config=config_of(load_mode="FIND_MAX_CONCURRENCY"))
    assert facts.expected_seconds is None
    assert facts.model_copy(update={"order": (1,)}).expected_seconds == 65


def test_an_open_time_has_an_end_where_every_search_is_bounded() -> None:
    search = config_of(load_mode="FIND_MAX_CONCURRENCY")
    open_ended = with_test(1, config=search)
    bounded = with_test(1, config=search, bound=Bound(seconds_max=310, steps_max=10))
    assert (open_ended.seconds_max, bounded.seconds_max) == (None, 375)
    assert comparison_facts_of().seconds_max == 130


def test_the_cost_of_a_whole_is_that_of_all_its_runs() -> None:
    facts = with_test(2, estimated_cost=Cost(credits=0.5, basis=CostBasis.RATE))
    assert facts.estimated_cost == Cost(credits=0.5, basis=CostBasis.RATE)
    thrice = facts.model_copy(update={"order": (0, 1, 0, 1, 0, 1)})
    assert thrice.estimated_cost == Cost(credits=1.5, basis=CostBasis.RATE)
    unknown = with_test(1, estimated_cost=Cost(credits=None, basis=CostBasis.UNKNOWN))
    assert unknown.estimated_cost.credits is None


def test_a_test_is_the_same_whichever_run_of_it_is_meant() -> None:
    listed = comparison_facts_of().tests[0]
    run = facts_of().model_copy(update={"template_name": listed.template_name})
    assert is_same_test(listed, run)
    assert is_same_test(run.model_copy(update={"run_id": "run-2"}), run)
    assert differing_test(listed, run) == ()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"template_name": "Other"}, "test"),
        ({"config": config_of(duration=61)}, "duration"),
        ({"config": config_of(a_key_of_another_backend=1)}, "a key of another backend"),
        ({"connection": None}, "connection"),
        ({"estimated_cost": Cost(credits=1, basis=CostBasis.RATE)}, "estimated cost"),
        ({"warnings": (MEDIUM,)}, "pre-flight warnings"),
        ({"can_proceed": False}, "pre-flight verdict"),
    ],
    ids=str,
)
def test_another_test_is_not_the_same_and_is_told_in_what(
    change: dict[str, Any], name: str
) -> None:
    before: TestFacts = facts_of()
    after = facts_of().model_copy(update=change)
    assert not is_same_test(before, after)
    found: tuple[Difference, ...] = differing_test(before, after)
    assert [one.name for one in found] == [name]
