"""A session that is open while a load runs, over which the sessions of the load can be ended.

A server process that sleeps, computes or waits for a lock does not notice that its client has gone
until it looks for it. So it is told to end; and because it may take all cores with its like, by
somebody who is there already: to connect takes several ways to the server and back.
"""

import logging
from contextlib import suppress
from queue import Empty, SimpleQueue

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.client import Connection, fetch, looked
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

# What is silent for minutes is forgotten by firewalls on the way.
PING_S = 60.0
# A load lasts hours at most.
HOLD_LIMIT_S = 7 * 24 * 3600.0

# The server ends sessions of the same user only.
END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE application_name = $1::name AND usename = session_user AND pid <> pg_backend_pid()
   AND ($2::float8 = 0
        OR state = 'active' AND clock_timestamp() - query_start > $2::float8 * interval '1 s')
"""

log = logging.getLogger(__name__)


class PostgresStandby:
    """Ends the sessions that bear one name; `serve` has to run meanwhile."""

    def __init__(self, target: Target, application_name: str) -> None:
        self._target = target
        self._name = application_name
        self._wishes: SimpleQueue[float | None] = SimpleQueue()

    async def serve(self) -> None:
        """Hold the session until cancelled; less long where there is none to be had."""
        try:
            await looked(self._target, self._obey, read_only=True, limit_s=HOLD_LIMIT_S)
        except DatabaseError as exc:
            log.info("No session stands by to end those of the load: %s", one_line(str(exc)))
        finally:
            self._wishes.put(None)

    def end(self, *, in_flight_s: float) -> None:
        """Have those end that are at one statement for so long, or with 0 all; does not wait."""
        self._wishes.put(in_flight_s)

    def _obey(self, connection: Connection) -> None:
        while True:
            with suppress(Empty):
                in_flight_s = self._wishes.get(timeout=PING_S)
                if in_flight_s is None:
                    return
                fetch(connection, END, self._name, in_flight_s)
                continue
            fetch(connection, "SELECT 1")
