"""The person's answers: typed at the keyboard, or given in advance with `--yes`.

Nothing is taken for a yes but a yes: an empty line asks again, and what was typed before the
question stood there is thrown away. How several tests are to run is asked only behind a yes.
"""

import os
import re
import sys
import termios
from typing import Literal, Protocol

import anyio
from pydantic import BaseModel, Field

from demo.interrupts import Interrupts
from demo.screen import Screen

Decision = Literal["yes", "no", "modify"]

WORDS: dict[str, Decision] = {
    "yes": "yes",
    "y": "yes",
    "no": "no",
    "n": "no",
    "modify": "modify",
    "m": "modify",
}
QUESTION = "Your answer [Yes / No / Modify]:"
NOTE_QUESTION = "What should be changed?"
IN_ADVANCE = "(given in advance by the person, with --yes)"
LETTER_IN_ADVANCE = "B"
LINE_BYTES_MAX = 4_096
TRIES_MAX = 20


class Choice(BaseModel, frozen=True):
    """In which ways a yes can be meant, each as `A) word`; an empty answer is *default*."""

    options: tuple[str, ...] = Field(alias="enum", min_length=1)
    default: str

    @property
    def question(self) -> str:
        """The options by their letters."""
        letters = " / ".join(option[:1] for option in self.options)
        return f"How [{letters}; Enter is {self.default[:1]}]:"

    def meant_by(self, typed: str) -> str | None:
        """The option that *typed* names, by its letter or its word."""
        if not typed:
            return self.default
        word = typed.casefold().rstrip(")")
        named = (one for one in self.options if word in re.findall(r"\w+", one.casefold()))
        return next(named, None)


class Reply(BaseModel, frozen=True):
    """What a person decided; no decision means that the question was dismissed."""

    decision: Decision | None
    note: str = ""
    mode: str | None = None


class Person(Protocol):
    """Whoever decides whether a test starts."""

    async def decide(self, choice: Choice | None) -> Reply:
        """Answer the question that stands on the screen; a yes to several tests with a *choice*."""
        ...


class InAdvance:
    """A person who has said yes before the demo began: with a pause, and to each test after it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    async def decide(self, choice: Choice | None) -> Reply:
        """Say so, visibly."""
        self._screen.ask(QUESTION)
        self._screen.answer(f"yes {IN_ADVANCE}")
        if choice is None:
            return Reply(decision="yes")
        self._screen.ask(choice.question)
        self._screen.answer(f"{LETTER_IN_ADVANCE} {IN_ADVANCE}")
        return Reply(decision="yes", mode=choice.meant_by(LETTER_IN_ADVANCE))


class Keyboard:
    """A person at the terminal."""

    def __init__(self, screen: Screen, interrupts: Interrupts) -> None:
        self._screen = screen
        self._interrupts = interrupts

    async def decide(self, choice: Choice | None) -> Reply:
        """Ask until there is a decision; the end of the input and Ctrl-C dismiss the question."""
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        for _ in range(TRIES_MAX):
            line = await self._line(QUESTION)
            if line is None:
                break
            decision = WORDS.get(line.lower())
            if decision == "modify":
                return await self._modification()
            if decision == "yes" and choice is not None:
                return await self._chosen(choice)
            if decision is not None:
                return Reply(decision=decision)
            self._screen.say("Nothing is assumed. Please type yes, no or modify.")
        return Reply(decision=None)

    async def _modification(self) -> Reply:
        note = await self._line(NOTE_QUESTION)
        return Reply(decision=None) if note is None else Reply(decision="modify", note=note)

    async def _chosen(self, choice: Choice) -> Reply:
        """A yes, with how it is meant; without that it is none."""
        for _ in range(TRIES_MAX):
            line = await self._line(choice.question)
            if line is None:
                break
            if (mode := choice.meant_by(line)) is not None:
                return Reply(decision="yes", mode=mode)
            self._screen.say("Please type one of the letters, or Enter alone.")
        return Reply(decision=None)

    async def _line(self, question: str) -> str | None:
        """One line without the spaces around it; None at the end of the input."""
        self._screen.ask(question)
        with self._interrupts.part():
            await anyio.wait_readable(sys.stdin)
            # Past Python's own buffering: a terminal hands over one line at a time.
            typed = os.read(sys.stdin.fileno(), LINE_BYTES_MAX)
            if typed:
                return typed.decode(errors="replace").strip()
        self._screen.say("")
        return None
