"""A backend of the specification that checks nothing: it takes overlaps and double starts.

It is scripted over HTTP: whatever it is asked can be held, failed or answered otherwise.
"""

import json
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from benchgate.domain.runs import is_active
from benchgate.gate.comparisons.autopilot import Pace
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

URL = "http://127.0.0.1:8000"
PACE = Pace(
    first_look_seconds=0.05, look_seconds=0.1, turn_seconds=0.05, unreachable_seconds_max=600
)
PATIENCE_SECONDS = 20
MADE_AT = "2026-01-01T00:00:00Z"
CONFIG = {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100, "duration": 10}
FIGURES = {"total_queries": 1_000, "average_qps": 100, "error_rate": 0, "p95_latency_ms": 9}
HEALTH = {
    "status": "healthy",
    "service": "other",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}
RUN_PATH = re.compile(r"/api/(runs|tests)/(\w+)/(\w*)")
GONE = httpx.ConnectError("gone")
LOST = httpx.ReadTimeout("lost")

Answer = httpx.Response | Exception
Script = Callable[[], Awaitable[Answer | None]]


@dataclass
class Run:
    """One run, as this backend keeps it."""

    template_id: str
    status: str = "PREPARED"
    starts: int = 0
    known: dict[str, Any] = field(default_factory=dict[str, Any])


class Permissive:
    """The backend: what it has been asked for, and what it says of itself."""

    def __init__(self) -> None:
        """It names no active run, and claims nothing."""
        self.config: dict[str, Any] = dict(CONFIG)
        self.of_runs: dict[str, Any] = {}
        self.warnings: list[dict[str, Any]] = []
        self.names_active = False
        self.is_exclusive = False
        self.runs: dict[str, Run] = {}
        self.scripts: dict[str, Script] = {}
        self.asked: list[str] = []

    @property
    def starts(self) -> list[int]:
        """How often each run was started."""
        return [run.starts for run in self.runs.values()]

    def fails(self, pattern: str, answer: Answer) -> None:
        """From now on a request like *pattern* comes to *answer*."""

        async def script() -> Answer:
            return answer

        self.scripts[pattern] = script

    @contextmanager
    def held(self, pattern: str) -> Generator[anyio.Event]:
        """Hold requests like *pattern* for as long as it is entered; yields when one is."""
        arrived, released = anyio.Event(), anyio.Event()

        async def script() -> None:
            arrived.set()
            await released.wait()

        self.scripts[pattern] = script
        try:
            yield arrived
        finally:
            del self.scripts[pattern]
            released.set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer *request*."""
        asked = f"{request.method} {request.url.path}"
        self.asked.append(asked)
        for pattern, script in list(self.scripts.items()):
            if re.fullmatch(pattern, asked):
                answer = await script()
                if isinstance(answer, Exception):
                    raise answer
                if answer is not None:
                    return answer
        if asked == "GET /health":
            return httpx.Response(200, json=HEALTH | self._of_itself())
        if asked.startswith("GET /api/templates/"):
            return self._template(request.url.path.rpartition("/")[2])
        if asked == "POST /api/runs/":
            return self._created(json.loads(request.content)["template_id"])
        return self._about_run(request.url.path)

    def _of_itself(self) -> dict[str, Any]:
        active = next((id_ for id_, run in self.runs.items() if is_active(run.status)), None)
        about: dict[str, Any] = {"active_run_id": active} if self.names_active else {}
        return about | ({"is_exclusive": True} if self.is_exclusive else {})

    def _template(self, template_id: str) -> httpx.Response:
        about = {"template_id": template_id, "template_name": f"orders {template_id}"}
        times = {"created_at": MADE_AT, "updated_at": MADE_AT}
        return httpx.Response(200, json=about | times | {"config": self.config})

    def _created(self, template_id: str) -> httpx.Response:
        run_id = f"r{len(self.runs) + 1}"
        self.runs[run_id] = Run(template_id)
        return httpx.Response(201, json={"run_id": run_id, "status": "PREPARED"})

    def _about_run(self, path: str) -> httpx.Response:
        found = RUN_PATH.fullmatch(path)
        if found is None:
            # It streams nothing: what a run does is asked for.
            assert path.startswith("/ws/"), path
            return httpx.Response(404, json={"detail": "Not Found"})
        kind, run_id, act = found.groups()
        run = self.runs.get(run_id)
        if run is None:
            return httpx.Response(404, json={"detail": f"Run not found: {run_id}"})
        if act == "preflight":
            return httpx.Response(200, json={"run_id": run_id, "warnings": self.warnings})
        if act in {"start", "stop"}:
            return self._changed(run_id, run, act)
        about = {"run_id": run_id, "test_id": run_id, "status": run.status, "created_at": MADE_AT}
        about |= {"template_id": run.template_id, "template_name": f"orders {run.template_id}"}
        more = run.known if kind == "tests" else {"config": self.config} | self.of_runs
        return httpx.Response(200, json=about | more)

    def _changed(self, run_id: str, run: Run, act: str) -> httpx.Response:
        if act == "start":
            run.starts += 1
            run.status = "RUNNING"
        elif is_active(run.status):
            run.status = "CANCELLED"
        else:
            return httpx.Response(409, json={"detail": f"Run {run_id} is {run.status}."})
        return httpx.Response(202, json={"run_id": run_id, "status": run.status})

    def ends(self, run_id: str, status: str = "COMPLETED", **known: object) -> None:
        """The run ends so."""
        self.runs[run_id].status = status
        self.runs[run_id].known = {"summary": FIGURES} | known


class Person:
    """Says yes to everything, to a list as a series, and remembers the questions."""

    def __init__(self, mode: str = "A) sequential") -> None:
        """*mode* is the choice where there is one."""
        self._mode = mode
        self.questions: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        """Yes."""
        self.questions.append(params.message)
        asks_mode = "How would you like to proceed?" in params.message
        choice: dict[str, str | int | float | bool | list[str] | None] = {"decision": "yes"}
        return ElicitResult(
            action="accept", content=choice | ({"mode": self._mode} if asks_mode else {})
        )


class Clock:
    """What the gate takes for the time: the real one, set forward, or ticking at every look."""

    def __init__(self) -> None:
        """The real one."""
        self.ahead = timedelta()
        self.tick = timedelta()

    def __call__(self) -> datetime:
        """Now."""
        self.ahead += self.tick
        return datetime.now(UTC) + self.ahead


def clock_of_gate(patch: pytest.MonkeyPatch) -> Clock:
    """A clock for every part of the gate."""
    clock = Clock()
    for name, module in list(sys.modules.items()):
        if name.startswith("benchgate.gate") and hasattr(module, "utc_now"):
            patch.setattr(module, "utc_now", clock)
    return clock


@contextmanager
def served(backend: Permissive) -> Generator[Permissive]:
    """*backend* at its URL."""
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.route().mock(side_effect=backend)
        yield backend


@asynccontextmanager
async def host(folder: Path, person: Person, *, pace: Pace = PACE) -> AsyncGenerator[Client]:
    """A client of a gate with its record in *folder*."""
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL})
    async with (
        open_gate(settings, pace=pace) as server,
        Client(server, elicitation_callback=person) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """What a call comes to that succeeds."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.structured_content
    assert result.structured_content is not None
    return result.structured_content


class Series:
    """A comparison of two templates, a and b."""

    def __init__(self, client: Client, comparison_id: str) -> None:
        """It exists."""
        self.client = client
        self.comparison_id = comparison_id

    async def start(self) -> dict[str, Any]:
        """Ask the person, and start."""
        return await call(self.client, "start_comparison", comparison_id=self.comparison_id)

    async def look(self, *, wait_seconds: float = 0) -> dict[str, Any]:
        """How it stands."""
        wanted = {"comparison_id": self.comparison_id, "wait_seconds": wait_seconds}
        return await call(self.client, "get_comparison", **wanted)

    async def until(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """How it stands, once it is so."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while not is_so(told := await self.look(wait_seconds=0.1)):
                pass
        return told

    async def until_state(self, state: str) -> dict[str, Any]:
        """How it stands once it is in *state*."""
        return await self.until(lambda told: told["state"] == state)

    def on(self, client: Client) -> "Series":
        """The same, at another gate."""
        return Series(client, self.comparison_id)


async def planned(client: Client) -> Series:
    """A new one."""
    created = await call(client, "create_comparison", template_ids=["a", "b"])
    return Series(client, created["comparison_id"])


def statuses(told: dict[str, Any]) -> list[str]:
    """How each test stands."""
    return [line["status"] for line in told["lines"]]
