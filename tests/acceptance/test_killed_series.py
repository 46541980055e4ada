"""A gate is killed at each recorded step of a series, and the next one too: it goes on alone."""

from pathlib import Path

import pytest

from tests.acceptance.home import Home
from tests.acceptance.person import Person
from tests.acceptance.steps import IN_A_ROW, SERIES, Step, completed, hold_at, reached, start_until
from tests.acceptance.trial import TESTS, trial

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(150)]


@pytest.mark.parametrize("step", SERIES.values(), ids=SERIES)
async def test_a_series_whose_gates_are_killed_in_each_test_goes_on_by_itself(
    home: Home, tmp_path: Path, step: Step
) -> None:
    with trial(home, tmp_path) as one:
        async with one.gate() as gate:
            await one.plan(gate)
            await start_until(one, gate, step, answer=IN_A_ROW)
        hold_at(one, step, skip=int(step.repeated))
        async with one.gate() as gate:
            await reached(one, gate, step, test=1)
            await gate.kill()
        one.point.open()

        person = Person(IN_A_ROW)
        async with one.gate() as gate, gate.client("auto", person) as client:
            seen = await one.rest(client)
        assert seen["state"] == "completed"
        assert completed(seen) == TESTS
        assert not person.questions
        await one.assert_whole()
