"""A worker as a process of its own: `python -m benchgate.backend.engine.worker`.

It reads `messages` from its input and writes them to its output; `process` starts it. When its
input ends, whoever started it is gone: it stops, so that a killed backend leaves no worker and no
session behind.
"""

import asyncio
import logging
import signal
import sys
import threading
from contextlib import suppress
from io import FileIO

import anyio

from benchgate.backend.drivers.catalog import driver_for
from benchgate.backend.engine.messages import TO_WORKER, Begin, Broken, line_of
from benchgate.backend.engine.work import Worker
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError

# A thread that computes gives way to one that waits after so long at the latest: the load must not
# wait for a report.
SWITCH_INTERVAL_S = 0.000_5

log = logging.getLogger(__name__)


def say(message: Value) -> None:
    """Tell the parent; when it is gone there is nobody left to tell."""
    try:
        sys.stdout.buffer.write(line_of(message))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        log.debug("nobody listens any more")


async def serve(worker: Worker, source: FileIO) -> None:
    """Let *worker* work while a thread listens to the parent at *source*."""
    loop = asyncio.get_running_loop()

    def listen() -> None:
        # The loop may have been closed since: then there is nobody left to hear it.
        with suppress(RuntimeError):
            for line in iter(source.readline, b""):
                loop.call_soon_threadsafe(worker.hear, TO_WORKER.validate_json(line))
            loop.call_soon_threadsafe(worker.hear, None)

    # A thread that waits for input cannot be ended: a daemon does not hold up the exit.
    threading.Thread(target=listen, daemon=True).start()
    await worker.work()


async def _run(begin: Begin, source: FileIO) -> None:
    try:
        driver = driver_for(begin.assignment.target.table_type)
    except BenchgateError as exc:
        say(Broken(reason=str(exc)))
        return
    await serve(Worker(begin.assignment, driver, say), source)


def main() -> None:
    """Run one worker process."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminal sends the interrupt to the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Unbuffered, because the interpreter cannot end while a thread waits inside a buffer.
    source = FileIO(sys.stdin.fileno(), closefd=False)
    begin = TO_WORKER.validate_json(source.readline())
    if not isinstance(begin, Begin):
        sys.exit("A worker is told what to do on its first line.")
    try:
        anyio.run(_run, begin, source)
    except Exception:
        log.exception("The worker broke")
        say(Broken(reason="A worker process broke; the backend's log says how."))
        sys.exit(1)


if __name__ == "__main__":
    main()
