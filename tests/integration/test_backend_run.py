"""A run end to end: REST and WebSocket on a real port, the real engine, a real SQLite table."""

import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from httpx_ws import WebSocketDisconnect, WebSocketNetworkError, WebSocketUpgradeError

from benchgate.backend.app import create_app
from tests.integration.backend_process import backend, frames_of, watched
from tests.integration.servers import PostgresServer
from tests.unit.backend.scripted import IDENTITY, draft, new_run, orders, served, until_status

pytestmark = pytest.mark.anyio


async def test_a_real_run_is_measured_from_start_to_end(tmp_path: Path) -> None:
    mix: dict[str, Any] = {
        "custom_point_lookup_pct": 60,
        "custom_range_scan_pct": 20,
        "custom_insert_pct": 10,
        "custom_update_pct": 10,
        "think_time": 1,
    }
    database = orders(tmp_path)
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await new_run(http, draft(database, **mix))
        report = (await http.get(f"/api/runs/{run_id}/preflight/")).json()
        assert report["can_proceed"]
        assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 202
        frames = await frames_of(process, run_id)
        done = await until_status(http, run_id, "COMPLETED")
        series = (await http.get(f"/api/tests/{run_id}/metrics/")).json()

    assert {frame["status"] for frame in frames} >= {"RUNNING", "COMPLETED"}
    assert {frame["phase"] for frame in frames} >= {"WARMUP", "MEASUREMENT"}
    summary, timing = done["summary"], done["timing"]
    assert summary["total_queries"] > 100
    assert summary["error_rate"] == 0
    assert summary["p50_latency_ms"] <= summary["p95_latency_ms"] <= summary["p99_latency_ms"]
    assert timing["measured_seconds"] == pytest.approx(2, abs=0.5)
    expected_qps = summary["total_queries"] / timing["measured_seconds"]
    assert summary["average_qps"] == pytest.approx(expected_qps, rel=0.01)
    assert [point["warmup"] for point in series["snapshots"]][:1] == [True]
    assert series["count"] == len(series["snapshots"]) >= 3
    written = {one["kind"]: one["rows_written"] for one in done["findings"]["kinds"]}
    assert written["INSERT"] > 0
    assert written["UPDATE"] > 0
    # All of it went to a copy.
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT count(*) FROM orders").fetchone()[0]
    assert rows == 50


async def test_a_stopped_run_keeps_what_it_measured(tmp_path: Path) -> None:
    async with backend(tmp_path / "data") as process, process.client() as http:
        run_id = await new_run(http, draft(orders(tmp_path), duration=600, warmup=0))
        await http.post(f"/api/runs/{run_id}/start")
        async with watched(process, f"/ws/runs/{run_id}/metrics") as socket:
            while (await socket.receive_json())["total_queries"] == 0:
                pass
            stopped = await http.post(f"/api/runs/{run_id}/stop")
            assert stopped.json()["status"] == "CANCELLING"
        ended = await until_status(http, run_id, "CANCELLED")
        assert ended["summary"]["total_queries"] > 0
        assert ended["timing"]["measured_seconds"] < 60


async def test_a_handshake_is_denied_with_the_status_that_http_has_for_it(tmp_path: Path) -> None:
    async with backend(tmp_path / "data") as process:
        async with process.client() as http:
            run_id = await new_run(http, draft(orders(tmp_path)))
            bearer = {"authorization": http.headers["authorization"]}
        for path, headers, status in [
            ("/ws/runs/run-unknown/metrics", bearer, 404),
            (f"/ws/runs/{run_id}/metrics", {"authorization": "Bearer wrong"}, 401),
            (f"/dashboard/{run_id}/ws", {}, 401),
            (f"/ws/runs/{run_id}/metrics", bearer | {"origin": "http://evil.example"}, 403),
        ]:
            with pytest.raises(WebSocketUpgradeError) as denied:
                async with watched(process, path, headers=headers):
                    pass
            assert denied.value.response.status_code == status


async def test_watchers_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with backend(tmp_path / "data") as process:
        async with process.client() as http:
            run_id = await new_run(http, draft(orders(tmp_path)))
        async with watched(process, f"/ws/runs/{run_id}/metrics") as socket:
            await socket.receive_json()
            with anyio.fail_after(5):
                assert await process.told(signal.SIGTERM) == 0
            with suppress(WebSocketDisconnect, WebSocketNetworkError):
                while True:
                    await socket.receive_json()


async def test_a_saved_connection_leads_to_a_real_server(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    postgres.sql(
        "CREATE TABLE saved_orders (id integer PRIMARY KEY, customer text)",
        "INSERT INTO saved_orders SELECT n, 'customer ' || n FROM generate_series(1, 100) n",
    )
    place = postgres.reference.model_dump(include={"host", "username"})
    saved = {"connection_name": "local", "connection_type": "POSTGRES", **place}
    target: dict[str, Any] = {
        "table_type": "POSTGRES",
        "schema": "public",
        "table_name": "saved_orders",
    }
    async with served(create_app(tmp_path, IDENTITY)) as http:
        connection = (await http.post("/api/connections/", json=saved)).json()
        tested = await http.post(f"/api/connections/{connection['connection_id']}/test/")
        assert tested.json()["success"], tested.text
        assert tested.json()["server_version"].startswith("PostgreSQL 18")
        target["connection_id"] = connection["connection_id"]
        run_id = await new_run(http, draft("postgres", **target))
        started = await http.post(f"/api/runs/{run_id}/start")
        assert started.status_code == 202, started.text
        done = await until_status(http, run_id, "COMPLETED")
        assert done["summary"]["total_queries"] > 0
        assert done["summary"]["error_rate"] == 0
    assert postgres.sessions(f"benchgate {run_id}") == 0
