"""The emulation's WebSocket, on a real port."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from httpx_ws import (
    AsyncWebSocketSession,
    WebSocketDisconnect,
    WebSocketNetworkError,
    WebSocketUpgradeError,
    aconnect_ws,
)

from tests.flakebench.app import served
from tests.flakebench.clock import ManualClock
from tests.flakebench.samples import Json, frames
from tests.flakebench.steps import started
from tests.flakebench.world import World
from tests.unit.backend.scripted import eventually

pytestmark = pytest.mark.anyio

WAIT_SECONDS_MAX = 20


@dataclass
class Peer:
    """The emulation on its port, and who speaks to it."""

    address: str
    http: httpx.AsyncClient
    world: World
    clock: ManualClock

    @asynccontextmanager
    async def watched(self, run_id: str) -> AsyncGenerator[AsyncWebSocketSession]:
        """The run's stream, with its first message still to come."""
        path = f"{self.address.replace('http', 'ws', 1)}/ws/test/{run_id}"
        async with aconnect_ws(path, self.http, keepalive_ping_interval_seconds=None) as socket:
            yield socket

    async def next_update(self, socket: AsyncWebSocketSession) -> Json:
        """What the stream tells a second later."""
        await self.clock.elapse(1)
        message: Json = await socket.receive_json()
        assert message["event"] == "RUN_UPDATE"
        data: Json = message["data"]
        return data


@pytest.fixture
async def peer() -> AsyncGenerator[Peer]:
    clock = ManualClock()
    world = World(clock=clock)
    with anyio.fail_after(WAIT_SECONDS_MAX):
        async with (
            served(world) as address,
            httpx.AsyncClient(base_url=address, trust_env=False) as http,
        ):
            yield Peer(address, http, world, clock)


def recorded(name: str, number: int) -> Json:
    data: Json = frames(name)[number]["data"]
    return data


async def test_a_stream_begins_with_a_message_that_is_no_event(peer: Peer) -> None:
    run_id = await started(peer.http)
    async with peer.watched(run_id) as socket:
        first: Json = await socket.receive_json()
        assert first.keys() == frames("ws_fixed")[0].keys()
        assert (first["status"], first["test_id"]) == ("connected", run_id)
        update = await peer.next_update(socket)
    assert (update["status"], update["phase"]) == ("STARTING", "PREPARING")
    assert peer.world.counts.streams[run_id] == 1


@pytest.mark.parametrize(
    ("template_id", "name", "extra"),
    [
        ("tpl-fixed", "ws_fixed", None),
        ("tpl-qps", "ws_qps", "qps_controller_state"),
        ("tpl-findmax", "ws_findmax", "find_max"),
    ],
)
async def test_live_figures_are_only_on_the_stream(
    peer: Peer, template_id: str, name: str, extra: str | None
) -> None:
    peer.world.error_share = 0.005
    run_id = await started(peer.http, template_id)
    peer.clock.advance(7)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        update = await peer.next_update(socket)
    like = recorded(name, 4)
    assert update.keys() == like.keys()
    assert update["run"].keys() == like["run"].keys()
    assert update["workers"][0].keys() == like["workers"][0].keys()
    assert update["run"]["aggregate_metrics"].keys() == like["run"]["aggregate_metrics"].keys()
    assert extra is None or update[extra].keys() >= like[extra].keys() - {"is_backoff"}
    assert (update["status"], update["phase"]) == ("RUNNING", "MEASUREMENT")
    assert update["ops"]["total"] > 0
    assert update["ops"]["current_per_sec"] == update["run"]["aggregate_metrics"]["qps"] > 0
    assert update["errors"]["rate"] == 0.005


async def test_whatever_the_client_sends_suppresses_the_next_update(peer: Peer) -> None:
    run_id = await started(peer.http, "tpl-long")
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        for number in range(1, 6):
            await peer.clock.elapse(0.6)
            await socket.send_text("ping")
            await eventually(lambda sent=number: peer.world.counts.client_frames[run_id] == sent)
        update = await peer.next_update(socket)
    # Three seconds of pings gave nothing; the only update is of the second after them.
    assert update["elapsed"] == 4


async def test_an_unknown_id_runs_for_ever(peer: Peer) -> None:
    async with peer.watched("unknown") as socket:
        await socket.receive_json()
        updates = [await peer.next_update(socket) for _ in range(5)]
    assert {(one["status"], one["phase"]) for one in updates} == {("RUNNING", "RUNNING")}
    assert updates[0].keys() == recorded("ws_fixed", 1).keys()
    assert "workers_expected" not in updates[0]["run"]
    assert updates[-1]["run"]["aggregate_metrics"]["qps"] == 0


async def test_a_completed_run_ends_with_a_drop_and_no_close_frame(peer: Peer) -> None:
    run_id = await started(peer.http)
    peer.clock.advance(60)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        phases = [(await peer.next_update(socket))["phase"] for _ in range(2)]
        await peer.clock.elapse(0.5)
        with pytest.raises(WebSocketNetworkError):
            await socket.receive_json()
    assert phases == ["PROCESSING", "COMPLETED"]
    assert peer.world.counts.open_streams[run_id] == 0


async def test_a_run_is_processing_until_it_is_enriched(peer: Peer) -> None:
    run_id = await started(peer.http)
    peer.clock.advance(9)
    told: list[Any] = []
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        while not told or told[-1][1] != "COMPLETED":
            update = await peer.next_update(socket)
            told.append((update["status"], update["phase"]))
        await peer.clock.elapse(0.5)
    assert list(dict.fromkeys(told)) == [
        ("STOPPING", "PROCESSING"),
        ("COMPLETED", "PROCESSING"),
        ("COMPLETED", "COMPLETED"),
    ]


@pytest.mark.parametrize(("end", "status"), [("guardrail", "FAILED"), ("stop", "CANCELLED")])
async def test_a_run_that_did_not_complete_streams_for_ever(
    peer: Peer, end: str, status: str
) -> None:
    run_id = await started(peer.http)
    peer.clock.advance(5)
    if end == "stop":
        peer.world.runs[run_id].stop(peer.clock.now())
    else:
        peer.world.guardrail(run_id)
    peer.clock.advance(600)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        updates = [await peer.next_update(socket) for _ in range(10)]
    assert {(one["status"], one["phase"]) for one in updates} == {(status, status)}
    assert all(one["cancellation_reason"] for one in updates)


async def test_a_stream_tells_of_a_statuss_change_late(peer: Peer) -> None:
    run_id = await started(peer.http)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        updates = [await peer.next_update(socket) for _ in range(3)]
    assert [one["status"] for one in updates] == ["STARTING", "STARTING", "RUNNING"]
    assert [bool(one["workers"]) for one in updates] == [False, True, True]


async def test_a_search_is_over_before_its_status_says_so(peer: Peer) -> None:
    run_id = await started(peer.http, "tpl-findmax")
    peer.clock.advance(45.5)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        updates = [await peer.next_update(socket) for _ in range(3)]
    told = [(one["status"], one["find_max"]["status"]) for one in updates]
    assert told[1:] == [("RUNNING", "COMPLETED"), ("COMPLETED", "COMPLETED")]
    assert updates[-1]["elapsed"] == 47


async def test_trouble_of_the_backend_looks_like_a_normal_close(peer: Peer) -> None:
    run_id = await started(peer.http)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        peer.world.metrics_query_fails = True
        await peer.clock.elapse(1)
        with pytest.raises(WebSocketDisconnect) as caught:
            await socket.receive_json()
    assert caught.value.code == 1000


@pytest.mark.parametrize("path", ["/ws/runs/{id}/metrics", "/ws/test/{id}/", "/ws"])
async def test_any_other_path_is_refused_at_the_handshake(peer: Peer, path: str) -> None:
    run_id = await started(peer.http)
    address = peer.address.replace("http", "ws", 1) + path.format(id=run_id)
    with pytest.raises(WebSocketUpgradeError) as caught:
        async with aconnect_ws(address, peer.http):
            pass
    assert caught.value.response.status_code == 403


async def test_an_outage_leaves_the_status_as_it_was(peer: Peer) -> None:
    run_id = await started(peer.http)
    async with peer.watched(run_id) as socket:
        await socket.receive_json()
        peer.clock.advance(4)
        assert (await peer.next_update(socket))["status"] == "RUNNING"
        peer.world.outage = True
        peer.clock.advance(60)
        await socket.receive_json()
        assert (await peer.next_update(socket))["status"] == "RUNNING"
