"""One person's answer to one exact question: its facts, its states and how an answer is read.

Two rules stand here and nowhere else. A question is bound to the digest of everything it showed,
so that an answer to other facts is no answer to these. And an approval is taken by the table's
`USE` alone, which leaves `USED`, from which nothing leads back.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from benchgate.domain.contract import RunDetail
from benchgate.domain.cost import Cost
from benchgate.domain.preflight import PreflightReport, PreflightWarning
from benchgate.domain.templates import TemplateConfig
from benchgate.domain.text import MESSAGE_CHARACTERS_MAX, one_line
from benchgate.domain.values import Value
from benchgate.errors import Conflict


class ApprovalState(StrEnum):
    """Where a question stands."""

    ASKED = "asked"
    APPROVED = "approved"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MODIFY_REQUESTED = "modify_requested"
    NOT_CREDIBLE = "not_credible"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    USED = "used"


class ApprovalEvent(StrEnum):
    """What can happen to a question."""

    APPROVE = "approve"
    DECLINE = "decline"
    CANCEL = "cancel"
    MODIFY = "modify"
    DOUBT = "doubt"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    USE = "use"


TRANSITIONS: dict[ApprovalState, dict[ApprovalEvent, ApprovalState]] = {
    ApprovalState.ASKED: {
        ApprovalEvent.APPROVE: ApprovalState.APPROVED,
        ApprovalEvent.DECLINE: ApprovalState.DECLINED,
        ApprovalEvent.CANCEL: ApprovalState.CANCELLED,
        ApprovalEvent.MODIFY: ApprovalState.MODIFY_REQUESTED,
        ApprovalEvent.DOUBT: ApprovalState.NOT_CREDIBLE,
        ApprovalEvent.EXPIRE: ApprovalState.EXPIRED,
        ApprovalEvent.SUPERSEDE: ApprovalState.SUPERSEDED,
    },
    ApprovalState.APPROVED: {
        ApprovalEvent.DECLINE: ApprovalState.DECLINED,
        ApprovalEvent.EXPIRE: ApprovalState.EXPIRED,
        ApprovalEvent.SUPERSEDE: ApprovalState.SUPERSEDED,
        ApprovalEvent.USE: ApprovalState.USED,
    },
    ApprovalState.DECLINED: {},
    ApprovalState.CANCELLED: {},
    ApprovalState.MODIFY_REQUESTED: {},
    ApprovalState.NOT_CREDIBLE: {},
    ApprovalState.EXPIRED: {},
    ApprovalState.SUPERSEDED: {},
    ApprovalState.USED: {},
}


def next_state(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """The state after *event*.

    Raises:
        Conflict: a question in that state cannot take the event.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise Conflict(f"A question that is {state} cannot {event}.") from None


class Channel(StrEnum):
    """How the question reached the person."""

    ELICITATION = "elicitation"


class Asked(Value):
    """Who was asked, as far as the protocol tells."""

    channel: Channel
    client_name: str = ""
    client_version: str = ""
    protocol_version: str = ""


class Approval(Value):
    """One question to one person about one run, and what became of it."""

    approval_id: str
    run_id: str
    template_name: str
    digest: str
    question: str
    state: ApprovalState
    asked: Asked
    asked_at: datetime
    answered_at: datetime | None = None
    used_at: datetime | None = None
    note: str = ""


class StartFacts(Value):
    """Everything a person is shown before a run starts, and nothing else."""

    run_id: str
    template_name: str
    config: TemplateConfig
    connection: str | None
    estimated_cost: Cost
    warnings: tuple[PreflightWarning, ...]
    can_proceed: bool

    @property
    def digest(self) -> str:
        """SHA-256 over the facts in a canonical form, as 64 hexadecimal digits."""
        # Sorted, because a backend may give the same template's keys in another order next time.
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def start_facts(run: RunDetail, *, preflight: PreflightReport, cost: Cost) -> StartFacts:
    """The facts of *run* as its backend tells them, with what they cost."""
    return StartFacts(
        run_id=run.run_id,
        template_name=run.template_name,
        config=run.config,
        connection=run.connection,
        estimated_cost=cost,
        warnings=preflight.warnings,
        can_proceed=preflight.can_proceed,
    )


class Answer(Value):
    """What came back: the event it amounts to, and the person's note."""

    event: ApprovalEvent
    note: str = ""


DECISION_FIELD = "decision"
NOTE_FIELD = "note"
NOTE_CHARACTERS_MAX = MESSAGE_CHARACTERS_MAX

DECISIONS: dict[str, ApprovalEvent] = {
    "yes": ApprovalEvent.APPROVE,
    "no": ApprovalEvent.DECLINE,
    "modify": ApprovalEvent.MODIFY,
}


def read_answer(action: str, content: Mapping[str, object] | None) -> Answer:
    """What a dialog's outcome means; whatever is not an explicit decision is not a yes.

    Args:
        action: `accept`, `decline` or `cancel`, as the protocol has it.
        content: the form's fields, if any came.
    """
    if action == "decline":
        return Answer(event=ApprovalEvent.DECLINE)
    if action != "accept":
        return Answer(event=ApprovalEvent.CANCEL)
    fields = content or {}
    decision, note = fields.get(DECISION_FIELD), fields.get(NOTE_FIELD, "")
    allowed = fields.keys() <= {DECISION_FIELD, NOTE_FIELD}
    if not allowed or not isinstance(decision, str) or not isinstance(note, str | None):
        return Answer(event=ApprovalEvent.DOUBT)
    event = DECISIONS.get(decision, ApprovalEvent.DOUBT)
    return Answer(event=event, note=one_line(note or "", NOTE_CHARACTERS_MAX))


class StartOutcome(StrEnum):
    """What became of a call that wanted to start a run."""

    STARTED = "started"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MODIFY_REQUESTED = "modify_requested"
    NOT_CREDIBLE = "not_credible"
    AWAITING_APPROVAL = "awaiting_approval"
    REFUSED = "refused"


OUTCOMES: dict[ApprovalState, StartOutcome] = {
    ApprovalState.ASKED: StartOutcome.AWAITING_APPROVAL,
    ApprovalState.APPROVED: StartOutcome.REFUSED,
    ApprovalState.DECLINED: StartOutcome.DECLINED,
    ApprovalState.CANCELLED: StartOutcome.CANCELLED,
    ApprovalState.MODIFY_REQUESTED: StartOutcome.MODIFY_REQUESTED,
    ApprovalState.NOT_CREDIBLE: StartOutcome.NOT_CREDIBLE,
    ApprovalState.EXPIRED: StartOutcome.REFUSED,
    ApprovalState.SUPERSEDED: StartOutcome.REFUSED,
    ApprovalState.USED: StartOutcome.REFUSED,
}
