"""Only an explicit decision is an answer; whatever else comes back is never a yes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.answers import (
    DECISION_FIELD,
    DECISIONS,
    DOUBT,
    MODE_FIELD,
    MODE_WORDS,
    MODES,
    NO_WORDS,
    NOTE_CHARACTERS_MAX,
    NOTE_FIELD,
    OUTCOMES,
    TYPED_FIELD,
    YES_WORDS,
    Answer,
    StartOutcome,
    is_typed,
    name_to_type,
    outcome_of,
    read_answer,
    read_mode,
    read_words,
)
from benchgate.domain.approvals import ApprovalEvent, ApprovalState, ExecutionMode
from tests.unit.examples import HIGH, approval_of, comparison_facts_of, facts_of
from tests.unit.hostile import FOREIGN

NAME = "Orders lookup"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
ACTIONS = st.sampled_from(["accept", "decline", "cancel"]) | st.text(max_size=10)
WORDS = st.sampled_from(["yes", "Yes", "yes ", "no", "modify"]) | JSON
TYPED = st.sampled_from([NAME, f" {NAME}\n", NAME.lower(), "", "yes"]) | JSON
CHOICES = st.sampled_from([*MODES, "A", "sequential", ""]) | JSON
FORMS = st.none() | st.fixed_dictionaries(
    {},
    optional={DECISION_FIELD: WORDS, NOTE_FIELD: JSON, TYPED_FIELD: TYPED, "confirm": JSON},
)
MODE_FORMS = st.fixed_dictionaries(
    {}, optional={DECISION_FIELD: WORDS, NOTE_FIELD: JSON, MODE_FIELD: CHOICES}
)
# Whatever else a client may put where a choice belongs.
NO_CHOICES: list[object] = [
    *("A", "B", "a", "b", "sequential", "pause", "A) Sequential", "A) sequential ", " B) pause"),
    *("A) sequential\n", "yes", " ", "A) sequential, B) pause"),
    *(True, False, 0, 1, 0.0, [], ["A) sequential"], {}, {"value": "A) sequential"}),
    *(mode.value for mode in ExecutionMode),
]


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
    {"decision": "yes", "typed_name": NAME},
    {"Decision": "yes"},
    {"answer": "yes"},
    {"confirmation": "yes"},
    {"decision": "approve"},
    {"decision": "ok per earlier request"},
]


@pytest.mark.parametrize("content", HOSTILE, ids=str)
def test_a_form_that_says_anything_else_is_not_credible(content: dict[str, Any] | None) -> None:
    assert read_answer("accept", content) == DOUBT


@given(action=ACTIONS, form=FORMS, typed=st.sampled_from([None, NAME]))
def test_nothing_but_accept_with_a_plain_yes_and_the_name_approves(
    action: str, form: dict[str, Any] | None, typed: str | None
) -> None:
    fields = form or {}
    if read_answer(action, form, typed=typed).event is ApprovalEvent.APPROVE:
        assert action == "accept"
        assert fields[DECISION_FIELD] == "yes"
        assert fields.keys() <= {DECISION_FIELD, NOTE_FIELD, TYPED_FIELD}
        assert str(fields.get(TYPED_FIELD, "")).strip() == (typed or "")


def test_each_mode_has_one_label_and_words_of_its_own() -> None:
    assert sorted(MODES.values()) == sorted(ExecutionMode)
    assert {*MODE_WORDS.values()} == {*ExecutionMode}
    assert MODE_WORDS.keys().isdisjoint(YES_WORDS | NO_WORDS)


@pytest.mark.parametrize(("chosen", "mode"), MODES.items())
def test_a_choice_is_taken_at_its_word(chosen: str, mode: ExecutionMode) -> None:
    assert read_mode(chosen) is mode
    form = {DECISION_FIELD: "yes", MODE_FIELD: chosen, NOTE_FIELD: "go"}
    approved = Answer(event=ApprovalEvent.APPROVE, note="go", mode=mode)
    assert read_answer("accept", form, asks_mode=True) == approved


@pytest.mark.parametrize("form", [{}, {MODE_FIELD: None}, {MODE_FIELD: ""}], ids=str)
def test_whoever_chooses_nothing_gets_the_pause(form: dict[str, Any]) -> None:
    assert read_mode(form.get(MODE_FIELD)) is ExecutionMode.PAUSE
    paused = Answer(event=ApprovalEvent.APPROVE, mode=ExecutionMode.PAUSE)
    assert read_answer("accept", {DECISION_FIELD: "yes", **form}, asks_mode=True) == paused


@pytest.mark.parametrize("chosen", NO_CHOICES, ids=repr)
def test_what_is_no_choice_is_never_a_yes(chosen: object) -> None:
    assert read_mode(chosen) is None
    form = {DECISION_FIELD: "yes", MODE_FIELD: chosen}
    assert read_answer("accept", form, asks_mode=True) == DOUBT


@pytest.mark.parametrize("chosen", [*MODES, "", None])
def test_a_choice_that_nobody_asked_for_is_not_credible(chosen: object) -> None:
    assert read_answer("accept", {DECISION_FIELD: "yes", MODE_FIELD: chosen}) == DOUBT


@pytest.mark.parametrize("decision", ["no", "modify"])
@pytest.mark.parametrize("chosen", [*MODES, "", "neither", None])
def test_a_choice_beside_anything_but_a_yes_counts_for_nothing(
    decision: str, chosen: object
) -> None:
    form = {DECISION_FIELD: decision, MODE_FIELD: chosen}
    assert read_answer("accept", form, asks_mode=True) == Answer(event=DECISIONS[decision])


@pytest.mark.parametrize("action", ["decline", "cancel", ""])
def test_without_accept_a_choice_inside_the_form_is_none(action: str) -> None:
    form = {DECISION_FIELD: "yes", MODE_FIELD: "A) sequential"}
    answer = read_answer(action, form, asks_mode=True)
    assert (answer.event, answer.mode) != (ApprovalEvent.APPROVE, ExecutionMode.SEQUENTIAL)
    assert answer.mode is None


@given(action=ACTIONS, form=MODE_FORMS)
def test_nothing_but_the_choice_itself_runs_all_tests_in_a_row(
    action: str, form: dict[str, Any]
) -> None:
    answer = read_answer(action, form, asks_mode=True)
    assert (answer.mode is not None) is (answer.event is ApprovalEvent.APPROVE)
    if answer.mode is ExecutionMode.SEQUENTIAL:
        assert form[MODE_FIELD] == "A) sequential"


@pytest.mark.parametrize("typed", [NAME, f"  {NAME} \n", "Orders  lookup", "Orders\u200b lookup"])
def test_against_advice_a_yes_comes_with_the_name(typed: str) -> None:
    form = {DECISION_FIELD: "yes", TYPED_FIELD: typed, NOTE_FIELD: "I know"}
    approved = Answer(event=ApprovalEvent.APPROVE, note="I know")
    assert read_answer("accept", form, typed=NAME) == approved


@pytest.mark.parametrize(
    "typed", [None, "", "yes", "orders lookup", "Orders", NAME + "!", 1, [NAME]]
)
def test_against_advice_a_yes_without_the_name_is_none(typed: object) -> None:
    form = {DECISION_FIELD: "yes", TYPED_FIELD: typed, NOTE_FIELD: "go"}
    assert read_answer("accept", form, typed=NAME) == Answer(event=ApprovalEvent.DOUBT, note="go")
    assert read_answer("accept", {DECISION_FIELD: "yes"}, typed=NAME) == DOUBT


@pytest.mark.parametrize("decision", ["no", "modify"])
def test_a_no_needs_no_name_even_against_advice(decision: str) -> None:
    form = {DECISION_FIELD: decision, TYPED_FIELD: "whatever"}
    assert read_answer("accept", form, typed=NAME) == Answer(event=DECISIONS[decision])


def test_a_name_has_to_be_typed_only_against_advice() -> None:
    assert name_to_type(approval_of(facts_of())) is None
    assert name_to_type(approval_of(facts_of(None, HIGH))) == NAME
    assert name_to_type(approval_of(comparison_facts_of())) is None


def test_only_a_comparison_asks_how_its_tests_are_to_run() -> None:
    assert approval_of(comparison_facts_of()).asks_mode
    assert not approval_of(facts_of()).asks_mode
    assert not approval_of(facts_of(None, HIGH)).asks_mode


@given(name=FOREIGN)
def test_the_name_can_be_typed_as_it_is_shown_or_as_it_is(name: str) -> None:
    expected = name_to_type(approval_of(facts_of(None, HIGH), name=name))
    assert expected
    assert is_typed(expected, expected)
    assert is_typed(expected, name) or expected == "run-789xyz"
    assert not is_typed(expected, "")


@pytest.mark.parametrize("typed", ["", None])
def test_where_no_name_was_asked_for_none_is_typed(typed: object) -> None:
    assert is_typed(None, typed)
    assert not is_typed(None, NAME)


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
    ("words", "event"),
    [
        *((words, ApprovalEvent.APPROVE) for words in sorted(YES_WORDS)),
        *((words, ApprovalEvent.DECLINE) for words in sorted(NO_WORDS)),
        ("Yes", ApprovalEvent.APPROVE),
        (" YES! ", ApprovalEvent.APPROVE),
        ("\u201cyes\u201d", ApprovalEvent.APPROVE),
        ("Yes, go ahead.", ApprovalEvent.APPROVE),
        ("Yes - start it!", ApprovalEvent.APPROVE),
        ("No.", ApprovalEvent.DECLINE),
        ("No, don't.", ApprovalEvent.DECLINE),
        ("No, don\u2019t start!", ApprovalEvent.DECLINE),
        ("modify", ApprovalEvent.MODIFY),
        ("Modify: 4 connections", ApprovalEvent.MODIFY),
    ],
)
def test_plain_words_are_taken_at_their_word(words: str, event: ApprovalEvent) -> None:
    assert read_words(words).event is event


@pytest.mark.parametrize(
    "words",
    [
        "",
        "y",
        "ok",
        "okay",
        "sure",
        "👍",
        "yes 👍",
        "yes 👎",
        "❌ yes",
        "yes?",
        "yes/no",
        "yes\u2026",
        "yes and no",
        "yes, but later",
        "yes, as agreed before",
        "yes yes",
        "ok per earlier request",
        "confirmed, per original request",
        "approved by user",
        "the user said yes",
        "go ahead",
        "start it",
        "no, yes",
        "not now",
        "modified",
        "ja",
        "\uff39\uff25\uff33",
        "yes" + " " * 2_000 + "is what I would never say",
    ],
)
def test_words_that_are_no_explicit_answer_are_not_credible(words: str) -> None:
    assert read_words(words).event is ApprovalEvent.DOUBT


@pytest.mark.parametrize("yes", sorted(YES_WORDS))
@pytest.mark.parametrize(("word", "mode"), [*MODE_WORDS.items(), ("", ExecutionMode.PAUSE)])
def test_the_last_word_of_a_yes_chooses_and_without_one_it_is_the_pause(
    yes: str, word: str, mode: ExecutionMode
) -> None:
    answer = read_words(f"{yes}, {word.upper()}.", asks_mode=True)
    assert (answer.event, answer.mode) == (ApprovalEvent.APPROVE, mode)


@pytest.mark.parametrize(
    "words", ["yes A)", "Yes, start these tests: a).", "yes, start the tests, A"]
)
def test_a_choice_can_be_written_as_the_list_writes_it(words: str) -> None:
    answer = read_words(words, asks_mode=True)
    assert (answer.event, answer.mode) == (ApprovalEvent.APPROVE, ExecutionMode.SEQUENTIAL)


@pytest.mark.parametrize("yes", ["yes", "Yes, start it"])
@pytest.mark.parametrize("word", MODE_WORDS)
def test_words_that_choose_what_nobody_asked_for_are_not_credible(yes: str, word: str) -> None:
    assert read_words(f"{yes} {word}").event is ApprovalEvent.DOUBT
    assert read_words(yes).mode is None


@pytest.mark.parametrize(
    "words",
    [
        *MODE_WORDS,
        *("", "A yes", "yes c", "yes A?", "yes A or B", "yes a b", "yes both", "yes A, later"),
        *("yes all", "ok A", "go ahead B", "run all sequentially", "yes no A"),
    ],
)
def test_words_that_choose_nothing_plainly_are_not_credible(words: str) -> None:
    answer = read_words(words, asks_mode=True)
    assert (answer.event, answer.mode) == (ApprovalEvent.DOUBT, None)


@pytest.mark.parametrize(
    ("words", "event"),
    [
        *((words, ApprovalEvent.DECLINE) for words in sorted(NO_WORDS)),
        ("no, A", ApprovalEvent.DECLINE),
        ("no B", ApprovalEvent.DECLINE),
        ("modify: leave out B", ApprovalEvent.MODIFY),
    ],
)
def test_a_no_to_several_tests_chooses_nothing(words: str, event: ApprovalEvent) -> None:
    answer = read_words(words, asks_mode=True)
    assert (answer.event, answer.mode, answer.note) == (event, None, words)


@given(words=st.text(max_size=40) | FOREIGN)
def test_only_words_of_the_list_approve(words: str) -> None:
    answer = read_words(words)
    letters = " ".join("".join(c for c in words.lower() if c.isalpha() or c.isspace()).split())
    if answer.event is ApprovalEvent.APPROVE:
        assert letters in YES_WORDS


@given(words=FOREIGN)
def test_words_are_kept_as_the_note_on_one_bounded_line(words: str) -> None:
    note = read_words(words * 50).note
    assert len(note) <= NOTE_CHARACTERS_MAX
    assert len(note.splitlines()) <= 1


@pytest.mark.parametrize("state", ApprovalState)
def test_every_state_has_an_outcome_and_none_of_them_claims_a_start(state: ApprovalState) -> None:
    approval = approval_of(state=state)
    assert outcome_of(approval) is OUTCOMES[state]
    assert OUTCOMES[state] is not StartOutcome.STARTED


def test_a_yes_against_advice_without_the_name_is_refused() -> None:
    against = approval_of(facts_of(None, HIGH), state=ApprovalState.NOT_CREDIBLE)
    assert outcome_of(against) is StartOutcome.REFUSED
    declined = against.model_copy(update={"state": ApprovalState.DECLINED})
    assert outcome_of(declined) is StartOutcome.DECLINED
