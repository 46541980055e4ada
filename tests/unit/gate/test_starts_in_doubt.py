"""Starts on a backend that takes every start: one run at a time, and none sent on a guess."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from benchgate.domain.lane import DOUBT, LOOK_AGE_MAX, SENDING_MAX
from benchgate.gate import launch
from benchgate.gate.approvals import inquiry
from tests.unit.permissive import (
    GONE,
    LOST,
    Clock,
    Permissive,
    Person,
    call,
    clock_of_gate,
    host,
    served,
)

pytestmark = pytest.mark.anyio

START = r"POST /api/runs/r1/start"


@pytest.fixture
def backend() -> Iterator[Permissive]:
    with served(Permissive()) as backend:
        yield backend


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return clock_of_gate(monkeypatch)


async def made(client: Client, *template_ids: str) -> None:
    for template_id in template_ids:
        await call(client, "create_run", template_id=template_id)


async def start(client: Client, run_id: str) -> dict[str, Any]:
    return await call(client, "start_run", run_id=run_id)


@pytest.mark.parametrize("lost", [LOST, httpx.ReadError("reset"), httpx.Response(504)])
async def test_a_start_that_may_have_been_sent_leaves_the_lane_to_nobody_for_a_while(
    backend: Permissive, clock: Clock, tmp_path: Path, lost: httpx.Response | Exception
) -> None:
    backend.fails(START, lost)
    person = Person()
    async with host(tmp_path, person) as client:
        await made(client, "a", "b")
        doubtful = await start(client, "r1")
        other = await start(client, "r2")
        same = await start(client, "r1")
        assert backend.starts == [0, 0]

        del backend.scripts[START]
        clock.ahead += DOUBT
        after = await start(client, "r2")
    assert (doubtful["outcome"], other["outcome"]) == ("refused", "refused")
    assert doubtful["reason"].endswith(launch.NOT_KNOWN)
    assert "Run r1 is being started on this backend" in other["reason"]
    # Not even the process that sent it sends it again: it asks, and then has to wait.
    assert same["outcome"] == "refused"
    # The clock goes on while the other one is asked.
    waiting = r"A start of this run may still be on its way\. Try again in (60|5\d) seconds"
    assert re.search(waiting, same["reason"])
    assert (after["outcome"], backend.starts) == ("started", [0, 1])


async def test_what_never_left_this_machine_is_not_started_and_frees_the_lane_at_once(
    backend: Permissive, tmp_path: Path
) -> None:
    backend.fails(START, GONE)
    async with host(tmp_path, Person()) as client:
        await made(client, "a", "b")
        told = await start(client, "r1")
        other = await start(client, "r2")
    assert told["outcome"] == "refused"
    assert "was not started" in told["reason"]
    assert launch.NOT_KNOWN not in told["reason"]
    assert (other["outcome"], backend.starts) == ("started", [0, 1])


async def test_a_server_that_is_held_up_before_it_sends_the_start_does_not_send_it(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock()
    monkeypatch.setattr(launch, "utc_now", clock)
    async with host(tmp_path, Person()) as client:
        await made(client, "a", "b")
        clock.tick = SENDING_MAX + timedelta(milliseconds=1)
        late = await start(client, "r1")
        assert backend.starts == [0, 0]
        clock.tick = SENDING_MAX / 2
    assert (late["outcome"], late["reason"]) == ("refused", launch.TOO_LATE)

    async with host(tmp_path / "another", Person()) as client:
        in_time = await start(client, "r2")
    assert (in_time["outcome"], backend.starts) == ("started", [0, 1])


async def test_a_look_at_the_backend_that_is_too_old_starts_nothing_and_the_yes_stays_good(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    age = LOOK_AGE_MAX + timedelta(seconds=1)
    person = Person()
    async with host(tmp_path, person) as client:
        await made(client, "a")
        with monkeypatch.context() as patch:
            patch.setattr(inquiry, "utc_now", lambda: datetime.now(UTC) - age)
            told = await start(client, "r1")
        assert backend.starts == [0]
        again = await start(client, "r1")
    assert told["outcome"] == "refused"
    assert "too long ago that this server looked at the backend: look again" in told["reason"]
    assert (again["outcome"], backend.starts) == ("started", [1])
    assert len(person.questions) == 1


@pytest.mark.parametrize("names_active", [False, True])
async def test_a_second_run_is_refused_while_the_one_in_the_lane_is_active(
    backend: Permissive, tmp_path: Path, *, names_active: bool
) -> None:
    backend.names_active = names_active
    person = Person()
    async with host(tmp_path, person) as client:
        await made(client, "a", "b")
        await start(client, "r1")
        refused = await start(client, "r2")
        assert backend.starts == [1, 0]
        backend.ends("r1")
        started = await start(client, "r2")
    assert refused["outcome"] == "refused"
    assert "Run r1 is active on this backend" in refused["reason"]
    assert (started["outcome"], backend.starts) == ("started", [1, 1])
    assert len(person.questions) == 2


async def test_a_second_run_starts_once_the_one_in_the_lane_is_gone(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        await made(client, "a", "b")
        await start(client, "r1")
        del backend.runs["r1"]
        started = await start(client, "r2")
    assert (started["outcome"], backend.starts) == ("started", [1])


async def test_a_second_run_is_not_started_while_nobody_knows_how_the_first_one_is(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        await made(client, "a", "b")
        await start(client, "r1")
        backend.fails(r"GET /api/(runs|tests)/r1/", GONE)
        result = await client.call_tool("start_run", {"run_id": "r2"})
    assert result.is_error
    assert backend.starts == [1, 0]


async def test_the_run_in_the_lane_is_in_nobodys_way_but_anothers(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        await made(client, "a")
        await start(client, "r1")
        again = await start(client, "r1")
    assert again["outcome"] == "refused"
    assert "RUNNING already" in again["reason"]
    assert backend.starts == [1]
