"""Who is told which resources have changed, in both eras of the protocol."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourcesListChanged
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    JSONRPCNotification,
    JSONRPCRequest,
)

from benchgate.errors import NotFound
from benchgate.gate.resources.announcements import (
    SUBSCRIBERS_MAX,
    URIS_PER_SUBSCRIBER_MAX,
    Announcements,
    Tempo,
)
from tests.unit.ears import (
    ERAS,
    HEARD_WITHIN_SECONDS,
    Ear,
    Era,
    Watching,
    subscribe,
    subscribed,
    unsubscribe,
)
from tests.unit.examples import METRICS, snapshot_of

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("era", ERAS)

RUNS = "benchgate://runs"
RUN = "benchgate://runs/run-789xyz"
FILES = [f"{RUN}/series.csv", f"{RUN}/summary.csv", f"{RUN}/results.json"]
# Figures would be told an hour later: so what is told at once is told for another reason.
SLOW = Tempo(announce_seconds=3_600, round_seconds=0, idle_seconds_max=3_600)


async def alive() -> bool:
    return True


class Gate:
    """A server whose announcements are the test's to make."""

    def __init__(self, announcements: Announcements, watching: Watching) -> None:
        self.announcements = announcements
        self.watching = watching
        self.server: MCPServer[Any] = MCPServer("announcing", log_level="ERROR")
        announcements.register(self.server)

    @asynccontextmanager
    async def client(self, era: Era) -> AsyncGenerator[tuple[Client, Ear]]:
        with Ear(era) as ear:
            async with Client(self.server, mode=era, message_handler=ear.take_message) as client:
                yield client, ear

    def heard(self, status: str, **changes: object) -> None:
        self.announcements.heard(snapshot_of(status, **changes))


@asynccontextmanager
async def opened(tempo: Tempo) -> AsyncGenerator[Gate]:
    watching = Watching()
    async with Announcements(watching, is_known_alive=alive, tempo=tempo) as announcements:
        yield Gate(announcements, watching)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with opened(SLOW) as gate:
        yield gate


@BOTH_ERAS
async def test_the_server_says_that_its_resources_can_be_subscribed_to(
    gate: Gate, era: Era
) -> None:
    async with gate.client(era) as (client, _):
        assert client.server_capabilities.resources is not None
        assert client.server_capabilities.resources.subscribe is True


@BOTH_ERAS
async def test_who_subscribed_to_a_run_hears_of_it_up_to_its_end(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (client, ear), subscribed(client, ear, RUN):
        gate.heard("STARTING")
        assert await ear.next() == RUN
        gate.heard("RUNNING", phase="WARMUP")
        assert await ear.next() == RUN
        gate.heard("RUNNING", phase="WARMUP", metrics=METRICS)
        gate.heard("RUNNING", phase="MEASUREMENT", metrics=METRICS)
        assert await ear.next() == RUN
        gate.heard("COMPLETED")
        assert await ear.next() == RUN
        assert ear.waiting == 0


@BOTH_ERAS
async def test_figures_are_announced_after_their_time(era: Era) -> None:
    async with (
        opened(Tempo(announce_seconds=0.01, round_seconds=0)) as gate,
        gate.client(era) as (client, ear),
        subscribed(client, ear, RUN),
    ):
        gate.heard("RUNNING")
        assert await ear.next() == RUN
        for second in range(1, 4):
            gate.heard("RUNNING", elapsed_seconds=second)
            assert await ear.next() == RUN


@BOTH_ERAS
async def test_the_end_of_a_run_is_announced_for_its_files_too(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (client, ear), subscribed(client, ear, *FILES, RUNS):
        gate.heard("RUNNING")
        assert await ear.next() == RUNS
        gate.heard("COMPLETED")
        assert [await ear.next() for _ in range(4)] == [RUNS, *FILES]


@BOTH_ERAS
async def test_the_list_is_announced_for_a_new_run_and_for_another_status(
    gate: Gate, era: Era
) -> None:
    async with gate.client(era) as (client, ear), subscribed(client, ear, RUNS, RUN):
        gate.heard("PREPARED", run_id="run-b")
        assert await ear.next() == RUNS
        gate.heard("STARTING", run_id="run-b")
        assert await ear.next() == RUNS
        gate.heard("STARTING", run_id="run-b", phase="PREPARING")
        gate.heard("RUNNING")
        assert [await ear.next(), await ear.next()] == [RUNS, RUN]


async def test_who_listens_for_lists_hears_of_a_new_run(gate: Gate) -> None:
    async with (
        gate.client("auto") as (client, _),
        client.listen(resources_list_changed=True) as events,
    ):
        gate.heard("PREPARED")
        with anyio.fail_after(HEARD_WITHIN_SECONDS):
            assert await anext(events) == ResourcesListChanged()


@BOTH_ERAS
async def test_who_does_not_listen_any_more_hears_nothing(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (client, ear):
        async with subscribed(client, ear, RUN):
            gate.heard("STARTING")
            assert await ear.next() == RUN
        async with subscribed(client, ear, RUNS):
            gate.heard("COMPLETED")
            assert await ear.next() == RUNS
            assert ear.waiting == 0


@BOTH_ERAS
async def test_a_run_is_watched_while_somebody_listens_to_it_or_to_its_files(
    gate: Gate, era: Era
) -> None:
    async with gate.client(era) as (client, ear):
        async with subscribed(client, ear, RUN, FILES[0], "benchgate://runs/run-b/results.json"):
            await gate.watching.until("run-789xyz", "run-b")
        await gate.watching.until()
        assert gate.watching.entries == 2


@BOTH_ERAS
async def test_a_run_is_watched_once_for_all_who_listen(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (first, ear), gate.client(era) as (second, other):
        async with subscribed(first, ear, RUN):
            async with subscribed(second, other, RUN):
                await gate.watching.until("run-789xyz")
                gate.heard("RUNNING")
                assert [await ear.next(), await other.next()] == [RUN, RUN]
            await gate.watching.until("run-789xyz")
        await gate.watching.until()
    assert gate.watching.entries == 1


@BOTH_ERAS
async def test_a_client_that_is_gone_is_not_watched_for(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (client, ear):
        if era == "legacy":
            await subscribe(client, RUN)
            await gate.watching.until("run-789xyz")
        else:
            async with subscribed(client, ear, RUN):
                await gate.watching.until("run-789xyz")
    await gate.watching.until()
    gate.heard("RUNNING")


@BOTH_ERAS
async def test_a_run_is_not_watched_beyond_its_end(gate: Gate, era: Era) -> None:
    async with gate.client(era) as (client, ear):
        async with subscribed(client, ear, RUN):
            await gate.watching.until("run-789xyz")
            gate.heard("FAILED")
            await gate.watching.until()
        async with subscribed(client, ear, RUN):
            gate.heard("FAILED", reason="Disk full")
        assert gate.watching.entries == 1


@BOTH_ERAS
@pytest.mark.parametrize(
    "uri", ["benchgate://runs/%2e%2e", "benchgate://runs/a%0Ab", "benchgate://templates/t", "x://"]
)
async def test_what_is_never_announced_is_taken_and_watches_nothing(
    gate: Gate, era: Era, uri: str
) -> None:
    async with gate.client(era) as (client, ear), subscribed(client, ear, uri, RUN):
        await gate.watching.until("run-789xyz")
        gate.heard("RUNNING")
        assert await ear.next() == RUN
        assert gate.watching.entries == 1


async def test_what_is_never_announced_takes_no_room(gate: Gate) -> None:
    async with gate.client("legacy") as (client, ear):
        for number in range(URIS_PER_SUBSCRIBER_MAX + 1):
            await subscribe(client, f"benchgate://templates/t{number}")
        await subscribe(client, RUN)
        gate.heard("RUNNING")
        assert await ear.next() == RUN


@BOTH_ERAS
async def test_a_run_that_is_heard_of_later_is_watched_from_then_on(era: Era) -> None:
    known: set[str] = set()

    def refuse(run_id: str) -> None:
        if run_id not in known:
            raise NotFound

    watching = Watching(on_entry=refuse)
    async with Announcements(watching, is_known_alive=alive, tempo=SLOW) as announcements:
        gate = Gate(announcements, watching)
        async with gate.client(era) as (client, ear), subscribed(client, ear, RUN):
            await watching.until(entries=1)
            known.add("run-789xyz")
            gate.heard("STARTING")
            assert await ear.next() == RUN
            await watching.until("run-789xyz")


async def test_what_was_not_subscribed_to_can_be_unsubscribed_from(gate: Gate) -> None:
    async with gate.client("legacy") as (client, ear):
        await unsubscribe(client, RUN)
        await subscribe(client, RUN)
        await unsubscribe(client, FILES[0])
        gate.heard("RUNNING")
        assert await ear.next() == RUN


async def test_one_of_two_resources_of_a_run_keeps_it_watched(gate: Gate) -> None:
    async with gate.client("legacy") as (client, _):
        await subscribe(client, RUN)
        await subscribe(client, FILES[0])
        await gate.watching.until("run-789xyz")
        await unsubscribe(client, RUN)
        await anyio.wait_all_tasks_blocked()
        assert gate.watching.now == ["run-789xyz"]
        await unsubscribe(client, FILES[0])
        await gate.watching.until()


@BOTH_ERAS
async def test_more_resources_than_a_client_may_have_are_refused(gate: Gate, era: Era) -> None:
    uris = [f"benchgate://runs/r{number}" for number in range(URIS_PER_SUBSCRIBER_MAX + 1)]
    async with gate.client(era) as (client, ear):
        with pytest.raises(MCPError) as caught:
            async with subscribed(client, ear, *uris):
                pass
    assert caught.value.code == INVALID_PARAMS
    assert str(URIS_PER_SUBSCRIBER_MAX) in caught.value.message


async def test_of_more_sessions_than_can_be_told_the_oldest_gives_way(gate: Gate) -> None:
    async with AsyncExitStack() as stack:
        ears: list[Ear] = []
        for _ in range(SUBSCRIBERS_MAX + 1):
            client, ear = await stack.enter_async_context(gate.client("legacy"))
            await stack.enter_async_context(subscribed(client, ear, RUN))
            ears.append(ear)
        gate.heard("RUNNING")
        for ear in ears[1:]:
            assert await ear.next() == RUN
        assert ears[0].waiting == 0


async def test_more_streams_than_can_be_told_are_refused(gate: Gate) -> None:
    era: Era = "auto"
    async with AsyncExitStack() as stack:
        for _ in range(SUBSCRIBERS_MAX):
            client, ear = await stack.enter_async_context(gate.client(era))
            await stack.enter_async_context(subscribed(client, ear, RUN))
        client, ear = await stack.enter_async_context(gate.client(era))
        with pytest.raises(MCPError) as caught:
            async with subscribed(client, ear, RUN):
                pass
        assert caught.value.code == INTERNAL_ERROR


@asynccontextmanager
async def deaf(gate: Gate) -> AsyncGenerator[None]:
    """A session of the 2025 era that subscribes to the run and then reads nothing any more."""
    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "deaf", "version": "1"},
    }
    messages = [
        JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=hello),
        JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized"),
        JSONRPCRequest(jsonrpc="2.0", id=2, method="resources/subscribe", params={"uri": RUN}),
    ]
    low = gate.server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # as the SDK's own
    async with (
        create_client_server_memory_streams() as ((read, write), (server_read, server_write)),
        anyio.create_task_group() as tasks,
    ):
        options = low.create_initialization_options()
        tasks.start_soon(low.run, server_read, server_write, options)
        with anyio.fail_after(HEARD_WITHIN_SECONDS):
            for message in messages:
                await write.send(SessionMessage(message))
                if isinstance(message, JSONRPCRequest):
                    await read.receive()
        yield
        tasks.cancel_scope.cancel()


async def test_a_client_that_reads_nothing_is_dropped_and_holds_nobody_up() -> None:
    tempo = SLOW.model_copy(update={"send_seconds_max": 0.5})
    async with opened(tempo) as gate, deaf(gate):
        await gate.watching.until("run-789xyz")
        async with gate.client("legacy") as (client, ear):
            await subscribe(client, RUNS)
            for phase in ("PREPARING", "WARMUP", "MEASUREMENT", "PROCESSING"):
                gate.heard("RUNNING", phase=phase)
                gate.heard("RUNNING", phase=phase, run_id=f"run-{phase}")
                assert await ear.next() == RUNS
            await gate.watching.until()


async def test_what_waits_for_a_client_is_told_once(gate: Gate) -> None:
    async with gate.client("legacy") as (client, ear), subscribed(client, ear, RUN, RUNS):
        for number in range(1_000):
            gate.heard("RUNNING", phase=f"P{number % 7}")
        assert await ear.next() == RUNS
        assert await ear.next() == RUN
        await anyio.wait_all_tasks_blocked()
        assert ear.waiting == 0


async def test_leaving_lets_go_of_every_run() -> None:
    async with opened(SLOW) as gate, gate.client("legacy") as (client, _):
        await subscribe(client, RUN)
        await gate.watching.until("run-789xyz")
        watching = gate.watching
    assert not watching.now


async def test_what_is_heard_before_anybody_listens_is_kept(gate: Gate) -> None:
    gate.heard("COMPLETED")
    async with gate.client("legacy") as (client, _):
        await subscribe(client, RUN)
        await anyio.wait_all_tasks_blocked()
    assert gate.watching.entries == 0
