"""Draws the pages out of `prompts/page/`; knows nothing of requests.

Everything that is printed is escaped. Only the question is HTML, because it is the Markdown that
every channel shows; its renderer makes no link, no image and no element of a text.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

from benchgate.domain.answers import MODES, NOTE_CHARACTERS_MAX, name_to_type, read_mode
from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.text import NAME_CHARACTERS_MAX, one_line
from benchgate.errors import BenchgateError
from benchgate.gate.approvals.browser.form import Form
from benchgate.gate.approvals.browser.look import Look
from benchgate.gate.approvals.pin import PIN_CHARACTERS_MAX
from benchgate.gate.blocks import GLOBALS, folder

SECONDS_PER_MINUTE = 60
# What would let a text within the question reach beyond itself, or hide in it.
ACTIVE = ("link", "image", "autolink", "html_inline", "html_block", "reference")
TokenFor = Callable[[str], str]


class Pages:
    """The pages, each read and compiled when it is first needed."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._environment = environment()
        self._markdown = MarkdownIt(
            "commonmark", {"html": False, "linkify": False, "breaks": True}
        ).disable(list(ACTIVE))

    def question(self, look: Look, *, token_for: TokenFor, told: str, form: Form) -> str:
        """The page of one approval; *told* says why the last answer was not taken."""
        return self._render(
            "question",
            look=look,
            approval=look.approval,
            state=look.approval.state.value,
            question=Markup(self._markdown.render(look.approval.question)),  # noqa: S704 - see above
            name_to_type=name_to_type(look.approval),
            modes=MODES,
            # Also where the form brought what is none.
            chosen=read_mode(form.mode) or ExecutionMode.PAUSE,
            token_for=token_for,
            told=told,
            form=form,
        )

    def missing(self) -> str:
        """The page of an approval that does not exist."""
        return self._render("missing")

    def refused(self, error: BenchgateError) -> str:
        """The page of a request that is not let in, or cannot be answered."""
        return self._render("refused", error=error)

    def _render(self, name: str, **facts: object) -> str:
        template = self._environment.get_template(f"page/{name}.html", globals=GLOBALS | LIMITS)
        return template.render(facts)


@cache
def environment() -> jinja2.Environment:
    """Where the pages of the process are rendered: whatever they print is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(FILTERS)
    return made


def _read(path: str) -> str:
    return folder().joinpath(path).read_text(encoding="utf-8")


def _name(text: str) -> str:
    return one_line(text, NAME_CHARACTERS_MAX)


def _when(at: datetime) -> str:
    """`14:05 on 13 February 2026 (UTC+01:00)`, as the clock of this machine shows it."""
    local = at.astimezone()
    return f"{local:%H:%M} on {local.day} {local:%B %Y} ({local:%Z})"


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _lasting(time: timedelta) -> str:
    """`30 minutes`; the last of them in seconds."""
    seconds = max(0, round(time.total_seconds()))
    minutes = round(seconds / SECONDS_PER_MINUTE)
    is_short = seconds < SECONDS_PER_MINUTE
    number, unit = (seconds, "second") if is_short else (minutes, "minute")
    return f"{number} {unit}{'' if number == 1 else 's'}"


FILTERS = {"name": _name, "line": one_line, "when": _when, "iso": _iso, "lasting": _lasting}
LIMITS: dict[str, object] = {
    "note_characters_max": NOTE_CHARACTERS_MAX,
    "name_characters_max": NAME_CHARACTERS_MAX,
    "pin_characters_max": PIN_CHARACTERS_MAX,
}
