"""The load on an SQLite file: one thread for each connection, and what ends or interrupts it.

The lock wait of `LOCK_WAIT_MS` is made of short waits, because nothing can interrupt SQLite while
it waits for a lock, and a stop must not take longer than it may. A statement that was refused for
a lock has done nothing, so asking again is the same operation; its latency includes all waiting.

SQLite goes on working on a file that was deleted or replaced under it. A load that nobody could
find the rows of would look like a success, so the file's identity is looked at every second, and
a changed one is a lost connection.
"""

import random
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns

import anyio
import anyio.to_thread

from benchgate.backend.drivers.backoff import delays_s
from benchgate.backend.drivers.operations import Operation
from benchgate.backend.drivers.port import Recorder, Target
from benchgate.backend.drivers.sqlite_file import (
    LOCK_WAIT_MS,
    failure_of,
    identity_of,
    open_file,
)
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

LOCK_SLICE_MS = 250
STATEMENT_LIMIT_S = 30.0
FINISH_LIMIT_S = 0.7  # how long an operation in flight may still take after a stop
INTERRUPT_EVERY_S = 0.05
LOOK_EVERY_S = 1.0
FILE_GONE = "the database file was removed or replaced"

NS_PER_S = 1_000_000_000
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@dataclass(frozen=True, slots=True)
class Plan:
    """What all sessions of a load have in common."""

    target: Target
    sql: Sequence[str]
    read_only: bool
    think_time_s: float


class Session:
    """One connection and what it does; `run` belongs to a thread, the rest to the event loop."""

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        *,
        operations: Sequence[Operation],
        generator: random.Random,
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._operations = operations
        self._generator = generator
        self._connection: sqlite3.Connection | None = None
        self._stopped = threading.Event()
        self._usable = False  # read before every operation, so it is a plain attribute
        self._identity: tuple[int, int] | None = None  # of the file that is open
        self._started_ns = 0  # of the operation in flight; 0 between operations

    def open(self) -> None:
        """Connect; SQLite's own error when that is not possible."""
        connection = open_file(
            self._plan.target, read_only=self._plan.read_only, busy_timeout_ms=LOCK_SLICE_MS
        )
        try:
            # Opening reads nothing; this does.
            connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        self._connection = connection
        self._identity = identity_of(self._plan.target)
        self._usable = not self._stopped.is_set()
        self._recorder.connections_changed(+1)

    def close(self) -> None:
        """Give the connection back; a closed one stays closed."""
        connection, self._connection = self._connection, None
        self._usable = False
        if connection is not None:
            # An interrupt is remembered until the next statement begins. It would keep the close
            # from writing the log back, and the log would stay behind beside the file.
            with suppress(sqlite3.Error):
                connection.execute("SELECT 1").fetchone()
            connection.close()
            self._recorder.connections_changed(-1)

    def stop(self) -> None:
        """Begin no further operation."""
        self._stopped.set()
        self._usable = False

    def interrupt(self) -> None:
        """End the statement in flight."""
        connection = self._connection
        if connection is not None:
            # It may have been closed by its thread in this very moment.
            with suppress(sqlite3.ProgrammingError):
                connection.interrupt()

    def look_after(self) -> None:
        """End a statement that takes too long, and leave a file that is no longer there."""
        started_ns = self._started_ns
        if started_ns and perf_counter_ns() - started_ns > STATEMENT_LIMIT_S * NS_PER_S:
            self.interrupt()
        if self._usable and identity_of(self._plan.target) != self._identity:
            self._usable = False
            self._recorder.failed(None, FailureKind.CONNECTION, FILE_GONE)

    def run(self) -> None:
        """Load until stopped, connecting again whenever the connection is lost."""
        while not self._stopped.is_set():
            if self._connection is not None:
                self._load(self._connection)
            if not self._stopped.is_set():
                self.close()
                self._reopen()

    def _reopen(self) -> None:
        for delay_s in delays_s(self._generator):
            if self._stopped.wait(delay_s):
                return
            try:
                self.open()
            except (sqlite3.Error, ValueError) as exc:
                self._recorder.failed(None, FailureKind.CONNECTION, str(exc))
            else:
                return

    def _load(self, connection: sqlite3.Connection) -> None:
        draw, operations, count = self._generator.random, self._operations, len(self._operations)
        succeeded, think_time_s = self._recorder.succeeded, self._plan.think_time_s
        while self._usable:
            operation = operations[int(draw() * count)]
            parameters = operation.bind()
            self._started_ns = started_ns = perf_counter_ns()
            try:
                self._execute(connection, operation, parameters=parameters)
            except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as exc:
                self._fail(operation, exc)
            else:
                succeeded(operation.kind, (perf_counter_ns() - started_ns) // 1000)
            self._started_ns = 0
            if think_time_s:
                self._stopped.wait(think_time_s)

    def _execute(
        self, connection: sqlite3.Connection, operation: Operation, *, parameters: Sequence[object]
    ) -> None:
        sql = self._plan.sql[operation.number]
        while True:
            try:
                connection.execute(sql, parameters).fetchall()  # pyright: ignore[reportArgumentType] - sampled from SQLite
            except sqlite3.OperationalError as exc:
                waited_ms = (perf_counter_ns() - self._started_ns) // 1_000_000
                is_busy = exc.sqlite_errorcode & 0xFF in BUSY
                if not is_busy or waited_ms >= LOCK_WAIT_MS or self._stopped.is_set():
                    raise
            else:
                return

    def _fail(self, operation: Operation, exc: Exception) -> None:
        failure = (
            failure_of(exc)
            if isinstance(exc, sqlite3.Error | sqlite3.Warning)
            else FailureKind.OTHER
        )
        # What a stop cut short is nobody's failure.
        if self._stopped.is_set() and failure in {FailureKind.TIMEOUT, FailureKind.LOCK}:
            return
        self._recorder.failed(operation.kind, failure, str(exc))
        if failure is FailureKind.CONNECTION:
            self._usable = False


def open_all(sessions: Sequence[Session]) -> None:
    """Connect every session.

    Raises:
        DatabaseError: one of them cannot be connected; those that were stay open.
    """
    for number, session in enumerate(sessions):
        try:
            session.open()
        except (sqlite3.Error, ValueError) as exc:
            message = one_line(str(exc))
            raise DatabaseError(
                f"{number} of a worker's {len(sessions)} connections could be opened: {message}"
            ) from exc


async def load(sessions: Sequence[Session], *, stop: anyio.Event) -> None:
    """Run every session in a thread of its own until *stop* is set, then end them all."""
    limiter = anyio.CapacityLimiter(len(sessions))
    async with anyio.create_task_group() as supervision:
        supervision.start_soon(_supervise, sessions, stop)
        async with anyio.create_task_group() as threads:
            for session in sessions:
                threads.start_soon(_run, session, limiter)
        supervision.cancel_scope.cancel()


async def _run(session: Session, limiter: anyio.CapacityLimiter) -> None:
    await anyio.to_thread.run_sync(session.run, limiter=limiter)


async def _supervise(sessions: Sequence[Session], stop: anyio.Event) -> None:
    """Watch over the sessions until *stop* is set, then see to it that their threads end."""
    try:
        while not stop.is_set():
            with anyio.move_on_after(LOOK_EVERY_S):
                await stop.wait()
            for session in sessions:
                session.look_after()
        for session in sessions:
            session.stop()
        await anyio.sleep(FINISH_LIMIT_S)
        while True:
            for session in sessions:
                session.interrupt()
            await anyio.sleep(INTERRUPT_EVERY_S)
    finally:
        # A thread cannot be cancelled: whoever cancels the load still has to wait for it.
        for session in sessions:
            session.stop()
            session.interrupt()
