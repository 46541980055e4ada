"""What a call is told that started nothing: for each outcome and offer, one step that can be taken.

Read as the model reads it that has to act on it: whatever the text names is there, and whatever
it offers is the person's to take.
"""

from itertools import product

import pytest

from benchgate.domain.answers import StartOutcome
from benchgate.domain.comparisons import ComparisonState
from benchgate.domain.text import plain
from benchgate.gate.blocks import Blocks
from benchgate.gate.endings import Offer
from benchgate.gate.names import ToolName
from tests.unit.comparing import comparison_of
from tests.unit.examples import facts_of, snapshot_of

BLOCKS = Blocks()
PAGE = "http://127.0.0.1:40613/approvals/4n1uZl0Qw9yXb2Tt"
CODE = "AB23CD45"
QUESTION = BLOCKS.render("question", facts=facts_of(), changed=())
OUTCOMES = sorted({*StartOutcome} - {StartOutcome.STARTED})
OPEN = {StartOutcome.AWAITING_APPROVAL, StartOutcome.CLIENT_ERROR}
REOPENABLE = {StartOutcome.DECLINED, StartOutcome.MODIFY_REQUESTED}
OFFERS = [
    Offer(page_url=page, terminal=terminal, code=code, question=QUESTION if code else None)
    for page, terminal, code in product((None, PAGE), (False, True), (None, CODE))
]
STEPS = {
    StartOutcome.DECLINED: "Do not ask again",
    StartOutcome.CANCELLED: "Ask the person what they want",
    StartOutcome.MODIFY_REQUESTED: "call `create_run` with `changes`, or have the template changed",
    StartOutcome.NOT_CREDIBLE: "Tell the person what came back",
    StartOutcome.EXPIRED: "If the person still wants the test, call `start_run` again",
    StartOutcome.CLIENT_ERROR: "the dialog brought no answer that counts",
    StartOutcome.NO_CAPABILITY: "nobody can be asked",
    StartOutcome.AWAITING_APPROVAL: "silence is not a yes",
    StartOutcome.ALREADY_ASKED: "Wait: `get_status` with `wait_seconds`",
    StartOutcome.WAITING: "the server starts the test by itself",
    StartOutcome.REFUSED: "Do not go round it",
}


def text_of(outcome: StartOutcome, offer: Offer | None = None, *, note: str = "") -> str:
    return BLOCKS.render(
        "not_started",
        run=snapshot_of("PREPARED"),
        comparison=None,
        outcome=outcome.value,
        run_id="run-789xyz",
        template_name="Orders lookup",
        reason="why",
        note=note,
        offer=offer or Offer(),
    )


def step_of(outcome: StartOutcome, offer: Offer | None = None) -> str:
    """What stands below the facts."""
    return text_of(outcome, offer).split("**Reason:** why\n\n")[1]


def told(offer: Offer) -> str:
    parts = {"page": offer.page_url, "terminal": offer.terminal, "code": offer.code}
    return "+".join(name for name, there in parts.items() if there) or "nothing"


every_outcome = pytest.mark.parametrize("outcome", OUTCOMES)
every_offer = pytest.mark.parametrize("offer", OFFERS, ids=told)


@every_offer
def test_every_outcome_has_a_next_step_of_its_own(offer: Offer) -> None:
    steps = {outcome: step_of(outcome, offer) for outcome in OUTCOMES}
    assert {outcome for outcome in OUTCOMES if STEPS[outcome] not in steps[outcome]} == set()
    assert len(set(steps.values())) == len(OUTCOMES)


@every_outcome
def test_every_outcome_is_named_with_its_reason_and_the_test(outcome: StartOutcome) -> None:
    lines = text_of(outcome).splitlines()
    head = "## Start Refused" if outcome is StartOutcome.REFUSED else "## Test Not Started"
    assert lines[0] == head
    assert "**Run ID:** run-789xyz" in lines
    assert "**Test:** `Orders lookup`" in lines
    assert f"**Outcome:** {plain(outcome)}" in lines
    assert "**Reason:** why" in lines


@every_outcome
@every_offer
def test_a_text_never_announces_what_does_not_follow(outcome: StartOutcome, offer: Offer) -> None:
    lines = step_of(outcome, offer).splitlines()
    after = [*lines[1:], ""]
    announced = [
        following for line, following in zip(lines, after, strict=True) if line[-1:] == ":"
    ]
    assert [line for line in announced if not line.startswith("- ")] == []
    ways = [n for n, line in enumerate(lines) if line.startswith(("- In ", "- At "))]
    assert not ways or lines[ways[0] - 1].endswith(":")


@pytest.mark.parametrize("outcome", sorted(OPEN))
@every_offer
def test_an_open_question_names_exactly_the_ways_that_there_are(
    outcome: StartOutcome, offer: Offer
) -> None:
    text = step_of(outcome, offer)
    assert (f"<{PAGE}>" in text) is (offer.page_url is not None)
    assert ("`benchgate approvals`" in text) is offer.terminal
    assert (f"the code {CODE}, a space, and their words verbatim" in text) is (
        offer.code is not None
    )
    has_own_way = offer.page_url is not None or offer.terminal
    assert ("theirs, not yours" in text) is has_own_way
    assert ("after their yes `start_run` starts without another question" in text) is has_own_way
    assert ("Hand the link on." in text) is (offer.page_url is not None)
    assert ("Link and terminal are" in text) is (offer.page_url is not None and offer.terminal)
    assert ("how they can answer it:" in text) is (offer != Offer())


@pytest.mark.parametrize("outcome", sorted(OPEN))
def test_an_open_question_that_has_no_other_way_is_told_as_that(outcome: StartOutcome) -> None:
    text = step_of(outcome)
    assert "Tell the person" in text
    assert "`start_run`" in text
    assert "link" not in text
    assert "terminal" not in text


@pytest.mark.parametrize("outcome", sorted(REOPENABLE))
@every_offer
def test_a_closed_question_is_the_persons_alone_to_open(
    outcome: StartOutcome, offer: Offer
) -> None:
    text = step_of(outcome, offer)
    assert (f"<{PAGE}>" in text) is (offer.page_url is not None)
    assert ("`benchgate approvals`" in text) is offer.terminal
    assert ("opens it again themselves:" in text) is (offer.page_url is not None or offer.terminal)
    assert CODE not in text
    assert "starts without another question" not in text


@pytest.mark.parametrize("outcome", sorted({*OUTCOMES} - OPEN - REOPENABLE))
@every_offer
def test_no_other_outcome_offers_a_way_to_answer(outcome: StartOutcome, offer: Offer) -> None:
    assert step_of(outcome, offer) == step_of(outcome)


@pytest.mark.parametrize("outcome", sorted(OPEN))
def test_a_chat_is_shown_the_question_verbatim(outcome: StartOutcome) -> None:
    odd = QUESTION.replace("Orders lookup", r"a \\* b &amp; {{ run }} c\_d")
    text = text_of(outcome, Offer(code=CODE, question=odd))
    assert text.endswith(f"Only they can answer.\n\n{odd}")
    assert "show them the question below, as it stands" in text


@every_outcome
def test_a_question_is_shown_only_where_the_chat_may_answer_it(outcome: StartOutcome) -> None:
    text = text_of(outcome, Offer(code=CODE, question=QUESTION))
    assert (QUESTION in text) is (outcome in OPEN)
    assert QUESTION not in text_of(outcome, Offer(page_url=PAGE, terminal=True))


@every_outcome
def test_a_note_is_called_the_persons_only_where_a_person_has_answered(
    outcome: StartOutcome,
) -> None:
    whose = "The person's note" if outcome in REOPENABLE else "What came with it"
    assert f"**{whose}:** use 4 connections" in text_of(outcome, note="use 4 connections")
    assert "note" not in text_of(outcome)


GOES_ON = {
    ComparisonState.COMPLETED: {"get_results"},
    ComparisonState.FAILED: {"create_comparison"},
    ComparisonState.RUNNING: {"get_comparison"},
    ComparisonState.INTERRUPTED: {"get_comparison"},
}


@pytest.mark.parametrize("state", ComparisonState)
def test_a_comparison_that_cannot_start_says_what_can_be_done_in_its_state(
    state: ComparisonState,
) -> None:
    """What can only be asked about names the one tool that asks."""
    text = BLOCKS.render(
        "not_started",
        comparison=comparison_of(state=state),
        outcome=StartOutcome.REFUSED.value,
        reason="why",
        note="",
        offer=Offer(),
    )
    step = text.split("**Reason:** why\n\n")[1]
    named = {word for word in step.split("`") if word in set(ToolName)}
    assert named == GOES_ON.get(state, {"start_comparison"})
    assert ("type its name" in step) is (state not in GOES_ON)


def test_a_comparison_that_failed_late_still_has_results() -> None:
    failed = comparison_of(state=ComparisonState.FAILED, position=1)
    known = {"outcome": "refused", "reason": "why", "note": "", "offer": Offer()}
    assert "`get_results` with `comparison_id`" in BLOCKS.render(
        "not_started", comparison=failed, **known
    )
