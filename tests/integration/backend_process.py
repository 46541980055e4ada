"""The embedded backend as a real process on a real port, ended by its id."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import psutil
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, aconnect_ws

from benchgate.backend.presence import Presence
from benchgate.domain.rendezvous import BackendRecord
from tests.unit.backend.scripted import eventually

END_SECONDS_MAX = 10
WATCH_SECONDS_MAX = 90


def command(data_dir: Path, *arguments: str) -> list[str]:
    """The command line of the backend of *data_dir*."""
    return [
        sys.executable,
        "-m",
        "benchgate",
        "backend",
        "--data-dir",
        str(data_dir),
        *arguments,
    ]


class BackendProcess:
    """A backend that a test started."""

    def __init__(self, data_dir: Path, process: subprocess.Popen[bytes]) -> None:
        self.data_dir = data_dir
        self.process = process

    @property
    def record(self) -> BackendRecord:
        record = Presence(self.data_dir).record()
        assert record is not None
        return record

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        """A client that shows *headers*, or else the token of the record as it is now."""
        record = self.record
        bearer = {"Authorization": f"Bearer {record.token.get_secret_value()}"}
        shown = bearer if headers is None else headers
        return httpx.AsyncClient(base_url=record.url, headers=shown, trust_env=False)

    async def ended(self) -> int:
        """The exit code, once the process has ended."""
        await eventually(lambda: has_ended(self.process))
        return self.process.returncode

    async def told(self, number: signal.Signals) -> int:
        """The exit code after a signal."""
        os.kill(self.process.pid, number)
        return await self.ended()


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has an exit code."""
    return process.poll() is not None


def spawn(data_dir: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the backend of *data_dir*; whoever calls this ends it."""
    return subprocess.Popen(command(data_dir, *arguments), stdin=subprocess.DEVNULL)


@asynccontextmanager
async def backend(data_dir: Path, *arguments: str) -> AsyncGenerator[BackendProcess]:
    """A backend of *data_dir* that answers; it is ended afterwards if it still lives."""
    before = Presence(data_dir).record()
    process = spawn(data_dir, *arguments)
    try:
        await eventually(lambda: Presence(data_dir).record() != before or has_ended(process))
        assert process.poll() is None, f"it ended with {process.returncode}"
        yield BackendProcess(data_dir, process)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def run_to_end(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One call of the command line, to its end."""

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(data_dir, *arguments), capture_output=True, text=True, timeout=60, check=False
        )

    return await anyio.to_thread.run_sync(call)


@asynccontextmanager
async def watched(
    process: BackendProcess, path: str, headers: Mapping[str, str] | None = None
) -> AsyncGenerator[AsyncWebSocketSession]:
    """Its WebSocket at *path*."""
    url = process.record.url.replace("http", "ws", 1) + path
    with anyio.fail_after(WATCH_SECONDS_MAX):
        async with process.client(headers) as http, aconnect_ws(url, http) as socket:
            yield socket


async def frames_of(process: BackendProcess, run_id: str) -> list[dict[str, Any]]:
    """Every frame until the server closes, which it does with the code of a normal end."""
    frames: list[dict[str, Any]] = []
    async with watched(process, f"/ws/runs/{run_id}/metrics") as socket:
        try:
            while True:
                frames.append(await socket.receive_json())
        except WebSocketDisconnect as closed:
            assert closed.code == 1000  # noqa: PT017 - the last of many receives raises it
    return frames


def workers_of(process: BackendProcess) -> list[psutil.Process]:
    """The processes that the backend has started."""
    return psutil.Process(process.process.pid).children(recursive=True)


def are_gone(workers: list[psutil.Process]) -> bool:
    """Whether none of them runs; one that nobody has buried yet does not run."""
    try:
        return not any(w.is_running() and w.status() != psutil.STATUS_ZOMBIE for w in workers)
    except psutil.NoSuchProcess:  # it went between the two looks
        return False
