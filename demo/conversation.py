"""The conversation that an agent would hold: two tests, one after the other, and the results.

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

WAIT_SECONDS = 25
WAITS_MAX = 200
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "STOPPED"})
COMPLETED = "COMPLETED"
STARTED = "started"
# Two plain names, so that whatever a server links to lands below the folder of results.
RESULT_URI = re.compile(r"^benchgate://runs/[A-Za-z0-9_-]+/(summary|series)\.csv$")

NOT_STARTED = {
    "declined": "You said no: this test was not started.",
    "cancelled": "The question was dismissed: this test was not started.",
    "modify_requested": (
        "You asked for a change: this test was not started. An agent would now change the "
        "template and ask again; this demo has no model that could."
    ),
}


class Created(BaseModel, frozen=True):
    """What `create_run` answers."""

    run_id: str


class StartAnswer(BaseModel, frozen=True):
    """What `start_run` answers."""

    outcome: str


class Status(BaseModel, frozen=True):
    """What `get_status` answers."""

    status: str


class Conversation:
    """Everything that is said between the agent's side, the server and the person."""

    def __init__(self, host: Host, screen: Screen, interrupts: Interrupts) -> None:
        self._host = host
        self._screen = screen
        self._interrupts = interrupts

    async def hold(self, templates: Sequence[SavedTemplate], results: Path) -> bool:
        """Run each of *templates* that the person lets run; whether all of those completed."""
        self._screen.chapter("What there is to run")
        await self._say("list_templates")
        statuses: dict[str, str] = {}
        for number, template in enumerate(templates, start=1):
            name = template.template_name
            self._screen.chapter(f"Test {number} of {len(templates)}: {name}")
            run_id = await self._prepare(template)
            if await self._start(run_id):
                statuses[run_id] = await self._follow(run_id)
            if self._interrupts.happened:
                return False
        if statuses:
            await self._hand_over(list(statuses), results)
        else:
            self._screen.chapter("Nothing was started")
        return all(status == COMPLETED for status in statuses.values())

    async def _prepare(self, template: SavedTemplate) -> str:
        heard = await self._say("create_run", template_id=template.template_id)
        run_id = heard.read(Created).run_id
        await self._say("preflight", run_id=run_id)
        return run_id

    async def _start(self, run_id: str) -> bool:
        """Whether the run was started; the server asks the person, and nobody else decides."""
        outcome = (await self._say("start_run", run_id=run_id)).read(StartAnswer).outcome
        if outcome != STARTED:
            self._screen.say(NOT_STARTED.get(outcome, f"Not started: {outcome}."))
        return outcome == STARTED

    async def _follow(self, run_id: str) -> str:
        """Wait for the run's end and show it; a person who interrupts the wait stops the run."""
        with self._interrupts.part():
            return await self._until_end(run_id)
        return (await self._say("stop_run", run_id=run_id)).read(Status).status

    async def _until_end(self, run_id: str) -> str:
        arguments = {"run_id": run_id, "wait_seconds": WAIT_SECONDS}
        for _ in range(WAITS_MAX):
            self._screen.call("get_status", arguments)
            with self._screen.progress() as progress:
                heard = await self._host.call("get_status", arguments, progress)
            status = heard.read(Status).status
            if status in ENDED:
                self._screen.block(heard.block)
                return status
        raise DemoError(f"The run {run_id} does not end.")

    async def _hand_over(self, run_ids: list[str], results: Path) -> None:
        """The specification's hand-over to the analysis phase, and the CSV files it links to."""
        self._screen.chapter("The results, handed over")
        arguments = {"run_ids": run_ids}
        self._screen.call("get_results", arguments)
        heard = await self._host.call("get_results", arguments)
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
