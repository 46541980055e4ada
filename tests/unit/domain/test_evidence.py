"""What a hand-over says of a yes: who could have given it, when, and to what."""

from typing import Any

import pytest

from benchgate.domain.approvals import NOT_STARTED, ApprovalState, Channel, ExecutionMode
from benchgate.domain.evidence import Evidence, evidence_of
from tests.unit.examples import NOON, approval_of, comparison_facts_of, facts_of

RUN_ID = facts_of().run_id
ANSWERED: dict[str, Any] = {
    "state": ApprovalState.USED,
    "answered_at": NOON,
    "answered_through": Channel.PAGE,
}


def test_the_evidence_names_the_run_the_channel_and_the_facts() -> None:
    approval = approval_of(**ANSWERED, note="go, but only once")
    assert evidence_of(approval, RUN_ID) == Evidence(
        run_id=RUN_ID,
        channel=Channel.PAGE,
        answered_at=NOON,
        note="go, but only once",
        digest=facts_of().digest,
    )


@pytest.mark.parametrize("channel", Channel)
def test_the_channel_is_the_one_that_was_answered_through(channel: Channel) -> None:
    approval = approval_of(None, **ANSWERED | {"answered_through": channel})
    assert approval.asked.channel is Channel.ELICITATION
    assert evidence_of(approval, RUN_ID).channel is channel


def test_a_yes_without_a_note_says_nothing_of_one() -> None:
    told = evidence_of(approval_of(**ANSWERED), RUN_ID)
    assert not {"note", "mode"} & told.model_dump(mode="json", exclude_none=True).keys()


def test_a_yes_to_a_whole_is_evidence_of_each_of_its_runs() -> None:
    facts = comparison_facts_of()
    yes = approval_of(facts, **ANSWERED, mode=ExecutionMode.SEQUENTIAL)
    told = [evidence_of(yes, run_id) for run_id in ("r1", "r2")]
    assert [one.run_id for one in told] == ["r1", "r2"]
    assert {one.mode for one in told} == {ExecutionMode.SEQUENTIAL}
    assert {one.digest for one in told} == {facts.digest}


@pytest.mark.parametrize("missing", ["answered_at", "answered_through"])
def test_a_question_that_nobody_answered_is_no_evidence(missing: str) -> None:
    with pytest.raises(AssertionError):
        evidence_of(approval_of(None, **ANSWERED | {missing: None}), RUN_ID)


@pytest.mark.parametrize(
    ("state", "result", "expected"),
    [
        (ApprovalState.USED, None, True),
        (ApprovalState.USED, "RUNNING", True),
        (ApprovalState.USED, NOT_STARTED + "It was refused.", False),
        (ApprovalState.APPROVED, None, False),
        (ApprovalState.DECLINED, None, False),
    ],
)
def test_a_used_yes_may_have_started_its_run_unless_it_is_known_not_to_have(
    state: ApprovalState, result: str | None, *, expected: bool
) -> None:
    approval = approval_of(None, **ANSWERED | {"state": state, "result": result})
    assert approval.may_have_started is expected
