"""The write-ahead log of a file that is written: emptied before the load, kept within bounds.

SQLite writes its log back only while nobody reads an older state. Under a steady load that moment
may never come: the log grows, and the file seems to bear more writes than it does, because their
second half is put off. What is put off has to be paid for within the run that ordered it.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from benchgate.backend.drivers.copies import path_of
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.sqlite.file import open_file
from benchgate.domain.text import one_line

BOUND_BYTES = 64 * 2**20
TOLD_BYTES = 2**20  # a smaller one is nothing to tell of
LOOK_EVERY_S = 1.0
LOCK_WAIT_MS = 250
END_LIMIT_S = 0.3

log = logging.getLogger(__name__)


class LogKeeper:
    """A thread with a connection of its own, which outlives those of the load.

    Theirs close quickly therefore: only the last one to close a file writes the log back.
    """

    def __init__(
        self, target: Target, noticed: Callable[[str], None], is_its_turn: Callable[[], bool]
    ) -> None:
        """Keep the log of *target* small; *noticed* is told how large it became.

        It does nothing before *is_its_turn* says so: somebody else keeps the log until then.
        """
        path = path_of(target)
        self._target = target
        self._noticed = noticed
        self._is_its_turn = is_its_turn
        self._log_path: Path = path.with_name(path.name + "-wal")
        self._is_ready = threading.Event()
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log keeper", daemon=True)
        self.peak_bytes = 0

    def begin(self) -> None:
        """Empty the log if it is its turn; blocks until that is done."""
        self._thread.start()
        self._is_ready.wait()

    def end(self) -> None:
        """Empty the log again, which may take a moment longer than this waits for it."""
        self._is_ending.set()
        self._thread.join(END_LIMIT_S)
        if self._thread.is_alive():
            log.warning("%s: its log is still being written back", self._name)
        if self.peak_bytes > BOUND_BYTES:
            self._noticed(
                f"The write-ahead log grew to {self.peak_bytes >> 20} MB, although it was written "
                "back all the time: part of the work of these writes lies after the run."
            )
        elif self.peak_bytes >= TOLD_BYTES:
            self._noticed(f"The write-ahead log had {self.peak_bytes >> 20} MB at most.")

    @property
    def _name(self) -> str:
        return one_line(self._target.database)

    def _comes_to_it(self) -> bool:
        """Wait for its turn; whether that comes before the end."""
        while not self._is_its_turn():
            self._is_ready.set()
            if self._is_ending.wait(LOOK_EVERY_S):
                return False
        return True

    def _run(self) -> None:
        if not self._comes_to_it():
            return
        try:
            with closing(
                open_file(self._target, read_only=False, busy_timeout_ms=LOCK_WAIT_MS)
            ) as connection:
                if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                    self._keep(connection)
        except sqlite3.Error as exc:
            log.warning("%s: its log is not looked after: %s", self._name, one_line(str(exc)))
        finally:
            self._is_ready.set()

    def _keep(self, connection: sqlite3.Connection) -> None:
        self._write_back(connection, "TRUNCATE")
        self._is_ready.set()
        while not self._is_ending.wait(LOOK_EVERY_S):
            self._write_back(connection, "PASSIVE")
            if self._size() > BOUND_BYTES:
                self._write_back(connection, "RESTART")
        self._write_back(connection, "TRUNCATE")

    def _write_back(self, connection: sqlite3.Connection, mode: str) -> None:
        self.peak_bytes = max(self.peak_bytes, self._size())
        # What is locked by others stays as it is until the next time.
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def _size(self) -> int:
        with suppress(OSError):
            return self._log_path.stat().st_size
        return 0
