"""The backend as a process: one for each folder, found by its record, ended in order."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.backend.engine.conductor import CRASHED, SHUT_DOWN
from benchgate.backend.presence import Presence
from benchgate.domain.rendezvous import EXIT_ALREADY_RUNNING, LOCK_FILE, LOG_FILE, RECORD_FILE
from tests.integration.backend_process import are_gone, backend, run_to_end, workers_of
from tests.unit.backend.scripted import draft, eventually, new_run, orders, until, until_status

pytestmark = pytest.mark.anyio


async def started_run(http: httpx.AsyncClient, folder: Path, **config: Any) -> str:
    """A run under real load that will not end by itself while a test looks."""
    settings: dict[str, Any] = {"duration": 600} | config
    run_id = await new_run(http, draft(orders(folder), **settings))
    assert (await http.post(f"/api/runs/{run_id}/start")).status_code == 202
    await until(http, run_id, lambda seen: bool(seen["metrics"] and seen["metrics"]["qps"]))
    return run_id


async def test_the_record_is_the_users_alone_and_leads_to_the_backend(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with backend(data_dir) as process, process.client() as http:
        assert (data_dir / RECORD_FILE).stat().st_mode & 0o077 == 0
        assert data_dir.stat().st_mode & 0o077 == 0
        health = (await http.get("/health")).json()
        assert health["instance_id"] == process.record.instance_id
        assert process.record.url.startswith("http://127.0.0.1:")
    for file in data_dir.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name


async def test_a_second_backend_of_a_folder_steps_back(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        record = process.record
        second = await run_to_end(tmp_path)
        assert second.returncode == EXIT_ALREADY_RUNNING
        assert process.record == record
        assert process.process.poll() is None


async def test_the_next_life_listens_where_the_last_did_with_another_token(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        first = process.record
        assert await process.told(signal.SIGTERM) == 0
        assert not (tmp_path / RECORD_FILE).exists()
    async with backend(tmp_path) as process:
        second = process.record
        assert second.url == first.url
        assert second.token != first.token
        assert second.instance_id != first.instance_id


async def test_a_port_that_was_taken_meanwhile_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (tmp_path / "backend.port").write_text(str(port))
        async with backend(tmp_path) as process:
            assert not process.record.url.endswith(f":{port}")
        refused = await run_to_end(tmp_path, "--port", str(port))
        assert refused.returncode == 1
        assert f"Port {port}" in refused.stderr
        assert "--port" in refused.stderr
        assert "Traceback" not in refused.stderr


async def test_the_end_of_another_life_leaves_the_record_alone(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        other = process.record.model_copy(update={"instance_id": "another-life"})
        (tmp_path / RECORD_FILE).write_text(other.model_dump_json())
        await process.told(signal.SIGTERM)
    assert Presence(tmp_path).record() == other


async def test_a_signal_ends_an_active_run_truthfully(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        async with process.client() as http:
            run_id = await started_run(http, tmp_path)
        workers = workers_of(process)
        with anyio.fail_after(15):
            assert await process.told(signal.SIGTERM) == 0
        assert are_gone(workers)
    async with backend(tmp_path) as process, process.client() as http:
        ended = (await http.get(f"/api/tests/{run_id}/")).json()
        assert (ended["status"], ended["reason"]) == ("CANCELLED", SHUT_DOWN)


async def test_a_killed_backend_leaves_a_failed_run_and_no_worker(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        async with process.client() as http:
            run_id = await started_run(http, tmp_path)
        workers = workers_of(process)
        assert workers
        assert await process.told(signal.SIGKILL) == -signal.SIGKILL
        await eventually(lambda: are_gone(workers))
    assert (tmp_path / RECORD_FILE).exists()
    async with backend(tmp_path) as process, process.client() as http:
        lost = (await http.get(f"/api/tests/{run_id}/")).json()
        assert (lost["status"], lost["reason"]) == ("FAILED", CRASHED)
        assert lost["timing"]["elapsed_display_seconds"] > 0
        assert (await http.get(f"/api/tests/{run_id}/metrics/")).json()["count"] >= 1
        assert (await http.get("/health")).json()["active_run_id"] is None


async def test_an_idle_backend_ends_but_not_under_an_active_run(tmp_path: Path) -> None:
    async with backend(tmp_path, "--idle-seconds", "2") as process:
        async with process.client() as http:
            run_id = await started_run(http, tmp_path, duration=2, warmup=0)
            await until_status(http, run_id, "COMPLETED")
        assert await process.ended() == 0
    assert not (tmp_path / RECORD_FILE).exists()


async def test_stop_ends_the_backend_and_says_when_there_is_none(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        stopped = await run_to_end(tmp_path, "--stop")
        assert (stopped.returncode, stopped.stdout) == (0, "The backend has ended.\n")
        assert await process.ended() == 0
    again = await run_to_end(tmp_path, "--stop")
    assert (again.returncode, again.stdout) == (0, "No backend was running.\n")


async def test_stop_spares_an_active_run_unless_forced(tmp_path: Path) -> None:
    async with backend(tmp_path) as process:
        async with process.client() as http:
            await started_run(http, tmp_path)
            refused = await run_to_end(tmp_path, "--stop")
            assert refused.returncode == 1
            assert "A run is active." in refused.stderr
            assert "--force" in refused.stderr
            assert (await http.get("/health")).status_code == 200
        assert (await run_to_end(tmp_path, "--stop", "--force")).returncode == 0
        assert await process.ended() == 0


async def test_restart_goes_into_the_background_with_the_callers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {
        "connection_name": "staging",
        "connection_type": "POSTGRES",
        "host": "db.internal",
        "password_env": "BENCHGATE_TEST_PASSWORD",
    }
    async with backend(tmp_path) as process:
        async with process.client() as http:
            saved = (await http.post("/api/connections/", json=body)).json()
            assert saved["has_password"] is False
        monkeypatch.setenv("BENCHGATE_TEST_PASSWORD", "found")
        restarted = await run_to_end(tmp_path, "--restart")
        try:
            assert restarted.returncode == 0, restarted.stderr
            assert await process.ended() == 0
            assert f"listens on {process.record.url}" in restarted.stdout
            async with process.client() as http:
                (seen,) = (await http.get("/api/connections/")).json()["connections"]
                assert seen["has_password"] is True
            assert "listens on" in (tmp_path / LOG_FILE).read_text()
        finally:
            await run_to_end(tmp_path, "--stop", "--force")


async def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = await run_to_end(tmp_path / "file")
    assert refused.returncode == 1
    assert str(tmp_path / "file") in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_a_record_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    async with backend(tmp_path):
        pass
    set_version = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); "
    set_version += "c.execute('INSERT INTO schema_version VALUES (99)'); c.commit()"
    await anyio.run_process(["python3", "-c", set_version, str(tmp_path / "backend.sqlite3")])
    refused = await run_to_end(tmp_path)
    assert refused.returncode == 1
    assert "schema version 99" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / RECORD_FILE).exists()


async def test_a_lock_file_alone_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("")
    (tmp_path / RECORD_FILE).write_text(
        json.dumps({"contract_version": 1, "instance_id": "x", "url": "http://x", "token": "x"})
    )
    assert (await run_to_end(tmp_path, "--stop")).stdout == "No backend was running.\n"
    async with backend(tmp_path) as process:
        assert process.record.instance_id != "x"
