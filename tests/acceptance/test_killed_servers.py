"""A gate is killed at each step of a start: afterwards there is one start or none, and a way on."""

import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.acceptance.checkpoint import Checkpoint, checkpoint
from tests.acceptance.gateprocess import PROGRAM, GateProcess, gate_process
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, YES, Era, Person, call

pytestmark = pytest.mark.anyio

# Where the gate is killed: which request it is at then, whether that was served, and how many
# questions and starts the next gate needs to bring the run under way.
STEPS = {
    "while it asks": (None, False, 1, 1),
    "with the yes recorded": ("GET /api/runs/{run_id}/", False, 0, 1),
    "with the yes taken": ("POST /api/runs/{run_id}/start", False, 1, 1),
    "with the start sent": ("POST /api/runs/{run_id}/start", True, 0, 0),
    "with the start answered": ("GET /api/tests/{run_id}/", False, 0, 0),
}
# How a question goes out and how its answer comes back differs between the eras; what follows the
# yes is the server's own and the same in both, so its trials are of one.
ASKED = {"while it asks", "with the yes recorded"}
TRIALS = [(step, era) for step in STEPS for era in (ERAS if step in ASKED else ERAS[:1])]


@pytest.mark.parametrize(("step", "era"), TRIALS)
async def test_a_killed_gate_leaves_one_start_or_none_and_a_whole_record(
    home: Home, tmp_path: Path, era: Era, step: str
) -> None:
    held, after, questions, starts = STEPS[step]
    with checkpoint(home) as point:
        variables = {"BENCHGATE_BACKEND_URL": point.url}
        async with gate_process(tmp_path, **variables) as gate:
            run_id = await _prepared(gate, home)

            async def is_asked() -> None:
                if held is None:
                    await gate.kill()
                else:
                    point.hold(held.format(run_id=run_id), after=after)

            await _start_until_killed(gate, era, point, run_id=run_id, is_asked=is_asked)
        point.open()
        before = point.passed["POST start"]

        person = Person(YES)
        async with gate_process(tmp_path, **variables) as gate, gate.client(era, person) as client:
            told = await _started(client, run_id)
            ended = await call(client, "get_status", run_id=run_id, wait_seconds=25)
    assert point.passed["POST start"] == 1
    assert point.passed["POST start"] - before == starts
    assert (told["outcome"] == "started") == (starts == 1)
    assert len(person.questions) == questions
    assert ended["status"] == "COMPLETED"
    assert "whole" in await to_thread.run_sync(_verified, tmp_path)


async def _prepared(gate: GateProcess, home: Home) -> str:
    async with gate.client("auto", None) as client:
        return (await call(client, "create_run", template_id=home.template()))["run_id"]


async def _started(client: Client, run_id: str) -> dict[str, Any]:
    """What `start_run` comes to, once the leases of the killed gate are over."""
    with anyio.fail_after(25):
        while _is_held(told := await call(client, "start_run", run_id=run_id)):
            await call(client, "get_status", run_id=run_id, wait_seconds=1)
    return told


def _is_held(told: dict[str, Any]) -> bool:
    """Whether the killed gate may still be asking about the run, or starting it."""
    is_starting = "may still be on its way" in (told.get("reason") or "")
    return told["outcome"] == "already_asked" or is_starting


async def _start_until_killed(
    gate: GateProcess,
    era: Era,
    point: Checkpoint,
    *,
    run_id: str,
    is_asked: Callable[[], Awaitable[None]],
) -> None:
    """Call `start_run`, and kill the gate where it is held, or where *is_asked* does."""
    with (
        anyio.move_on_after(30) as patience,
        suppress(MCPError, httpx2.HTTPError, BaseExceptionGroup),
    ):
        async with (
            gate.client(era, Person(YES, meanwhile=is_asked)) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(_start, client, run_id)
            await to_thread.run_sync(_wait, gate, point)
            await gate.kill()
            # A client does not notice at once that its server is gone.
            patience.cancel()
    assert not gate.is_alive


def _wait(gate: GateProcess, point: Checkpoint) -> None:
    """Until the gate is held, or is killed by then."""
    while gate.is_alive and not point.reached.wait(0.02):
        pass


async def _start(client: Client, run_id: str) -> None:
    with suppress(MCPError, httpx2.HTTPError):
        await client.call_tool("start_run", {"run_id": run_id})


def _verified(data_dir: Path) -> str:
    """What the audit of the record says."""
    audit = subprocess.run(
        [str(PROGRAM), "audit", "--verify"],
        env={"BENCHGATE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert audit.returncode == 0, audit.stdout + audit.stderr
    return audit.stdout
