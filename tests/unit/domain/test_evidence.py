"""What a hand-over says of a yes: who could have given it, when, and to what."""

from typing import Any

import pytest

from benchgate.domain.approvals import ApprovalState, Channel
from benchgate.domain.evidence import Evidence, evidence_of
from tests.unit.examples import NOON, approval_of, facts_of

ANSWERED: dict[str, Any] = {
    "state": ApprovalState.USED,
    "answered_at": NOON,
    "answered_through": Channel.PAGE,
}


def test_the_evidence_names_the_run_the_channel_and_the_facts() -> None:
    approval = approval_of(**ANSWERED, note="go, but only once")
    assert evidence_of(approval) == Evidence(
        run_id=facts_of().run_id,
        channel=Channel.PAGE,
        answered_at=NOON,
        note="go, but only once",
        digest=facts_of().digest,
    )


@pytest.mark.parametrize("channel", Channel)
def test_the_channel_is_the_one_that_was_answered_through(channel: Channel) -> None:
    approval = approval_of(None, **ANSWERED | {"answered_through": channel})
    assert approval.asked.channel is Channel.ELICITATION
    assert evidence_of(approval).channel is channel


def test_a_yes_without_a_note_says_nothing_of_one() -> None:
    told = evidence_of(approval_of(**ANSWERED)).model_dump(mode="json", exclude_none=True)
    assert "note" not in told


@pytest.mark.parametrize("missing", ["answered_at", "answered_through"])
def test_a_question_that_nobody_answered_is_no_evidence(missing: str) -> None:
    with pytest.raises(AssertionError):
        evidence_of(approval_of(None, **ANSWERED | {missing: None}))
