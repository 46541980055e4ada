"""A gate is killed at a recorded step of a comparison: nothing is lost, nothing starts twice."""

import signal
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.acceptance.gateprocess import GateProcess
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, YES, Era, Person
from tests.acceptance.steps import (
    ASKED,
    ASKING,
    IN_A_ROW,
    PAUSED,
    STARTED,
    Step,
    completed,
    hold_at,
    start_until,
)
from tests.acceptance.trial import GO_ON_SECONDS_MAX, TESTS, Trial, held, signalled, trial

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("step", ASKED.values(), ids=ASKED)
async def test_a_kill_around_the_question_leaves_a_comparison_that_can_be_started(
    home: Home, tmp_path: Path, era: Era, step: Step
) -> None:
    with trial(home, tmp_path) as one:
        async with one.gate() as gate:
            await one.plan(gate)
            await start_until(one, gate, step, era=era, answer=IN_A_ROW)
        one.point.open()
        assert one.point.passed["POST start"] == 0

        person = Person(IN_A_ROW)
        async with one.gate() as gate, gate.client(era, person) as client:
            told = await one.start(client)
            seen = await one.rest(client)
        assert told["outcome"] == "started"
        assert seen["state"] == "completed"
        assert len(person.questions) == (1 if step == ASKING else 0)
        await one.assert_whole()


@pytest.mark.parametrize("step", PAUSED.values(), ids=PAUSED)
async def test_tests_with_a_pause_whose_gates_are_killed_wait_for_a_person_and_go_on(
    home: Home, tmp_path: Path, step: Step
) -> None:
    with trial(home, tmp_path) as one:
        async with one.gate() as gate:
            await one.plan(gate)
            await start_until(one, gate, step, answer=YES)
        one.point.open()
        async with one.gate() as gate:
            await _rests(one, gate)
            await _one_by_one(one, gate, tests=1)
            await start_until(one, gate, step, answer=YES, test=1)
        one.point.open()
        async with one.gate() as gate:
            await _rests(one, gate)
            await _one_by_one(one, gate, tests=TESTS)
        await one.assert_whole()


async def _rests(one: Trial, gate: GateProcess) -> None:
    """The comparison comes to rest in *gate*, and what has not been started is not."""
    before = one.point.passed["POST start"]
    async with gate.client("auto", None) as client:
        seen = await one.rest(client)
    assert seen["state"] in {"awaiting_choice", "paused", "completed"}
    assert completed(seen) == before == one.point.passed["POST start"]


async def _one_by_one(one: Trial, gate: GateProcess, *, tests: int) -> None:
    """Go on, each time with a person's yes, until so many tests have completed."""
    person = Person(YES)
    async with gate.client("auto", person) as client:
        while (done := completed(await one.rest(client))) < tests:
            asked = len(person.questions)
            assert (await one.start(client))["outcome"] == "started"
            assert len(person.questions) == asked + 1
            assert one.point.passed["POST start"] == done + 1


async def test_a_second_gate_takes_a_series_over_without_being_called(
    home: Home, tmp_path: Path
) -> None:
    step = STARTED["with the start recorded"]
    with trial(home, tmp_path) as one:
        async with one.gate() as second:
            async with one.gate() as first:
                await one.plan(first)
                await start_until(one, first, step, answer=IN_A_ROW)
            one.point.open()
            await one.all_ended()
            async with second.client("auto", None) as client:
                assert (await one.rest(client))["state"] == "completed"
        await one.assert_whole()


# Where the driving gate is frozen: the start of the first test is with the backend already, or it
# is on its way, and the second gate sends it in the first one's place.
FROZEN = {name: STARTED[name] for name in ("with the start intended", "with the start sent")}


@pytest.mark.parametrize("step", FROZEN.values(), ids=FROZEN)
async def test_a_gate_that_was_frozen_for_longer_than_its_lease_starts_nothing_again(
    home: Home, tmp_path: Path, step: Step
) -> None:
    with trial(home, tmp_path) as one:
        async with one.gate() as first, one.gate() as second:
            await one.plan(first)
            hold_at(one, step)
            async with (
                first.client("auto", Person(IN_A_ROW)) as client,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(_starts, one, client)
                await held(first, one.point)
                signalled(first, signal.SIGSTOP)
                # That is the second gate's doing: it has taken the series over.
                with anyio.fail_after(GO_ON_SECONDS_MAX):
                    await one.run_of(1)
                signalled(first, signal.SIGCONT)
                one.point.open()
                await one.all_ended()
                assert (await one.rest(client))["state"] == "completed"
            async with second.client("auto", None) as client:
                assert (await one.rest(client))["state"] == "completed"
        await one.assert_whole()


async def _starts(one: Trial, client: Client) -> None:
    """What was started in its place is what the frozen gate tells of."""
    assert (await one.start(client))["outcome"] == "started"
