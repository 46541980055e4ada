"""A series on a backend that takes every start: what may have been sent once is not sent again."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchgate.domain.lane import DOUBT, LEASE, SENDING_MAX
from benchgate.gate import launch
from benchgate.gate.comparisons import driver
from tests.unit.permissive import (
    GONE,
    LOST,
    Clock,
    Permissive,
    Person,
    Run,
    Series,
    call,
    clock_of_gate,
    host,
    planned,
    served,
    statuses,
)

pytestmark = pytest.mark.anyio

ADVICE: dict[str, Any] = {
    "severity": "medium",
    "title": "High Write Concurrency on Standard Table",
    "message": "25 operations at once may wait for each other's locks.",
    "recommendations": ["Use fewer connections."],
    "details": {},
}


@pytest.fixture
def backend() -> Iterator[Permissive]:
    with served(Permissive()) as backend:
        yield backend


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return clock_of_gate(monkeypatch)


@asynccontextmanager
async def left_before_it_was_sent(
    folder: Path, clock: Clock, patch: pytest.MonkeyPatch
) -> AsyncGenerator[Series]:
    """A series whose first start was intended by a server that never sent it, at another one."""
    slow = Clock()
    slow.tick = SENDING_MAX + timedelta(milliseconds=1)
    with patch.context() as held_up:
        held_up.setattr(launch, "utc_now", slow)
        async with host(folder, Person()) as client:
            series = await planned(client)
            await series.start()
    clock.ahead += LEASE
    async with host(folder, Person()) as client:
        yield series.on(client)


async def test_a_start_that_may_have_been_sent_is_not_repeated_but_asked_about(
    backend: Permissive, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with left_before_it_was_sent(tmp_path, clock, monkeypatch) as series:
        assert backend.starts == [0]
        paused = await series.until_state("paused")
        assert backend.starts == [0]
        resumed = await series.start()
    assert paused["reason"] == driver.IN_DOUBT
    assert (resumed["outcome"], backend.starts) == ("started", [1])


async def test_a_backend_that_refuses_a_second_start_is_sent_it_once_more(
    backend: Permissive, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend.is_exclusive = backend.names_active = True
    async with left_before_it_was_sent(tmp_path, clock, monkeypatch) as series:
        await series.until(lambda _: backend.starts == [1])
        backend.ends("r1")
        await series.until(lambda _: backend.starts == [1, 1])
        backend.ends("r2")
        done = await series.until_state("completed")
    assert statuses(done) == ["COMPLETED", "COMPLETED"]


async def test_a_start_that_is_to_be_sent_again_still_has_to_be_what_the_person_said_yes_to(
    backend: Permissive, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend.is_exclusive = backend.names_active = True
    async with left_before_it_was_sent(tmp_path, clock, monkeypatch) as series:
        pass
    backend.config["duration"] = 20
    async with host(tmp_path, Person()) as client:
        clock.ahead += LEASE
        told = await series.on(client).until_state("paused")
    assert "not any more what the person said yes to" in told["reason"]
    assert backend.starts == [0]


async def test_a_start_in_doubt_interrupts_the_series_until_it_must_have_arrived(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    backend.fails(r"POST /api/runs/r1/start", LOST)
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        told = await series.look()
        assert (told["state"], backend.starts) == ("interrupted", [0])
        again = await series.start()
        assert (again["outcome"], again["state"]) == ("refused", "interrupted")
        await call(client, "create_run", template_id="b")
        other = await call(client, "start_run", run_id="r2")

        clock.ahead += DOUBT
        paused = await series.until_state("paused")
    assert told["reason"].endswith(launch.NOT_KNOWN)
    assert again["reason"] == told["reason"]
    assert other["outcome"] == "refused"
    assert paused["reason"] == driver.NOT_SENT
    assert backend.starts == [0, 0]


async def test_a_start_in_doubt_that_arrives_after_all_is_found_running(
    backend: Permissive, tmp_path: Path
) -> None:
    backend.fails(r"POST /api/runs/r1/start", LOST)
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        backend.runs["r1"].status = "RUNNING"
        found = await series.until_state("running")
        backend.ends("r1")
        # Its yes has lapsed with the doubt: the second test waits for another.
        paused = await series.until_state("paused")
    assert found.get("reason") is None
    assert statuses(paused) == ["COMPLETED", "PENDING"]
    assert len(backend.runs) == 1


async def test_a_start_that_never_left_holds_the_series_and_frees_the_lane(
    backend: Permissive, tmp_path: Path
) -> None:
    backend.fails(r"POST /api/runs/r1/start", GONE)
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        told = await series.start()
        del backend.scripts[r"POST /api/runs/r1/start"]
        again = await series.start()
    assert (told["outcome"], told["state"]) == ("refused", "paused")
    assert "was not started" in told["reason"]
    assert (again["outcome"], backend.starts) == ("started", [1])


async def test_what_a_backend_knows_of_a_run_alone_is_asked_about_once(
    backend: Permissive, tmp_path: Path
) -> None:
    backend.warnings = [ADVICE]
    person = Person()
    async with host(tmp_path, person) as client:
        series = await planned(client)
        held = await series.start()
        started = await series.start()
    assert (held["outcome"], held["state"]) == ("refused", "paused")
    assert "not any more what the person said yes to: pre-flight" in held["reason"]
    assert (started["outcome"], backend.starts) == ("started", [1])
    first, second = person.questions
    assert ADVICE["title"] not in first
    assert ADVICE["title"] in second


@pytest.mark.parametrize("of_runs", [{}, {"connection": "orders (db-1)"}])
async def test_a_connection_that_a_run_does_not_name_as_its_template_does_is_asked_about_once(
    backend: Permissive, tmp_path: Path, of_runs: dict[str, str]
) -> None:
    backend.config["connection_id"] = "conn-1"
    backend.of_runs = of_runs
    person = Person()
    async with host(tmp_path, person) as client:
        series = await planned(client)
        held = await series.start()
        started = await series.start()
    assert (held["outcome"], held["state"]) == ("refused", "paused")
    assert "connection" in held["reason"]
    assert (started["outcome"], backend.starts) == ("started", [1])
    assert len(person.questions) == 2
    assert of_runs.get("connection", "") in person.questions[1]


async def test_a_run_from_elsewhere_that_the_backend_names_is_waited_for_in_a_series(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    backend.names_active = True
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        with backend.held("POST /api/runs/") as arrived:
            backend.ends("r1")
            await arrived.wait()
            backend.runs["x"] = Run("z", "RUNNING", starts=1)
        waiting = await series.until(lambda told: "Run x is active" in told.get("reason", ""))
        assert (waiting["state"], backend.starts) == ("running", [1, 1, 0])
        clock.ahead += driver.WAIT_MAX
        held = await series.until_state("paused")
        backend.ends("x")
        resumed = await series.start()
    assert held["reason"].endswith(driver.NO_MORE)
    assert resumed["outcome"] == "started"
