"""What counts as an answer. Whatever is not an explicit decision is never a yes.

Forms, pages and terminals hand in a decision, a note and, where the preflight said no, the
template's name as the person typed it. A chat hands in words.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from benchgate.domain.approvals import (
    Approval,
    ApprovalEvent,
    ApprovalState,
    ExecutionMode,
    SubjectKind,
)
from benchgate.domain.text import MESSAGE_CHARACTERS_MAX, NAME_CHARACTERS_MAX, code, one_line
from benchgate.domain.values import Value

DECISION_FIELD = "decision"
NOTE_FIELD = "note"
TYPED_FIELD = "typed_name"
MODE_FIELD = "mode"
NOTE_CHARACTERS_MAX = MESSAGE_CHARACTERS_MAX

DECISIONS: dict[str, ApprovalEvent] = {
    "yes": ApprovalEvent.APPROVE,
    "no": ApprovalEvent.DECLINE,
    "modify": ApprovalEvent.MODIFY,
}
# How several tests are to run, as a form offers it; whoever chooses neither gets the pause.
MODES: dict[str, ExecutionMode] = {
    "A) sequential": ExecutionMode.SEQUENTIAL,
    "B) pause": ExecutionMode.PAUSE,
}
MODE_WORDS: dict[str, ExecutionMode] = {
    "a": ExecutionMode.SEQUENTIAL,
    "sequential": ExecutionMode.SEQUENTIAL,
    "sequentially": ExecutionMode.SEQUENTIAL,
    "b": ExecutionMode.PAUSE,
    "pause": ExecutionMode.PAUSE,
}
# Only words that say yes to a start and to nothing else. A reference to something said earlier is
# what agents write who did not ask, so it is not among them.
YES_WORDS = frozenset(
    {
        "yes",
        "yes please",
        "yes start",
        "yes start it",
        "yes start the test",
        "yes start this test",
        "yes start the tests",
        "yes start these tests",
        "yes go ahead",
        "yes run it",
    }
)
NO_WORDS = frozenset({"no", "no thanks", "no stop", "no dont", "no do not start", "no dont start"})
MODIFY_WORD = "modify"
# Signs that change nothing about a word. A question mark does, and so may every other sign; the
# ellipsis stands where words were cut off.
PUNCTUATION = re.compile(r"[.,;:!)'\"\u2018\u2019\u201c\u201d\u2013-]")


class Answer(Value):
    """What came back: the event it amounts to, and the person's note."""

    event: ApprovalEvent
    note: str = ""
    mode: ExecutionMode | None = None


DOUBT = Answer(event=ApprovalEvent.DOUBT)


def name_to_type(approval: Approval) -> str | None:
    """What the person has to type besides a yes, if anything.

    A test whose name has nothing in it that can be typed goes by the id of its run.
    """
    if approval.subject.kind is not SubjectKind.OVERRIDE:
        return None
    return one_line(approval.name, NAME_CHARACTERS_MAX) or approval.subject.subject_id


def is_typed(expected: str | None, typed: object) -> bool:
    """Whether *typed* is the name that was asked for; nothing has to be where none was."""
    if expected is None:
        return not typed
    if not isinstance(typed, str) or not one_line(typed):
        return False
    # A question shows some signs of a name as others, and what it shows is what people copy.
    return code(typed, NAME_CHARACTERS_MAX) == code(expected, NAME_CHARACTERS_MAX)


def read_answer(
    action: str,
    content: Mapping[str, object] | None,
    *,
    typed: str | None = None,
    asks_mode: bool = False,
) -> Answer:
    """What a dialog's outcome means.

    Args:
        action: `accept`, `decline` or `cancel`, as the protocol has it.
        content: the form's fields, if any came.
        typed: the name that a yes has to come with.
        asks_mode: whether a yes may come with a choice of `MODES`; without one it is the pause.
    """
    if action == "decline":
        return Answer(event=ApprovalEvent.DECLINE)
    if action != "accept":
        return Answer(event=ApprovalEvent.CANCEL)
    fields = content or {}
    decision, note = fields.get(DECISION_FIELD), fields.get(NOTE_FIELD, "")
    asked = {TYPED_FIELD: typed is not None, MODE_FIELD: asks_mode}
    known = {DECISION_FIELD, NOTE_FIELD, *(field for field, is_asked in asked.items() if is_asked)}
    if fields.keys() - known or not isinstance(decision, str) or not isinstance(note, str | None):
        return DOUBT
    event = DECISIONS.get(decision, ApprovalEvent.DOUBT)
    if event is ApprovalEvent.APPROVE and not is_typed(typed, fields.get(TYPED_FIELD)):
        event = ApprovalEvent.DOUBT
    told = one_line(note or "", NOTE_CHARACTERS_MAX)
    if not asks_mode or event is not ApprovalEvent.APPROVE:
        return Answer(event=event, note=told)
    mode = read_mode(fields.get(MODE_FIELD))
    return Answer(event=event, note=told, mode=mode) if mode else DOUBT


def read_mode(chosen: object) -> ExecutionMode | None:
    """How several tests are to run: the pause if nothing was chosen, None for what is no choice."""
    if chosen in (None, ""):
        return ExecutionMode.PAUSE
    return MODES.get(chosen) if isinstance(chosen, str) else None


def read_words(words: str, *, asks_mode: bool = False) -> Answer:
    """What a person's words in a chat mean; they are kept as the note, as they were handed in.

    Where *asks_mode*, the last word of a yes may choose: `A`, `B` or a word for it.
    """
    note = one_line(words, NOTE_CHARACTERS_MAX)
    plain = " ".join(PUNCTUATION.sub("", note.casefold()).split())
    mode = None
    if asks_mode:
        yes, _, last = plain.rpartition(" ")
        chosen = MODE_WORDS.get(last)
        plain, mode = (yes, chosen) if chosen else (plain, ExecutionMode.PAUSE)
    if plain in YES_WORDS:
        return Answer(event=ApprovalEvent.APPROVE, note=note, mode=mode)
    if plain in NO_WORDS:
        return Answer(event=ApprovalEvent.DECLINE, note=note)
    if plain.split(" ", 1)[0] == MODIFY_WORD:
        return Answer(event=ApprovalEvent.MODIFY, note=note)
    return Answer(event=ApprovalEvent.DOUBT, note=note)


class StartOutcome(StrEnum):
    """What became of a call that wanted to start a run."""

    STARTED = "started"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MODIFY_REQUESTED = "modify_requested"
    NOT_CREDIBLE = "not_credible"
    EXPIRED = "expired"
    CLIENT_ERROR = "client_error"
    NO_CAPABILITY = "no_capability"
    AWAITING_APPROVAL = "awaiting_approval"
    ALREADY_ASKED = "already_asked"
    WAITING = "waiting"
    REFUSED = "refused"


OUTCOMES: dict[ApprovalState, StartOutcome] = {
    ApprovalState.ASKED: StartOutcome.AWAITING_APPROVAL,
    ApprovalState.APPROVED: StartOutcome.REFUSED,
    ApprovalState.DECLINED: StartOutcome.DECLINED,
    ApprovalState.CANCELLED: StartOutcome.CANCELLED,
    ApprovalState.MODIFY_REQUESTED: StartOutcome.MODIFY_REQUESTED,
    ApprovalState.NOT_CREDIBLE: StartOutcome.NOT_CREDIBLE,
    ApprovalState.EXPIRED: StartOutcome.EXPIRED,
    ApprovalState.SUPERSEDED: StartOutcome.REFUSED,
    ApprovalState.USED: StartOutcome.REFUSED,
}


def outcome_of(approval: Approval) -> StartOutcome:
    """What a call is told whose question ended as *approval* did.

    A yes against the preflight's advice that came without the name is refused, not doubted.
    """
    doubted = approval.state is ApprovalState.NOT_CREDIBLE
    if doubted and approval.subject.kind is SubjectKind.OVERRIDE:
        return StartOutcome.REFUSED
    return OUTCOMES[approval.state]
