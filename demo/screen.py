"""What the person sees: blocks, questions and progress. Decides nothing and asks no one.

On a terminal Markdown is drawn and progress moves in place. Anywhere else (a log, a pipe) the
blocks are printed exactly as the server sent them, and progress is a line now and then.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

LINK = re.compile(r"<?(https?://[^\s>]+)>?")
COLUMNS_MAX = 100
BAR_COLUMNS = 40
SECONDS_BETWEEN_LINES = 2


class Output(Console):
    """Standard output for as long as somebody reads it; then nowhere, and *on_gone* is called."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        super().__init__()
        self._on_gone = on_gone

    def on_broken_pipe(self) -> None:
        """Go on in silence, so that what was started can be ended in order."""
        self.quiet = True
        # Python flushes what is left once more at its end, and must not fail there.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        self._on_gone()


class Screen:
    """The terminal or log that the demo writes to."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.is_live = console.is_terminal
        console.width = min(console.width, COLUMNS_MAX)

    def chapter(self, title: str) -> None:
        """Begin a new part of the conversation."""
        self._console.print()
        self._console.print(Rule(Text(_clean(title)), align="left", style="cyan"))

    def say(self, text: str) -> None:
        """The demo's own words."""
        self._console.print(Text(_clean(text)), style="dim" if self.is_live else "")

    def call(self, tool: str, arguments: Mapping[str, object]) -> None:
        """What the agent's side asks of the server."""
        listed = ", ".join(f"{key}={json.dumps(value)}" for key, value in arguments.items())
        self._console.print()
        self._console.print(Text(_clean(f"agent → {tool}({listed})")), style="bold magenta")

    def block(self, markdown: str) -> None:
        """A block of the server's."""
        self._console.print()
        text = _clean(markdown)
        if not self.is_live:
            self._console.print(Text(text), soft_wrap=True)
            return
        for line_or_part in _parts(text):
            self._console.print(line_or_part, soft_wrap=isinstance(line_or_part, Text))

    def ask(self, question: str) -> None:
        """Leave the cursor behind *question*."""
        self._console.print(Text(f"{question} "), style="bold yellow", end="")
        self._console.file.flush()

    def answer(self, text: str) -> None:
        """An answer that nobody typed here."""
        self._console.print(Text(_clean(text)), style="bold green")

    def problem(self, text: str) -> None:
        """Something that went wrong."""
        self._console.print()
        self._console.print(Text(_clean(text)), style="bold red", soft_wrap=True)

    def data(self, text: str) -> None:
        """Something to be copied, so nothing in it is wrapped."""
        self._console.print()
        self._console.print(Text(_clean(text)), soft_wrap=True)

    @contextmanager
    def progress(self) -> Generator["Progress"]:
        """Show how things go for as long as the context lasts."""
        if not self.is_live:
            yield Progress(self._console, None)
            return
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            yield Progress(self._console, live)


class Progress:
    """How far something is; `__call__` is what the MCP client calls for each notification.

    Of what has a total, seconds are told; without one the server only counts its notifications.
    """

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console = console
        self._live = live
        self._next_line_at_seconds = 0.0

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take *progress* of *total* seconds, and the figures in *message*."""
        clock = f"{progress:.0f} s of {total:.0f} s" if total else ""
        figures = _clean(message or "")
        if self._live is not None:
            bar = Table.grid(padding=(0, 2))
            bar.add_row(ProgressBar(total=total, completed=progress, width=BAR_COLUMNS), clock)
            both = Table.grid()
            both.add_row(bar)
            both.add_row(Text(figures))
            self._live.update(both, refresh=True)
        elif progress >= self._next_line_at_seconds:
            self._next_line_at_seconds = progress + SECONDS_BETWEEN_LINES
            line = f"[{clock}] {figures}" if clock else figures
            self._console.print(Text(line), soft_wrap=True)


def _parts(text: str) -> Generator[Markdown | Text]:
    """*text* cut where a link stands, which must stay on one line to be of use."""
    kept: list[str] = []
    for line in text.splitlines():
        if LINK.search(line) is None:
            kept.append(line)
            continue
        yield _markdown(kept)
        yield Text(LINK.sub(r"\1", line).replace("**", ""))
        kept = []
    yield _markdown(kept)


def _markdown(lines: list[str]) -> Markdown:
    # Two spaces keep a line's end: the blocks are written line by line.
    return Markdown("  \n".join(lines))


def _clean(text: str) -> str:
    """*text* without what a terminal would obey; a host does not rely on its server for that."""
    return "".join(c for c in text if c == "\n" or c.isprintable())
