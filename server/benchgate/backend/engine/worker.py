"""A worker as a process of its own: `python -m benchgate.backend.engine.worker`.

It reads `messages` from its input and writes them to its output; `process` starts it. When its
input ends, whoever started it is gone: it stops, so that a killed backend leaves no worker and no
session behind.
"""

import asyncio
import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from pkgutil import resolve_name

import anyio
from pydantic import ValidationError

from benchgate.backend.drivers.port import Driver
from benchgate.backend.engine.messages import TO_WORKER, Begin, Broken, Ready, line_of
from benchgate.backend.engine.work import Worker
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError

# A thread that computes gives way to one that waits after so long at the latest: the load must not
# wait for a report.
SWITCH_INTERVAL_S = 0.000_05
# Where a worker looks for the driver of its table; tests bring drivers of their own.
DRIVERS = "benchgate.backend.drivers.catalog:driver_for"

log = logging.getLogger(__name__)


def say(message: Value) -> None:
    """Tell the parent; when it is gone there is nobody left to tell."""
    try:
        sys.stdout.buffer.write(line_of(message))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        log.debug("nobody listens any more")


async def serve(worker: Worker, source: FileIO) -> None:
    """Let *worker* work while a thread listens to the crew at *source*."""
    loop = asyncio.get_running_loop()

    def listen() -> None:
        # The loop may have been closed since: then there is nobody left to hear it.
        with suppress(RuntimeError):
            # After a line that was cut short nothing can be trusted any more: that is the end, too.
            with suppress(ValidationError):
                for line in iter(source.readline, b""):
                    loop.call_soon_threadsafe(worker.hear, TO_WORKER.validate_json(line))
            loop.call_soon_threadsafe(worker.hear, None)

    # A thread that waits for input cannot be ended: a daemon does not hold up the exit.
    threading.Thread(target=listen, daemon=True).start()
    await worker.work()


def live(source: FileIO, say: Callable[[Value], None], drivers: str) -> None:
    """A worker's whole life, from the first line of *source*; *drivers* is where its driver is.

    Raises:
        Exception: it broke, which is a defect; its crew has been told.
    """
    line = source.readline()
    if not line:  # the crew was gone before it had anything to do
        return
    begin = TO_WORKER.validate_json(line)
    assert isinstance(begin, Begin), "a worker is told what to do on its first line"
    try:
        anyio.run(_run, begin, source, partial(_say_steadied, say), drivers)
    except Exception as exc:
        say(Broken(reason=f"A worker broke, its log says how: {one_line(repr(exc))}"))
        raise


def _say_steadied(say: Callable[[Value], None], message: Value) -> None:
    """Say *message*; before the load, with all that is there by then set aside for good.

    Looking through modules, connections and sampled keys for garbage takes 20 ms and more, in
    which nothing would be sent.
    """
    if isinstance(message, Ready):
        gc.collect()
        gc.freeze()
    say(message)


async def _run(begin: Begin, source: FileIO, say: Callable[[Value], None], drivers: str) -> None:
    try:
        driver: Driver = resolve_name(drivers)(begin.assignment.target.table_type)
    except BenchgateError as exc:
        say(Broken(reason=str(exc)))
        return
    await serve(Worker(begin.assignment, driver, say), source)


def main() -> None:
    """Run one worker process; an argument may name another place than ours for drivers."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminal sends the interrupt to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Unbuffered, because the interpreter cannot end while a thread waits inside a buffer.
    source = FileIO(sys.stdin.fileno(), closefd=False)
    live(source, say, next(iter(sys.argv[1:]), DRIVERS))


if __name__ == "__main__":
    main()
