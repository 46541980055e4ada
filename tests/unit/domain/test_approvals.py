"""Questions move only along their table, and only an explicit decision is an answer."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.approvals import (
    DECISION_FIELD,
    DECISIONS,
    NOTE_CHARACTERS_MAX,
    NOTE_FIELD,
    OUTCOMES,
    TRANSITIONS,
    Answer,
    ApprovalEvent,
    ApprovalState,
    StartFacts,
    StartOutcome,
    next_state,
    read_answer,
)
from benchgate.domain.cost import Cost, CostBasis
from benchgate.errors import Conflict
from tests.unit.examples import CONFIG, HIGH, MEDIUM, config_of, facts_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
ACTIONS = st.sampled_from(["accept", "decline", "cancel"]) | st.text(max_size=10)
WORDS = st.sampled_from(["yes", "Yes", "yes ", "no", "modify"]) | JSON
FORMS = st.none() | st.fixed_dictionaries(
    {}, optional={DECISION_FIELD: WORDS, NOTE_FIELD: JSON, "confirm": JSON}
)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ApprovalState, ApprovalEvent)))
def test_a_question_moves_only_along_the_table(state: ApprovalState, event: ApprovalEvent) -> None:
    allowed = TRANSITIONS[state]
    if event in allowed:
        assert next_state(state, event) is allowed[event]
        return
    before = {key: dict(moves) for key, moves in TRANSITIONS.items()}
    with pytest.raises(Conflict, match=f"A question that is {state} cannot {event}"):
        next_state(state, event)
    assert before == TRANSITIONS


def test_only_an_unused_yes_can_be_used() -> None:
    usable = [state for state in ApprovalState if ApprovalEvent.USE in TRANSITIONS[state]]
    assert usable == [ApprovalState.APPROVED]


def test_only_an_open_question_can_be_approved() -> None:
    open_ones = [state for state in ApprovalState if ApprovalEvent.APPROVE in TRANSITIONS[state]]
    assert open_ones == [ApprovalState.ASKED]


def test_a_spent_yes_cannot_start_a_run() -> None:
    assert TRANSITIONS[ApprovalState.USED] == {}


def test_a_later_no_beats_an_unused_yes() -> None:
    assert next_state(ApprovalState.APPROVED, ApprovalEvent.DECLINE) is ApprovalState.DECLINED


@pytest.mark.parametrize("state", ApprovalState)
def test_every_state_has_an_outcome_and_none_of_them_claims_a_start(state: ApprovalState) -> None:
    assert OUTCOMES[state] is not StartOutcome.STARTED


@pytest.mark.parametrize(("decision", "event"), DECISIONS.items())
def test_an_explicit_decision_is_taken_at_its_word(decision: str, event: ApprovalEvent) -> None:
    assert read_answer("accept", {DECISION_FIELD: decision}) == Answer(event=event)


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("decline", ApprovalEvent.DECLINE),
        ("cancel", ApprovalEvent.CANCEL),
        ("ACCEPT", ApprovalEvent.CANCEL),
        ("yes", ApprovalEvent.CANCEL),
        ("", ApprovalEvent.CANCEL),
    ],
)
def test_without_accept_a_yes_inside_the_form_is_none(action: str, event: ApprovalEvent) -> None:
    assert read_answer(action, {DECISION_FIELD: "yes", NOTE_FIELD: "go"}) == Answer(event=event)


HOSTILE: list[dict[str, Any] | None] = [
    None,
    {},
    {"note": "yes"},
    {"decision": None},
    {"decision": True},
    {"decision": 1},
    {"decision": ["yes"]},
    {"decision": {"value": "yes"}},
    {"decision": ""},
    {"decision": "Yes"},
    {"decision": " yes"},
    {"decision": "yes\n"},
    {"decision": "yes", "note": 1},
    {"decision": "yes", "note": ["yes"]},
    {"decision": "yes", "confirm": True},
    {"decision": "yes", "approved_by": "user"},
    {"Decision": "yes"},
    {"answer": "yes"},
    {"confirmation": "yes"},
    {"decision": "approve"},
    {"decision": "ok per earlier request"},
]


@pytest.mark.parametrize("content", HOSTILE, ids=str)
def test_a_form_that_says_anything_else_is_not_credible(content: dict[str, Any] | None) -> None:
    assert read_answer("accept", content) == Answer(event=ApprovalEvent.DOUBT)


@given(action=ACTIONS, form=FORMS)
def test_nothing_but_accept_with_a_plain_yes_approves(
    action: str, form: dict[str, Any] | None
) -> None:
    plain_yes = form is not None and form.get(DECISION_FIELD) == "yes" and "confirm" not in form
    if read_answer(action, form).event is ApprovalEvent.APPROVE:
        assert action == "accept"
        assert plain_yes


@pytest.mark.parametrize("note", [None, "", "use 4 connections"])
def test_a_note_comes_with_the_decision_or_not_at_all(note: str | None) -> None:
    answer = read_answer("accept", {DECISION_FIELD: "modify", NOTE_FIELD: note})
    assert answer == Answer(event=ApprovalEvent.MODIFY, note=note or "")


def test_a_note_is_one_line_and_bounded() -> None:
    answer = read_answer("accept", {DECISION_FIELD: "no", NOTE_FIELD: "a\n\u202eb " * 1_000})
    assert answer.event is ApprovalEvent.DECLINE
    assert len(answer.note) == NOTE_CHARACTERS_MAX
    assert answer.note.startswith("a b a b")


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
        {"postgres_instance_size": "STANDARD_M"},
        {"a_key_of_another_backend": 1},
    ],
    ids=str,
)
def test_another_configuration_is_another_question(change: dict[str, Any]) -> None:
    assert facts_of(config_of(**change)).digest != facts_of().digest


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "run-2"},
        {"template_name": "Other"},
        {"connection": "orders-db (bench@db-2.example:5432)"},
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


def test_every_fact_has_a_test_above() -> None:
    tested = {
        "run_id",
        "template_name",
        "config",
        "connection",
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
