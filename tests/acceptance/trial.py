"""A comparison whose gates die on the way, and what its backend and its record say afterwards."""

import signal
import subprocess
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio import to_thread
from mcp import Client
from mcp.shared.exceptions import MCPError

from benchgate.domain.runs import RunStatus, is_terminal
from tests.acceptance.checkpoint import Checkpoint, checkpoint
from tests.acceptance.gateprocess import PROGRAM, GateProcess, gate_process
from tests.acceptance.home import Home
from tests.acceptance.person import call

TESTS = 2
# A kill at a start costs its successor the lease of the lane, and each test a few seconds.
GO_ON_SECONDS_MAX = 60
LOOK_SECONDS = 0.05
END_LOOK_SECONDS = 0.25

Meanwhile = Callable[[], Awaitable[None]]


class Trial:
    """One comparison of short tests, behind a checkpoint."""

    def __init__(self, home: Home, point: Checkpoint, data_dir: Path) -> None:
        self.point = point
        self.comparison_id = ""
        self._home = home
        self._data_dir = data_dir
        self.templates = [home.template() for _ in range(TESTS)]

    def gate(self) -> AbstractAsyncContextManager[GateProcess]:
        """A gate over the trial's record."""
        return gate_process(self._data_dir, BENCHGATE_BACKEND_URL=self.point.url)

    async def plan(self, gate: GateProcess) -> None:
        async with gate.client("auto", None) as client:
            created = await call(client, "create_comparison", template_ids=self.templates)
        self.comparison_id = created["comparison_id"]

    async def start(self, client: Client) -> dict[str, Any]:
        """What `start_comparison` comes to, once the lease of a killed gate's dialog is over."""
        with anyio.fail_after(GO_ON_SECONDS_MAX):
            while (told := await self._call(client, "start_comparison"))[
                "outcome"
            ] == "already_asked":
                await self._call(client, "get_comparison", wait_seconds=1)
        return told

    async def rest(self, client: Client) -> dict[str, Any]:
        """The comparison once it does not run any more; nothing is called that could start it."""
        with anyio.fail_after(GO_ON_SECONDS_MAX):
            while (seen := await self._call(client, "get_comparison", wait_seconds=5))[
                "state"
            ] == "running":
                pass
        return seen

    async def _call(self, client: Client, tool: str, **arguments: object) -> dict[str, Any]:
        return await call(client, tool, comparison_id=self.comparison_id, **arguments)

    async def run_of(self, test: int, *, ended: bool = False) -> str:
        """The newest run of a test, as soon as the backend has one, or once that has *ended*."""
        while True:
            runs = await to_thread.run_sync(self.runs)
            mine = [run for run in runs if run["template_id"] == self.templates[test]]
            if mine and (not ended or is_terminal(mine[0]["status"])):
                return mine[0]["run_id"]
            await anyio.sleep(END_LOOK_SECONDS if ended else LOOK_SECONDS)

    async def all_ended(self) -> None:
        """Until the backend has ended a run of every test, without a word to any gate."""
        with anyio.fail_after(GO_ON_SECONDS_MAX):
            for test in range(TESTS):
                await self.run_of(test, ended=True)

    def runs(self) -> list[dict[str, Any]]:
        """The runs of its tests that the backend knows of, the newest first."""
        rows = self._home.ask("GET", "/api/runs/?limit=50")
        return [row for row in rows if row["template_id"] in self.templates]

    def history(self) -> list[tuple[str, datetime, datetime]]:
        """Template, start and end of every run that was ever started, by the backend's clock."""
        told = [self._home.ask("GET", f"/api/tests/{run['run_id']}/") for run in self.runs()]
        started = [one for one in told if one["started_at"] is not None]
        assert all(one["status"] == RunStatus.COMPLETED for one in started)
        times = [
            (
                one["template_id"],
                datetime.fromisoformat(one["started_at"]),
                datetime.fromisoformat(one["ended_at"]),
            )
            for one in started
        ]
        return sorted(times, key=lambda one: one[1])

    def verified(self) -> str:
        """What the audit of the record says."""
        audit = subprocess.run(
            [str(PROGRAM), "audit", "--verify"],
            env={"BENCHGATE_DATA_DIR": str(self._data_dir)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert audit.returncode == 0, audit.stdout + audit.stderr
        return audit.stdout

    async def assert_whole(self) -> None:
        """Every test ran once, in its order, none while another did, and all of it is on record."""
        history = await to_thread.run_sync(self.history)
        assert [template_id for template_id, _, _ in history] == self.templates
        assert all(start < end for _, start, end in history)
        ends, starts = [one[2] for one in history[:-1]], [one[1] for one in history[1:]]
        assert all(end <= start for end, start in zip(ends, starts, strict=True))
        # Each of the runs has been started, so none of them twice.
        assert self.point.passed["POST start"] == TESTS
        assert "whole" in await to_thread.run_sync(self.verified)


@contextmanager
def trial(home: Home, data_dir: Path) -> Generator[Trial]:
    """A comparison to be planned and started."""
    with checkpoint(home) as point:
        yield Trial(home, point, data_dir)


async def held(gate: GateProcess, point: Checkpoint) -> None:
    """Until a request of the gate is held, or the gate is dead by then."""

    def wait() -> None:
        while gate.is_alive and not point.reached.wait(LOOK_SECONDS):
            pass

    with anyio.fail_after(GO_ON_SECONDS_MAX):
        await to_thread.run_sync(wait, abandon_on_cancel=True)


def signalled(gate: GateProcess, number: signal.Signals) -> None:
    """Freeze a gate or let it go on, as a suspended machine would."""
    process = gate._process  # pyright: ignore[reportPrivateUsage]  # a kill is all it offers itself
    process.send_signal(number)


async def start_until_killed(
    one: Trial, gate: GateProcess, client: Client, *, moment: Meanwhile
) -> None:
    """Call `start_comparison` through *client*, and kill the gate once *moment* has come."""
    with (
        anyio.move_on_after(GO_ON_SECONDS_MAX) as patience,
        suppress(MCPError, httpx2.HTTPError, BaseExceptionGroup),
    ):
        async with client, anyio.create_task_group() as tasks:
            tasks.start_soon(_start, one, client)
            await moment()
            await gate.kill()
            # A client does not notice at once that its server is gone.
            patience.cancel()
    assert not gate.is_alive


async def _start(one: Trial, client: Client) -> None:
    with suppress(MCPError, httpx2.HTTPError):
        await client.call_tool("start_comparison", {"comparison_id": one.comparison_id})
