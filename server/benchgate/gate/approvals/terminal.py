"""The terminal: where a person answers at the command line, with nobody between.

It asks nobody who is not at a terminal, and takes nothing for an answer that was not typed after
the question stood there. That keeps pipes and scripts out, and not an agent that has a shell of
the person's own: such a shell can open a terminal too.
"""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from getpass import getpass
from unicodedata import category

from pydantic import SecretStr

from benchgate.domain.answers import DECISIONS, MODE_WORDS, MODES, is_typed, name_to_type
from benchgate.domain.approvals import (
    Approval,
    ApprovalState,
    Channel,
    ExecutionMode,
    Lifetimes,
)
from benchgate.domain.ledger import GENESIS, Entry, Moment
from benchgate.domain.text import HIDDEN, NAME_CHARACTERS_MAX, one_line
from benchgate.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    SettingsError,
    Unauthorized,
)
from benchgate.gate.approvals.counter import Counter, Response
from benchgate.gate.approvals.desk import open_record, utc_now
from benchgate.gate.approvals.pin import Pin
from benchgate.gate.approvals.record import Record
from benchgate.gate.figures import clock
from benchgate.gate.home import GateHome
from benchgate.gate.names import ToolName
from benchgate.settings import Settings

STANDARD_STREAMS = (0, 1)
TRIES_MAX = 3
RULE = "-" * 64
NOTE_PROMPTS = {
    "yes": "A note with it (optional): ",
    "no": "Why not (optional): ",
    "modify": "What should be changed: ",
}
STAYS = {True: "Your yes stays.", False: "It stays open."}
WAITS, UNUSED, CLOSED = "waits", "unused", "closed"
HEADS = {
    WAITS: "These wait for an answer:",
    UNUSED: "To these you said yes, and nothing has started on it yet:",
    CLOSED: "These were closed lately; whichever you choose is opened again:",
}
PIN_IS_SET = """\
The PIN is set. This command and the approvals page ask for it with every yes, and a client's own
form is no longer used, because a secret does not belong into a conversation.
It raises the bar for an agent that has a shell of yours; it is no boundary against one."""
PIN_IS_REMOVED = "The PIN is removed: nothing asks for it any more."
TOLD: dict[ApprovalState, str] = {
    ApprovalState.APPROVED: "Recorded: yes{how}. It starts nothing by itself: the next {call}, "
    "within {within}. Tell your agent to go on.",
    ApprovalState.DECLINED: "Recorded: no. Nothing starts, and the agent is told so.",
    ApprovalState.MODIFY_REQUESTED: "Recorded: something is to be changed first. Nothing starts, "
    "and the agent is told your note.",
    ApprovalState.EXPIRED: "That came too late: the question had expired. Nothing starts.",
}
HOW = {
    None: "",
    ExecutionMode.SEQUENTIAL: ", A: all tests sequentially",
    ExecutionMode.PAUSE: ", B: a pause after each test",
}


def answer_questions(settings: Settings) -> int:
    """Put what waits to the person at this terminal, one by one.

    Raises:
        InvalidInput: this is no terminal.
        SettingsError: answers by terminal are not allowed.
    """
    _demand_terminal()
    if Channel.TERMINAL not in settings.approval_channels:
        raise SettingsError(
            "BENCHGATE_APPROVAL_CHANNELS does not name the terminal: no answer is taken here.",
            hint="Answer where it says, or add `terminal` to it, for the MCP server as well.",
        )
    home = GateHome(settings)
    if not home.has_record:
        _say(_nothing_waits(home))
        return 0
    with _record_of(home) as record:
        counter = Counter(record, Pin(home), Channel.TERMINAL)
        if not Visit(counter, record.lifetimes, now=utc_now).run():
            _say(_nothing_waits(home))
    return 0


def set_pin(settings: Settings) -> int:
    """Ask for a PIN from now on.

    Raises:
        InvalidInput: this is no terminal, or the PIN cannot be used.
        Unauthorized: the PIN so far was not given.
    """
    _demand_terminal()
    home = GateHome(settings)
    with _record_of(home) as record:
        _demand_pin(Counter(record, Pin(home), Channel.TERMINAL), "The PIN so far: ")
        pin = _secret("The new PIN: ")
        if pin != _secret("The new PIN again: "):
            raise InvalidInput("The two are not the same.", hint="Nothing was changed.")
        Pin(home).set(pin)
        _note(record, Moment.PIN_SET)
        _say(PIN_IS_SET)
    return 0


def remove_pin(settings: Settings) -> int:
    """Ask for no PIN any more.

    Raises:
        InvalidInput: this is no terminal.
        Unauthorized: the PIN was not given.
    """
    _demand_terminal()
    home = GateHome(settings)
    if not Pin(home).is_set():
        _say("No PIN is set.")
        return 0
    with _record_of(home) as record:
        _demand_pin(Counter(record, Pin(home), Channel.TERMINAL), "The PIN: ")
        Pin(home).remove()
        _note(record, Moment.PIN_REMOVED)
        _say(PIN_IS_REMOVED)
    return 0


class Visit:
    """One person's look at what waits, and their answers to it."""

    def __init__(
        self, counter: Counter, lifetimes: Lifetimes, *, now: Callable[[], datetime]
    ) -> None:
        """Answers go to *counter*; a question and its yes last as long as *lifetimes* say."""
        self._counter = counter
        self._lifetimes = lifetimes
        self._now = now

    def run(self) -> bool:
        """Go on until nothing waits or the person ends it; False where there was nothing."""
        waiting, decided = self._look()
        if not waiting and not decided:
            return False
        picked = waiting[0] if len(waiting) == 1 else self._pick([*waiting, *decided])
        while picked is not None:
            self._put(picked)
            waiting, decided = self._look()
            # What is decided is offered beside open questions, and to nobody who has just
            # answered the last of them.
            picked = self._pick([*waiting, *decided]) if waiting else None
        return True

    def _look(self) -> tuple[list[Approval], list[Approval]]:
        at = self._now()
        decided = [*self._counter.unused(at=at), *self._counter.closed(at=at)]
        return self._counter.waiting(at=at), decided

    def _pick(self, offered: Sequence[Approval]) -> Approval | None:
        """The one that the person wants to see, or None."""
        told = ""
        for number, approval in enumerate(offered, start=1):
            if (head := HEADS[_kind(approval)]) != told:
                _say(f"\n{head}")
                told = head
            _say(f"{number:3}  {self._in_short(approval)}")
        while chosen := _line("\nNumber (Enter ends): "):
            if chosen.isdecimal() and 1 <= int(chosen) <= len(offered):
                return offered[int(chosen) - 1]
            _say(f"There is no {one_line(chosen, NAME_CHARACTERS_MAX)}.")
        return None

    def _in_short(self, approval: Approval) -> str:
        kind = "comparison" if approval.asks_mode else "run"
        parts = [one_line(approval.name, NAME_CHARACTERS_MAX)]
        parts.append(f"{kind} {approval.subject.subject_id}")
        asked = approval.asked
        if asked.client_name:
            client = f"{asked.client_name} {asked.client_version}"
            parts.append(f"asked by {one_line(client, NAME_CHARACTERS_MAX)}")
        if approval.is_live:
            left = approval.expires_at(self._lifetimes) - self._now()
            parts.append(f"{clock(left.total_seconds())} left")
        else:
            parts.append(approval.state.replace("_", " "))
        return ", ".join(one_line(part) for part in parts)

    def _put(self, approval: Approval) -> None:
        """Show one question, opened again where it was closed, and take the answer to it."""
        try:
            if not approval.is_live:
                approval = self._counter.reopen(approval.approval_id, at=self._now())
            _say(f"\n{RULE}\n{self._in_short(approval)}\n{RULE}\n\n{approval.question}\n")
            is_yes = _kind(approval) == UNUSED
            decision = _taken_back() if is_yes else _decision()
            if decision is None or not self._hand_in(approval, decision):
                _say(STAYS[is_yes])
        except (Conflict, NotFound) as exc:
            _say(exc.advice)

    def _hand_in(self, approval: Approval, decision: str) -> bool:
        """Hand the answer in with what else it needs; False where that was not given.

        Raises:
            Conflict: the question takes no such answer any more.
        """
        asks_mode = decision == "yes" and approval.asks_mode
        if (mode := _mode() if asks_mode else "") is None:
            return False
        note = _line(NOTE_PROMPTS[decision])
        name = name_to_type(approval) if decision == "yes" else None
        typed, pin = "", SecretStr("")
        for _ in range(TRIES_MAX):
            if not is_typed(name, typed) and not (typed := _line(_name_prompt(name))):
                return False
            needs_pin = decision == "yes" and self._counter.asks_for_pin and is_typed(name, typed)
            if needs_pin and not (pin := _secret("Your PIN: ")):
                return False
            response = Response(decision=decision, mode=mode, note=note, typed=typed, pin=pin)
            try:
                done = self._counter.respond(approval.approval_id, response, at=self._now())
            except (InvalidInput, Unauthorized) as exc:
                _say(exc.advice)
            else:
                _say(self._told(done))
                return True
        return False

    def _told(self, done: Approval) -> str:
        call = f"{ToolName.START_RUN} starts it"
        if done.asks_mode:
            call = f"{ToolName.START_COMPARISON} goes on"
        within = clock(self._lifetimes.answer.total_seconds())
        return TOLD[done.state].format(how=HOW[done.mode], call=call, within=within)


def _kind(approval: Approval) -> str:
    if approval.state is ApprovalState.APPROVED:
        return UNUSED
    return WAITS if approval.is_live else CLOSED


def _taken_back() -> str | None:
    """`no` where the person wants a yes back that has started nothing yet."""
    _forget_what_was_typed()
    typed = _line("You said yes to this. Type no to take that back (Enter keeps it): ").casefold()
    return "no" if typed in {"no", "n"} else None


def _decision() -> str | None:
    """What the person decides; None where they do not, or say nothing that could be meant."""
    _forget_what_was_typed()
    for _ in range(TRIES_MAX):
        typed = _line("Type yes, no or modify (Enter leaves it open): ").casefold()
        if not typed:
            return None
        meant = [word for word in DECISIONS if word == typed or word[0] == typed]
        if meant and typed != "y":
            return meant[0]
        _say("A yes is typed in full." if meant else "That is none of the three.")
    return None


def _mode() -> str | None:
    """How the tests are to run, as a form says it; None where what was typed could mean nothing."""
    for _ in range(TRIES_MAX):
        typed = _line("A or B (Enter is B): ").casefold()
        if not typed:
            return ""
        for label, mode in MODES.items():
            if MODE_WORDS.get(typed) is mode:
                return label
        _say("That is neither A nor B.")
    return None


def _name_prompt(name: str | None) -> str:
    return (
        "Pre-flight says that this run should not go ahead. To start it all the same, type the "
        f"name of the test, {name}: "
    )


def _demand_pin(counter: Counter, prompt: str) -> None:
    """Go on only with the PIN, where one is set.

    Raises:
        Unauthorized: it was wrong too often.
    """
    for tries_left in reversed(range(TRIES_MAX)):
        try:
            pin = _secret(prompt) if counter.asks_for_pin else SecretStr("")
            return counter.check_pin(pin, approval_id=None, at=utc_now())
        except Unauthorized as exc:
            if not tries_left:
                raise
            _say(exc.advice)
    return None


def _note(record: Record, moment: Moment) -> None:
    entry = Entry(seq=1, at=utc_now(), event=moment, channel=Channel.TERMINAL, previous=GENESIS)
    record.note(entry)


def _demand_terminal() -> None:
    if not all(os.isatty(stream) for stream in STANDARD_STREAMS):
        raise InvalidInput(
            "Answers are typed at a terminal, and this is none: nothing is read from a pipe.",
            hint="Run this in a terminal window, without redirecting its input or output.",
        )


@contextmanager
def _record_of(home: GateHome) -> Generator[Record]:
    """The record of *home*, closed in the end; Ctrl-D ends what is done with it."""
    record = open_record(home)
    try:
        yield record
    except EOFError:
        _say("")
    except KeyboardInterrupt:
        _say("")
        raise
    finally:
        record.close()


def _nothing_waits(home: GateHome) -> str:
    where = f"in {home.settings.data_dir}"
    if home.settings.database_url is not None:
        where = "in the database of BENCHGATE_DATABASE_URL"
    return f"Nothing waits for an answer {where}."


def _say(text: str) -> None:
    """Print *text*, its lines as they stand, without what a terminal would obey."""
    lines = ("".join(c for c in line if category(c) not in HIDDEN) for line in text.split("\n"))
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _line(prompt: str) -> str:
    """What the person types; a line that is no text is none."""
    with suppress(UnicodeDecodeError):
        return input(prompt).strip()
    return ""


def _secret(prompt: str) -> SecretStr:
    """What the person types without seeing it."""
    with suppress(UnicodeDecodeError):
        return SecretStr(getpass(prompt))
    return SecretStr("")


def _forget_what_was_typed() -> None:
    """Whatever was typed before the question stood there is no answer to it."""
    # Windows has no such module, and hands over no line before it is asked for one.
    with suppress(ImportError):
        import termios  # noqa: PLC0415

        termios.tcflush(STANDARD_STREAMS[0], termios.TCIFLUSH)
