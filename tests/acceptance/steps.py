"""The steps of a comparison at which a gate can be killed, and how it is brought to one."""

from typing import Any, NamedTuple

from mcp.types import ElicitResult

from tests.acceptance.gateprocess import GateProcess
from tests.acceptance.person import Era, Person
from tests.acceptance.trial import Trial, held, start_until_killed

IN_A_ROW = ElicitResult(action="accept", content={"decision": "yes", "mode": "A) sequential"})


class Step(NamedTuple):
    """Where a gate is killed: at a request that is held, before or after it is served.

    Without a request that is while it asks. `STATUS` is the look at a run that has been started,
    and that may have `ended` by then. A request is `repeated` if the next gate makes it again.
    """

    request: str = ""
    after: bool = False
    ended: bool = False
    repeated: bool = True


STATUS = "GET /api/tests/{run_id}/"
ASKING = Step()
# How a question goes out and how its answer comes back differs between the eras; what follows the
# yes is the server's own and the same in both, so all other trials are of one.
ASKED = {"while it asks": ASKING, "with the yes recorded": Step("GET /api/templates/{template_id}")}
STARTED = {
    "with the start intended": Step("/start"),
    "with the start sent": Step("/start", after=True, repeated=False),
    "with the start recorded": Step(STATUS),
    "with the run ended": Step(STATUS, ended=True),
}
# After these a gate that only goes on must not start anything where a pause was chosen.
PAUSED = {
    "while it asks": ASKING,
    "with the start intended": STARTED["with the start intended"],
    "with the start sent": STARTED["with the start sent"],
}
SERIES = {
    "with its turn recorded": Step("POST /api/runs/"),
    "with the run created": Step("POST /api/runs/", after=True),
    "with the run recorded": Step("/preflight"),
} | STARTED


def completed(seen: dict[str, Any]) -> int:
    """How many tests have completed, as `get_comparison` tells."""
    return sum(line["status"] == "COMPLETED" for line in seen["lines"])


async def start_until(
    one: Trial,
    gate: GateProcess,
    step: Step,
    *,
    answer: ElicitResult,
    era: Era = "auto",
    test: int = 0,
) -> None:
    """Call `start_comparison`, whose person gives *answer*, and kill the gate at *step*."""

    async def is_asked() -> None:
        if step == ASKING:
            await gate.kill()
        else:
            hold_at(one, step)

    client = gate.client(era, Person(answer, meanwhile=is_asked))
    await start_until_killed(one, gate, client, moment=lambda: reached(one, gate, step, test=test))


def hold_at(one: Trial, step: Step, *, skip: int = 0) -> None:
    """Hold the request of *step*; that of a run waits until the run is there."""
    if step.request not in {"", STATUS}:
        request = step.request.format(template_id=one.templates[0])
        one.point.hold(request, skip=skip, after=step.after)


async def reached(one: Trial, gate: GateProcess, step: Step, *, test: int) -> None:
    """Until the gate is at *step* with that test, and held there."""
    if step.request == STATUS:
        run_id = await one.run_of(test)
        one.point.hold(STATUS.format(run_id=run_id))
    await held(gate, one.point)
    if step.ended:
        await one.run_of(test, ended=True)
