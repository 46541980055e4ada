"""A session that is open while a load runs, over which the sessions of the load can be ended.

A server process that sleeps, computes or waits for a lock does not notice that its client has gone
until it looks for it. So it is told to end; and because it may take all cores with its like, by
somebody who is there already: to connect takes several ways to the server and back.

It stands in nobody's way: where the load may come to need its place there is none until the load
ends. What is wished for is not forgotten when the session is lost or falls silent: it is made anew.
"""

import logging
import threading
from time import monotonic

import anyio
from anyio import from_thread

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.client import Connection, fetch, looked
from benchgate.backend.drivers.postgres.failures import failure_of
from benchgate.backend.drivers.postgres.survey import room_of
from benchgate.domain.failures import FailureKind
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

# What is silent for minutes is forgotten by firewalls on the way.
PING_S = 60.0
RETRY_S = 5.0
RETRY_SOON_S = 0.1  # when its sessions are to end
ANSWER_LIMIT_S = 10.0
ANSWER_SOON_LIMIT_S = 0.6  # when they are; a server without a core left takes half of it
WATCH_S = 0.5
WATCH_CLOSELY_S = 0.1
HOLD_LIMIT_S = 7 * 24 * 3600.0  # a load lasts days at most

# The server ends sessions of the same user only.
OURS = (
    "FROM pg_stat_activity WHERE application_name = $1::name AND usename = session_user "
    "AND pid <> pg_backend_pid()"
)
COUNT = f"SELECT count(*) {OURS}"
END = f"""
SELECT count(pg_terminate_backend(pid)) {OURS}
   AND ($2::float8 = 0
        OR (state = 'active' AND clock_timestamp() - query_start > $2::float8 * interval '1 s'))
"""

log = logging.getLogger(__name__)


class PostgresStandby:
    """Ends the sessions that bear one name; `serve` has to run meanwhile."""

    def __init__(self, target: Target, application_name: str, *, connections: int) -> None:
        """Leave the server room for all *connections* that the load may have at its height."""
        self.settled = anyio.Event()
        self._target = target
        self._name = application_name
        self._connections = connections
        self._has_given_way = False
        self._wish: float | None = None
        self._is_wished = anyio.Event()
        self._is_over = False
        self._called = threading.Event()
        self._asked_s: float | None = None  # since when it waits for the server

    async def serve(self) -> None:
        """Hold the session until cancelled, as far as it is to be had."""
        try:
            while True:
                await self._hold()
                self.settled.set()
                await self._pause()
        finally:
            self._is_over = True
            self._called.set()

    def end(self, *, in_flight_s: float) -> None:
        """Have those end that are at one statement for so long, or with 0 all; does not wait."""
        self._wish = in_flight_s
        self._is_wished.set()
        self._called.set()

    async def _hold(self) -> None:
        self._asked_s = monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            try:
                await looked(self._target, self._obey, read_only=True, limit_s=HOLD_LIMIT_S)
            except DatabaseError as exc:
                self._lament(exc)
            tasks.cancel_scope.cancel()

    async def _watch(self, holding: anyio.CancelScope) -> None:
        """Give the session up when the server does not answer."""
        while True:
            await anyio.sleep(WATCH_S if self._wish is None else WATCH_CLOSELY_S)
            if self._is_silent():
                log.info("The session that stood by to end those of the load has fallen silent")
                holding.cancel()
                return

    def _is_silent(self) -> bool:
        limit_s = ANSWER_LIMIT_S if self._wish is None else ANSWER_SOON_LIMIT_S
        asked_s = self._asked_s
        return asked_s is not None and monotonic() - asked_s > limit_s

    def _lament(self, exc: DatabaseError) -> None:
        cause = exc.__cause__
        if isinstance(cause, Exception) and failure_of(cause) is FailureKind.RESOURCES:
            self._has_given_way = True
        log.info("No session stands by to end those of the load: %s", one_line(str(exc)))

    async def _pause(self) -> None:
        if self._wish is not None:
            await anyio.sleep(RETRY_SOON_S)
        elif self._has_given_way:
            await self._is_wished.wait()
        else:
            with anyio.move_on_after(RETRY_S):
                await self._is_wished.wait()

    def _obey(self, connection: Connection) -> None:
        # When the load ends it needs no room any more.
        if self._wish is None and self._is_in_the_way(connection):
            self._has_given_way = True
            return
        from_thread.run_sync(self.settled.set)
        while not self._is_over:
            self._called.clear()
            wish, self._asked_s = self._wish, monotonic()
            if wish is None:
                fetch(connection, "SELECT 1")
            else:
                fetch(connection, END, self._name, wish)
            self._asked_s = None
            self._called.wait(PING_S)

    def _is_in_the_way(self, connection: Connection) -> bool:
        """Whether the load may come to need the place of this session."""
        room = room_of(connection)
        if room is None:
            return False
        ((ours,),) = fetch(connection, COUNT, self._name)
        assert isinstance(ours, int)
        others = room.used - ours
        return room.most - room.reserved - others <= self._connections
