"""The WebSocket of a run, in process."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, aconnect_ws
from httpx_ws.transport import ASGIWebSocketTransport

from benchgate.backend.api import live
from tests.unit.backend.scripted import (
    BEARER,
    ORIGIN,
    ScriptedLoad,
    draft,
    new_run,
    orders,
    scripted_app,
    seconds,
    until_status,
)

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def served(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=ASGIWebSocketTransport(app=app), base_url=ORIGIN, headers=BEARER
        ) as http,
    ):
        yield http


@asynccontextmanager
async def watched(
    http: httpx.AsyncClient, run_id: str, **options: Any
) -> AsyncGenerator[AsyncWebSocketSession]:
    path = f"{ORIGIN.replace('http', 'ws', 1)}/ws/runs/{run_id}/metrics"
    with anyio.fail_after(10):
        async with aconnect_ws(path, http, **options) as socket:
            yield socket


async def refusal(http: httpx.AsyncClient, run_id: str, **options: Any) -> int:
    """The HTTP status of a denied handshake; in process it comes as a close code."""
    with pytest.raises(WebSocketDisconnect) as caught:
        async with watched(http, run_id, **options):
            pass
    return caught.value.code - 4_000


async def test_a_live_run_sends_the_specifications_payload(tmp_path: Path) -> None:
    load = ScriptedLoad(ticks=seconds(2))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await http.post(f"/api/runs/{run_id}/start")
        await load.under_way.wait()
        async with watched(http, run_id) as socket:
            frame = await socket.receive_json()
            assert frame == {
                "timestamp": "2026-02-13T12:00:02Z",
                "qps": 1247,
                "latency_p50_ms": 12,
                "latency_p95_ms": 45,
                "latency_p99_ms": 89,
                "error_rate": 0.5,
                "active_connections": 2,
                "status": "RUNNING",
                "phase": "MEASUREMENT",
                "elapsed_seconds": 2,
                "expected_seconds": 3,
                "total_queries": 1247,
                "current_step": None,
                "total_steps": None,
                "current_concurrency": None,
                "best_concurrency": None,
                "best_qps": None,
            }


async def test_the_last_frame_tells_the_end_and_then_the_socket_closes(tmp_path: Path) -> None:
    load = ScriptedLoad(ticks=seconds(2))
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        async with watched(http, run_id) as socket:
            assert (await socket.receive_json())["status"] == "PREPARED"
            await http.post(f"/api/runs/{run_id}/start")
            load.finish.set()
            status = "PREPARED"
            while status != "COMPLETED":
                status = (await socket.receive_json())["status"]
            with pytest.raises(WebSocketDisconnect) as closed:
                await socket.receive_json()
            assert closed.value.code == 1000


async def test_a_run_that_has_ended_sends_its_result_once(tmp_path: Path) -> None:
    load = ScriptedLoad(ticks=seconds(2))
    load.finish.set()
    async with served(scripted_app(tmp_path, load)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        await http.post(f"/api/runs/{run_id}/start")
        await until_status(http, run_id, "COMPLETED")
        async with watched(http, run_id) as socket:
            frame = await socket.receive_json()
            assert (frame["status"], frame["total_queries"]) == ("COMPLETED", 2494)
            with pytest.raises(WebSocketDisconnect):
                await socket.receive_json()


async def test_a_quiet_run_still_sends_a_frame_every_second(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        async with watched(http, run_id) as socket:
            frames = [await socket.receive_json() for _ in range(3)]
            assert {frame["status"] for frame in frames} == {"PREPARED"}


async def test_an_unknown_run_is_denied_at_the_handshake(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        assert await refusal(http, "run-unknown") == 404


async def test_a_stranger_and_a_foreign_page_are_denied_at_the_handshake(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        assert await refusal(http, run_id, headers={"Authorization": "Bearer wrong"}) == 401
        assert await refusal(http, run_id, headers={"Origin": "http://evil.example"}) == 403
        async with watched(http, run_id, headers={"Origin": ORIGIN}) as socket:
            assert (await socket.receive_json())["status"] == "PREPARED"


async def test_there_are_only_so_many_watchers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "WATCHERS_MAX", 1)
    async with served(scripted_app(tmp_path)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        async with watched(http, run_id):
            assert await refusal(http, run_id) == 409
        with anyio.fail_after(5):
            while True:  # the place is free as soon as the server has seen the watcher leave
                try:
                    async with watched(http, run_id) as socket:
                        await socket.receive_json()
                        break
                except WebSocketDisconnect:
                    await anyio.sleep(0.01)
