"""Sessions are opened in threads of their own, so that a load goes on meanwhile.

They take seats from a queue and put sessions, or reasons why there is none, into another one. A
thread that the server keeps waiting is cut off; the threads do not keep a process alive.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import perf_counter_ns

from psycopg import pq

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.client import STATEMENT_LIMIT_S, Connection, Line, connect
from benchgate.backend.drivers.postgres.failures import CLIENT_ERRORS, error_of
from benchgate.backend.drivers.postgres.session import Seat, Session
from benchgate.backend.drivers.postgres.waits import Waits
from benchgate.errors import DatabaseError

OPEN_AT_ONCE = 16
# The server ends a statement by itself; a server that does not is cut off some time later.
SILENCE_LIMIT_NS = (STATEMENT_LIMIT_S + 5) * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What all sessions of a load have in common."""

    target: Target
    name: str
    statements: Sequence[tuple[bytes, bytes]]  # name and SQL
    read_only: bool
    decode_rows: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """What came of the wish to fill a seat: a session, or the reason why there is none."""

    seat: Seat
    session: Session | None = None
    reason: Exception | None = None


class Opener:
    """Opens sessions in the background, a few at a time."""

    def __init__(self, plan: Plan, waits: Waits) -> None:
        self._plan = plan
        self._waits = waits
        self._wanted: SimpleQueue[Seat | None] = SimpleQueue()
        self._opened: SimpleQueue[Opened] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._lines: dict[Line, int] = {}  # of sessions in the making, with when that began
        self._is_closed = False
        self.pending = 0  # sessions that were asked for and have not been taken

    def ask(self, seat: Seat) -> None:
        """Fill *seat* as soon as possible."""
        self.pending += 1
        self._wanted.put(seat)
        if len(self._threads) < min(self.pending, OPEN_AT_ONCE):
            thread = threading.Thread(target=self._work, name="postgres-opening", daemon=True)
            self._threads.append(thread)
            thread.start()

    def take(self, wait_s: float = 0) -> Opened | None:
        """The next session that is open, or was refused; None when there is none in time."""
        try:
            opened = self._opened.get(timeout=wait_s) if wait_s else self._opened.get_nowait()
        except Empty:
            return None
        self.pending -= 1
        return opened

    def look_after(self) -> None:
        """Cut off servers that have been silent for longer than they may be."""
        earliest_ns = perf_counter_ns() - SILENCE_LIMIT_NS
        with self._lock:
            for line, began_ns in self._lines.items():
                if began_ns < earliest_ns:
                    line.cut()

    def close(self) -> None:
        """Open no more: what is in the making, or was not taken, is closed."""
        with self._lock:
            self._is_closed = True
            for line in self._lines:
                line.cut()
        for _ in self._threads:
            self._wanted.put(None)
        with suppress(Empty):
            while True:
                session = self._opened.get_nowait().session
                if session is not None:
                    session.close()

    def _work(self) -> None:
        while (seat := self._wanted.get()) is not None and not self._is_closed:
            opened = self._fill(seat)
            with self._lock:
                is_closed = self._is_closed
                if not is_closed:
                    self._opened.put(opened)
            if is_closed and opened.session is not None:
                opened.session.close()
            self._waits.wake()

    def _fill(self, seat: Seat) -> Opened:
        line = Line()
        with self._lock:
            self._lines[line] = perf_counter_ns()
        try:
            session = self._open(seat, line)
        except (*CLIENT_ERRORS, DatabaseError) as exc:
            return Opened(seat, reason=exc)
        else:
            return Opened(seat, session=session)
        finally:
            with self._lock:
                del self._lines[line]
            line.release()

    def _open(self, seat: Seat, line: Line) -> Session:
        plan = self._plan
        connection = connect(plan.target, name=plan.name, read_only=plan.read_only, line=line)
        try:
            for name, sql in plan.statements:
                prepare(connection, name, sql)
            return Session(
                connection,
                seat,
                decode_rows=plan.decode_rows,
                wait_for_room=self._waits.watch_writing,
            )
        except BaseException:
            connection.close()
            raise


def prepare(connection: Connection, name: bytes, sql: bytes) -> None:
    """Let the server prepare *sql* under *name*; its own error when it refuses."""
    result = connection.pgconn.prepare(name, sql)
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise error_of(result)
