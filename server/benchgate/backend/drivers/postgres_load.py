"""The load on PostgreSQL: one task for each connection, and how none is left behind.

When it has to stop, an operation in flight may finish within `FINISH_LIMIT_S`; then it is
cancelled on the server, the session is closed in good order, and a session that is still there
after `CLOSE_LIMIT_S` is terminated over a connection of its own. A server that lost its client
without a word looks for it twice a second.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import anyio
from anyio.lowlevel import checkpoint

from benchgate.backend.drivers.backoff import delays_s
from benchgate.backend.drivers.operations import Operation
from benchgate.backend.drivers.port import Recorder, Target
from benchgate.backend.drivers.postgres_client import (
    CLIENT_ERRORS,
    STALE,
    STATEMENT_LIMIT_S,
    Call,
    Connection,
    call_of,
    connect,
    failure_of,
    message_of,
    refusal_of,
)
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

OPEN_AT_ONCE = 16
FINISH_LIMIT_S = 0.5
CLOSE_LIMIT_S = 0.5
SWEEP_LIMIT_S = 0.5
LOOK_EVERY_S = 1.0
# The server ends a statement by itself; a server that does not is cut off some time later.
SILENCE_LIMIT_S = STATEMENT_LIMIT_S + 5.0

NS_PER_S = 1_000_000_000
SWEEP = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE application_name = $1 AND pid = ANY($2::int[])
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """What all sessions of a load have in common."""

    target: Target
    name: str
    sql: Sequence[str]
    read_only: bool
    think_time_s: float


class Session:
    """One connection with its prepared statements, and what it does."""

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        *,
        operations: Sequence[Operation],
        generator: random.Random,
    ) -> None:
        self.plan = plan
        self._recorder = recorder
        self._operations = operations
        self._generator = generator
        self._connection: Connection | None = None
        self._calls: list[Call] = []
        self._stopped = False
        self._usable = False
        self._started_ns = 0  # of the operation in flight; 0 between operations

    async def open(self) -> None:
        """Connect and prepare; the client's or our own error when that is not possible."""
        connection = await connect(
            self.plan.target, name=self.plan.name, read_only=self.plan.read_only
        )
        try:
            statements = [await connection.prepare(sql) for sql in self.plan.sql]
        except BaseException:
            connection.terminate()
            raise
        self._calls = [call_of(connection, statement) for statement in statements]
        self._connection = connection
        self._usable = not self._stopped
        self._recorder.connections_changed(+1)

    async def close(self) -> int | None:
        """End the session; the server process that may not have noticed, or None."""
        connection = self._give_up()
        if connection is None:
            return None
        pid = connection.get_server_pid()
        try:
            await connection.close(timeout=CLOSE_LIMIT_S)
        except CLIENT_ERRORS:
            connection.terminate()
            return pid
        return None

    def stop(self) -> None:
        """Begin no further operation."""
        self._stopped = True
        self._usable = False

    def look_after(self) -> None:
        """Cut off a server that has been silent for longer than it allows itself."""
        started_ns = self._started_ns
        silent_s = (perf_counter_ns() - started_ns) / NS_PER_S if started_ns else 0
        if silent_s > SILENCE_LIMIT_S and self._connection is not None:
            self._connection.terminate()

    async def run(self) -> None:
        """Load until stopped, connecting again whenever the connection is lost."""
        while not self._stopped:
            await self._load()
            if not self._stopped:
                lost = self._give_up()
                if lost is not None:
                    lost.terminate()
                await self._reopen()

    def _give_up(self) -> Connection | None:
        connection, self._connection = self._connection, None
        self._usable = False
        if connection is not None:
            self._recorder.connections_changed(-1)
        return connection

    async def _reopen(self) -> None:
        for delay_s in delays_s(self._generator):
            await anyio.sleep(delay_s)
            if self._stopped:
                return
            try:
                await self.open()
            except (*CLIENT_ERRORS, DatabaseError) as exc:
                failure = FailureKind.CREDENTIALS
                if not isinstance(exc, DatabaseError):
                    failure = failure_of(exc)
                self._recorder.failed(None, failure, refusal_of(exc, self.plan.target))
            else:
                return

    async def _load(self) -> None:
        draw, operations, count = self._generator.random, self._operations, len(self._operations)
        calls, succeeded = self._calls, self._recorder.succeeded
        think_time_s = self.plan.think_time_s
        while self._usable:
            operation = operations[int(draw() * count)]
            call, parameters = calls[operation.number], operation.bind()
            self._started_ns = started_ns = perf_counter_ns()
            try:
                await call(parameters)
            except CLIENT_ERRORS as exc:
                self._fail(operation, exc)
                # What fails before it is sent would never let anybody else have a turn.
                await checkpoint()
            else:
                succeeded(operation.kind, (perf_counter_ns() - started_ns) // 1000)
            self._started_ns = 0
            if think_time_s:
                await anyio.sleep(think_time_s)

    def _fail(self, operation: Operation, exc: Exception) -> None:
        failure = failure_of(exc)
        self._recorder.failed(operation.kind, failure, message_of(exc))
        gone = self._connection is None or self._connection.is_closed()
        if gone or failure is FailureKind.CONNECTION or isinstance(exc, STALE):
            self._usable = False


async def open_all(sessions: Sequence[Session]) -> None:
    """Connect every session, a few at a time.

    Raises:
        DatabaseError: one of them cannot be connected; those that were stay open.
    """
    limiter = anyio.CapacityLimiter(OPEN_AT_ONCE)
    opened = 0
    causes: list[Exception] = []

    async def open_one(session: Session) -> None:
        nonlocal opened
        try:
            async with limiter:
                await session.open()
        except (*CLIENT_ERRORS, DatabaseError) as exc:
            causes.append(exc)
            tasks.cancel_scope.cancel()
        else:
            opened += 1

    async with anyio.create_task_group() as tasks:
        for session in sessions:
            tasks.start_soon(open_one, session)
    if causes:
        message = refusal_of(causes[0], sessions[0].plan.target)
        raise DatabaseError(
            f"{opened} of a worker's {len(sessions)} connections could be opened: {message}"
        ) from causes[0]


async def load(sessions: Sequence[Session], *, stop: anyio.Event) -> None:
    """Run every session until *stop* is set and what is in flight has finished, or had its time."""
    async with anyio.create_task_group() as supervision:
        with anyio.CancelScope() as working:

            async def supervise() -> None:
                await _watch(sessions, stop)
                await anyio.sleep(FINISH_LIMIT_S)
                working.cancel()

            supervision.start_soon(supervise)
            async with anyio.create_task_group() as tasks:
                for session in sessions:
                    tasks.start_soon(session.run)
        supervision.cancel_scope.cancel()


async def _watch(sessions: Sequence[Session], stop: anyio.Event) -> None:
    """Look after the sessions until *stop* is set, then let them begin nothing more."""
    while not stop.is_set():
        with anyio.move_on_after(LOOK_EVERY_S):
            await stop.wait()
        for session in sessions:
            session.look_after()
    for session in sessions:
        session.stop()


async def close_all(sessions: Sequence[Session]) -> None:
    """End every session, on the server as well, whatever the caller's own fate is."""
    left: list[int] = []

    async def close_one(session: Session) -> None:
        pid = await session.close()
        if pid is not None:
            left.append(pid)

    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as tasks:
            for session in sessions:
                tasks.start_soon(close_one, session)
        if left:
            await _sweep(sessions[0].plan, left)


async def _sweep(plan: Plan, pids: Sequence[int]) -> None:
    """Terminate the server processes that did not end with their sessions."""
    try:
        with anyio.fail_after(SWEEP_LIMIT_S):
            connection = await connect(plan.target, read_only=True)
            try:
                await connection.fetch(SWEEP, plan.name, pids)
            finally:
                connection.terminate()
    except (*CLIENT_ERRORS, DatabaseError) as exc:
        # The server looks for its clients by itself; here is nothing more to be done.
        log.warning("%d sessions could not be ended: %s", len(pids), one_line(message_of(exc)))
