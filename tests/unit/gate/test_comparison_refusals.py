"""A backend that refuses, forgets or hangs in the middle of a series: it rests, and says why."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest

from benchgate.gate import backend as port
from benchgate.gate import facts
from benchgate.gate.comparisons import driver, service
from benchgate.gate.comparisons.autopilot import Pace
from tests.unit.permissive import (
    LOST,
    PACE,
    Permissive,
    Person,
    host,
    planned,
    served,
    statuses,
)

pytestmark = pytest.mark.anyio

IMPATIENT = PACE.model_copy(update={"unreachable_seconds_max": 0.3})
NO_TOKEN = httpx.Response(401, json={"detail": "no"})
# More than an answer takes on a busy machine, and much less than any limit that is not shortened.
PROMPT_SECONDS = 4


@pytest.fixture
def backend() -> Iterator[Permissive]:
    with served(Permissive()) as backend:
        yield backend


def refusal(status: int, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"detail": detail})


@pytest.mark.parametrize(
    ("request_", "answer", "state", "reason"),
    [
        ("POST /api/runs/", refusal(409, "Another is being made."), "paused", "Another is being"),
        ("POST /api/runs/", refusal(422, "No such table."), "paused", "No such table"),
        ("POST /api/runs/", refusal(404, "No template b."), "failed", "No template b"),
        ("GET /api/runs/r2/.*", refusal(404, "No run r2."), "failed", "No run r2"),
        ("GET /api/runs/r2/preflight", refusal(422, "It cannot look."), "paused", "It cannot look"),
        ("GET /api/runs/r2/preflight", refusal(409, "It is busy."), "paused", "It is busy"),
    ],
)
async def test_a_refusal_before_the_next_start_rests_the_series_with_the_backends_reason(
    backend: Permissive,
    tmp_path: Path,
    request_: str,
    answer: httpx.Response,
    state: str,
    reason: str,
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        backend.fails(request_, answer)
        backend.ends("r1")
        told = await series.until_state(state)
    assert reason in told["reason"]
    assert statuses(told) == ["COMPLETED", "PENDING"]
    assert sum(backend.starts) == 1


async def test_a_run_that_is_missed_for_a_moment_goes_on(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        run, asked = backend.runs.pop("r1"), len(backend.asked)
        with anyio.fail_after(10):
            while len(backend.asked) < asked + 6:
                await series.look(wait_seconds=0.1)
        backend.runs["r1"] = run
        assert (await series.look())["state"] == "running"
        backend.ends("r1")
        told = await series.until(lambda seen: statuses(seen)[0] == "COMPLETED")
    assert told["state"] == "running"


async def test_a_run_that_is_gone_while_it_is_under_way_ends_the_series(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "MISSED_MAX", timedelta(seconds=0.3))
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        del backend.runs["r1"]
        told = await series.until_state("failed")
    assert "r1" in told["reason"]


async def test_a_backend_that_takes_no_token_any_more_interrupts_what_is_under_way(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person(), pace=IMPATIENT) as client:
        series = await planned(client)
        await series.start()
        backend.fails(".*", NO_TOKEN)
        lost = await series.until_state("interrupted")
        backend.scripts.clear()
        backend.ends("r1")
        found = await series.until_state("paused")
    assert "could not be asked for too long: The backend refused the credentials" in lost["reason"]
    assert statuses(found) == ["COMPLETED", "PENDING"]


async def test_a_backend_that_takes_no_token_between_two_tests_pauses_the_series(
    backend: Permissive, tmp_path: Path
) -> None:
    async with host(tmp_path, Person(), pace=IMPATIENT) as client:
        series = await planned(client)
        await series.start()
        backend.fails("POST /api/runs/", NO_TOKEN)
        backend.ends("r1")
        told = await series.until_state("paused")
    assert "The backend refused the credentials" in told["reason"]
    assert backend.starts == [1]


def test_a_backend_is_waited_for_as_long_as_the_documentation_says() -> None:
    assert Pace().unreachable_seconds_max == 600


async def test_what_is_recorded_is_told_promptly_where_the_backend_hangs(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(service, "LOOK_SECONDS_MAX", 0.2)
    monkeypatch.setattr(port, "LOOK_AFTER_ACT_SECONDS_MAX", 0.2)
    backend.fails("POST /api/runs/r1/start", LOST)
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        await client.call_tool("stop_run", {"run_id": "r1"})
        with backend.held(".*"):
            with anyio.fail_after(PROMPT_SECONDS):
                told = await series.look()
            with anyio.fail_after(PROMPT_SECONDS):
                refused = await series.start()
    assert told["state"] == refused["state"] == "stopped"
    assert refused["outcome"] == "refused"
    assert refused["reason"] == told["reason"] == "Run r1 was stopped."
    assert backend.starts == [0]


async def test_a_series_that_runs_is_told_promptly_where_the_backend_hangs(
    backend: Permissive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(port, "LOOK_AFTER_ACT_SECONDS_MAX", 0.2)
    monkeypatch.setattr(facts, "FACTS_SECONDS_MAX", 0.2)
    async with host(tmp_path, Person()) as client:
        series = await planned(client)
        await series.start()
        with backend.held(".*"):
            with anyio.fail_after(PROMPT_SECONDS):
                told = await series.look()
            with anyio.fail_after(PROMPT_SECONDS):
                refused = await series.start()
    assert told["state"] == "running"
    assert refused["outcome"] == "refused"
    assert "runs already" in refused["reason"]


def test_the_limits_of_a_look_are_within_the_patience_of_a_host() -> None:
    assert service.LOOK_SECONDS_MAX + port.LOOK_AFTER_ACT_SECONDS_MAX <= facts.FACTS_SECONDS_MAX
