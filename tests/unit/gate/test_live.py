"""Watching runs: one watch for all who look, for as long as somebody wants to know."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from benchgate.domain.runs import RunSnapshot
from benchgate.errors import BackendError, BackendUnavailable, Conflict, NotFound
from benchgate.gate import monitor
from benchgate.gate import watch as limits
from benchgate.gate.live import WATCHES_MAX, Live
from tests.unit.gate.watched import (
    AWAY,
    DONE,
    LONG_SECONDS,
    NO_STREAM,
    Look,
    Scripted,
    Streamed,
    frame,
    gaps_of,
    run,
    ticking,
)
from tests.unit.swift import SWIFT

pytestmark = pytest.mark.anyio

TEST_SECONDS_MAX = 3_600


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return SWIFT


@pytest.fixture(autouse=True)
async def limit() -> AsyncGenerator[None]:
    with anyio.fail_after(TEST_SECONDS_MAX):
        yield


async def test_many_watchers_share_one_stream_and_its_looks() -> None:
    backend = Scripted(run(), streams=[ticking()])
    watchers = 200
    heard: list[float] = []

    async def look(live: Live) -> None:
        async with live.watching("r1") as watch:
            told = await watch.first(seconds_max=5)
            for _ in range(10):
                told = await watch.newer(told, seconds_max=5)
            heard.append(told.elapsed_seconds)

    async with Live(backend) as live:
        async with anyio.create_task_group() as tasks:
            for _ in range(watchers):
                tasks.start_soon(look, live)
        assert backend.open_streams == 1
    assert heard == [10] * watchers
    assert (len(backend.opened_at), len(backend.looked_at)) == (1, 1)
    assert backend.open_streams == 0


async def test_beside_a_stream_the_state_is_read_now_and_then() -> None:
    backend = Scripted(run(), streams=[ticking()])
    async with Live(backend) as live:
        live.keep("r1")
        await anyio.sleep(LONG_SECONDS)
    assert {*gaps_of(backend.looked_at)} == {float(limits.LOOK_SECONDS)}


async def test_polling_is_quick_again_when_the_run_moves() -> None:
    backend = Scripted(*[run()] * 6, run(phase="MEASUREMENT"))
    async with Live(backend) as live, live.watching("r1"):
        await anyio.sleep(60)
    assert gaps_of(backend.looked_at)[:8] == [1, 2, 4, 5, 5, 5, 1, 2]


async def test_a_run_that_never_was_is_not_watched_whatever_a_stream_would_say() -> None:
    backend = Scripted(NotFound("Run not found"), streams=[ticking()])
    async with Live(backend) as live, live.watching("r1") as watch:
        with anyio.fail_after(1), pytest.raises(NotFound):
            await watch.first(seconds_max=LONG_SECONDS)
        await anyio.sleep(LONG_SECONDS)
    assert (len(backend.looked_at), backend.opened_at) == (1, [])


async def test_a_watch_lingers_after_its_last_looker_and_then_ends() -> None:
    backend = Scripted(run(), streams=[ticking()])
    async with Live(backend) as live:
        async with live.watching("r1") as watch:
            await watch.first(seconds_max=5)
            await anyio.sleep(LONG_SECONDS)
        await anyio.sleep(limits.LINGER_SECONDS - 1)
        async with live.watching("r1") as again:
            assert again is watch
        await anyio.sleep(limits.LINGER_SECONDS - 1)
        assert backend.open_streams == 1
        await anyio.sleep(3)
        assert backend.open_streams == 0
        looks = len(backend.looked_at)
        await anyio.sleep(LONG_SECONDS)
        assert (len(backend.looked_at), len(backend.opened_at)) == (looks, 1)


async def test_a_watch_that_is_kept_goes_on_to_the_runs_end_with_nobody_looking() -> None:
    frames = [frame(second) for second in range(1, LONG_SECONDS)] + [frame(0, "COMPLETED")]
    looks = [run()] * (LONG_SECONDS // limits.LOOK_SECONDS)
    backend = Scripted(*looks, DONE, streams=[Streamed(frames, is_silent=True)])
    async with Live(backend) as live:
        live.keep("r1")
        await anyio.sleep(LONG_SECONDS - 2)
        assert backend.open_streams == 1
        await anyio.sleep(3)
        assert backend.open_streams == 0
        assert len(backend.opened_at) == 1


async def test_what_a_watch_knows_is_told_without_a_look_as_long_as_it_is_recent() -> None:
    backend = Scripted(run(), AWAY)
    async with Live(backend) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=5)
        assert await live.snapshot("r1") is told
        assert await live.snapshot_or(run("STARTING")) is told
        assert len(backend.looked_at) == 1


async def test_what_is_not_recent_is_asked_for() -> None:
    backend = Slow(run(), seconds=2 * limits.RECENT_SECONDS)
    async with Live(backend) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=5)
        await anyio.sleep(limits.RECENT_SECONDS - 0.5)
        assert watch.recent is told
        looks = len(backend.looked_at)
        await anyio.sleep(1)
        assert watch.recent is None
        await live.snapshot("r1")
        assert len(backend.looked_at) > looks


class Slow(Scripted):
    """Answers the first look at once, and each one after it late."""

    def __init__(self, *looks: Look, seconds: float) -> None:
        super().__init__(*looks)
        self._seconds = seconds

    async def snapshot(self, run_id: str) -> RunSnapshot:
        if self.looked_at:
            self.looked_at.append(anyio.current_time())
            await anyio.sleep(self._seconds)
        return await super().snapshot(run_id)


async def test_who_asks_again_is_answered_by_the_stream_without_another_look() -> None:
    backend = Scripted(run(), streams=[ticking()])
    async with Live(backend) as live:
        for second in range(1, 10):
            await anyio.sleep(1)
            async with live.watching("r1") as watch:
                told = await watch.first(seconds_max=5)
            assert told.elapsed_seconds >= second - 1
    assert (len(backend.looked_at), len(backend.opened_at)) == (1, 1)


async def test_who_asks_where_no_stream_tells_gets_a_look_of_its_own() -> None:
    backend = Scripted(run(), run(elapsed_seconds=1))
    async with Live(backend) as live, live.watching("r1") as watch:
        await watch.first(seconds_max=5)
        await anyio.sleep(0.1)
        assert (await watch.first(seconds_max=5)).elapsed_seconds == 1
        assert anyio.current_time() == pytest.approx(0.1)


async def test_many_who_ask_at_once_where_no_stream_tells_share_a_look() -> None:
    backend = Scripted(run())
    async with Live(backend) as live, live.watching("r1") as watch:
        await watch.first(seconds_max=5)
        await anyio.sleep(0.1)
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(lambda: watch.first(seconds_max=5))
    assert len(backend.looked_at) == 2


async def test_what_an_act_told_stands_where_the_look_after_it_fails() -> None:
    backend = Scripted(AWAY)
    async with Live(backend) as live:
        assert await live.snapshot_or(run("STARTING")) == run("STARTING")


async def test_no_more_runs_are_watched_than_there_is_room_for() -> None:
    backend = Scripted(run())
    async with Live(backend) as live:
        for number in range(WATCHES_MAX):
            live.keep(f"r{number}")
        with pytest.raises(Conflict, match=str(WATCHES_MAX)):
            async with live.watching("one-more"):
                pass
        live.keep("one-more")
        async with live.watching("r1") as watch:
            await watch.first(seconds_max=5)


async def test_a_run_that_is_kept_finds_room_however_many_are_watched() -> None:
    async with Live(Scripted(run())) as live:
        for number in range(WATCHES_MAX):
            async with live.watching(f"r{number}"):
                pass
        live.keep("mine")
        async with live.watching("mine") as watch:
            assert (await watch.first(seconds_max=25)).run_id == "mine"


async def test_a_look_that_hangs_keeps_nobody_from_hearing_for_long() -> None:
    class Mute(Scripted):
        async def snapshot(self, run_id: str) -> RunSnapshot:
            if self.looked_at:
                await anyio.sleep(LONG_SECONDS)
            return await super().snapshot(run_id)

    async with Live(Mute(run(), streams=[ticking()])) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=25)
        for _ in range(60):
            told = await watch.newer(told, seconds_max=limits.LOOK_BESIDE_SECONDS_MAX + 2)
    assert told.elapsed_seconds >= 30


async def test_a_run_that_has_ended_makes_room_for_another() -> None:
    backend = Scripted(DONE)
    async with Live(backend) as live:
        for number in range(2 * WATCHES_MAX):
            async with live.watching(f"r{number}") as watch:
                assert (await watch.first(seconds_max=5)).status == "COMPLETED"
                await anyio.sleep(1)


class Broken(Scripted):
    """Fails in a way that nobody foresaw, of one run."""

    async def snapshot(self, run_id: str) -> RunSnapshot:
        if run_id == "broken":
            raise ZeroDivisionError
        return await super().snapshot(run_id)


async def test_what_nobody_foresaw_in_one_watch_leaves_the_others() -> None:
    backend = Broken(run(), streams=[ticking()])
    async with Live(backend) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=5)
        async with live.watching("broken"):
            await anyio.sleep(1)
        assert (await watch.newer(told, seconds_max=5)) is not told
        async with live.watching("broken") as anew:
            assert anew.trouble is None


async def test_what_nobody_foresaw_is_told_at_once_to_who_waits() -> None:
    async with Live(Broken(run())) as live, live.watching("broken") as watch:
        with anyio.fail_after(1), pytest.raises(BackendError):
            await watch.first(seconds_max=LONG_SECONDS)
        with anyio.fail_after(1), pytest.raises(BackendError):
            await watch.newer(run(), seconds_max=LONG_SECONDS)


async def test_who_still_holds_a_watch_that_is_over_waits_for_nothing() -> None:
    async with Live(Scripted(DONE)) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=5)
        await anyio.sleep(LONG_SECONDS)
        with anyio.fail_after(1):
            assert await watch.first(seconds_max=LONG_SECONDS) == DONE
            assert await watch.newer(told, seconds_max=LONG_SECONDS) == DONE


class Listened:
    """What a listener of a wait heard."""

    def __init__(self) -> None:
        self.told: list[RunSnapshot] = []

    async def __call__(self, snapshot: RunSnapshot) -> None:
        self.told.append(snapshot)


async def test_a_backend_that_is_away_is_told_at_the_first_look() -> None:
    async with Live(Scripted(AWAY)) as live, live.watching("r1") as watch:
        with anyio.fail_after(1), pytest.raises(BackendUnavailable):
            await monitor.watch(watch, Listened(), wait_seconds=25)


async def test_a_backend_that_answers_nobody_is_told_and_not_what_it_said_long_ago() -> None:
    class Hanging(Scripted):
        is_hanging = False

        async def snapshot(self, run_id: str) -> RunSnapshot:
            if self.is_hanging:
                await anyio.sleep(LONG_SECONDS)
            return await super().snapshot(run_id)

    backend = Hanging(run())
    async with Live(backend) as live, live.watching("r1") as watch:
        assert await watch.first(seconds_max=25) == run()
        backend.is_hanging = True
        await anyio.sleep(limits.RECENT_SECONDS)
        asked_at = anyio.current_time()
        with pytest.raises(BackendUnavailable, match="did not answer in time"):
            await watch.first(seconds_max=25)
        assert anyio.current_time() - asked_at == 25


async def test_a_backend_that_is_away_for_a_while_is_waited_for() -> None:
    backend = Scripted(run(), AWAY, AWAY, run(elapsed_seconds=9), AWAY, DONE)
    listened = Listened()
    async with Live(backend) as live, live.watching("r1") as watch:
        seen = await monitor.watch(watch, listened, wait_seconds=25)
    assert seen == DONE
    assert [one.elapsed_seconds for one in listened.told] == [0, 9]


async def test_a_backend_that_stays_away_is_told_when_the_wait_is_over() -> None:
    async with Live(Scripted(run(), AWAY)) as live, live.watching("r1") as watch:
        with pytest.raises(BackendUnavailable):
            await monitor.watch(watch, Listened(), wait_seconds=20)
        assert anyio.current_time() == 20


async def test_a_backend_that_is_away_for_long_is_asked_no_more() -> None:
    backend = Scripted(run(), AWAY)
    async with Live(backend) as live:
        live.keep("r1")
        await anyio.sleep(limits.UNREACHABLE_SECONDS_MAX + limits.POLL_SECONDS_MAX)
        looks = len(backend.looked_at)
        await anyio.sleep(LONG_SECONDS)
        assert len(backend.looked_at) == looks


class Timed(Scripted):
    """A run that has ended after so long, at first a little later than was planned."""

    ended_after_seconds = 307

    async def snapshot(self, run_id: str) -> RunSnapshot:
        self.looked_at.append(anyio.current_time())
        elapsed = anyio.current_time()
        planned = run(elapsed_seconds=elapsed, expected_seconds=300)
        return DONE if elapsed >= self.ended_after_seconds else planned


@pytest.mark.parametrize("streams", [[ticking()], [NO_STREAM]], ids=["streamed", "polled"])
async def test_a_run_of_five_minutes_is_followed_to_its_end_in_thirteen_calls(
    streams: list[Streamed | Exception],
) -> None:
    calls, wait_seconds = 0, float(monitor.WAIT_SECONDS_MAX)
    seen = run()
    async with Live(Timed(streams=streams)) as live:
        while wait_seconds:
            async with live.watching("r1") as watch:
                seen = await monitor.watch(watch, Listened(), wait_seconds=wait_seconds)
            calls, wait_seconds = calls + 1, monitor.next_check_seconds(seen) or 0
    assert (seen, calls) == (DONE, 13)


async def test_whoever_leaves_lets_go_of_every_stream() -> None:
    backend = Scripted(run(), streams=[ticking(), ticking(), ticking()])
    async with Live(backend) as live:
        for run_id in ("r1", "r2", "r3"):
            live.keep(run_id)
        await anyio.sleep(1)
        assert backend.open_streams == 3
    assert backend.open_streams == 0
