"""Where a person answers without a client between: the rules that page and terminal share.

A yes needs the PIN where one is set, and the name of the test where the preflight said no; what is
missing is asked for again and closes nothing. Every method blocks: call it from a worker thread.
"""

from datetime import datetime, timedelta
from uuid import uuid4

from pydantic import SecretStr

from benchgate.domain.answers import (
    DECISIONS,
    NOTE_CHARACTERS_MAX,
    Answer,
    is_typed,
    name_to_type,
    read_mode,
)
from benchgate.domain.approvals import (
    Approval,
    ApprovalEvent,
    Asked,
    Channel,
    ExecutionMode,
)
from benchgate.domain.ledger import GENESIS, Entry, Moment
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput, Unauthorized
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.approvals.record import Record
from benchgate.gate.figures import clock

WRONG_PINS_MAX = 5
LOCKED_FOR = timedelta(minutes=15)


class Response(Value):
    """What a person handed in: `decision` is one of `DECISIONS`, `mode` one of `MODES` or none."""

    decision: str
    mode: str = ""
    note: str = ""
    typed: str = ""
    pin: SecretStr = SecretStr("")


class Counter:
    """Takes the answers of one channel."""

    def __init__(self, record: Record, pin: Pin, channel: Channel) -> None:
        """Answers through *channel* go into *record*."""
        self._record = record
        self._pin = pin
        self._channel = channel

    @property
    def asks_for_pin(self) -> bool:
        """Whether a yes needs a PIN."""
        return self._pin.is_set()

    def waiting(self, *, at: datetime) -> list[Approval]:
        """What waits for an answer now, the oldest first."""
        return self._record.open_questions(at=at)

    def unused(self, *, at: datetime) -> list[Approval]:
        """The yeses that have started nothing yet: a no takes them back."""
        return self._record.unused(at=at)

    def closed(self, *, at: datetime) -> list[Approval]:
        """What was closed without a yes and can be opened again, the oldest first."""
        return self._record.closed_lately(at=at)

    def respond(self, approval_id: str, response: Response, *, at: datetime) -> Approval:
        """Record the person's answer.

        Raises:
            NotFound: there is no such question.
            InvalidInput: the decision or the mode is none, or the name is not the test's; it stays
                open.
            Unauthorized: the PIN is wrong, or was wrong too often; it stays open.
            Conflict: the question takes no such answer any more.
        """
        approval = self._record.get(approval_id)
        event = DECISIONS.get(response.decision)
        if event is None:
            raise InvalidInput("Choose one of Yes, No and Modify.")
        mode = None
        if event is ApprovalEvent.APPROVE:
            self._check_name(approval, response.typed)
            mode = _mode(response.mode) if approval.asks_mode else None
            self.check_pin(response.pin, approval_id=approval_id, at=at)
        note = one_line(response.note, NOTE_CHARACTERS_MAX)
        answer = Answer(event=event, note=note, mode=mode)
        return self._record.answer(approval_id, answer, through=self._channel, at=at)

    def reopen(self, approval_id: str, *, at: datetime) -> Approval:
        """A closed question as a new one.

        Raises:
            Conflict: it cannot be opened again.
        """
        asked = Asked(channel=self._channel)
        return self._record.reopen(approval_id, new_id=uuid4().hex, asked=asked, at=at)

    def check_pin(self, pin: SecretStr, *, approval_id: str | None, at: datetime) -> None:
        """Let only the PIN pass, where one is set; wrong ones are counted for everybody.

        Raises:
            Unauthorized: it is wrong, or too many were wrong lately.
        """
        if not self._pin.is_set():
            return
        attempt = Entry(
            seq=1,
            at=at,
            event=Moment.WRONG_PIN,
            channel=self._channel,
            result=approval_id,
            previous=GENESIS,
        )
        tried = self._record.try_pin(
            lambda: self._pin.matches(pin),
            attempt,
            wrong_max=WRONG_PINS_MAX,
            since=at - LOCKED_FOR,
        )
        if tried.locked_since is not None:
            left_seconds = (tried.locked_since + LOCKED_FOR - at).total_seconds()
            raise Unauthorized(
                "Too many wrong PINs.",
                hint=f"Try again in {clock(left_seconds)}; saying no needs none.",
            )
        if not tried.passes:
            raise Unauthorized("That is not the PIN.", hint="Type it again.")

    def _check_name(self, approval: Approval, typed: str) -> None:
        name = name_to_type(approval)
        if name is not None and not is_typed(name, typed):
            raise InvalidInput(
                "The pre-flight says that this run should not go ahead.",
                hint="To start it all the same, type the name of the test as it stands.",
            )


def _mode(chosen: str) -> ExecutionMode:
    """How the tests are to run: with a pause after each, where nothing was chosen.

    Raises:
        InvalidInput: that is no choice.
    """
    mode = read_mode(chosen)
    if mode is None:
        raise InvalidInput("Choose A or B: run all tests sequentially, or pause after each test.")
    return mode
