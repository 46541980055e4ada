"""How a watch hears a run's stream, and what it does where there is none."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anyio
import pytest

from benchgate.errors import NotFound
from benchgate.gate import watch as limits
from benchgate.gate.backend import Backend
from benchgate.gate.dialects import recognition
from benchgate.gate.live import Live
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address
from tests.adversary.app import Adversary
from tests.adversary.script import WEBSOCKET, Answer, Step, Told
from tests.adversary.server import ORIGIN, client
from tests.flakebench import frames as updates
from tests.flakebench.app import create_app
from tests.flakebench.world import World
from tests.unit.examples import SUMMARY
from tests.unit.gate.watched import (
    DONE,
    LONG_SECONDS,
    NO_STREAM,
    Muttering,
    Scripted,
    Streamed,
    frame,
    gaps_of,
    run,
    ticking,
    told_until,
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


async def test_a_stream_that_cannot_be_opened_is_tried_ever_more_seldom_while_polling_goes_on() -> (
    None
):
    backend = Scripted(run())
    async with Live(backend) as live:
        live.keep("r1")
        await anyio.sleep(LONG_SECONDS)
    assert gaps_of(backend.looked_at)[:4] == [1, 2, 4, limits.POLL_SECONDS_MAX]
    assert {*gaps_of(backend.looked_at)[3:]} == {float(limits.POLL_SECONDS_MAX)}
    pauses = gaps_of(backend.opened_at)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (3, limits.STREAM_PAUSE_SECONDS_MAX)


async def test_a_stream_that_was_lost_is_found_again() -> None:
    backend = Scripted(run(), streams=[Streamed([frame(1)]), NO_STREAM, NO_STREAM, ticking()])
    async with Live(backend) as live, live.watching("r1") as watch:
        told = await watch.first(seconds_max=5)
        while len(backend.opened_at) < 4 or told.source != "stream":
            told = await watch.newer(told, seconds_max=LONG_SECONDS)
        assert backend.open_streams == 1
        await anyio.sleep(LONG_SECONDS)
    assert len(backend.opened_at) == 4


async def test_a_stream_that_drops_after_each_frame_is_opened_again_each_time() -> None:
    frames = [Streamed([frame(second)]) for second in range(1, 50)]
    backend = Scripted(run(), streams=frames)
    async with Live(backend) as live, live.watching("r1"):
        await anyio.sleep(100)
    pauses = gaps_of(backend.opened_at)
    assert len(pauses) > 10
    assert max(pauses) <= 1 + limits.POLL_SECONDS_MAX


async def test_a_stream_that_sends_and_tells_nothing_is_left_like_a_silent_one() -> None:
    backend = Scripted(run(), streams=[Muttering(), NO_STREAM])
    async with Live(backend) as live, live.watching("r1"):
        await anyio.sleep(2 * limits.SILENCE_SECONDS_MAX)
        assert backend.open_streams == 0
        await anyio.sleep(limits.POLL_SECONDS_MAX)
    assert len(backend.looked_at) >= 2


async def test_who_asks_beside_a_stream_that_tells_nothing_gets_a_look() -> None:
    backend = Scripted(run(), run(elapsed_seconds=4), streams=[Muttering()])
    async with Live(backend) as live, live.watching("r1") as watch:
        await watch.first(seconds_max=5)
        await anyio.sleep(limits.HEARD_SECONDS + 0.5)
        with anyio.fail_after(2):
            assert (await watch.first(seconds_max=LONG_SECONDS)).elapsed_seconds == 4


async def test_silence_ends_a_stream_and_polling_goes_on() -> None:
    backend = Scripted(run(), streams=[Streamed(is_silent=True), NO_STREAM])
    async with Live(backend) as live, live.watching("r1"):
        await anyio.sleep(limits.SILENCE_SECONDS_MAX - 1)
        assert backend.open_streams == 1
        await anyio.sleep(2)
        assert backend.open_streams == 0
        await anyio.sleep(limits.POLL_SECONDS_MAX)
    assert len(backend.looked_at) >= 2


async def test_a_run_that_is_gone_is_not_believed_to_run_because_its_stream_says_so() -> None:
    """FlakeBench's stream tells of a deleted run for ever that it is RUNNING."""
    backend = Scripted(run(), NotFound("Run not found"), streams=[ticking()])
    async with Live(backend) as live, live.watching("r1") as watch:
        with anyio.fail_after(2 * limits.LOOK_SECONDS), pytest.raises(NotFound):
            await told_until(watch, "never")
        await anyio.sleep(1)
        assert backend.open_streams == 0


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", "STOPPED"])
async def test_a_stream_that_tells_of_an_end_for_ever_is_closed(end: str) -> None:
    frames = [frame(1), *(frame(2, end) for _ in range(LONG_SECONDS))]
    ended = run(end, reason="why", is_settled=True)
    backend = Scripted(run(), ended, streams=[Streamed(frames)])
    async with Live(backend) as live, live.watching("r1") as watch:
        assert (await told_until(watch, end))[-1] == ended
        await anyio.sleep(1)
        assert backend.open_streams == 0
    assert len(backend.opened_at) == 1
    assert anyio.current_time() < limits.LOOK_SECONDS


def ending(end: str = "FAILED") -> Streamed:
    """A stream that tells of an end for ever, after a second of the run."""
    return Streamed([frame(1), *(frame(2, end) for _ in range(LONG_SECONDS))])


async def test_the_figures_of_an_end_are_looked_for() -> None:
    ended = run("FAILED", summary=SUMMARY, is_settled=True)
    backend = Scripted(run(), run("FAILED"), ended, streams=[ending()])
    async with Live(backend) as live, live.watching("r1") as watch:
        told = (await told_until(watch, "FAILED"))[-1]
        with anyio.fail_after(limits.FIGURES_SECONDS_MAX):
            assert await watch.newer(told, seconds_max=LONG_SECONDS) == ended


async def test_the_figures_of_an_end_are_not_waited_for_for_ever() -> None:
    backend = Scripted(run(), run("FAILED"), streams=[ending()])
    async with Live(backend) as live, live.watching("r1") as watch:
        await told_until(watch, "FAILED")
        await anyio.sleep(limits.FIGURES_SECONDS_MAX + limits.POLL_SECONDS_MAX)
        assert backend.open_streams == 0
        looks = len(backend.looked_at)
        await anyio.sleep(LONG_SECONDS)
        assert (len(backend.looked_at), len(backend.opened_at)) == (looks, 1)


async def test_who_asks_about_a_run_whose_figures_are_still_to_come_is_answered_at_once() -> None:
    backend = Scripted(run(), run("CANCELLED"), streams=[ending("CANCELLED")])
    async with Live(backend) as live, live.watching("r1") as watch:
        await told_until(watch, "CANCELLED")
        with anyio.fail_after(2):
            assert (await watch.first(seconds_max=LONG_SECONDS)).status == "CANCELLED"


async def test_an_end_is_told_only_with_the_figures_that_were_read_after_it() -> None:
    frames = [frame(1), frame(2), *(frame(3, "COMPLETED") for _ in range(LONG_SECONDS))]
    counting = run("STOPPING", phase="PROCESSING")
    backend = Scripted(run(), counting, counting, DONE, streams=[Streamed(frames)])
    async with Live(backend) as live, live.watching("r1") as watch:
        told = await told_until(watch, "COMPLETED")
    assert told[-1] == DONE
    assert [one.summary for one in told if one.is_terminal] == [SUMMARY]


async def test_the_end_of_a_run_is_known_at_once_where_its_stream_tells_it() -> None:
    frames = [*(frame(second) for second in range(1, 5)), frame(5, "COMPLETED")]
    backend = Scripted(run(), DONE, streams=[Streamed(frames, is_silent=True)])
    async with Live(backend) as live, live.watching("r1") as watch:
        await told_until(watch, "COMPLETED")
        assert anyio.current_time() == 5


GARBAGE = (
    "",
    "{",
    "[]",
    "null",
    "7",
    '"RUNNING"',
    '{"qps": -1}',
    '{"event": "RUN_UPDATE"}',
    b"\x00",
)
RUN = {
    "run_id": "r1",
    "test_id": "t1",
    "status": "RUNNING",
    "template_id": "a",
    "template_name": "orders",
    "config": {"database": "d", "table_name": "t", "custom_point_lookup_pct": 100},
    "created_at": "2026-01-01T00:00:00Z",
}


def between_garbage(*frames: str) -> Told:
    """A stream of these frames, with what nobody can read before, between and after them."""
    told: list[str | bytes] = [*GARBAGE]
    for text in frames:
        told += [text, *GARBAGE]
    return Told(tuple(told), is_silent=True)


async def heard_from(app: Adversary, run_id: str) -> Sequence[float]:
    """The throughputs that a watch tells from the run's stream until that is silent."""
    told: list[float] = []
    async with client(app) as http:
        backend = Backend(Configured(Address(url=ORIGIN, dashboard_url=ORIGIN)), http)
        async with Live(backend) as live, live.watching(run_id) as watch:
            seen = await watch.first(seconds_max=5)
            with anyio.move_on_after(limits.SILENCE_SECONDS_MAX - 1):
                while True:
                    seen = await watch.newer(seen, seconds_max=LONG_SECONDS)
                    assert seen.run_id == run_id
                    told += [seen.metrics.qps] if seen.metrics else []
    return told


async def test_what_is_garbage_or_old_adds_nothing_in_the_specifications_stream() -> None:
    def frame_at(second: int, qps: float) -> str:
        return json.dumps({"timestamp": f"2026-01-01T00:00:{second:02}Z", "qps": qps})

    stream = between_garbage(
        frame_at(3, 100), frame_at(3, 999), frame_at(1, 999), frame_at(4, 200), frame_at(2, 999)
    )
    app = Adversary(
        Step("/api/runs/r1/", Answer(body=json.dumps(RUN).encode())),
        Step("/api/tests/t1/", Answer(body=json.dumps(RUN).encode())),
        Step("/ws/runs/r1/metrics", stream, WEBSOCKET),
    )
    assert await heard_from(app, "r1") == [100, 200]


async def test_what_is_garbage_foreign_or_old_adds_nothing_in_flakebenchs_stream(
    signs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "SIGNS", signs)
    world = World()
    ours, theirs = started(world), started(world)

    def update(second: int, qps: float, *, of: Any = ours) -> str:
        of.advance(second)
        data = updates.known(of, updates.Told("RUNNING", "MEASUREMENT"), second)
        data["ops"]["current_per_sec"] = qps
        return json.dumps(updates.update(data))

    stream = between_garbage(
        update(30, 100),
        update(30, 999),
        update(50, 999, of=theirs),
        update(20, 999),
        update(32, 200),
    )
    app = Adversary(Step("/ws/test/.*", stream, WEBSOCKET), behind=create_app(world))
    assert await heard_from(app, ours.run_id) == [100, 200]


def started(world: World) -> Any:
    return world.start(world.create("tpl-long").run_id)


async def test_a_stream_of_nothing_but_garbage_is_left_for_polling() -> None:
    noise = Told(("{",) * 1_000, is_silent=True)
    app = Adversary(
        Step("/api/runs/r1/", Answer(body=json.dumps(RUN).encode())),
        Step("/api/tests/t1/", Answer(body=json.dumps(RUN).encode())),
        Step("/ws/runs/r1/metrics", noise, WEBSOCKET),
    )
    assert await heard_from(app, "r1") == []
    assert app.requests("/api/tests/t1/") >= 2
