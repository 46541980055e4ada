"""FlakeBench as it behaves, in a process of its own that writes down what passes, and when.

Its work delays nobody who is measured. All times are seconds of the machine's monotonic clock,
which its processes share. `python -m benchmarks.emulation LOG` serves until it is ended.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TextIO

import anyio
import uvicorn
from anyio import to_thread
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.scene import ROOT
from tests.flakebench.app import LOOPBACK, create_app
from tests.flakebench.clock import ScaledClock
from tests.flakebench.plans import config_of
from tests.flakebench.world import World

TEMPLATE_ID = "tpl-5-minutes"
WARMUP_SECONDS = 10
MEASURED_SECONDS = 290
START_SECONDS_MAX = 20
END_SECONDS_MAX = 10


class Passed(BaseModel, frozen=True):
    """What has passed the backend's door.

    Attributes:
        what: `GET /path` and the like for a request, `stream` for one that is opened, `frame` for
            a message of the backend's, `client frame` for one that was sent to it.
        at_seconds: when; of a message of the backend's, when it began to be sent.
        elapsed_seconds: what a message with figures tells.
    """

    what: str
    at_seconds: float
    elapsed_seconds: float | None = None

    @property
    def is_request(self) -> bool:
        """Whether it is a request, and no part of a stream."""
        return "/" in self.what


class Emulation:
    """A backend that serves."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def passed(self) -> list[Passed]:
        """All that has passed so far, in order."""
        return [Passed.model_validate_json(line) for line in self._log.open(encoding="utf-8")]


class Door:
    """Lets everything through to *app* as it is, and writes it to *log*."""

    def __init__(self, app: ASGIApp, log: TextIO) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one stream."""
        if scope["type"] == "http":
            self._write(f"{scope['method']} {scope['path']}")
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        self._write("stream")

        async def received() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                self._write("client frame")
            return message

        async def sent(message: Message) -> None:
            at_seconds = time.monotonic()
            await send(message)
            if message["type"] == "websocket.send":
                data = json.loads(message["text"]).get("data", {})
                self._write("frame", at_seconds, elapsed_seconds=data.get("elapsed"))

        await self._app(scope, received, sent)

    def _write(
        self, what: str, at_seconds: float | None = None, *, elapsed_seconds: float | None = None
    ) -> None:
        at_seconds = time.monotonic() if at_seconds is None else at_seconds
        passed = Passed(what=what, at_seconds=at_seconds, elapsed_seconds=elapsed_seconds)
        self._log.write(passed.model_dump_json() + "\n")
        self._log.flush()


@asynccontextmanager
async def running(log: Path) -> AsyncGenerator[Emulation]:
    """The emulation at its real pace: one frame a second."""
    process = await to_thread.run_sync(_spawned, log)
    try:
        assert process.stdout is not None
        with anyio.fail_after(START_SECONDS_MAX):
            line = await to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
        yield Emulation(line.strip(), log)
    finally:
        process.kill()
        await to_thread.run_sync(process.wait, END_SECONDS_MAX)


def _spawned(log: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "benchmarks.emulation", str(log)]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Serve on a free port of loopback, and tell its address in the first line."""
    world = World(clock=ScaledClock(speed=1))
    config = config_of(warmup=WARMUP_SECONDS, duration=MEASURED_SECONDS)
    world.save("Fixed, 5 minutes", config, template_id=TEMPLATE_ID)
    with (
        socket.create_server((LOOPBACK, 0)) as listener,
        Path(sys.argv[1]).open("w", encoding="utf-8") as log,
    ):
        print(f"http://{LOOPBACK}:{listener.getsockname()[1]}", flush=True)
        app = Door(create_app(world), log)
        uvicorn.Server(uvicorn.Config(app, ws="wsproto", log_config=None)).run([listener])


if __name__ == "__main__":
    main()
