"""The start path where the backend changes its mind or its answer is lost (scripted over HTTP)."""

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import respx
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from benchgate.gate.approvals.inquiry import REASKS_MAX
from benchgate.gate.home import RECORD_FILE
from benchgate.gate.server import open_gate
from benchgate.settings import Settings

Era = Literal["auto", "legacy"]

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ["auto", "legacy"])]

URL = "http://127.0.0.1:8000"
RUN: dict[str, Any] = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "PREPARED",
    "template_id": "a",
    "template_name": "orders",
    "config": {
        "table_type": "STANDARD",
        "database": "d",
        "table_name": "t",
        "warehouse_size": "SMALL",
        "custom_point_lookup_pct": 100,
    },
    "created_at": "2026-01-01T00:00:00Z",
}
HEALTH = {
    "status": "healthy",
    "service": "benchgate",
    "version": "1",
    "contract_version": 1,
    "instance_id": "i",
}


def run(**config: object) -> httpx.Response:
    return httpx.Response(200, json=RUN | {"config": RUN["config"] | config})


def answered(status: str) -> httpx.Response:
    return httpx.Response(200, json={"test_id": "t1", "run_id": "r1", "status": status})


class Questions:
    """Says yes to everything, and remembers what it was."""

    def __init__(self, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self._meanwhile = meanwhile
        self.asked: list[str] = []

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        self.asked.append(params.message)
        if self._meanwhile is not None:
            await self._meanwhile()
        return ElicitResult(action="accept", content={"decision": "yes"})


@pytest.fixture
def backend() -> Iterator[respx.MockRouter]:
    router = respx.mock(base_url=URL, assert_all_called=False)
    router.get("/health").respond(json=HEALTH)
    router.get("/api/runs/r1/", name="run").mock(return_value=run())
    router.get("/api/runs/r1/preflight", name="preflight").respond(json={"run_id": "r1"})
    router.get("/api/tests/t1/", name="test").mock(return_value=answered("RUNNING"))
    router.post("/api/runs/r1/start", name="start").respond(
        202, json={"run_id": "r1", "status": "STARTING"}
    )
    with router:
        yield router


@asynccontextmanager
async def host(folder: Path, era: Era, person: Questions) -> AsyncGenerator[Client]:
    settings = Settings.model_validate({"data_dir": folder, "backend_url": URL})
    async with (
        open_gate(settings) as server,
        Client(server, mode=era, elicitation_callback=person) as client,
    ):
        yield client


async def start(folder: Path, era: Era, person: Questions) -> dict[str, Any]:
    async with host(folder, era, person) as client:
        result = await client.call_tool("start_run", {"run_id": "r1"})
    assert result.structured_content is not None
    return result.structured_content


async def test_a_price_that_changes_during_the_question_is_asked_about_again(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["run"].side_effect = [run(), *[run(warehouse_size="LARGE")] * 9]
    person = Questions()
    told = await start(tmp_path, era, person)
    first, second = person.asked
    assert told["outcome"] == "started"
    assert "0.17 credits" in first
    assert "0.67 credits" in second
    assert "- estimated cost: `0.17 credits` → `0.67 credits`" in second
    assert "- warehouse size: `SMALL` → `LARGE`" in second
    assert backend["start"].call_count == 1


async def test_another_server_behind_the_same_run_is_asked_about_again(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    here, there = ({"connection": f"orders ({host})"} for host in ("db-1", "db-2"))
    answers = [httpx.Response(200, json=RUN | here), *[httpx.Response(200, json=RUN | there)] * 9]
    backend["run"].side_effect = answers
    person = Questions()
    told = await start(tmp_path, era, person)
    assert told["outcome"] == "started"
    first, second = person.asked
    assert "**Connection:** `orders (db-1)`" in first
    assert "**Connection:** `orders (db-2)`" in second
    assert "- connection: `orders (db-1)` → `orders (db-2)`" in second


async def test_a_start_names_the_server_that_was_shown(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["run"].respond(json=RUN | {"connection": "db-1:5432 as bench"})
    assert (await start(tmp_path, era, Questions()))["outcome"] == "started"
    sent = backend["start"].calls.last.request.content
    assert sent == b'{"connection":"db-1:5432 as bench"}'


async def test_a_backend_that_answers_about_another_run_starts_neither(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["run"].respond(json=RUN | {"run_id": "../r2"})
    person = Questions()
    assert (await start(tmp_path, era, person))["code"] == "backend"
    assert not person.asked
    assert not backend["start"].called


async def test_what_changes_at_every_look_is_given_up(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["run"].side_effect = [run(duration=seconds) for seconds in range(10, 40)]
    person = Questions()
    told = await start(tmp_path, era, person)
    assert told["outcome"] == "refused"
    assert "changed" in told["reason"]
    assert len(person.asked) == REASKS_MAX + 1
    assert not backend["start"].called


@pytest.mark.parametrize("status", ["STARTING", "RUNNING", "COMPLETED", "FAILED"])
async def test_a_start_whose_answer_is_lost_is_resolved_by_reading(
    backend: respx.MockRouter, tmp_path: Path, era: Era, status: str
) -> None:
    backend["start"].side_effect = httpx.ReadTimeout("lost")
    backend["test"].return_value = answered(status)
    told = await start(tmp_path, era, Questions())
    assert (told["outcome"], told["status"]) == ("started", status)
    assert backend["start"].call_count == 1


async def test_a_start_that_did_not_arrive_is_told_and_not_repeated(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["start"].side_effect = httpx.ConnectError("refused")
    backend["test"].return_value = answered("PREPARED")
    told = await start(tmp_path, era, Questions())
    assert told["outcome"] == "refused"
    assert "was not started" in told["reason"]
    assert backend["start"].call_count == 1


async def test_a_start_of_which_nothing_is_known_is_told_as_that(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["start"].side_effect = httpx.ReadError("reset")
    backend["test"].side_effect = httpx.ConnectError("gone")
    told = await start(tmp_path, era, Questions())
    assert told["outcome"] == "refused"
    assert "not known" in told["reason"]
    assert backend["start"].call_count == 1


async def test_a_start_is_told_even_if_the_record_can_no_longer_note_it(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    def lose_record(_: httpx.Request) -> httpx.Response:
        write(tmp_path, "DROP TABLE approvals")
        return httpx.Response(202, json={"run_id": "r1", "status": "STARTING"})

    backend["start"].side_effect = lose_record
    told = await start(tmp_path, era, Questions())
    assert (told["outcome"], told["status"]) == ("started", "RUNNING")


async def test_a_no_from_elsewhere_while_the_facts_change_is_a_no(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    def change_and_decline(_: httpx.Request) -> httpx.Response:
        if person.asked:
            write(tmp_path, "UPDATE approvals SET state = 'declined'")
        return run(duration=20 if person.asked else 10)

    backend["run"].side_effect = change_and_decline
    person = Questions()
    told = await start(tmp_path, era, person)
    assert told["outcome"] == "declined"
    assert len(person.asked) == 1
    assert not backend["start"].called


async def test_a_yes_that_another_call_has_used_is_not_told_as_silence(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    async def use_elsewhere() -> None:
        write(tmp_path, "UPDATE approvals SET state = 'used'")

    told = await start(tmp_path, era, Questions(meanwhile=use_elsewhere))
    assert told["outcome"] == "refused"
    assert "has been used" in told["reason"]
    assert not backend["start"].called


def write(folder: Path, statement: str) -> None:
    """Write to the record behind the server's back."""
    connection = sqlite3.connect(folder / RECORD_FILE)
    with connection:
        connection.execute(statement)
    connection.close()


async def test_a_start_that_the_backend_refuses_is_told_in_its_words(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["start"].respond(409, json={"detail": "Run r9 is active."})
    told = await start(tmp_path, era, Questions())
    assert (told["outcome"], told["reason"]) == ("refused", "Run r9 is active.")


async def test_a_hand_over_names_no_yes_whose_start_was_refused(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["start"].respond(409, json={"detail": "Run r9 is active."})
    await start(tmp_path, era, Questions())
    backend["test"].return_value = answered("COMPLETED")
    async with host(tmp_path, era, Questions()) as client:
        handed = await client.call_tool("get_results", {"run_ids": ["r1"]})
    assert handed.structured_content is not None
    assert "approvals" not in handed.structured_content
    assert "ledger_head" in handed.structured_content


async def test_figures_and_state_are_told_without_a_record_that_cannot_be_read(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    (tmp_path / RECORD_FILE).write_text("this is no database")
    backend["test"].return_value = answered("PREPARED")
    async with host(tmp_path, era, Questions()) as client:
        told = await client.call_tool("get_status", {"run_id": "r1"})
        handed = await client.call_tool("get_results", {"run_ids": ["r1"]})
        refused = await client.call_tool("start_run", {"run_id": "r1"})
    assert (told.is_error, handed.is_error, refused.is_error) == (False, False, True)
    assert not backend["start"].called


async def test_a_start_that_worked_is_told_even_if_it_cannot_be_read_back(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend["test"].respond(500)
    told = await start(tmp_path, era, Questions())
    assert (told["outcome"], told["status"]) == ("started", "STARTING")


async def test_another_active_run_is_named_before_anyone_is_asked(
    backend: respx.MockRouter, tmp_path: Path, era: Era
) -> None:
    backend.get("/health").respond(json=HEALTH | {"active_run_id": "r7"})
    backend.get("/api/runs/r7/").respond(404, json={"detail": "?"})
    person = Questions()
    told = await start(tmp_path, era, person)
    assert told["outcome"] == "refused"
    assert "r7" in told["reason"]
    assert person.asked == []
    assert not backend["preflight"].called
