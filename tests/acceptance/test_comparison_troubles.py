"""Comparisons that something comes between: failures, stops, changes, other runs, advice."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from mcp import Client
from mcp.types import ElicitResult

from tests.acceptance.checkpoint import checkpoint
from tests.acceptance.comparing import YES_A, Bench, lodge, quick_client_of
from tests.acceptance.home import Home
from tests.acceptance.person import ERAS, NO, YES, Era, Person, call

pytestmark = pytest.mark.anyio
both_eras = pytest.mark.parametrize("era", ERAS)

BOTH_COMPLETED = [(0, "COMPLETED"), (1, "COMPLETED")]
ALL_COMPLETED = [*BOTH_COMPLETED, (2, "COMPLETED")]


@pytest.fixture
def bench(home: Home, own_home: Home) -> Bench:
    return Bench(lodge(own_home, home))


@pytest.fixture
def pair(home: Home, own_home: Home) -> Bench:
    return Bench(lodge(own_home, home), tests=2)


@asynccontextmanager
async def changed_before_the_second_test(
    pair: Bench, era: Era, person: Person, change: Callable[[], object]
) -> AsyncGenerator[Client]:
    """A client of a series in which *change* came after the first test, and before the next one."""
    with checkpoint(pair.home) as point:
        settings = pair.home.settings.model_copy(update={"backend_url": point.url})
        async with quick_client_of(settings, era, person) as client:
            await pair.plan(client)
            point.hold("POST /api/runs/", skip=1)
            await pair.start(client)
            await pair.until_runs([(0, "COMPLETED")])
            change()
            point.open()
            yield client


def named(name: str) -> ElicitResult:
    """A yes with the name of the test."""
    return ElicitResult(action="accept", content={"decision": "yes", "typed_name": name})


@both_eras
async def test_a_test_that_cannot_run_pauses_the_series_and_a_yes_resumes_with_it(
    bench: Bench, era: Era
) -> None:
    person = Person(YES_A)
    async with quick_client_of(bench.home.settings, era, person) as client:
        await bench.plan(client)
        started = await bench.start(client)
        bench.drop(1)
        paused = await bench.until_state(client, "paused")
        assert bench.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
        bench.repair(1)
        resumed = await bench.start(client)
        await bench.until_state(client, "completed")
    assert started["outcome"] == resumed["outcome"] == "started"
    assert "not any more what the person said yes to: pre-flight" in paused["reason"]
    assert [line["status"] for line in paused["lines"]] == ["COMPLETED", "PENDING", "PENDING"]
    assert bench.statuses() == ALL_COMPLETED
    assert bench.check_one_at_a_time()[1]["run_id"] == resumed["run_id"]
    assert len(person.questions) == 2
    assert "You have 2 tests to run:\n1. `Medium`" in person.questions[1]
    assert "**Done:** 1 of 3" in person.questions[1]


@both_eras
async def test_a_stop_stops_the_comparison_and_only_a_yes_resumes_what_is_left(
    pair: Bench, era: Era
) -> None:
    person = Person(YES_A)
    async with quick_client_of(pair.home.settings, era, person) as client:
        await pair.plan(client)
        started = await pair.start(client)
        stop = await call(client, "stop_run", run_id=started["run_id"])
        stopped = await pair.until_state(client, "stopped")
        assert len(person.questions) == 1
        assert [number for number, _ in pair.statuses()] == [0]
        assert pair.home.status(started["run_id"]) in {"STOPPED", "CANCELLED"}
        resumed = await pair.start(client)
        await pair.until_state(client, "completed")
        handed = await pair.results(client)
    assert stop["comparison_id"] == pair.comparison_id
    assert started["run_id"] in stopped["reason"]
    assert stopped["lines"][1]["status"] == "PENDING"
    assert resumed["outcome"] == "started"
    assert resumed["run_id"] != started["run_id"]
    assert pair.statuses()[1:] == BOTH_COMPLETED
    pair.check_one_at_a_time()
    assert len(person.questions) == 2
    assert started["run_id"] not in handed["run_ids"]


@both_eras
async def test_a_test_that_is_changed_before_its_turn_is_asked_about_again(
    pair: Bench, era: Era
) -> None:
    person = Person(YES_A)

    def change() -> None:
        pair.change(1, concurrent_connections=3)

    async with changed_before_the_second_test(pair, era, person, change) as client:
        paused = await pair.until_state(client, "paused")
        assert pair.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
        resumed = await pair.start(client)
        await pair.until_state(client, "completed")
    changed = "It is not any more what the person said yes to: concurrent connections (1 → 3)."
    assert paused["reason"] == changed
    assert resumed["outcome"] == "started"
    assert len(person.questions) == 2
    assert "- Connections: 3" in person.questions[1]
    assert f"**It rests because:** {changed}" in person.questions[1]
    assert pair.statuses() == BOTH_COMPLETED


async def test_a_change_that_is_taken_back_brings_the_comparison_on(pair: Bench) -> None:
    def change() -> None:
        pair.change(1, concurrent_connections=3)

    async with changed_before_the_second_test(pair, "auto", Person(YES_A), change) as client:
        await pair.until_state(client, "paused")
        pair.change(1)
        resumed = await pair.start(client)
        await pair.until_state(client, "completed")
    assert resumed["outcome"] == "started"
    # A run keeps the configuration that it was made with, so another one was needed.
    completed = [one for one in pair.statuses() if one[1] == "COMPLETED"]
    assert completed == BOTH_COMPLETED


async def test_a_person_who_wants_the_next_test_changed_is_asked_about_it_as_changed(
    pair: Bench,
) -> None:
    modify = ElicitResult(action="accept", content={"decision": "modify", "note": "3 connections"})
    person = Person(YES, modify, YES)
    async with quick_client_of(pair.home.settings, "auto", person) as client:
        await pair.plan(client)
        await pair.start(client)
        await pair.until_state(client, "paused")
        wish = await pair.start(client)
        pair.change(1, concurrent_connections=3)
        resumed = await pair.start(client)
        await pair.until_state(client, "completed")
    assert (wish["outcome"], wish["note"]) == ("modify_requested", "3 connections")
    assert resumed["outcome"] == "started"
    assert "- Connections: 3" in person.questions[2]


@both_eras
async def test_no_comparison_is_asked_about_while_somebody_elses_run_is_active(
    pair: Bench, era: Era
) -> None:
    foreign = pair.home.template(duration=60)
    run_id = pair.home.ask("POST", "/api/runs/", body={"template_id": foreign})["run_id"]
    pair.home.ask("POST", f"/api/runs/{run_id}/start")
    person = Person(YES_A)
    async with quick_client_of(pair.home.settings, era, person) as client:
        await pair.plan(client)
        told = await pair.start(client)
        await call(client, "stop_run", run_id=run_id)
        await call(client, "get_status", run_id=run_id, wait_seconds=25)
    assert told["outcome"] == "refused"
    for part in (run_id, "left", "wait for it with get_status", "stop it with stop_run"):
        assert part in told["reason"]
    assert person.questions == []
    assert pair.runs() == []


async def test_a_run_that_comes_between_two_tests_is_waited_for(pair: Bench) -> None:
    foreign = pair.home.template(duration=60)
    with checkpoint(pair.home) as point:
        settings = pair.home.settings.model_copy(update={"backend_url": point.url})
        async with quick_client_of(settings, "auto", Person(YES_A)) as client:
            await pair.plan(client)
            point.hold("POST /api/runs/", skip=1)
            await pair.start(client)
            await pair.until_runs([(0, "COMPLETED")])
            run_id = pair.home.ask("POST", "/api/runs/", body={"template_id": foreign})["run_id"]
            pair.home.ask("POST", f"/api/runs/{run_id}/start")
            point.open()
            waiting = await pair.until(client, lambda told: run_id in told.get("reason", ""))
            assert pair.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
            pair.home.ask("POST", f"/api/runs/{run_id}/stop")
            await pair.until_state(client, "completed")
    assert waiting["state"] == "running"
    assert "starts when it has ended" in waiting["reason"]
    assert pair.statuses() == BOTH_COMPLETED
    pair.check_one_at_a_time()


@both_eras
async def test_a_yes_to_the_whole_does_not_override_the_preflight(bench: Bench, era: Era) -> None:
    bench.drop(1)
    name = f"test {bench.tables[1]}"
    person = Person(YES_A, named("test orders_3"), named(name), YES_A)
    async with quick_client_of(bench.home.settings, era, person) as client:
        await bench.plan(client)
        await bench.start(client)
        paused = await bench.until_state(client, "paused")
        unnamed = await bench.start(client)
        assert bench.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
        override = await bench.start(client)
        failed = await bench.until_state(client, "paused")
        assert bench.statuses() == [(0, "COMPLETED"), (1, "FAILED")]
        bench.repair(1)
        resumed = await bench.start(client)
        await bench.until_state(client, "completed")
    assert "The comparison will pause before it, and ask about it alone." in person.questions[0]
    assert "The preflight says that this run should not go ahead" in paused["reason"]
    assert "type the name of the test" in person.questions[1]
    outcomes = [told["outcome"] for told in (unnamed, override, resumed)]
    assert outcomes == ["refused", "started", "started"]
    assert f"Run {override['run_id']} ended as FAILED" in failed["reason"]
    assert failed["lines"][1]["status"] == "FAILED"
    assert "You have 2 tests to run" in person.questions[3]
    assert bench.statuses()[2:] == [(1, "COMPLETED"), (2, "COMPLETED")]
    bench.check_one_at_a_time()


async def test_a_comparison_whose_template_is_deleted_ends_and_says_so(pair: Bench) -> None:
    def delete() -> None:
        pair.home.ask("DELETE", f"/api/templates/{pair.template_ids[1]}")

    async with changed_before_the_second_test(pair, "auto", Person(YES_A), delete) as client:
        failed = await pair.until_state(client, "failed")
        over = await pair.start(client)
        handed = await pair.results(client)
    assert pair.template_ids[1] in failed["reason"]
    assert (over["outcome"], over["state"]) == ("refused", "failed")
    assert pair.statuses() == [(0, "COMPLETED")]
    assert len(handed["run_ids"]) == 1


@both_eras
async def test_nothing_can_be_squeezed_in_beside_a_comparison_that_runs(
    pair: Bench, era: Era
) -> None:
    person = Person(YES_A)
    async with quick_client_of(pair.home.settings, era, person) as client:
        await pair.plan(client)
        started = await pair.start(client)
        again = await pair.start(client)
        own = await call(client, "start_run", run_id=started["run_id"])
        created = await call(client, "create_run", template_id=pair.template_ids[1])
        ahead = await call(client, "start_run", run_id=created["run_id"])
        assert pair.home.status(created["run_id"]) == "PREPARED"
        await pair.until_state(client, "completed")
    assert (again["outcome"], again["state"]) == ("refused", "running")
    assert "runs already" in again["reason"]
    assert own["outcome"] == ahead["outcome"] == "refused"
    assert started["run_id"] in ahead["reason"]
    assert len(person.questions) == 1
    assert len(pair.check_one_at_a_time()) == 2
    assert pair.home.status(created["run_id"]) == "PREPARED"


@both_eras
async def test_the_next_run_of_a_paused_comparison_starts_on_a_yes_of_its_own_alone(
    pair: Bench, era: Era
) -> None:
    person = Person(YES, NO, YES)
    async with quick_client_of(pair.home.settings, era, person) as client:
        await pair.plan(client)
        await pair.start(client)
        await pair.until_state(client, "paused")
        await pair.start(client)
        next_run_id = pair.runs()[1]["run_id"]
        refused = await call(client, "start_run", run_id=next_run_id)
        paused = await pair.look(client)
    # The person said no to that run, by whichever tool they were asked.
    assert refused["outcome"] == "declined"
    assert paused["state"] == "paused"
    assert len(person.questions) == 2
    assert pair.statuses() == [(0, "COMPLETED"), (1, "PREPARED")]
