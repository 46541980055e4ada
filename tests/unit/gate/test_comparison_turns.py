"""Whose turn it is: between two tests, between two calls of one server, and after a long rest."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from benchgate.domain.comparisons import REST_MAX, Comparison, ComparisonState
from benchgate.gate.comparisons import autopilot, driver
from benchgate.gate.comparisons.autopilot import Autopilot
from benchgate.gate.comparisons.book import Book
from benchgate.gate.comparisons.driver import Driver
from tests.unit.permissive import (
    GONE,
    Clock,
    Permissive,
    Person,
    clock_of_gate,
    host,
    planned,
    served,
    statuses,
)

pytestmark = pytest.mark.anyio

# More than the lease of whoever drove it last.
MINUTE = timedelta(minutes=1)
PROMPT_SECONDS = 4
CREATION, PREFLIGHT = "POST /api/runs/", "GET /api/runs/r2/preflight"


@pytest.fixture
def backend() -> Iterator[Permissive]:
    with served(Permissive()) as backend:
        yield backend


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return clock_of_gate(monkeypatch)


@pytest.fixture
def pilots(monkeypatch: pytest.MonkeyPatch) -> list[Autopilot]:
    """The autopilots of the gates that are opened, each as it is entered."""
    entered: list[Autopilot] = []
    enter = Autopilot.__aenter__

    async def note(self: Autopilot) -> Autopilot:
        entered.append(self)
        return await enter(self)

    monkeypatch.setattr(Autopilot, "__aenter__", note)
    return entered


@pytest.mark.parametrize("reached", [CREATION, PREFLIGHT])
async def test_a_stop_between_two_tests_stops_the_series(
    backend: Permissive, pilots: list[Autopilot], tmp_path: Path, reached: str
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        with backend.held(reached) as arrived:
            backend.ends("r1")
            await arrived.wait()
            # The run itself has ended, and the backend says so; its series stops all the same.
            await client.call_tool("stop_run", {"run_id": "r1"})
            stopped = await series.until_state("stopped")
        async with pilots[0].alone(series.comparison_id):
            pass  # the turn that was held has come to its end
        resumed = await series.start()
    assert stopped["reason"] == "Run r1 was stopped."
    assert statuses(stopped) == ["COMPLETED", "PENDING"]
    assert resumed["outcome"] == "started"
    # What was started, was so after the stop and on a yes to it.
    assert sum(backend.starts) == 2
    assert backend.starts[0] == 1


async def test_a_run_that_has_had_its_turn_long_ago_stops_nothing(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        backend.ends("r1")
        await series.until(lambda _: backend.starts == [1, 1])
        await client.call_tool("stop_run", {"run_id": "r1"})
        told = await series.look()
    assert (told["state"], told["run_id"]) == ("running", "r2")


async def test_a_yes_that_finds_its_comparison_being_brought_on_is_refused_soon_and_stays_good(
    backend: Permissive,
    pilots: list[Autopilot],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(autopilot, "TURN_WAIT_SECONDS_MAX", 0.2)
    person, told, answered = Held(), list[dict[str, Any]](), anyio.Event()
    async with host(tmp_path, person) as client:
        series = await planned(client)

        async def start() -> None:
            told.append(await series.start())
            answered.set()

        async with anyio.create_task_group() as calls:
            calls.start_soon(start)
            await person.asked.wait()
            async with pilots[0].alone(series.comparison_id):
                person.answers.set()
                with anyio.fail_after(PROMPT_SECONDS):
                    await answered.wait()
        assert backend.starts == []
        told.append(await series.start())
    assert (told[0]["outcome"], told[0]["reason"]) == ("refused", autopilot.BEING_DRIVEN)
    assert (told[1]["outcome"], backend.starts) == ("started", [1])
    assert len(person.questions) == 1


class Held(Person):
    """Answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = anyio.Event(), anyio.Event()

    async def __call__(self, context: Any, params: Any) -> Any:
        self.asked.set()
        await self.answers.wait()
        return await super().__call__(context, params)


async def test_calls_at_a_pause_prepare_one_run_and_none_of_them_fails(
    backend: Permissive, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []
    async with host(tmp_path, Person("B) pause")) as client:
        series = await planned(client)
        await series.start()
        backend.ends("r1")
        await series.until_state("paused")

        async def start() -> None:
            told.append(await series.start())

        async with anyio.create_task_group() as tasks:
            with backend.held(CREATION) as arrived:
                for _ in range(4):
                    tasks.start_soon(start)
                await arrived.wait()
    outcomes = sorted(one["outcome"] for one in told)
    assert outcomes.count("started") == 1
    assert set(outcomes) <= {"started", "refused", "already_asked"}
    assert backend.asked.count(CREATION) == 2
    assert backend.starts == [1, 1]


async def test_a_call_at_a_pause_is_refused_soon_while_another_prepares_the_next_test(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(autopilot, "TURN_WAIT_SECONDS_MAX", 0.2)
    person = Person("B) pause")
    async with host(tmp_path, person) as client:
        series = await planned(client)
        await series.start()
        backend.ends("r1")
        await series.until_state("paused")
        told: dict[str, Any] = {}
        async with anyio.create_task_group() as tasks:
            with backend.held(CREATION) as arrived:
                tasks.start_soon(series.start)
                await arrived.wait()
                with anyio.fail_after(PROMPT_SECONDS):
                    told |= await series.start()
    assert (told["outcome"], told["reason"]) == ("refused", autopilot.BEING_DRIVEN)
    assert backend.starts == [1, 1]


async def test_a_call_is_not_refused_for_who_only_finds_out_that_there_is_nothing_to_do(
    backend: Permissive,
    pilots: list[Autopilot],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    person, looking, told_so = Held(), anyio.Event(), anyio.Event()
    claim = Book.claim

    async def slow_claim(self: Book, comparison_id: str) -> object:
        if not pilots[0].is_at(comparison_id):
            looking.set()
            await told_so.wait()
        return await claim(self, comparison_id)

    async with host(tmp_path, person) as client:
        series, told = await planned(client), dict[str, Any]()

        async def found(self: Book) -> list[str]:
            return [series.comparison_id]

        async def start() -> None:
            told.update(await series.start())

        monkeypatch.setattr(Book, "claim", slow_claim)
        monkeypatch.setattr(Book, "to_drive", found)
        with anyio.fail_after(2 * PROMPT_SECONDS):
            await looking.wait()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(start)
                await person.asked.wait()
                person.answers.set()
                told_so.set()
    assert (told["outcome"], backend.starts) == ("started", [1])


def test_a_call_waits_for_a_turn_for_some_seconds_only() -> None:
    assert autopilot.TURN_WAIT_SECONDS_MAX <= 5


async def test_a_yes_after_a_long_pause_is_as_good_as_any(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        backend.ends("r1", "FAILED")
        await series.until_state("paused")
        clock.ahead += REST_MAX + MINUTE
        resumed = await series.start()
        backend.ends("r2")
        await series.until(lambda _: backend.starts == [1, 1, 1])
        backend.ends("r3")
        await series.until_state("completed")
    assert resumed["outcome"] == "started"


async def test_a_yes_to_the_next_test_after_a_long_pause_has_not_rested_since_the_last_one(
    backend: Permissive, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rests: list[timedelta] = []
    rested = Driver.rested

    async def note(self: Driver, comparison: Comparison, since: timedelta) -> Comparison:
        # A look that began before the pause may find it: what is paused has no rest to exceed.
        if comparison.state is ComparisonState.RUNNING:
            rests.append(since)
        return await rested(self, comparison, since)

    async with host(tmp_path, Person("B) pause")) as client:
        series = await planned(client)
        await series.start()
        backend.ends("r1")
        await series.until_state("paused")
        clock.ahead += REST_MAX + MINUTE
        monkeypatch.setattr(Driver, "rested", note)
        # Nobody drives while a person thinks, and this yes is not taken by a driver.
        await series.start()
        told = await series.until(
            lambda told: bool(rests) and told["state"] == "running" and backend.starts == [1, 1]
        )
    assert max(rests) < REST_MAX
    assert (told["state"], backend.starts) == ("running", [1, 1])


async def test_a_yes_that_nobody_has_driven_for_more_than_a_day_starts_nothing_more(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
    backend.ends("r1")
    clock.ahead += REST_MAX + MINUTE
    async with host(tmp_path, Person()) as client:
        paused = await series.on(client).until_state("paused")
    assert statuses(paused) == ["COMPLETED", "PENDING"]
    assert backend.starts == [1]


async def test_a_yes_that_rested_between_two_tests_pauses_and_says_for_how_long(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        backend.fails(CREATION, GONE)
        backend.ends("r1")
        await series.until(lambda told: statuses(told)[0] == "COMPLETED")
    clock.ahead += REST_MAX + MINUTE
    backend.scripts.clear()
    async with host(tmp_path, Person()) as client:
        paused = await series.on(client).until_state("paused")
    assert paused["reason"] == driver.RESTED
    assert backend.starts == [1]


async def test_a_series_that_rested_for_less_than_a_day_goes_on_by_itself(
    backend: Permissive, clock: Clock, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
    backend.ends("r1")
    clock.ahead += REST_MAX - timedelta(minutes=5)
    async with host(tmp_path, Person()) as client:
        await series.on(client).until(lambda _: backend.starts == [1, 1])
