"""Finds and renders the Markdown files of `prompts/`; knows nothing of MCP.

Every text that a person or a model reads about a run comes from here. What is foreign in it
passes through `plain`, `code` or `link`, in the files themselves, where a test looks for it.
"""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from benchgate.domain import text
from benchgate.domain.failures import kind_of
from benchgate.domain.rendezvous import LOG_FILE
from benchgate.gate import figures
from benchgate.gate.names import GuideName, ToolName

if TYPE_CHECKING:
    import jinja2

# Of a statement of somebody's own, and of all of them in a question together, unless that leaves
# too little of each.
SQL_CHARACTERS_SHOWN_MAX = 2_000
SQL_CHARACTERS_IN_ALL = 24_000
SQL_CHARACTERS_SHOWN_MIN = 200
# So many times more are read than are shown: what draws nothing is not.
SQL_CHARACTERS_READ = 4


def folder() -> Traversable:
    """The files inside the installed package, else the checkout's own `prompts/`."""
    packaged = resources.files("benchgate") / "_prompts"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "prompts"


class Blocks:
    """The texts, each read and compiled when it is first needed."""

    def render(self, name: str, /, **facts: object) -> str:
        """`blocks/<name>.md` with *facts*; one that the file needs and does not get is an error."""
        return self._render(f"blocks/{name}.md", facts)

    def guide(self, name: GuideName, /, **facts: object) -> str:
        """`guides/<name>.md` with *facts*."""
        return self._render(f"guides/{name}.md", facts)

    def text(self, name: str) -> str:
        """`<name>.md` as it stands; read at start-up, and so without an engine for templates."""
        return _read(f"{name}.md").strip()

    def _render(self, path: str, facts: dict[str, object]) -> str:
        return _environment().get_template(path, globals=GLOBALS).render(facts).strip()


@cache
def _environment() -> "jinja2.Environment":
    """The one engine of the process, which compiles each text once for all its gates."""
    # Late, because start-up has a budget and a short-lived probe reads no text.
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # Markdown for a reader, not HTML for a browser
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _read(path: str) -> str:
    return folder().joinpath(path).read_text(encoding="utf-8")


def _sql(statement: str, among: int = 1) -> str:
    """A statement as code, with its length; *among* so many, each gets its part of the room.

    One that is too long shows both of its ends, and how much lies between them: what a statement
    does last is no less of it.
    """
    room = min(SQL_CHARACTERS_SHOWN_MAX, SQL_CHARACTERS_IN_ALL // among)
    limit = max(SQL_CHARACTERS_SHOWN_MIN, room)
    length, read = len(statement), limit * SQL_CHARACTERS_READ
    if length <= read and len(line := text.one_line(statement, read)) <= limit:
        return f"{text.code(line, limit)} ({length:,} characters)"
    head = text.one_line(statement[:read], read)[: limit // 2]
    tail = text.one_line(statement[-read:], read)[-(limit // 2) :]
    return (
        f"{text.code(head, limit)} … {text.code(tail, limit)} ({length:,} characters, "
        f"{length - len(head) - len(tail):,} between these two parts are not shown)"
    )


def _verbatim(block: str) -> str:
    """A block of our own as it was recorded: what is foreign in it has been made safe then."""
    return block


FILTERS = {
    "plain": text.plain,
    "code": text.code,
    "link": text.link,
    "sql": _sql,
    "verbatim": _verbatim,
    "count": figures.count,
    "rate": figures.rate,
    "ms": figures.ms,
    "pct": figures.pct,
    "share": figures.share,
    "difference": figures.difference,
    "difference_pct": figures.difference_pct,
    "clock": figures.clock,
    "spent": figures.credits_spent,
    "estimated": figures.credits_estimated,
    "kind": kind_of,
}
GLOBALS: dict[str, object] = {
    "tool": SimpleNamespace(**{name.value: name.value for name in ToolName}),
    "guide": SimpleNamespace(**{name.value: name.value for name in GuideName}),
    "log_file": LOG_FILE,
}
