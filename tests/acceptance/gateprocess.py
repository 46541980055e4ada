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

    def __init__(self, host: str, port: int, process: subprocess.Popen[bytes]) -> None:
        self._host = host
        self.port = port
        self._process = process

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

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
async def gate_process(
    data_dir: Path, *, host: str = "127.0.0.1", **variables: str
) -> AsyncGenerator[GateProcess]:
    """A gate on a free port of loopback, with these variables in its environment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    address = ["--host", host, "--port", str(port)]
    process = await to_thread.run_sync(_spawn, data_dir, address, variables)
    gate = GateProcess(host, port, process)
    try:
        with anyio.fail_after(START_SECONDS_MAX):
            await _await_port(host, port)
        yield gate
    finally:
        await gate.kill()


def _spawn(
    data_dir: Path, address: list[str], variables: dict[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(PROGRAM), "serve", "--transport", "http", *address],
        env={"BENCHGATE_DATA_DIR": str(data_dir), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def _await_port(host: str, port: int) -> None:
    while True:
        try:
            stream = await anyio.connect_tcp(host, port)
        except OSError:
            await anyio.sleep(0.05)
        else:
            await stream.aclose()
            return
