"""One connection of a load: sends prepared statements over libpq and takes what comes back.

It never waits and knows nothing of when it is to send; the thread that owns it does the waiting.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns
from typing import Protocol

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer

from benchgate.backend.drivers.backoff import delays_s
from benchgate.backend.drivers.postgres.client import Connection
from benchgate.backend.drivers.postgres.failures import error_of
from benchgate.backend.drivers.postgres.values import BindSent
from benchgate.domain.templates import QueryKind

NOTHING_IN_FLIGHT = 0
# Answers with more rows come in pieces of so many, so that no answer has to fit into memory.
ROWS_AT_ONCE = 1_000
LIBPQ_WITH_PIECES = 170_000

# Plain numbers, because comparing with an enum takes as long as taking a row.
TUPLES_OK = int(pq.ExecStatus.TUPLES_OK)
ROWS = frozenset({TUPLES_OK, int(pq.ExecStatus.TUPLES_CHUNK)})
COMMAND_OK = int(pq.ExecStatus.COMMAND_OK)


class WaitForRoom(Protocol):
    """How to wait for room to write in the socket of a number, or not any more."""

    def __call__(self, number: int, *, wanted: bool) -> None: ...  # noqa: D102 - it is the class


@dataclass(frozen=True, slots=True)
class Task:
    """One operation of the mix: what is sent, and where its figures go."""

    kind: QueryKind
    name: bytes  # of its prepared statement
    bind: BindSent
    in_pieces: bool  # it may answer with any number of rows
    note_rows: Callable[[int], None]
    note_response_ns: Callable[[int], None]
    note_service_ns: Callable[[int], None]


class Seat:
    """The place of one connection in the load, which outlives every session that fills it.

    The values that its connection draws go on where a lost session stopped.
    """

    def __init__(
        self, tasks: Sequence[Task], generator: random.Random, *, phase: float = 0.0
    ) -> None:
        self.tasks = tasks
        self.generator = generator
        self.phase = phase  # the part of the time to think that passes before the first operation
        self.delays_s: Iterator[float] = delays_s(generator)

    def drawing(self) -> Callable[[], Task]:
        """How the next operation is drawn: uniformly from the mix."""
        tasks, draw, count = self.tasks, self.generator.random, len(self.tasks)
        if count == 1:
            return partial(tasks.__getitem__, 0)
        return lambda: tasks[int(draw() * count)]

    def settle(self) -> None:
        """The connection stands: the next loss begins with a short delay again."""
        self.delays_s = delays_s(self.generator)


class Session:
    """A connection with its statements prepared, and at most one operation in flight."""

    def __init__(
        self, connection: Connection, seat: Seat, *, decode_rows: bool, wait_for_room: WaitForRoom
    ) -> None:
        # Take what has come in; whether it ends the operation, whose figures are noted then.
        # Raises psycopg.OperationalError where the connection is lost.
        self.take = self._take
        self.seat = seat
        self.number = connection.fileno()
        self.pid = connection.info.backend_pid
        self.connection = connection
        self.task = seat.tasks[0]
        self.sent_ns = NOTHING_IN_FLIGHT
        self.due_ns = 0  # of an operation on a schedule
        self.idle_ns = 0  # since when it has been free for one
        self.ended_ns = 0  # when the last operation ended
        self.error: psycopg.Error | None = None  # of the last operation
        self._rows = 0
        self._pgconn = connection.pgconn
        self._wait_for_room = wait_for_room
        self._draw_task = seat.drawing()
        self._reader: abc.Transformer | None = (
            Transformer.from_context(connection) if decode_rows else None
        )

    def begin(self) -> None:
        """Draw an operation and send it.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        pgconn = self._pgconn
        self.task = task = self._draw_task()
        parameters = task.bind()
        self.sent_ns = perf_counter_ns()
        pgconn.send_query_prepared(task.name, parameters)
        if task.in_pieces:
            pgconn.set_chunked_rows_mode(ROWS_AT_ONCE)
        if pgconn.flush():
            self.take = self._take_and_send
            self._wait_for_room(self.number, wanted=True)

    def _take(self) -> bool:
        pgconn = self._pgconn
        pgconn.consume_input()
        while not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                break
            status = result.status
            if status == TUPLES_OK and self._reader is None:
                self._rows += result.ntuples
            else:
                self._take_other(result, status)
        else:
            return False
        self.ended_ns = ended_ns = perf_counter_ns()
        sent_ns, self.sent_ns = self.sent_ns, NOTHING_IN_FLIGHT
        if self.error is None and sent_ns:
            task = self.task
            task.note_rows(self._rows)
            if self.due_ns:
                task.note_response_ns(ended_ns - self.due_ns)
            # The last one, because by it the operations are counted.
            task.note_service_ns(ended_ns - sent_ns)
        self._rows = 0
        return sent_ns != NOTHING_IN_FLIGHT

    def _take_and_send(self) -> bool:
        """The same while a part of the operation waits for room to be sent."""
        if not self._pgconn.flush():
            self.take = self._take
            self._wait_for_room(self.number, wanted=False)
        return self._take()

    def _take_other(self, result: pq.abc.PGresult, status: int) -> None:
        """Take what is not just rows to be counted."""
        if status in ROWS:
            self._rows += result.ntuples
            if self._reader is not None:
                self._read(result, self._reader)
        elif status == COMMAND_OK:
            self._rows += result.command_tuples or 0
        else:
            # Of a session that is ended, the first error is the server's word.
            self.error = self.error or error_of(result)

    def is_broken(self) -> bool:
        """Whether libpq knows that the server is gone."""
        return self._pgconn.status != pq.ConnStatus.OK

    def close(self) -> None:
        """End the session without waiting for the server."""
        self.connection.close()

    def _read(self, result: pq.abc.PGresult, reader: abc.Transformer) -> None:
        """Make Python's own objects of all rows, as a program would that works with them."""
        reader.set_pgresult(result)
        try:
            reader.load_rows(0, result.ntuples, tuple)
        except psycopg.DataError as exc:
            self.error = exc
