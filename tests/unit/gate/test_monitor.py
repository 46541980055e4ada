"""Watching a run: bounded, and over as soon as there is something to tell."""

from collections.abc import Iterator

import anyio
import pytest

from benchgate.domain.runs import RunSnapshot, RunStatus, is_terminal
from benchgate.errors import BackendUnavailable
from benchgate.gate.monitor import WAIT_SECONDS_MAX, next_check_seconds, watch

pytestmark = pytest.mark.anyio


def run(status: str, *, elapsed: float = 0, expected: float | None = 60) -> RunSnapshot:
    return RunSnapshot(
        run_id="r1",
        status=status,
        elapsed_seconds=elapsed,
        expected_seconds=expected,
        is_settled=is_terminal(status),
    )


class Script:
    """A feed that tells these things in turn, the last one for ever."""

    def __init__(self, *told: RunSnapshot | BackendUnavailable) -> None:
        self._told: Iterator[RunSnapshot | BackendUnavailable] = iter(told)
        self._last: RunSnapshot | BackendUnavailable = told[0]
        self.heard: list[str] = []

    async def first(self, *, seconds_max: float) -> RunSnapshot:
        return self._next()

    async def newer(self, than: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        before = self._last
        told = self._next()
        if self._last is before:
            await anyio.sleep(seconds_max)
        return told

    async def listen(self, snapshot: RunSnapshot) -> None:
        self.heard.append(snapshot.status)

    def _next(self) -> RunSnapshot:
        self._last = next(self._told, self._last)
        if isinstance(self._last, BackendUnavailable):
            raise self._last
        return self._last


async def test_a_look_without_a_wait_returns_at_once() -> None:
    script = Script(run("RUNNING"))
    with anyio.fail_after(0.5):
        seen = await watch(script, script.listen, wait_seconds=0)
    assert (seen.status, script.heard) == ("RUNNING", [])


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "STOPPED", "PREPARED"])
async def test_a_wait_ends_at_once_where_waiting_brings_nothing(status: str) -> None:
    script = Script(run(status))
    with anyio.fail_after(0.5):
        assert (await watch(script, script.listen, wait_seconds=25)).status == status


async def test_a_wait_goes_on_for_the_figures_of_an_end() -> None:
    ended = run("STOPPED")
    script = Script(run("RUNNING"), ended.model_copy(update={"is_settled": False}), ended)
    with anyio.fail_after(5):
        assert await watch(script, script.listen, wait_seconds=25) == ended


async def test_a_wait_ends_with_the_run_and_tells_each_look_before() -> None:
    script = Script(run("STARTING"), run("RUNNING"), run("COMPLETED"))
    with anyio.fail_after(5):
        seen = await watch(script, script.listen, wait_seconds=25)
    assert (seen.status, script.heard) == ("COMPLETED", ["STARTING", "RUNNING"])


async def test_a_wait_ends_on_a_status_that_nobody_knows() -> None:
    script = Script(run("RUNNING"), run("HIBERNATING"))
    with anyio.fail_after(5):
        assert (await watch(script, script.listen, wait_seconds=25)).status == "HIBERNATING"


async def test_a_status_that_nobody_knows_is_news_only_once() -> None:
    script = Script(run("HIBERNATING"), run("HIBERNATING"), run("COMPLETED"))
    with anyio.fail_after(5):
        seen = await watch(script, script.listen, wait_seconds=25)
    assert (seen.status, script.heard) == ("COMPLETED", ["HIBERNATING", "HIBERNATING"])


async def test_a_wait_without_news_ends_in_time() -> None:
    script = Script(run("RUNNING"))
    with anyio.fail_after(3):
        assert (await watch(script, script.listen, wait_seconds=1.5)).status == "RUNNING"


async def test_a_backend_that_cannot_be_reached_is_told() -> None:
    script = Script(run("RUNNING"), BackendUnavailable())
    with anyio.fail_after(4), pytest.raises(BackendUnavailable):
        await watch(script, script.listen, wait_seconds=2.2)


@pytest.mark.parametrize("status", list(RunStatus))
def test_the_next_check_is_named_exactly_for_runs_under_way(status: RunStatus) -> None:
    under_way = {RunStatus.STARTING, RunStatus.RUNNING, RunStatus.STOPPING, RunStatus.CANCELLING}
    wanted = WAIT_SECONDS_MAX if status in under_way else None
    assert next_check_seconds(run(status)) == wanted
