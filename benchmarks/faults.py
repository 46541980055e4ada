"""`python -m benchmarks.faults`: kills servers in the middle of comparisons, and counts the harm.

Each trial is a comparison of two short tests in a row on the embedded backend. Its server is
killed at a recorded step or after a random time, some of them a second time; the one that follows
is left alone. What is counted is what the backend itself has on record, and the audit.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import anyio
import httpx2
from anyio import to_thread
from mcp import Client
from mcp.shared.exceptions import MCPError

from benchgate.domain.comparisons import ComparisonState
from benchgate.domain.runs import RunStatus
from tests.acceptance.gateprocess import GateProcess
from tests.acceptance.home import Home, fill, running_backend
from tests.acceptance.person import Person, call
from tests.acceptance.steps import (
    ASKED,
    ASKING,
    IN_A_ROW,
    SERIES,
    STATUS,
    Step,
)
from tests.acceptance.trial import LOOK_SECONDS, TESTS, Trial, held, trial

TRIALS = 100
AT_ONCE = 5
GO_ON_SECONDS_MAX = 90
# One trial in so many is killed after a random time, and one in so many is killed again.
AT_RANDOM_EACH = 3
AGAIN_EACH = 4
# A comparison that nothing disturbs takes about as long, and longer where others run beside it.
RUN_SECONDS = 6.0
# The next server looks around for 3 s, and may have to see the end of the killed one's leases.
NEXT_RUN_SECONDS = 8.0
SEEDS = 1_000_000

DOCUMENT = Path(__file__).parents[1] / "docs" / "comparisons.md"
SECTION = re.compile(
    r"(?P<head><!-- measured: faults -->\n).*?(?P<tail><!-- end of measured -->)", re.DOTALL
)
AT_RANDOM = "after a random time"
LABELS = (*ASKED, *SERIES, AT_RANDOM)
HEAD = ("Killed", "Trials", "Double starts", "Lost tests", "Overlaps", "Audits broken")
NOT_STARTED = frozenset({RunStatus.PREPARED})
NOT_COMPLETED = frozenset(RunStatus) - {RunStatus.COMPLETED}
NOT_BEGUN = frozenset({ComparisonState.PLANNED, ComparisonState.AWAITING_CHOICE})


class Kill(NamedTuple):
    """When a server is killed: at a step of a test, or without one after so many seconds."""

    label: str
    step: Step | None = None
    test: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.step is None:
            return f"{self.label} ({self.seconds:.2f} s)"
        return f"{self.label}, test {self.test + 1}"


class Plan(NamedTuple):
    """What one trial does."""

    number: int
    first: Kill
    again: Kill | None

    def __str__(self) -> str:
        told = f"trial {self.number}: killed {self.first}"
        return told if self.again is None else f"{told}; then {self.again}"


class Harm(NamedTuple):
    """What went wrong in a trial, or in several."""

    double_starts: int = 0
    lost_tests: int = 0
    overlaps: int = 0
    audits_broken: int = 0


class Outcome(NamedTuple):
    """What a trial came to; one that could not be finished has a failure and counts nothing."""

    plan: Plan
    harm: Harm = Harm()
    failure: str = ""

    def __str__(self) -> str:
        wrong = [f"{name} {count}" for name, count in self.harm._asdict().items() if count]
        return f"{self.plan}: {self.failure or ', '.join(wrong) or 'nothing went wrong'}"


def main() -> None:
    """Take the trials, and fail if anything at all went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description="Kill servers in the middle of comparisons, and count what went wrong.",
    )
    parser.add_argument("--trials", type=int, default=TRIALS, help="how many (%(default)s)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="at a time (%(default)s)")
    parser.add_argument("--seed", type=int, help="draw what this seed drew before")
    parser.add_argument("--write", action="store_true", help="write the table to the document")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(SEEDS) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    began = perf_counter()
    outcomes = anyio.run(taken, plans(options.trials, seed), options.at_once)
    report = told(outcomes, seed=seed, at_once=options.at_once, seconds=perf_counter() - began)
    print(report)
    if options.write:
        written(DOCUMENT, report)
    if any(outcome.failure or any(outcome.harm) for outcome in outcomes):
        sys.exit(1)


def plans(trials: int, seed: int) -> list[Plan]:
    """What *seed* draws: every step of every test equally often, as far as that goes."""
    dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
    steps = _steps(dice)
    drawn: list[Plan] = []
    for number in range(1, trials + 1):
        is_timed = number % AT_RANDOM_EACH == 0
        first = _after(dice, RUN_SECONDS) if is_timed else next(steps)
        again = _again(dice, first) if dice.randrange(AGAIN_EACH) == 0 else None
        drawn.append(Plan(number, first, again))
    return drawn


def _steps(dice: random.Random) -> Iterator[Kill]:
    every = [Kill(label, step) for label, step in ASKED.items()]
    every += [Kill(label, step, test) for label, step in SERIES.items() for test in range(TESTS)]
    while True:
        dice.shuffle(every)
        yield from every


def _again(dice: random.Random, first: Kill) -> Kill:
    """A step of the last test, which the next server still has before it, or any time."""
    last = TESTS - 1
    if first.step is None or first.test == last:
        return _after(dice, NEXT_RUN_SECONDS)
    label = dice.choice([*SERIES])
    return Kill(label, SERIES[label], last)


def _after(dice: random.Random, seconds_max: float) -> Kill:
    return Kill(AT_RANDOM, seconds=dice.uniform(0, seconds_max))


async def taken(drawn: Sequence[Plan], at_once: int) -> list[Outcome]:
    """The outcomes of all that is *drawn*; each of those at work has a backend of its own."""
    waiting = iter(drawn)
    outcomes: list[Outcome] = []

    async def work(home: Home) -> None:
        for plan in waiting:
            outcome = await _outcome(home, plan)
            outcomes.append(outcome)
            print(outcome, flush=True)

    with _homes(min(at_once, len(drawn))) as homes:
        async with anyio.create_task_group() as tasks:
            for home in homes:
                tasks.start_soon(work, home)
    return outcomes


@contextmanager
def _homes(count: int) -> Generator[list[Home]]:
    with tempfile.TemporaryDirectory(prefix="benchgate-faults-") as folder, ExitStack() as stack:
        homes = [Home(Path(folder, str(number))) for number in range(count)]
        for home in homes:
            home.folder.mkdir()
            fill(home.database)
            stack.enter_context(running_backend(home))
        yield homes


async def _outcome(home: Home, plan: Plan) -> Outcome:
    try:
        return Outcome(plan, await _trial(home, plan))
    # One trial that cannot be finished is told of and fails the whole, but ends no other.
    except Exception as error:  # noqa: BLE001
        return Outcome(plan, failure=f"FAILED: {_reason(error)}")


def _reason(error: Exception) -> str:
    """All that is known of it: the message of a group says nothing of the errors in it."""
    return "".join(traceback.format_exception(error))


async def _trial(home: Home, plan: Plan) -> Harm:
    data_dir = home.folder / f"trial-{plan.number}"
    with trial(home, data_dir) as one:
        person = Person(IN_A_ROW)
        async with one.gate() as gate:
            await one.plan(gate)
            asked = await _killed(one, gate, plan.first)
        one.point.open()
        if plan.again is not None:
            async with one.gate() as gate:
                asked += await _killed(one, gate, plan.again)
            one.point.open()
        async with one.gate() as gate:
            state = await _left_alone(one, gate, person)
        if plan.first.step not in {None, ASKING}:
            assert asked + len(person.questions) == 1, "what had been answered was asked again"
        return await to_thread.run_sync(_harm, home, one, state)


async def _killed(one: Trial, gate: GateProcess, kill: Kill) -> int:
    """Kill *gate* while it brings the comparison on; returns how often the person was asked."""

    async def is_asked() -> None:
        if kill.step == ASKING:
            await gate.kill()
        elif kill.step is not None and kill.test == 0:
            _hold(one, kill.step)

    person = Person(IN_A_ROW, meanwhile=is_asked)
    try:
        with anyio.move_on_after(GO_ON_SECONDS_MAX) as patience:
            async with gate.client("auto", person) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(_brought_on, one, client)
                await _moment(one, gate, kill)
                await gate.kill()
                # A client does not notice at once that its server is gone.
                patience.cancel()
    except (MCPError, httpx2.HTTPError, BaseExceptionGroup):
        if gate.is_alive:
            raise
    assert not gate.is_alive, "the server was not killed in time"
    is_held = kill.step in {None, ASKING} or one.point.reached.is_set()
    assert is_held, f"the server never came to be killed {kill}"
    return len(person.questions)


async def _moment(one: Trial, gate: GateProcess, kill: Kill) -> None:
    """Until *gate* is where it is to be killed."""
    if kill.step is None:
        await anyio.sleep(kill.seconds)
        return
    if kill.step.request == STATUS:
        run_id = await one.run_of(kill.test)
        one.point.hold(STATUS.format(run_id=run_id))
    elif kill.test > 0:
        # From here to the next test's first request it is at least as long as this test takes.
        await _reach(one, one.templates[kill.test - 1], but=NOT_STARTED)
        _hold(one, kill.step)
    await held(gate, one.point)
    if kill.step.ended:
        await one.run_of(kill.test, ended=True)


def _hold(one: Trial, step: Step) -> None:
    if step.request != STATUS:
        one.point.hold(step.request.format(template_id=one.templates[0]), after=step.after)


async def _reach(one: Trial, *templates: str, but: frozenset[str]) -> None:
    """Until each of *templates* has a run that is in none of these states."""
    while True:
        runs = await to_thread.run_sync(one.runs)
        if {*templates} <= {run["template_id"] for run in runs if run["status"] not in but}:
            return
        await anyio.sleep(LOOK_SECONDS)


async def _brought_on(one: Trial, client: Client) -> None:
    """Start the comparison, unless a yes to it has been taken: then the server goes on alone."""
    with suppress(MCPError, httpx2.HTTPError):
        if (await _look(one, client))["state"] in NOT_BEGUN:
            await one.start(client)


async def _left_alone(one: Trial, gate: GateProcess, person: Person) -> str:
    """What the comparison comes to in time, when nothing but a first yes brings it on."""
    async with gate.client("auto", person) as client:
        with anyio.move_on_after(GO_ON_SECONDS_MAX):
            await _brought_on(one, client)
            await _reach(one, *one.templates, but=NOT_COMPLETED)
            while (await _look(one, client, wait_seconds=5))["state"] != ComparisonState.COMPLETED:
                pass
        seen = await _look(one, client)
    if seen["state"] != ComparisonState.COMPLETED:
        print(f"{one.comparison_id} is {seen['state']}: {seen}", flush=True)
    return str(seen["state"])


async def _look(one: Trial, client: Client, **arguments: object) -> dict[str, Any]:
    return await call(client, "get_comparison", comparison_id=one.comparison_id, **arguments)


def _harm(home: Home, one: Trial, state: str) -> Harm:
    """What the backend has on record of the comparison's runs, held against what it should."""
    runs = [home.ask("GET", f"/api/tests/{run['run_id']}/") for run in one.runs()]
    started = sorted((run for run in runs if run["started_at"]), key=_start)
    tests = [one.templates.index(run["template_id"]) for run in started]
    completed = {run["template_id"] for run in runs if run["status"] == RunStatus.COMPLETED}
    unfinished = int(state != ComparisonState.COMPLETED)
    return Harm(
        double_starts=len(tests)
        - len({*tests})
        # A start that is sent twice for one run is one too many, whatever the backend made of it.
        + max(0, one.point.passed["POST start"] - len(started)),
        lost_tests=max(len({*one.templates} - completed), unfinished),
        overlaps=sum(
            later < earlier or run["ended_at"] is None or _start(following) < _end(run)
            for (earlier, run), (later, following) in pairwise(zip(tests, started, strict=True))
        ),
        audits_broken=int(not _is_whole(one)),
    )


def _start(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["started_at"])


def _end(run: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(run["ended_at"])


def _is_whole(one: Trial) -> bool:
    try:
        return "whole" in one.verified()
    except AssertionError:
        return False


def told(outcomes: Sequence[Outcome], *, seed: int, at_once: int, seconds: float) -> str:
    """The table in Markdown, and what it was measured with."""
    rows = [
        _row(label, mine)
        for label in LABELS
        if (mine := [one for one in outcomes if one.plan.first.label == label])
    ]
    lines = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows, _row("**all**", outcomes)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    again = sum(one.plan.again is not None for one in outcomes)
    failed = sum(bool(one.failure) for one in outcomes)
    today = datetime.now(UTC).date()
    return (
        f"{table}\n\n"
        f"Measured on {today}, {at_once} trials at once on {os.cpu_count()} cores "
        f"in {seconds / 60:.1f} minutes, with seed {seed}.\n"
        f"In {again} of the trials the next server was killed as well.\n"
        f"Trials that could not be finished, and so count nothing above: {failed}."
    )


def _row(label: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    sums = [sum(counts) for counts in zip(*(one.harm for one in outcomes), strict=True)]
    return label, str(len(outcomes)), *map(str, sums)


def written(document: Path, report: str) -> None:
    """Put *report* where the measured table of *document* is."""
    text = document.read_text(encoding="utf-8")
    fresh, found = SECTION.subn(lambda m: f"{m['head']}\n{report}\n\n{m['tail']}", text)
    assert found == 1, f"{document} has one place for what was measured"
    document.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    main()
