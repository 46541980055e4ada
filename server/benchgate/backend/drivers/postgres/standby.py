"""A session that is open while a load runs, over which the sessions of the load can be ended.

A server process that sleeps, computes or waits for a lock does not notice that its client has gone
until it looks for it. So it is told to end; and because it may take all cores with its like, by
somebody who is there already: to connect takes several ways to the server and back.

What is wished for is not forgotten when that session is lost: it is made again.
"""

import logging
import math
import threading

import anyio
from anyio import from_thread

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.client import Connection, fetch, looked
from benchgate.backend.drivers.postgres.survey import room_of
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

# What is silent for minutes is forgotten by firewalls on the way.
PING_S = 60.0
RETRY_S = 5.0
RETRY_SOON_S = 0.1  # when its sessions are to end
HOLD_LIMIT_S = 7 * 24 * 3600.0  # a load lasts days at most

# The server ends sessions of the same user only.
END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE application_name = $1::name AND usename = session_user AND pid <> pg_backend_pid()
   AND ($2::float8 = 0
        OR (state = 'active' AND clock_timestamp() - query_start > $2::float8 * interval '1 s'))
"""

log = logging.getLogger(__name__)


class PostgresStandby:
    """Ends the sessions that bear one name; `serve` has to run meanwhile."""

    def __init__(self, target: Target, application_name: str, *, growth: int) -> None:
        """Leave the server room for the *growth* of the load, so many connections."""
        self.settled = anyio.Event()
        self._target = target
        self._name = application_name
        self._growth = growth
        self._has_given_way = False
        self._wish: float | None = None
        self._is_wished = anyio.Event()
        self._is_over = False
        self._called = threading.Event()

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
        try:
            await looked(self._target, self._obey, read_only=True, limit_s=HOLD_LIMIT_S)
        except DatabaseError as exc:
            log.info("No session stands by to end those of the load: %s", one_line(str(exc)))

    async def _pause(self) -> None:
        if self._wish is not None:
            await anyio.sleep(RETRY_SOON_S)
            return
        with anyio.move_on_after(math.inf if self._has_given_way else RETRY_S):
            await self._is_wished.wait()

    def _obey(self, connection: Connection) -> None:
        # When the load ends it needs no room any more.
        if self._wish is None and self._is_in_the_way(connection):
            self._has_given_way = True
            return
        from_thread.run_sync(self.settled.set)
        while not self._is_over:
            self._called.clear()
            wish = self._wish
            if wish is None:
                fetch(connection, "SELECT 1")
            else:
                fetch(connection, END, self._name, wish)
            self._called.wait(PING_S)

    def _is_in_the_way(self, connection: Connection) -> bool:
        """Whether the load may come to need the place of this session."""
        room = room_of(connection)
        return room is not None and room.most - room.used - room.reserved <= self._growth
