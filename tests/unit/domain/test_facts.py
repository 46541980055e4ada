"""The digest of what a person was shown, and the words for what differs from it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.bounds import Bound
from benchgate.domain.cost import Cost, CostBasis
from benchgate.domain.facts import Difference, StartFacts, differences
from benchgate.domain.preflight import PreflightWarning, Severity
from benchgate.domain.text import NAME_CHARACTERS_MAX
from tests.unit.examples import CONFIG, HIGH, MEDIUM, config_of, facts_of
from tests.unit.hostile import FOREIGN

LOW = MEDIUM.model_copy(update={"severity": Severity.LOW})


OWN: dict[str, Any] = {
    "operation_type": "WRITE",
    "weight_pct": 20,
    "sql": "DELETE FROM {table} WHERE id = ?",
}


def changed(**changes: object) -> tuple[Difference, ...]:
    """What differs when the facts of the examples have *changes*."""
    return differences(facts_of(), facts_of().model_copy(update=changes))


def reconfigured(**changes: object) -> tuple[Difference, ...]:
    """What differs when the configuration of the examples has *changes*."""
    return differences(facts_of(), facts_of(config_of(**changes)))


def only(found: tuple[Difference, ...]) -> tuple[str, str, str]:
    (difference,) = found
    return difference.name, difference.before, difference.after


def rated(figure: float | None) -> Cost:
    return Cost(credits=figure, basis=CostBasis.RATE)


@pytest.mark.parametrize(
    "change",
    [
        {"database": "prod"},
        {"schema": "other"},
        {"table_name": "customers"},
        {"table_type": "HYBRID"},
        {"connection_id": "c-2"},
        {"duration": 61},
        {"warmup": 6},
        {"think_time": 1},
        {"concurrent_connections": 9},
        {"load_mode": "QPS", "target_qps": 100},
        {"custom_point_lookup_pct": 70, "custom_update_pct": 10},
        {"custom_point_lookup_query": "SELECT 1"},
        {"custom_range_scan_pct": 0, "generic_queries": [OWN]},
        {"postgres_instance_size": "STANDARD_M"},
        {"a_key_of_another_backend": 1},
        {"arrivals": "CONSTANT"},
        {"starting_threads": 8},
        {"worker_loss": "REDISTRIBUTE"},
        {"decode_rows": True},
        {"use_cached_result": True},
        {"guardrails": {"enabled": True}},
        {"guardrails": {"max_cpu_percent": 81}},
        {"guardrails": {"max_memory_percent": 86}},
        {"guardrails": {"max_error_rate_percent": 5}},
        {"guardrails": {"max_seconds": 60}},
        {"target_point_lookup_p95_latency_ms": 10},
        {"target_update_error_rate_pct": 1},
    ],
    ids=str,
)
def test_another_configuration_is_another_question(change: dict[str, Any]) -> None:
    assert facts_of(config_of(**change)).digest != facts_of().digest


@pytest.mark.parametrize(
    "change",
    [
        {"label": "clean up"},
        {"parameters": [1]},
        {"parameters": [{"column": "id"}]},
        {"parameters": [{"a form of another backend": 1}]},
        {"operation_type": "READ"},
    ],
    ids=str,
)
def test_another_label_or_parameter_of_a_statement_is_another_question(
    change: dict[str, Any],
) -> None:
    plain, other = (
        facts_of(config_of(custom_range_scan_pct=0, generic_queries=[own]))
        for own in (OWN, OWN | change)
    )
    assert plain.digest != other.digest
    (difference,) = differences(plain, other)
    assert difference.name == "generic queries"


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "run-2"},
        {"template_name": "Other"},
        {"connection": "db-2.example:5432 as bench (orders-db)"},
        {"copies_writes": True},
        {"bound": Bound(seconds_max=310, steps_max=10)},
        {"can_proceed": False},
        {"warnings": (MEDIUM,)},
        {"estimated_cost": Cost(credits=1.35, basis=CostBasis.RATE)},
        {"estimated_cost": Cost(credits=0, basis=CostBasis.UNKNOWN)},
    ],
    ids=str,
)
def test_every_fact_counts(change: dict[str, Any]) -> None:
    facts = facts_of()
    assert facts.model_copy(update=change).digest != facts.digest


def test_what_is_measured_anew_at_every_look_is_no_change() -> None:
    busy = MEDIUM.model_copy(update={"of_a_moment": True, "message": "3 others are active."})
    busier = busy.model_copy(update={"message": "4 others are active.", "details": {"active": 4}})

    def told(*warnings: PreflightWarning) -> StartFacts:
        return facts_of().model_copy(update={"warnings": warnings})

    before, after = told(busy), told(busier)
    assert before.digest == after.digest
    assert differences(before, after) == ()
    assert told(busy.model_copy(update={"of_a_moment": False})).digest != before.digest
    assert told(busier.model_copy(update={"severity": Severity.HIGH})).digest != before.digest


def test_no_part_of_a_configuration_can_call_itself_passing() -> None:
    passing = {"of_a_moment": True, "severity": "low", "operation_type": "READ", "weight_pct": 20}

    def told(sql: str, details: int) -> StartFacts:
        query = passing | {"sql": sql, "details": details}
        return facts_of(config_of(custom_range_scan_pct=0, generic_queries=[query]))

    assert told("SELECT 1", 1).digest != told("SELECT 2", 1).digest
    assert told("SELECT 1", 1).digest != told("SELECT 1", 2).digest


def test_a_guardrail_that_was_lifted_after_the_yes_is_told_by_its_name() -> None:
    limits = {"enabled": True, "max_seconds": 60}
    before = facts_of(config_of(guardrails=limits))
    after = facts_of(config_of(guardrails=limits | {"enabled": False}))
    name, told, anew = only(differences(before, after))
    assert (name, '"enabled": true' in told, '"enabled": false' in anew) == (
        "guardrails",
        True,
        True,
    )


def test_every_fact_has_a_test_above() -> None:
    tested = {
        "run_id",
        "template_name",
        "config",
        "connection",
        "copies_writes",
        "bound",
        "can_proceed",
        "warnings",
        "estimated_cost",
    }
    assert set(StartFacts.model_fields) == tested


def test_a_warning_that_turns_worse_is_another_question() -> None:
    assert facts_of(None, MEDIUM).digest != facts_of(None, HIGH).digest


def test_the_same_facts_have_the_same_digest_in_whatever_order_a_backend_gives_them() -> None:
    config = CONFIG | {"zone": {"b": 1, "a": 2}, "area": None}
    turned = dict(reversed((CONFIG | {"zone": {"a": 2, "b": 1}}).items()))
    digest = facts_of(config_of(**config)).digest
    assert facts_of(config_of(**turned)).digest == digest
    assert len(digest) == 64


def test_the_facts_survive_being_stored() -> None:
    facts = facts_of(config_of(think_time=5, a_key_of_another_backend={"b": [1]}), HIGH)
    stored = StartFacts.model_validate_json(facts.model_dump_json())
    assert stored == facts
    assert stored.digest == facts.digest


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_number_of_a_backends_own_that_json_lacks_survives_too(number: float) -> None:
    facts = facts_of(config_of(a_key_of_another_backend=number))
    assert StartFacts.model_validate_json(facts.model_dump_json()).digest == facts.digest
    assert facts.digest != facts_of(config_of(a_key_of_another_backend=None)).digest


def test_the_same_facts_do_not_differ() -> None:
    assert differences(facts_of(), facts_of()) == ()


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0.35, 1.35, ("0.35 credits", "1.35 credits")),
        (1_234.5, None, ("1,234.50 credits", "unknown")),
        (0.000278, 0, ("0.00028 credits", "0 credits")),
    ],
)
def test_a_changed_cost_is_told_in_credits(
    before: float, after: float | None, shown: tuple[str, str]
) -> None:
    old, new = (
        facts_of().model_copy(update={"estimated_cost": rated(figure)})
        for figure in (before, after)
    )
    assert only(differences(old, new)) == ("estimated cost", *shown)


def test_an_added_warning_is_told_with_its_severity() -> None:
    name, before, after = only(differences(facts_of(), facts_of(None, MEDIUM)))
    assert (name, before) == ("pre-flight warnings", "none")
    assert after == "Few Connections Left (medium): The server has 12 connections left."


def test_a_verdict_that_turns_is_told() -> None:
    found = {one.name: one for one in differences(facts_of(None, MEDIUM), facts_of(None, HIGH))}
    verdict = found["pre-flight verdict"]
    assert (verdict.before, verdict.after) == ("may go ahead", "should not go ahead")
    assert "pre-flight warnings" in found


def test_a_changed_setting_is_told_under_a_persons_name_for_it() -> None:
    found = reconfigured(concurrent_connections=64)
    assert only(found) == ("concurrent connections", "8", "64")


def test_another_connection_or_name_is_told() -> None:
    assert only(changed(connection=None))[2] == "none"
    assert only(changed(template_name="Other")) == ("test", "Orders lookup", "Other")


def test_a_key_that_only_one_of_two_has_is_told_from_either_side() -> None:
    plain, more = facts_of(), facts_of(config_of(new_key={"a": 1}))
    assert only(differences(plain, more)) == ("new key", "none", '{"a": 1}')
    assert only(differences(more, plain)) == ("new key", '{"a": 1}', "none")


@pytest.mark.parametrize("key", ["connection", "estimated_cost", "Test", "pre-flight_warnings"])
def test_a_backends_own_key_neither_hides_a_fact_nor_passes_for_one(key: str) -> None:
    facts = facts_of(config_of(**{key: "same"}))
    other = facts.model_copy(update={"connection": "elsewhere", "estimated_cost": rated(9)})
    assert {one.name for one in differences(facts, other)} == {"connection", "estimated cost"}
    name, _, after = only(reconfigured(**{key: "mine"}))
    assert (name, after) == (f"{key.replace('_', ' ')} (configuration)", "mine")


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ("x" * 500 + " LIMIT 1", "x" * 500 + " LIMIT 9", ("␣LIMIT␣1", "␣LIMIT␣9")),
        ("SELECT 1", "SELECT\u200b 1", ("SELECT␣1", "SELECT\\u200b␣1")),
        ("SELECT 1", "SELECT  1", ("SELECT␣1", "SELECT␣␣1")),
        ("SELECT 1", "SELECT 1\x7f", ("SELECT␣1", "SELECT␣1\\u007f")),
    ],
    ids=["beyond what is shown", "hidden", "blanks", "control"],
)
def test_what_looks_the_same_is_shown_from_where_it_parts(
    before: str, after: str, shown: tuple[str, str]
) -> None:
    old, new = (facts_of(config_of(custom_point_lookup_query=sql)) for sql in (before, after))
    name, was, now = only(differences(old, new))
    assert name == "custom point lookup query"
    assert shown[0] in was
    assert shown[1] in now


KEYS = st.text(min_size=1, max_size=6) | FOREIGN.filter(bool)
VALUES = st.booleans() | st.integers() | FOREIGN | st.lists(FOREIGN, max_size=2)
EXTRAS = st.dictionaries(KEYS.filter(lambda key: key not in CONFIG), VALUES, max_size=3)


@given(before=EXTRAS, after=EXTRAS, names=st.tuples(FOREIGN, FOREIGN))
def test_whatever_differs_is_told_on_short_lines_that_differ(
    before: dict[str, Any], after: dict[str, Any], names: tuple[str, str]
) -> None:
    base = facts_of()
    old, new = (
        base.model_copy(
            update={
                "template_name": name,
                "config": base.config.model_copy(update=extra),
            }
        )
        for name, extra in zip(names, (before, after), strict=True)
    )
    found = differences(old, new)
    assert bool(found) == (old.digest != new.digest)
    for one in found:
        assert one.name
        assert one.before != one.after
        for text in (one.name, one.before, one.after):
            assert len(text.splitlines()) <= 1
            assert len(text) <= NAME_CHARACTERS_MAX + len(" (configuration)")
