"""Comparisons that several servers share: two at once, and one after another."""

from typing import Any

import anyio
import pytest
from mcp import Client

from benchgate.gate.approvals.desk import open_record
from benchgate.gate.approvals.trail import Trail
from benchgate.gate.home import GateHome
from tests.acceptance.checkpoint import checkpoint
from tests.acceptance.comparing import YES_A, YES_B, Bench, lodge, quick_client_of
from tests.acceptance.gateprocess import gate_process
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, NO, Era, Person

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)

ALL_COMPLETED = [(0, "COMPLETED"), (1, "COMPLETED")]


@pytest.fixture
def bench(home: Home, own_home: Home) -> Bench:
    return Bench(lodge(own_home, home), tests=2)


def ledger_of(home: Home) -> list[str]:
    """What the ledger tells, in order."""
    record = open_record(GateHome(home.settings))
    try:
        return [link.entry.event.value for link in Trail(record.engine).links()]
    finally:
        record.close()


async def started_by_both(bench: Bench, *clients: Client) -> list[str]:
    """What comes of `start_comparison` when every one of *clients* calls it at once."""
    outcomes: list[dict[str, Any]] = []

    async def start(client: Client) -> None:
        outcomes.append(await bench.start(client))

    async with anyio.create_task_group() as tasks:
        for client in clients:
            tasks.start_soon(start, client)
    return sorted(told["outcome"] for told in outcomes)


@both_eras
async def test_of_two_server_processes_that_start_one_comparison_at_once_one_does(
    bench: Bench, era: Era
) -> None:
    data_dir = bench.home.settings.data_dir
    people = Person(YES_A), Person(YES_A)
    with checkpoint(bench.home) as point:
        variables = {"BENCHGATE_BACKEND_URL": point.url}
        async with (
            gate_process(data_dir, **variables) as one,
            gate_process(data_dir, **variables) as other,
            one.client(era, people[0]) as here,
            other.client(era, people[1]) as there,
        ):
            await bench.plan(here)
            outcomes = await started_by_both(bench, here, there)
            told = [await bench.until_state(client, "completed") for client in (here, there)]
        assert point.passed["POST start"] == 2
    assert outcomes.count("started") == 1
    assert told[0]["lines"] == told[1]["lines"]
    assert bench.statuses() == ALL_COMPLETED
    bench.check_one_at_a_time()
    events = ledger_of(bench.home)
    assert [events.count(event) for event in ("approve", "use", "cover")] == [1, 1, 2]


async def test_two_servers_that_are_asked_again_and_again_start_each_test_once(
    bench: Bench,
) -> None:
    settings = bench.home.settings
    outcomes: list[str] = []
    async with (
        quick_client_of(settings, "auto", Person(YES_A)) as here,
        quick_client_of(settings, "legacy", Person(YES_A)) as there,
    ):
        await bench.plan(here)
        for _ in range(3):
            outcomes += await started_by_both(bench, here, there, here, there)
        await bench.until_state(there, "completed")
    assert outcomes.count("started") == 1
    assert bench.statuses() == ALL_COMPLETED
    bench.check_one_at_a_time()


@both_eras
async def test_a_no_in_one_server_counts_in_the_other(bench: Bench, era: Era) -> None:
    settings, asked_again = bench.home.settings, Person(YES_A)
    async with (
        quick_client_of(settings, era, Person(NO)) as here,
        quick_client_of(settings, era, asked_again) as there,
    ):
        await bench.plan(here)
        assert (await bench.start(here))["outcome"] == "declined"
        assert (await bench.start(there))["outcome"] == "declined"
    assert asked_again.questions == []
    assert bench.runs() == []


@both_eras
async def test_a_series_goes_on_by_itself_once_another_server_is_there(
    bench: Bench, era: Era
) -> None:
    settings, nobody = bench.home.settings, Person(NO)
    async with quick_client_of(settings, era, Person(YES_A)) as client:
        await bench.plan(client)
        await bench.start(client)
    # No server is alive, so nobody starts the second test.
    await bench.until_runs([(0, "COMPLETED")])
    async with quick_client_of(settings, era, nobody) as client:
        await bench.until_runs(ALL_COMPLETED)
        told = await bench.until_state(client, "completed")
        handed = await bench.results(client)
    assert [line["status"] for line in told["lines"]] == ["COMPLETED", "COMPLETED"]
    assert [evidence["mode"] for evidence in handed["approvals"]] == ["sequential"] * 2
    assert nobody.questions == []
    bench.check_one_at_a_time()


@both_eras
async def test_a_pause_holds_when_another_server_takes_over(bench: Bench, era: Era) -> None:
    settings, nobody = bench.home.settings, Person(NO)
    async with quick_client_of(settings, era, Person(YES_B)) as client:
        await bench.plan(client)
        await bench.start(client)
    await bench.until_runs([(0, "COMPLETED")])
    async with quick_client_of(settings, era, nobody) as client:
        told = await bench.until_state(client, "paused")
        assert bench.statuses() == [(0, "COMPLETED")]
        declined = await bench.start(client)
    assert [line["status"] for line in told["lines"]] == ["COMPLETED", "PENDING"]
    assert declined["outcome"] == "declined"
    assert len(nobody.questions) == 1
    assert bench.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
