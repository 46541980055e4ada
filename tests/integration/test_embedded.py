"""The one embedded backend of a user: started on need, shared by all, believed only if alive."""

import contextlib
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import psutil
import pytest

from benchgate.domain.rendezvous import CONTRACT_VERSION, LOG_FILE, RECORD_FILE, BackendRecord
from benchgate.errors import BackendUnavailable
from benchgate.gate.transport.embedded import LOG_BYTES_MAX, EmbeddedBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as http:
        yield http


@pytest.fixture
async def folder(tmp_path: Path, http: httpx.AsyncClient) -> AsyncIterator[Path]:
    """A data folder; a backend that was started in it is told to end."""
    yield tmp_path
    record = await EmbeddedBackend(tmp_path, http).find()
    if record:
        await http.post(
            f"{record.url}/api/shutdown/",
            headers={"Authorization": f"Bearer {record.token.get_secret_value()}"},
        )
    end_latecomers(tmp_path)


def end_latecomers(folder: Path) -> None:
    """End what was started here and has not come up yet: the lock is free for it now."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if str(folder) in child.cmdline():
                child.terminate()


async def test_a_fresh_folder_has_no_backend_and_looking_starts_none(
    folder: Path, http: httpx.AsyncClient
) -> None:
    assert await EmbeddedBackend(folder, http).find() is None
    assert list(folder.iterdir()) == []  # noqa: ASYNC240  # nothing waits for it


async def test_many_gates_that_need_it_at_once_share_one(
    folder: Path, http: httpx.AsyncClient
) -> None:
    gates = [EmbeddedBackend(folder, http) for _ in range(4)]
    found: list[BackendRecord] = []

    async def need(gate: EmbeddedBackend) -> None:
        found.append(await gate.ensure())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for gate in gates:
                tasks.start_soon(need, gate)
    assert len({record.instance_id for record in found}) == 1
    for gate in gates:
        gate.release()


async def test_the_record_is_for_its_user_alone(folder: Path, http: httpx.AsyncClient) -> None:
    gate = EmbeddedBackend(folder, http)
    await gate.ensure()
    gate.release()
    assert stat.S_IMODE((folder / RECORD_FILE).stat().st_mode) == 0o600


async def test_it_outlives_the_gate_that_started_it(folder: Path, http: httpx.AsyncClient) -> None:
    first = EmbeddedBackend(folder, http)
    record = await first.ensure()
    first.release()
    assert await EmbeddedBackend(folder, http).find() == record


async def test_it_has_a_session_of_its_own(folder: Path, http: httpx.AsyncClient) -> None:
    gate = EmbeddedBackend(folder, http)
    await gate.ensure()
    children = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
    (backend,) = [p for p in children if str(folder) in " ".join(p.cmdline())]
    gate.release()
    assert os.getsid(backend.pid) == backend.pid != os.getsid(0)


async def test_a_record_of_another_instance_is_not_believed(
    folder: Path, http: httpx.AsyncClient
) -> None:
    gate = EmbeddedBackend(folder, http)
    record = await gate.ensure()
    gate.release()
    written = json.loads((folder / RECORD_FILE).read_text())
    (folder / RECORD_FILE).write_text(json.dumps(written | {"instance_id": "someone else"}))
    assert await EmbeddedBackend(folder, http).find() is None
    (folder / RECORD_FILE).write_text(record.model_dump_json())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"url": 7}', "\x00", '{"url": "http://127.0.0.1:9"}']
)
async def test_a_broken_record_is_as_good_as_none(
    folder: Path, http: httpx.AsyncClient, text: str
) -> None:
    (folder / RECORD_FILE).write_text(text)
    assert await EmbeddedBackend(folder, http).find() is None


async def test_a_record_whose_backend_is_gone_is_replaced_by_a_live_one(
    folder: Path, http: httpx.AsyncClient
) -> None:
    gone = BackendRecord.model_validate(
        {
            "contract_version": CONTRACT_VERSION,
            "instance_id": "gone",
            "url": "http://127.0.0.1:9",
            "token": "t",
        }
    )
    (folder / RECORD_FILE).write_text(gone.model_dump_json())
    gate = EmbeddedBackend(folder, http)
    with anyio.fail_after(30):
        assert (await gate.ensure()).instance_id != "gone"
    gate.release()


async def test_a_backend_of_another_version_is_told_and_left_alone(
    folder: Path, http: httpx.AsyncClient
) -> None:
    gate = EmbeddedBackend(folder, http)
    record = await gate.ensure()
    gate.release()
    other = record.model_copy(update={"contract_version": CONTRACT_VERSION + 1})
    (folder / RECORD_FILE).write_text(other.model_dump_json())
    with pytest.raises(BackendUnavailable, match="Another version"):
        await gate.ensure()
    (folder / RECORD_FILE).write_text(record.model_dump_json())


async def test_a_backend_that_cannot_start_is_told_at_once_with_its_log(
    folder: Path, http: httpx.AsyncClient
) -> None:
    (folder / "backend.sqlite3").write_bytes(b"no database" * 100)
    gate = EmbeddedBackend(folder, http)
    with anyio.fail_after(10), pytest.raises(BackendUnavailable, match="exit code 1") as caught:
        await gate.ensure()
    assert str(folder / LOG_FILE) in caught.value.hint
    assert "not a database" in (folder / LOG_FILE).read_text()


async def test_a_long_log_makes_room_for_a_new_one(folder: Path, http: httpx.AsyncClient) -> None:
    (folder / LOG_FILE).write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    gate = EmbeddedBackend(folder, http)
    await gate.ensure()
    gate.release()
    assert (folder / LOG_FILE).stat().st_size < LOG_BYTES_MAX
    assert (folder / f"{LOG_FILE}.1").exists()
