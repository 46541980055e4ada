"""One run of five minutes on FlakeBench, followed to its end by an agent, and watched by a crowd.

For the first minutes the agent is alone; then 200 others watch too, over clients of both eras of
the protocol, and are gone before the end. Of those, one in ten is timed; the rest are there to
keep the server busy, in a process of their own. The backend is the emulation at its real pace, and
the server, which speaks HTTP, is a process of its own as well.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import anyio
from mcp import Client

from benchgate.gate.monitor import WAIT_SECONDS_MAX
from benchmarks import emulation, watchers
from benchmarks.emulation import MEASURED_SECONDS, WARMUP_SECONDS, Emulation, Passed
from benchmarks.scene import structured
from benchmarks.table import Row
from benchmarks.watchers import Look, Meeting
from tests.acceptance.gateprocess import GateProcess, gate_process
from tests.acceptance.person import YES, Person
from tests.flakebench.runs import Pace

WATCHERS = 200
TIMED = 20
CROWD_FROM_SECONDS = 135
CROWD_SECONDS = 155
# A process has to be started, and its clients have to connect, before the first can watch.
CONNECT_SECONDS = 5
FOLLOW_SECONDS_MAX = 600
# A frame that comes when a wait is over may be told in its answer, and not before it.
LAST_SECONDS = 0.5
INTERVAL_SECONDS = 5

STREAMS_BAR = 1
REQUESTS_BAR = 1
REACH_BAR_MS = 150
CALLS_BAR = 13


class Watching(NamedTuple):
    """All that was seen of the run: by the backend, by the agent, and by who was timed."""

    meeting: Meeting
    passed: list[Passed]
    agent: list[Look]
    timed: list[Look]

    @property
    def crowded(self) -> list[Passed]:
        """What passed the backend while all of the crowd were there."""
        first, last = self.meeting.from_seconds + WAIT_SECONDS_MAX, self.meeting.until_seconds
        return [one for one in self.passed if first <= one.at_seconds < last]


async def rows() -> list[Row]:
    """What it costs the backend, how soon news arrives, and how often an agent has to ask."""
    seen = await _watched()
    return [*_upstream(seen), *_reached(seen), *_followed(seen)]


async def _watched() -> Watching:
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as name:
        folder = Path(name)
        async with (
            emulation.running(folder / "log") as backend,
            gate_process(folder / "data", BENCHGATE_BACKEND_URL=backend.url) as gate,
            gate.client("auto", Person(YES)) as client,
        ):
            return await _run(backend, gate, client)


async def _run(backend: Emulation, gate: GateProcess, client: Client) -> Watching:
    created = await client.call_tool("create_run", {"template_id": emulation.TEMPLATE_ID})
    run_id: str = structured(created)["run_id"]
    started = structured(await client.call_tool("start_run", {"run_id": run_id}))
    assert started["outcome"] == "started", started
    crowd_from = time.monotonic() + CROWD_FROM_SECONDS
    meeting = Meeting(gate.url, run_id, crowd_from, crowd_from + CROWD_SECONDS)
    seen = Watching(meeting, passed=[], agent=[], timed=[])
    with anyio.fail_after(FOLLOW_SECONDS_MAX):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_follow, client, run_id, seen.agent)
            await anyio.sleep_until(crowd_from - CONNECT_SECONDS)
            async with watchers.crowd(meeting, WATCHERS - TIMED):
                seen.timed.extend(await watchers.watch(meeting, TIMED))
    seen.passed.extend(backend.passed())
    return seen


async def _follow(client: Client, run_id: str, looks: list[Look]) -> None:
    """An agent that waits as long as it can, and then as long as it is told, until the end."""
    wait_seconds: float | None = WAIT_SECONDS_MAX
    while wait_seconds is not None:
        looks.append(await watchers.look(client, run_id, wait_seconds=wait_seconds))
        wait_seconds = looks[-1].next_check_seconds


def _upstream(seen: Watching) -> list[Row]:
    intervals = (CROWD_SECONDS - WAIT_SECONDS_MAX) / INTERVAL_SECONDS
    return [
        Row(
            name=f"streams of a run that {WATCHERS} watch",
            measured=sum(one.what == "stream" for one in seen.passed),
            bar=STREAMS_BAR,
            unit="streams",
        ),
        Row(
            name=f"requests beside it, per {INTERVAL_SECONDS} s",
            measured=sum(one.is_request for one in seen.crowded) / intervals,
            bar=REQUESTS_BAR,
            unit="requests",
        ),
    ]


def _reached(seen: Watching) -> list[Row]:
    until = seen.meeting.from_seconds - CONNECT_SECONDS
    alone = [look for look in seen.agent if look.ended_seconds < until]
    return [
        *_reach("one watcher", alone, seen.passed),
        *_reach(f"{WATCHERS} watchers", seen.timed, seen.crowded),
    ]


def _reach(whom: str, looks: Sequence[Look], passed: Sequence[Passed]) -> list[Row]:
    """How long frames took that were sent while somebody waited; what reached nobody is missed."""
    told_ms = list[float]()
    missed = 0
    for look in looks:
        for frame_ms in _waits_ms(look, passed):
            missed += frame_ms is None
            told_ms += [] if frame_ms is None else [frame_ms]
    frames = len({one.at_seconds for look in looks for one in _during(look, passed)})
    figures = (
        (f"frame to {whom}, p95", quantiles(told_ms, n=20)[-1], REACH_BAR_MS, "ms"),
        ("  median", median(told_ms), None, "ms"),
        ("  longest", max(told_ms), None, "ms"),
        ("  frames", frames, None, "frames"),
        ("  passed over for a newer one", 100 * missed / (missed + len(told_ms)), None, "%"),
    )
    return [
        Row(name=name, measured=value, bar=bar, unit=unit) for name, value, bar, unit in figures
    ]


def _waits_ms(look: Look, passed: Sequence[Passed]) -> Iterator[float | None]:
    """Of each frame that came during *look*, how long it took; None if it was not told."""
    heard = {one.elapsed_seconds: one.at_seconds for one in look.heard}
    for frame in _during(look, passed):
        assert frame.elapsed_seconds is not None
        # What was told before the frame was sent has been read in another way.
        frame_ms = (heard.get(frame.elapsed_seconds, -math.inf) - frame.at_seconds) * 1_000
        yield frame_ms if frame_ms >= 0 else None


def _during(look: Look, passed: Sequence[Passed]) -> list[Passed]:
    last = look.ended_seconds - LAST_SECONDS
    return [
        one
        for one in passed
        if one.elapsed_seconds is not None and look.began_seconds <= one.at_seconds < last
    ]


def _followed(seen: Watching) -> list[Row]:
    pace = Pace()
    (started,) = (one.at_seconds for one in seen.passed if one.what.endswith("/start"))
    loaded_seconds = pace.prepare_s + WARMUP_SECONDS + MEASURED_SECONDS
    ended = started + loaded_seconds + pace.drain_s + pace.enrich_s
    return [
        Row(
            name="get_status calls to a 5-minute run's end",
            measured=len(seen.agent),
            bar=CALLS_BAR,
            unit="calls",
        ),
        Row(
            name="  its figures to the agent",
            measured=seen.agent[-1].ended_seconds - ended,
            bar=None,
            unit="s",
        ),
    ]
