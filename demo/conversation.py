"""The conversation that an agent would hold: a comparison of two databases, and its results.

The order of the calls stands here; what they do is the server's, and what a person decides is
the person's.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from demo.errors import DemoError
from demo.host import Heard, Host, short
from demo.interrupts import Interrupts
from demo.owner import SavedTemplate
from demo.screen import Screen

COMPARISON_TYPE = "database"
WAITS_MAX = 200
PAUSED = "paused"
COMPLETED = "completed"
STARTED = "started"
WENT_WRONG = (
    "An agent would now settle this with you and ask again; this demo ends with what has completed."
)
# Two plain names, so that whatever a server links to lands below the folder of results.
RESULT_URI = re.compile(r"^benchgate://runs/[A-Za-z0-9_-]+/(summary|series)\.csv$")

# What a person may answer instead of a yes; any other outcome is trouble.
NOT_STARTED = {
    "declined": "You said no: nothing was started.",
    "cancelled": "The question was dismissed: nothing was started.",
    "modify_requested": (
        "You asked for a change: nothing was started. An agent would now settle the change with "
        "you and ask again; this demo has no model that could."
    ),
}


class Created(BaseModel, frozen=True):
    """What `create_comparison` answers."""

    comparison_id: str


class StartAnswer(BaseModel, frozen=True):
    """What `start_comparison` answers."""

    outcome: str


class Line(BaseModel, frozen=True):
    """One test in the table of progress."""

    variant: str
    status: str


class Standing(BaseModel, frozen=True):
    """What `get_comparison` answers."""

    state: str
    reason: str | None = None
    run_id: str | None = None
    lines: tuple[Line, ...]
    next_check_seconds: int | None = None

    @property
    def is_before_the_next(self) -> bool:
        """Whether it pauses as planned; a pause for another reason comes with that reason."""
        return self.state == PAUSED and self.reason is None


class Course(BaseModel, frozen=True):
    """How far a comparison came: what the last start came to, and where it rests since."""

    outcome: str
    standing: Standing | None = None

    @property
    def went_well(self) -> bool:
        """Whether it ended by completing, or by what the person answered."""
        if self.outcome != STARTED:
            return self.outcome in NOT_STARTED
        return self.standing is not None and self.standing.state == COMPLETED


class Conversation:
    """Everything that is said between the agent's side, the server and the person."""

    def __init__(self, host: Host, screen: Screen, interrupts: Interrupts) -> None:
        self._host = host
        self._screen = screen
        self._interrupts = interrupts

    async def hold(self, templates: Sequence[SavedTemplate], results: Path) -> bool:
        """Compare *templates* as far as the person lets it go; whether nothing went wrong."""
        self._screen.chapter("What there is to run")
        await self._say("list_templates")
        self._screen.chapter("The comparison")
        comparison_id = await self._plan(templates)
        course = await self._run(comparison_id)
        if self._interrupts.happened:
            return False
        if course.standing is None:
            self._screen.chapter("Nothing was started")
            return course.went_well
        if not course.went_well:
            self._screen.say(WENT_WRONG)
        await self._hand_over(comparison_id, results)
        return course.went_well

    async def _plan(self, templates: Sequence[SavedTemplate]) -> str:
        heard = await self._say(
            "create_comparison",
            template_ids=[template.template_id for template in templates],
            comparison_type=COMPARISON_TYPE,
            variants=[template.variant for template in templates],
        )
        return heard.read(Created).comparison_id

    async def _run(self, comparison_id: str) -> Course:
        """Go on for as long as the person says yes."""
        standing = None
        while (outcome := await self._start(comparison_id)) == STARTED:
            standing = await self._follow(comparison_id)
            if self._interrupts.happened or not standing.is_before_the_next:
                break
            self._screen.chapter("The next test")
        return Course(outcome=outcome, standing=standing)

    async def _start(self, comparison_id: str) -> str:
        """What came of asking; the server asks the person, and nobody else decides."""
        heard = await self._say("start_comparison", comparison_id=comparison_id)
        outcome = heard.read(StartAnswer).outcome
        if outcome != STARTED:
            self._screen.say(NOT_STARTED.get(outcome, f"Nothing was started: {outcome}."))
        return outcome

    async def _follow(self, comparison_id: str) -> Standing:
        """Wait until it rests; a person who interrupts the wait stops the run that is active."""
        with self._interrupts.part():
            return await self._until_rest(comparison_id)
        standing = (await self._look(comparison_id, 0)).read(Standing)
        if standing.run_id is not None:
            await self._say("stop_run", run_id=standing.run_id)
        return standing

    async def _until_rest(self, comparison_id: str) -> Standing:
        """Look as often as the server says, and show its table whenever that has changed."""
        shown: tuple[Line, ...] = ()
        wait_seconds = 0
        for _ in range(WAITS_MAX):
            heard = await self._look(comparison_id, wait_seconds)
            standing = heard.read(Standing)
            if standing.lines != shown or standing.next_check_seconds is None:
                self._screen.block(heard.block)
                shown = standing.lines
            if standing.next_check_seconds is None:
                return standing
            wait_seconds = standing.next_check_seconds
        raise DemoError(f"The comparison {comparison_id} does not end.")

    async def _look(self, comparison_id: str, wait_seconds: int) -> Heard:
        arguments: dict[str, Any] = {"comparison_id": comparison_id}
        if not wait_seconds:
            self._screen.call("get_comparison", arguments)
            return await self._host.call("get_comparison", arguments)
        arguments["wait_seconds"] = wait_seconds
        self._screen.call("get_comparison", arguments)
        with self._screen.progress() as progress:
            return await self._host.call("get_comparison", arguments, progress)

    async def _hand_over(self, comparison_id: str, results: Path) -> None:
        """The specification's hand-over to the analysis phase, and the CSV files it links to."""
        self._screen.chapter("The results, handed over")
        heard = await self._say("get_results", comparison_id=comparison_id)
        self._screen.data(json.dumps(heard.structured, indent=2))
        paths = [await self._save(uri, results) for uri in heard.uris if RESULT_URI.match(uri)]
        self._screen.data("\n".join(("The same as CSV:", *(f"  {short(path)}" for path in paths))))

    async def _save(self, uri: str, results: Path) -> Path:
        """Put what *uri* leads to into a file below *results*."""
        run_id, name = uri.split("/")[-2:]
        path = results / run_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(await self._host.text_of(uri), encoding="utf-8")
        return path

    async def _say(self, tool: str, **arguments: Any) -> Heard:
        """Call *tool* and show both the call and its block."""
        self._screen.call(tool, arguments)
        heard = await self._host.call(tool, arguments)
        self._screen.block(heard.block)
        return heard
