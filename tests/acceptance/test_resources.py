"""Resources of the whole gate before FlakeBench, as it behaves: what is read, who is told."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from anyio import to_thread
from mcp import Client, StdioServerParameters
from mcp.server import MCPServer
from mcp.types import TextResourceContents

from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.acceptance.person import YES, Person, call
from tests.flakebench.app import served
from tests.flakebench.clock import ManualClock, ScaledClock
from tests.flakebench.world import World
from tests.unit.ears import ERAS, HEARD_WITHIN_SECONDS, Ear, Era, subscribed

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

# One second of the wall is half a minute of the backend's.
SPEED = 30
# After so long of the backend's time a run of `tpl-fixed` is under load, and over after the second.
LOADING_SECONDS, OVER_SECONDS = 5, 60
ENDED_WITHIN_SECONDS = 30
LOOK_INTERVAL_SECONDS = 0.1
LOOPBACK = "127.0.0.1"
PROGRAM = Path(sys.executable).with_name("benchgate")
RUNS = "benchgate://runs"

LISTENER = """
import sys, anyio
from mcp import Client
from mcp.types import EmptyResult, SubscribeRequest, SubscribeRequestParams

async def listen(url, era, uri):
    async with Client(url, mode=era) as client:
        if era == "legacy":
            wanted = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
            await client.session.send_request(wanted, EmptyResult)
            print("listening", flush=True)
            await anyio.sleep_forever()
        async with client.listen(resource_subscriptions=[uri]):
            print("listening", flush=True)
            await anyio.sleep_forever()

anyio.run(listen, *sys.argv[1:])
"""


class Gate:
    """A whole gate on a port of loopback, before a world of which it knows only the address."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url

    @asynccontextmanager
    async def client(self, era: Era) -> AsyncGenerator[tuple[Client, Ear]]:
        """A client whose person says yes, and what it is told."""
        with Ear(era) as ear:
            async with Client(
                self.url,
                mode=era,
                elicitation_callback=Person(YES),
                message_handler=ear.take_message,
            ) as client:
                yield client, ear


@asynccontextmanager
async def gate_of(world: World, folder: Path) -> AsyncGenerator[Gate]:
    async with served(world) as backend_url:
        settings = Settings.model_validate({"backend_url": backend_url, "data_dir": folder})
        async with open_gate(settings) as server, over_http(server) as url:
            yield Gate(world, url)


@asynccontextmanager
async def over_http(server: MCPServer[Any]) -> AsyncGenerator[str]:
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(
            server.streamable_http_app(), log_config=None, timeout_graceful_shutdown=1
        )
        running = uvicorn.Server(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.serve, [listener])
            with anyio.fail_after(HEARD_WITHIN_SECONDS):
                while not running.started:  # noqa: ASYNC110 - uvicorn sends no word
                    await anyio.sleep(LOOK_INTERVAL_SECONDS)
            try:
                yield f"http://{LOOPBACK}:{listener.getsockname()[1]}/mcp"
            finally:
                running.should_exit = True


@asynccontextmanager
async def by_http(world: World, folder: Path, era: Era) -> AsyncGenerator[tuple[Client, Ear]]:
    async with gate_of(world, folder) as gate, gate.client(era) as (client, ear):
        yield client, ear


@asynccontextmanager
async def by_stdio(world: World, folder: Path, era: Era) -> AsyncGenerator[tuple[Client, Ear]]:
    """A client of a server process that it launched itself."""
    async with served(world) as url:
        parameters = StdioServerParameters(
            command=str(PROGRAM),
            env={"BENCHGATE_BACKEND_URL": url, "BENCHGATE_DATA_DIR": str(folder)},
        )
        with Ear(era) as ear:
            async with Client(
                parameters,
                mode=era,
                elicitation_callback=Person(YES),
                message_handler=ear.take_message,
            ) as client:
                yield client, ear


By = Callable[[World, Path, Era], AbstractAsyncContextManager[tuple[Client, Ear]]]


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text)


async def started(client: Client, run_id: str) -> None:
    assert (await call(client, "start_run", run_id=run_id))["outcome"] == "started"


async def until_status(client: Client, ear: Ear, run: str, wanted: str) -> None:
    """Until a word of the run leads to a status as *wanted*."""
    with anyio.fail_after(ENDED_WITHIN_SECONDS):
        while (await read(client, run))["status"] != wanted:
            await ear.until(run)


async def until_listed(client: Client, ear: Ear, wanted: str) -> None:
    """Until a word of the list leads to its only run, with a status as *wanted*."""
    with anyio.fail_after(ENDED_WITHIN_SECONDS):
        while [one["status"] for one in (await read(client, RUNS))["runs"]] != [wanted]:
            await ear.until(RUNS)


@pytest.fixture
def world() -> World:
    return World(clock=ScaledClock(SPEED))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def still(clock: ManualClock) -> World:
    """A world in which nothing happens until a test moves its clock."""
    return World(clock=clock)


@pytest.mark.parametrize("by", [by_stdio, by_http], ids=["stdio", "http"])
async def test_a_run_is_followed_to_its_end_and_its_results_are_read(
    still: World, clock: ManualClock, tmp_path: Path, era: Era, by: By
) -> None:
    async with by(still, tmp_path, era) as (client, ear):
        run_id = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        run = f"{RUNS}/{run_id}"
        listed = await read(client, RUNS)
        assert [(one["run_id"], one["status"]) for one in listed["runs"]] == [(run_id, "PREPARED")]
        assert "summary_metrics" not in await read(client, f"{run}/results.json")
        async with subscribed(client, ear, run, f"{run}/results.json"):
            await started(client, run_id)
            clock.advance(LOADING_SECONDS)
            await until_status(client, ear, run, "RUNNING")
            clock.advance(OVER_SECONDS)
            await until_status(client, ear, run, "COMPLETED")
            await ear.until(f"{run}/results.json")
        told = await read(client, run)
        assert told["summary"]["total_queries"] > 0
        handed = await read(client, f"{run}/results.json")
        assert handed["summary_metrics"] == told["summary"]
        listed = await read(client, RUNS)
        assert [(one["run_id"], one["status"]) for one in listed["runs"]] == [(run_id, "COMPLETED")]
    assert still.counts.starts[run_id] == 1


async def test_a_run_that_was_started_is_announced_to_its_end_though_nobody_looks(
    still: World, clock: ManualClock, tmp_path: Path, era: Era
) -> None:
    async with by_http(still, tmp_path, era) as (client, ear):
        run_id = (await call(client, "create_run", template_id="tpl-fixed"))["run_id"]
        async with subscribed(client, ear, RUNS):
            await started(client, run_id)
            clock.advance(LOADING_SECONDS)
            await until_listed(client, ear, "RUNNING")
            clock.advance(OVER_SECONDS)
            await until_listed(client, ear, "COMPLETED")
    assert still.counts.streams[run_id] == 1


async def test_all_who_follow_a_run_share_one_stream_of_the_backend(
    world: World, tmp_path: Path, era: Era
) -> None:
    async with (
        gate_of(world, tmp_path) as gate,
        gate.client(era) as (starter, _),
        gate.client(era) as (one, first_ear),
        gate.client(era) as (other, second_ear),
    ):
        run_id = (await call(starter, "create_run", template_id="tpl-long"))["run_id"]
        run = f"{RUNS}/{run_id}"
        async with (
            subscribed(one, first_ear, run),
            subscribed(other, second_ear, run),
            anyio.create_task_group() as tasks,
        ):
            await started(starter, run_id)
            for client, ear in ((one, first_ear), (other, second_ear)):
                tasks.start_soon(_follow, client, ear, run)
        assert world.counts.streams[run_id] == world.counts.open_streams[run_id] == 1
        stopped = await call(starter, "stop_run", run_id=run_id)
        assert stopped["status"] in {"CANCELLING", "CANCELLED"}


async def _follow(client: Client, ear: Ear, run: str) -> None:
    """Until live figures stand in the run's resource, which only a stream of FlakeBench tells."""
    with anyio.fail_after(ENDED_WITHIN_SECONDS):
        while (await read(client, run)).get("metrics", {}).get("qps", 0) <= 0:
            await ear.until(run)


async def test_a_template_is_read_without_what_is_secret_in_it(
    world: World, tmp_path: Path, era: Era
) -> None:
    config = {**world.templates["tpl-fixed"]["config"], "password": "hunter2"}
    template_id = world.save("Orders", config)["template_id"]
    async with by_http(world, tmp_path, era) as (client, _):
        told = await read(client, f"benchgate://templates/{template_id}")
    assert told["template_name"] == "Orders"
    assert told["config"]["table_name"] == config["table_name"]
    assert "hunter2" not in json.dumps(told)


async def test_a_client_that_was_killed_keeps_nobody_from_hearing(
    world: World, tmp_path: Path, era: Era
) -> None:
    async with gate_of(world, tmp_path) as gate, gate.client(era) as (client, ear):
        run_id = (await call(client, "create_run", template_id="tpl-long"))["run_id"]
        run = f"{RUNS}/{run_id}"
        await listen_and_die(gate, era, run)
        async with subscribed(client, ear, run):
            await started(client, run_id)
            await until_status(client, ear, run, "RUNNING")
            world.fail(run_id)
            await until_status(client, ear, run, "FAILED")


async def listen_and_die(gate: Gate, era: Era, uri: str) -> None:
    """A process listens to *uri*, and is killed as soon as it does."""
    process = await to_thread.run_sync(spawn, gate.url, era, uri)
    try:
        assert process.stdout is not None
        with process.stdout, anyio.fail_after(ENDED_WITHIN_SECONDS):
            line = await to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
            assert line == b"listening\n"
    finally:
        process.kill()
        process.wait()


def spawn(url: str, era: Era, uri: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", LISTENER, url, era, uri],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
