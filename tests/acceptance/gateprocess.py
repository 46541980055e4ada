"""Gates as processes that can be killed: over HTTP, so that clients of both eras reach them."""

import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio import to_thread
from mcp import Client

from tests.acceptance.person import Era, Person

PROGRAM = Path(sys.executable).with_name("benchgate")
START_SECONDS_MAX = 20
END_SECONDS_MAX = 10


class GateProcess:
    """One `benchgate serve --transport http`."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._process = process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def client(self, era: Era, person: Person | None) -> Client:
        return Client(f"{self.url}/mcp", mode=era, elicitation_callback=person)

    async def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        await to_thread.run_sync(self._process.wait, END_SECONDS_MAX)


@asynccontextmanager
async def gate_process(data_dir: Path, **variables: str) -> AsyncGenerator[GateProcess]:
    """A gate on a free port of loopback, with these variables in its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    gate = GateProcess(port, await to_thread.run_sync(_spawn, data_dir, port, variables))
    try:
        with anyio.fail_after(START_SECONDS_MAX):
            await _await_port(port)
        yield gate
    finally:
        await gate.kill()


def _spawn(data_dir: Path, port: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(PROGRAM), "serve", "--transport", "http", "--port", str(port)],
        env={"BENCHGATE_DATA_DIR": str(data_dir), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _await_port(port: int) -> None:
    while True:
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            await anyio.sleep(0.05)
        else:
            await stream.aclose()
            return
