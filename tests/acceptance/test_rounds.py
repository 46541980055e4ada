"""Clients of the multi-round era that bend the rounds: old states, other runs, second thoughts."""

import sqlite3
import stat
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError

from benchgate.gate.home import KEY_FILE, RECORD_FILE
from benchgate.settings import Settings
from tests.acceptance.home import Home
from tests.acceptance.person import NO, YES, Person, call, client_of
from tests.acceptance.rounds import MultiRound

pytestmark = pytest.mark.anyio


async def test_a_no_is_not_turned_into_a_yes_by_the_same_state(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        rounds = MultiRound(client, created["run_id"])
        asked = await rounds.ask()
        assert (await rounds.answer(asked, NO))["outcome"] == "declined"
        assert (await rounds.answer(asked, YES))["outcome"] == "declined"
    assert home.status(created["run_id"]) == "PREPARED"


async def test_a_yes_that_was_used_is_not_used_again(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        rounds = MultiRound(client, created["run_id"])
        asked = await rounds.ask()
        assert (await rounds.answer(asked, YES))["outcome"] == "started"
        assert (await rounds.answer(asked, YES))["outcome"] == "refused"
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)


async def test_a_yes_to_one_run_does_not_start_another(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        template_id = home.template()
        mine = (await call(client, "create_run", template_id=template_id))["run_id"]
        other = (await call(client, "create_run", template_id=template_id))["run_id"]
        rounds = MultiRound(client, mine)
        asked = await rounds.ask()
        with pytest.raises(MCPError):
            await rounds.answer_for(other, asked, YES)
    assert home.status(other) == "PREPARED"


async def test_a_state_of_the_clients_own_making_is_rejected(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        rounds = MultiRound(client, created["run_id"])
        asked = await rounds.ask()
        forged = asked.model_copy(update={"request_state": "0" * 40})
        with pytest.raises(MCPError):
            await rounds.answer(forged, YES)
    assert home.status(created["run_id"]) == "PREPARED"


async def test_one_question_is_the_same_however_often_it_is_asked(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        rounds = MultiRound(client, created["run_id"])
        first, second = await rounds.ask(), await rounds.ask()
        assert first.input_requests == second.input_requests
        assert (await rounds.answer(first, NO))["outcome"] == "declined"
        assert (await rounds.answer(second, YES))["outcome"] == "declined"
    assert home.status(created["run_id"]) == "PREPARED"


async def test_an_answer_that_comes_too_late_starts_nothing(home: Home) -> None:
    settings = Settings(data_dir=home.settings.data_dir, question_ttl_seconds=30)
    async with client_of(settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        rounds = MultiRound(client, created["run_id"])
        asked = await rounds.ask()
        older = "asked_at = datetime(asked_at, ?) WHERE state = ?"
        change_questions(home, older, "-31 seconds", "asked")
        assert (await rounds.answer(asked, YES))["outcome"] == "expired"
    assert home.status(created["run_id"]) == "PREPARED"


async def test_a_yes_to_an_older_question_is_no_yes_to_the_newer(
    home: Home, own_home: Home
) -> None:
    template_id = home.template(database=str(own_home.database))
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=template_id)
        rounds = MultiRound(client, created["run_id"])
        older = await rounds.ask()
        moved = own_home.database.rename(own_home.database.with_suffix(".moved"))
        newer = await rounds.ask()
        assert older.input_requests != newer.input_requests
        moved.rename(own_home.database)
        told = await rounds.answer(older, YES)
        assert told["outcome"] == "refused"
        assert "another question counts" in told["reason"]
    assert home.status(created["run_id"]) == "PREPARED"


async def test_an_answer_still_counts_after_the_server_was_started_anew(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        asked = await MultiRound(client, created["run_id"]).ask()
    async with client_of(home.settings, "auto", Person(YES)) as client:
        told = await MultiRound(client, created["run_id"]).answer(asked, YES)
        await call(client, "get_status", run_id=created["run_id"], wait_seconds=25)
    assert told["outcome"] == "started"


async def test_what_seals_and_records_a_question_is_its_users_alone(home: Home) -> None:
    async with client_of(home.settings, "auto", Person(YES)) as client:
        created = await call(client, "create_run", template_id=home.template())
        await MultiRound(client, created["run_id"]).ask()
    for name in (KEY_FILE, RECORD_FILE):
        assert stat.S_IMODE((home.settings.data_dir / name).stat().st_mode) == 0o600


async def test_a_server_that_is_only_looked_at_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    async with client_of(settings, "auto") as client:
        await client.list_tools()
        await client.list_prompts()
    assert not settings.data_dir.exists()


def change_questions(home: Home, change: str, *values: str) -> None:
    """Write to the record of questions behind the server's back."""
    connection = sqlite3.connect(home.settings.data_dir / RECORD_FILE)
    with connection:
        connection.execute(f"UPDATE approvals SET {change}", values)
    connection.close()
