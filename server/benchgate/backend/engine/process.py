"""Workers as processes of this machine: started, heard, told and ended.

Knows the pipe and the process; what is said over the pipe matters only to the crew. Processes are
apart from the one that serves pages, so that serving a page never costs the load a millisecond.
"""

import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import ValidationError

from benchgate.backend.engine.messages import (
    FROM_WORKER,
    LINE_BYTES_MAX,
    FromWorker,
    line_of,
)
from benchgate.backend.engine.worker import DRIVERS
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

# -P: a worker imports nothing from the folder that the backend happens to have been started in.
COMMAND = (sys.executable, "-P", "-m", "benchgate.backend.engine.worker")
SAY_LIMIT_S = 5.0
CLOSE_LIMIT_S = 2.0
LOGGED_LINES_MAX = 100
ERROR_LINE_BYTES_MAX = 65_536

log = logging.getLogger(__name__)


class ProcessMember:
    """A worker process and what is known of it."""

    def __init__(self, number: int, process: Process) -> None:
        """Know worker *number* by its *process*."""
        self.number = number
        self.is_ready = False
        self.has_stopped = False
        self.is_done = False
        self.has_exited = False
        self._process = process
        self._last_words = ""
        assert process.stdout is not None
        self._output = BufferedByteReceiveStream(process.stdout)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def hear(self) -> FromWorker | None:
        """The next thing that the worker says; None when it has exited."""
        while True:
            try:
                line = await self._output.receive_until(b"\n", LINE_BYTES_MAX)
                return FROM_WORKER.validate_json(line)
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
                await self._process.wait()
                self.has_exited = True
                return None
            except ValidationError:
                log.warning("worker %d said something that is not a message", self.number)
            except anyio.DelimiterNotFound:
                # What has come in without an end of a line stays there: it would be met for ever.
                self._last_words = "it said something that does not end"
                self.kill()
                await self._process.wait()
                self.has_exited = True
                return None

    async def tell(self, message: Value) -> None:
        """Say *message*; a worker that has gone hears nothing, and is met when it is heard."""
        assert self._process.stdin is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            with anyio.move_on_after(SAY_LIMIT_S):
                await self._process.stdin.send(line_of(message))

    async def log_errors(self) -> None:
        """Pass the first lines of the worker's standard error on to our own log."""
        assert self._process.stderr is not None
        logged = 0
        async for line in lines_of(self._process.stderr):
            self._last_words = line
            logged += 1
            if logged <= LOGGED_LINES_MAX:
                log.warning("worker %d: %s", self.number, line)

    def fate(self) -> str:
        """How the process ended, in words."""
        code = self._process.returncode
        how = f"with exit code {code}"
        if code is not None and code < 0:
            how = f"by {signal.Signals(-code).name}"
        last_words = f": {self._last_words}" if self._last_words else ""
        return f"Worker {self.number + 1} (process {self.pid}) ended {how}{last_words}."

    def kill(self) -> None:
        """End the process at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Let go of the process: it hears that by the end of its input, and is killed if not."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.move_on_after(CLOSE_LIMIT_S):
            await self._process.wait()
        if self._process.returncode is None:
            self.kill()
        await self._process.aclose()


class ThisMachine:
    """The place where workers are processes of this machine."""

    is_here = True

    def __init__(self, drivers: str = DRIVERS) -> None:
        """Workers look for their drivers at *drivers*, the name of a function and its module."""
        self._drivers = drivers

    @property
    def cores(self) -> int:
        """The cores that this process may use: a container may have fewer than the machine."""
        if hasattr(os, "sched_getaffinity"):
            return max(1, len(os.sched_getaffinity(0)))
        return max(1, os.cpu_count() or 1)

    @property
    def workers(self) -> int:
        """As many as there are cores left over: beyond two, one is for everything else."""
        return max(min(2, self.cores), self.cores - 1)

    async def start(self, number: int) -> ProcessMember:
        """A new worker process, which waits for its first line."""
        return ProcessMember(number, await anyio.open_process([*COMMAND, self._drivers]))

    async def close(self) -> None:
        """Nothing is left of the place when its members are closed."""


async def lines_of(stream: ByteReceiveStream) -> AsyncGenerator[str]:
    """Each line of *stream*, made fit for a log."""
    buffered = BufferedByteReceiveStream(stream)
    with suppress(anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            try:
                line = await buffered.receive_until(b"\n", ERROR_LINE_BYTES_MAX)
            except anyio.DelimiterNotFound:
                line = await buffered.receive(ERROR_LINE_BYTES_MAX)
            yield one_line(line.decode(errors="replace"))
