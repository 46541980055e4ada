"""A worker as a Ray actor: the same life as that of a worker process, with queues for pipes.

Ray calls the methods in threads of their own, and the worker has another one: however busy it is,
the cluster hears that it lives. It stops by itself when nobody has asked for its lines for a
while, because a machine that was cut off is told by nobody that its run is over.
"""

import os
import queue
import sys
import threading
from contextlib import suppress
from importlib import import_module
from io import FileIO
from time import monotonic, sleep

from benchgate import __version__
from benchgate.backend.engine.messages import line_of
from benchgate.backend.engine.worker import SWITCH_INTERVAL_S, live
from benchgate.domain.values import Value

# Longer than the bridge waits for an answer: a worker that it still counts on does not give up.
UNHEARD_LIMIT_S = 4.0
LOOK_EVERY_S = 0.25
# A line a second is said; so many unheard ones are hours.
LINES_MAX = 10_000
END = b""  # the last line of a worker: it has ended


class LoadActor:
    """Hosts one worker, and is asked for what it says."""

    def __init__(self, drivers: str) -> None:
        """Wait for the first line; the worker looks for its driver at *drivers*."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        reading, self._writing = os.pipe()
        # The process ends with its worker, and a thread that reads holds on to its file.
        self._source = FileIO(reading, closefd=False)
        self._pipe_lock = threading.Lock()
        self._is_open = True
        self._lines: queue.Queue[bytes] = queue.Queue(LINES_MAX)
        self._asked_at = monotonic()
        threading.Thread(target=self._live, args=(drivers,), daemon=True).start()
        threading.Thread(target=self._give_up_unheard, daemon=True).start()

    def about(self) -> tuple[str, str, int]:
        """The version of benchgate on this machine, the machine's address and the process."""
        # Late, because it is an optional extra; whoever calls this has it.
        node: str = import_module("ray.util").get_node_ip_address()
        return __version__, node, os.getpid()

    def tell(self, line: bytes) -> None:
        """Hand *line* to the worker."""
        with self._pipe_lock, suppress(BrokenPipeError):
            if self._is_open:
                os.write(self._writing, line)

    def next_lines(self, limit_s: float) -> list[bytes]:
        """What the worker has said since; nothing where it is silent for *limit_s*."""
        self._asked_at = monotonic()
        lines: list[bytes] = []
        with suppress(queue.Empty):
            lines.append(self._lines.get(timeout=limit_s))
            while True:
                lines.append(self._lines.get_nowait())
        self._asked_at = monotonic()
        return lines

    def _live(self, drivers: str) -> None:
        try:
            live(self._source, self._say, drivers)
        finally:
            self._lines.put(END)

    def _say(self, message: Value) -> None:
        self._lines.put(line_of(message))

    def _give_up_unheard(self) -> None:
        while monotonic() - self._asked_at < UNHEARD_LIMIT_S:
            sleep(LOOK_EVERY_S)
        with self._pipe_lock:
            self._is_open = False
            os.close(self._writing)
