"""A record or a key that fails while a person is being asked: refused or asked elsewhere, no crash.

Both come with the folder of a user: a disk that stalls, a file that somebody emptied.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.domain.approvals import Channel
from benchgate.gate.home import KEY_FILE, RECORD_FILE
from benchgate.settings import Settings
from tests.acceptance.gateprocess import gate_process
from tests.acceptance.home import Home
from tests.acceptance.person import YES, Person, call, client_of, text_of

pytestmark = pytest.mark.anyio

# Long enough for the server to look at the record at least once.
LOOKS_SECONDS = 2.5


def settings_of(home: Home, data_dir: Path, **changes: object) -> Settings:
    """A gate with a folder of its own before the backend of *home*."""
    reached = {"backend_url": home.record.url, "backend_token": home.record.token}
    own = {"data_dir": data_dir, "ask_wait_seconds": 20}
    return home.settings.model_copy(update=own | reached | changes)


def rename(record: Path, old: str, new: str) -> None:
    connection = sqlite3.connect(record)
    with connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")
    connection.close()


async def test_a_record_that_fails_for_a_moment_takes_no_dialog_away(home: Home) -> None:
    record = home.settings.data_dir / RECORD_FILE

    async def trouble() -> None:
        await anyio.to_thread.run_sync(rename, record, "approvals", "elsewhere")
        await anyio.sleep(LOOKS_SECONDS)
        await anyio.to_thread.run_sync(rename, record, "elsewhere", "approvals")

    settings = home.settings.model_copy(update={"ask_wait_seconds": 20})
    async with client_of(settings, "legacy", Person(YES, meanwhile=trouble)) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        assert (await call(client, "start_run", run_id=run_id))["outcome"] == "started"
        await call(client, "stop_run", run_id=run_id)
        await call(client, "get_status", run_id=run_id, wait_seconds=20)


async def test_a_record_that_is_gone_when_the_answer_comes_is_told_and_starts_nothing(
    home: Home, tmp_path: Path
) -> None:
    record = tmp_path / RECORD_FILE

    async def trouble() -> None:
        await anyio.to_thread.run_sync(rename, record, "approvals", "elsewhere")
        await anyio.sleep(LOOKS_SECONDS)

    settings = settings_of(home, tmp_path)
    async with client_of(settings, "legacy", Person(YES, meanwhile=trouble)) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        result = await client.call_tool("start_run", {"run_id": run_id})
    assert result.is_error
    assert "(store)" in text_of(result)
    assert home.status(run_id) == "PREPARED"


async def test_a_dialog_does_not_outlast_its_question(home: Home, tmp_path: Path) -> None:
    settings = settings_of(home, tmp_path, question_ttl_seconds=2)
    person = Person(YES, meanwhile=anyio.sleep_forever)
    async with client_of(settings, "legacy", person) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        with anyio.fail_after(15):
            told = await call(client, "start_run", run_id=run_id)
    assert told["outcome"] == "expired"


BROKEN: list[Callable[[Path], object]] = [
    lambda file: file.write_text("", encoding="ascii"),
    lambda file: file.write_text("short", encoding="ascii"),
    lambda file: file.mkdir(),
]


@pytest.mark.parametrize("broken", BROKEN, ids=["empty", "short", "folder"])
async def test_where_no_state_can_be_sealed_the_person_is_asked_elsewhere(
    home: Home, tmp_path: Path, broken: Callable[[Path], object]
) -> None:
    broken(tmp_path / KEY_FILE)
    person = Person(YES)
    async with client_of(settings_of(home, tmp_path), "auto", person) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        told = await call(client, "start_run", run_id=run_id)
    assert told["outcome"] == "awaiting_approval"
    assert "/approvals/" in told["approval_url"]
    assert not person.questions


async def test_where_nothing_but_a_form_is_allowed_a_broken_key_is_told(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / KEY_FILE).touch()
    settings = settings_of(home, tmp_path, approval_channels=(Channel.ELICITATION,))
    async with client_of(settings, "auto", Person(YES)) as client:
        run_id = (await call(client, "create_run", template_id=home.template()))["run_id"]
        result = await client.call_tool("start_run", {"run_id": run_id})
    assert result.is_error
    assert "The key file cannot be used" in text_of(result)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_a_page_under_a_name_of_its_own_is_no_client(tmp_path: Path, host: str) -> None:
    async with gate_process(tmp_path, host=host) as gate:
        name = f"evil.example:{gate.port}"
        answered = [
            await anyio.to_thread.run_sync(_initialize, gate.url, headers)
            for headers in ({}, {"Host": name}, {"Origin": f"http://{name}"})
        ]
    assert answered == [200, 421, 403]


def _initialize(url: str, headers: dict[str, str]) -> int:
    accept = {"Accept": "application/json, text/event-stream"}
    params: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "page", "version": "1"},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    return httpx.post(f"{url}/mcp", json=body, headers=accept | headers, timeout=20).status_code
