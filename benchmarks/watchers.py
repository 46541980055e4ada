"""Clients that watch a run with `get_status`, and remember when they were told what.

`python -m benchmarks.watchers URL RUN_ID COUNT FROM UNTIL` is a crowd in a process of its own:
reading the news of many takes one process so long that those who are measured would wait for it.
All times are seconds of the machine's monotonic clock, which its processes share.
"""

import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import anyio
from anyio import to_thread
from mcp import Client

from benchgate.gate.monitor import WAIT_SECONDS_MAX
from benchmarks.scene import ROOT, structured
from tests.acceptance.person import ERAS

# Fewer than a client's connections allow for.
WATCHERS_PER_CLIENT = 10
END_SECONDS_MAX = 10


class Heard(NamedTuple):
    """A progress notification that has reached a client."""

    at_seconds: float
    elapsed_seconds: float


class Look(NamedTuple):
    """One call of `get_status`, and what was told before its answer."""

    began_seconds: float
    ended_seconds: float
    heard: Sequence[Heard]
    next_check_seconds: int | None


class Meeting(NamedTuple):
    """What is watched together, and in which time."""

    url: str
    run_id: str
    from_seconds: float
    until_seconds: float


async def look(client: Client, run_id: str, *, wait_seconds: float) -> Look:
    """Wait for the end of a run, *wait_seconds* at most."""
    heard: list[Heard] = []

    async def hear(
        progress: float,
        total: float | None,  # noqa: ARG001 - the SDK's protocol names it
        message: str | None,  # noqa: ARG001
    ) -> None:
        heard.append(Heard(time.monotonic(), progress))

    began = time.monotonic()
    arguments = {"run_id": run_id, "wait_seconds": wait_seconds}
    told = structured(await client.call_tool("get_status", arguments, progress_callback=hear))
    return Look(began, time.monotonic(), heard, told.get("next_check_seconds"))


async def watch(meeting: Meeting, count: int) -> list[Look]:
    """What *count* watchers see, over clients of both eras of the protocol.

    They come one after the other during the length of a wait, and so never ask in one moment; who
    has been answered asks again at once.
    """
    looks: list[Look] = []

    async def one(client: Client, number: int) -> None:
        await anyio.sleep_until(meeting.from_seconds + number * WAIT_SECONDS_MAX / count)
        while (left_seconds := meeting.until_seconds - time.monotonic()) > 0:
            wait_seconds = min(WAIT_SECONDS_MAX, left_seconds)
            looks.append(await look(client, meeting.run_id, wait_seconds=wait_seconds))

    async with AsyncExitStack() as stack:
        eras = [ERAS[n % len(ERAS)] for n in range(max(len(ERAS), count // WATCHERS_PER_CLIENT))]
        clients = [
            await stack.enter_async_context(Client(f"{meeting.url}/mcp", mode=era)) for era in eras
        ]
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(one, clients[number % len(clients)], number)
    return looks


@asynccontextmanager
async def crowd(meeting: Meeting, count: int) -> AsyncGenerator[None]:
    """*count* others who watch, in a process of their own.

    Raises:
        AssertionError: one of them was refused, or they did not leave when they should.
    """
    process = await to_thread.run_sync(_spawned, meeting, count)
    try:
        yield
        assert await to_thread.run_sync(process.wait, END_SECONDS_MAX) == 0, "the crowd broke up"
    finally:
        process.kill()
        await to_thread.run_sync(process.wait, END_SECONDS_MAX)


def _spawned(meeting: Meeting, count: int) -> subprocess.Popen[bytes]:
    times = map(str, (meeting.from_seconds, meeting.until_seconds))
    arguments = [meeting.url, meeting.run_id, str(count), *times]
    return subprocess.Popen([sys.executable, "-m", "benchmarks.watchers", *arguments], cwd=ROOT)


def main() -> None:
    """Watch, and tell nothing."""
    url, run_id, count, from_seconds, until_seconds = sys.argv[1:]
    meeting = Meeting(url, run_id, float(from_seconds), float(until_seconds))
    anyio.run(watch, meeting, int(count))


if __name__ == "__main__":
    main()
