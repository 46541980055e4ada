"""The end of the backend process that the server started for the demo; never its beginning."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import psutil
from anyio import to_thread
from mcp.client.stdio import get_default_environment

from benchgate.domain.rendezvous import RECORD_FILE

STOP_SECONDS_MAX = 15
KILL_SECONDS_MAX = 3


@asynccontextmanager
async def ended_afterwards(data_dir: Path) -> AsyncGenerator[None]:
    """No backend of an earlier demo before, and none of this one afterwards."""
    await _end(data_dir)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await _end(data_dir)


async def _end(data_dir: Path) -> None:
    """Let the backend end itself, and see that it did."""
    if not (data_dir / RECORD_FILE).exists() and not _processes(data_dir):
        return
    command = [sys.executable, "-m", "benchgate", "backend", "--stop", "--force"]
    command += ["--data-dir", str(data_dir)]
    with anyio.move_on_after(STOP_SECONDS_MAX), suppress(OSError):
        environment = get_default_environment()
        await anyio.run_process(command, env=environment, check=False, start_new_session=True)
    # What is still there has not heard, and is ended by its number.
    left = _processes(data_dir)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    await to_thread.run_sync(_kill_after, left)


def _kill_after(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=KILL_SECONDS_MAX)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _processes(data_dir: Path) -> list[psutil.Process]:
    """The backend of *data_dir* with its workers, as the system's list of processes has them."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if {"benchgate", "backend", str(data_dir)} <= set(command) and "--stop" not in command:
                found += [process, *process.children(recursive=True)]
    return found
