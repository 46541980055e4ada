"""A worker process: loads what its assignment says and reports every second.

`python -m benchgate.backend.engine.worker` reads `messages` from its input and writes them to its
output; the process that starts it is `crew`. When its input ends, whoever started it is gone: it
stops, so that a killed backend leaves no worker and no session behind.

**What is measured, and for how long.** All workers begin at one instant. An operation belongs to
the second in which its answer arrives. At the end of each second of the load a worker takes what
has been answered until then and reports it with the exact length of the interval, by a clock that
is read as it takes; so a report that comes a few milliseconds late is longer, not wrong. Warm-up
and measurement are whole seconds, so the boundary between them is one of these cuts: nothing that
was answered in the warm-up is measured, and nothing that is answered after the last cut.
"""

import asyncio
import importlib.util
import logging
import signal
import sys
import threading
from contextlib import suppress
from io import FileIO
from time import perf_counter_ns

import anyio

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.engine.messages import (
    TO_WORKER,
    Begin,
    Broken,
    Done,
    Go,
    Ready,
    Stop,
    line_of,
)
from benchgate.backend.engine.tally import Tally
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError

FOLD_EVERY_S = 0.1  # often enough that no operation waits for it
NS_PER_S = 1_000_000_000

log = logging.getLogger(__name__)


class Worker:
    """One worker's course, from its assignment to its last report."""

    def __init__(self, begin: Begin) -> None:
        self._assignment = begin.assignment
        self._tally = Tally()
        self._go: Go | None = None
        self._going = anyio.Event()
        self._halted = anyio.Event()  # the load shall end; set by the clock or from outside
        self._driver_stop = anyio.Event()

    def hear(self, message: Begin | Go | Stop | None) -> None:
        """Take in what the parent says; None when it is gone."""
        if isinstance(message, Go):
            self._go = message
        elif not isinstance(message, Begin):
            self._halted.set()
        self._going.set()

    async def work(self) -> str | None:
        """Load until the time is over or a halt is heard, then end every session.

        The answer is why the load could not be carried out, or None.
        """
        reason = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report)
            try:
                driver = driver_for(self._assignment.target.table_type)
                await driver.drive(
                    self._assignment, self._tally, ready=self._be_ready, stop=self._driver_stop
                )
            except BenchgateError as exc:
                reason = str(exc)
            tasks.cancel_scope.cancel()
        return reason

    async def _be_ready(self) -> None:
        say(Ready())
        await self._going.wait()
        if self._go is not None:
            await self._until(self._go.start_ns)

    async def _report(self) -> None:
        await self._going.wait()
        if self._go is not None:
            await self._report_seconds(self._go)
        self._driver_stop.set()

    async def _report_seconds(self, go: Go) -> None:
        await self._until(go.start_ns)
        if self._halted.is_set():
            return
        cut_ns = go.start_ns
        for second in range(1, go.warmup_seconds + go.duration_seconds + 1):
            await self._until(go.start_ns + second * NS_PER_S)
            before_ns, cut_ns = cut_ns, perf_counter_ns()
            say(
                self._tally.take(
                    second=second,
                    is_measured=second > go.warmup_seconds,
                    interval_ns=cut_ns - before_ns,
                )
            )
            if self._halted.is_set():
                return

    async def _until(self, instant_ns: int) -> None:
        """Return at that instant, or at a halt; fold what is collected meanwhile."""
        while not self._halted.is_set():
            left_s = (instant_ns - perf_counter_ns()) / NS_PER_S
            if left_s <= 0:
                return
            with anyio.move_on_after(min(left_s, FOLD_EVERY_S)):
                await self._halted.wait()
            self._tally.fold()


def say(message: Value) -> None:
    """Tell the parent; when it is gone there is nobody left to tell."""
    try:
        sys.stdout.buffer.write(line_of(message))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        log.debug("nobody listens any more")


async def serve(begin: Begin, source: FileIO) -> None:
    """Do what *begin* says while a thread listens to the parent at *source*."""
    worker = Worker(begin)
    loop = asyncio.get_running_loop()

    def listen() -> None:
        # The loop may have been closed since: then there is nobody left to hear it.
        with suppress(RuntimeError):
            for line in iter(source.readline, b""):
                loop.call_soon_threadsafe(worker.hear, TO_WORKER.validate_json(line))
            loop.call_soon_threadsafe(worker.hear, None)

    # A thread that waits for input cannot be ended: a daemon does not hold up the exit.
    threading.Thread(target=listen, daemon=True).start()
    reason = await worker.work()
    say(Done() if reason is None else Broken(reason=reason))


def main() -> None:
    """Run one worker process."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminal sends the interrupt to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Unbuffered, because the interpreter cannot end while a thread waits inside a buffer.
    source = FileIO(sys.stdin.fileno(), closefd=False)
    begin = TO_WORKER.validate_json(source.readline())
    if not isinstance(begin, Begin):
        sys.exit("A worker is told what to do on its first line.")
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    try:
        anyio.run(serve, begin, source, backend_options={"use_uvloop": has_uvloop})
    except Exception:
        log.exception("The worker broke")
        say(Broken(reason="A worker process broke; the backend's log says how."))
        sys.exit(1)


if __name__ == "__main__":
    main()
