"""The same conversation over the real transports: a process on stdio, and Streamable HTTP."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from mcp import Client, StdioServerParameters

from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, NO, YES, Era, Person, call

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("benchgate")
STOP_SECONDS_MAX = 10


@asynccontextmanager
async def over_stdio(home: Home, era: Era, person: Person) -> AsyncGenerator[Client]:
    """A server process that the client launches, as the project's own mcp.json says."""
    entry = json.loads((ROOT / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]["benchgate"]
    assert entry["command"] == PROGRAM.name
    parameters = StdioServerParameters(
        command=str(PROGRAM),
        args=entry["args"],
        env={"BENCHGATE_DATA_DIR": str(home.settings.data_dir)},
    )
    async with Client(parameters, mode=era, elicitation_callback=person) as client:
        yield client


@asynccontextmanager
async def over_http(home: Home, era: Era, person: Person) -> AsyncGenerator[Client]:
    """A server process on a loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await to_thread.run_sync(_serve, home, port)
    try:
        with anyio.fail_after(20):
            await _await_port(port)
        url = f"http://127.0.0.1:{port}/mcp"
        async with Client(url, mode=era, elicitation_callback=person) as client:
            yield client
    finally:
        process.terminate()
        await to_thread.run_sync(process.wait, STOP_SECONDS_MAX)


def _serve(home: Home, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(PROGRAM), "serve", "--transport", "http", "--port", str(port)],
        env={"BENCHGATE_DATA_DIR": str(home.settings.data_dir)},
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


Over = Callable[[Home, Era, Person], AbstractAsyncContextManager[Client]]
TRANSPORTS = pytest.mark.parametrize("over", [over_stdio, over_http], ids=["stdio", "http"])


@TRANSPORTS
async def test_a_persons_yes_starts_the_run_and_its_end_is_told(
    home: Home, era: Era, over: Over
) -> None:
    person = Person(YES)
    async with over(home, era, person) as client:
        created = await call(client, "create_run", template_id=home.template())
        started = await call(client, "start_run", run_id=created["run_id"])
        with anyio.fail_after(20):
            ended = await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
    assert started["outcome"] == "started"
    assert ended["status"] == "COMPLETED"
    assert len(person.questions) == 1


@TRANSPORTS
async def test_a_persons_no_starts_nothing(home: Home, era: Era, over: Over) -> None:
    async with over(home, era, Person(NO)) as client:
        created = await call(client, "create_run", template_id=home.template())
        told = await call(client, "start_run", run_id=created["run_id"])
    assert told["outcome"] == "declined"
    assert home.status(created["run_id"]) == "PREPARED"
