"""The person's answers: typed at the keyboard, or given in advance with `--yes`.

Nothing is taken for a yes but a yes: an empty line asks again, and what was typed before the
question stood there is thrown away.
"""

import os
import sys
import termios
from typing import Literal, Protocol

import anyio
from pydantic import BaseModel

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
LINE_BYTES_MAX = 4_096
TRIES_MAX = 20


class Reply(BaseModel, frozen=True):
    """What a person decided; no decision means that the question was dismissed."""

    decision: Decision | None
    note: str = ""


class Person(Protocol):
    """Whoever decides whether a test starts."""

    async def decide(self) -> Reply:
        """Answer the question that stands on the screen."""
        ...


class InAdvance:
    """A person who has said yes to both tests before the demo began."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    async def decide(self) -> Reply:
        """Say so, visibly."""
        self._screen.ask(QUESTION)
        self._screen.answer("yes (given in advance by the person, with --yes)")
        return Reply(decision="yes")


class Keyboard:
    """A person at the terminal."""

    def __init__(self, screen: Screen, interrupts: Interrupts) -> None:
        self._screen = screen
        self._interrupts = interrupts

    async def decide(self) -> Reply:
        """Ask until there is a decision; the end of the input and Ctrl-C dismiss the question."""
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        for _ in range(TRIES_MAX):
            line = await self._line(QUESTION)
            if line is None:
                break
            decision = WORDS.get(line.lower())
            if decision == "modify":
                return await self._modification()
            if decision is not None:
                return Reply(decision=decision)
            self._screen.say("Nothing is assumed. Please type yes, no or modify.")
        return Reply(decision=None)

    async def _modification(self) -> Reply:
        note = await self._line(NOTE_QUESTION)
        return Reply(decision=None) if note is None else Reply(decision="modify", note=note)

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
