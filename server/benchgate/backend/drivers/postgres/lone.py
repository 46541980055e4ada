"""What a worker does by itself about sessions whose operations do not end.

Where its crew is gone it has the server end them, over a session that is opened for it. Where that
is not possible, or the crew could not do it, it asks the server to give the operations up.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic

import psycopg

from benchgate.backend.drivers.postgres.client import connect, fetch
from benchgate.backend.drivers.postgres.failures import CLIENT_ERRORS, message_of
from benchgate.backend.drivers.postgres.opening import Plan
from benchgate.backend.drivers.postgres.session import Session
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

TERMINATE_LIMIT_S = 0.4
CANCEL_LIMIT_S = 0.15
DECISION_LIMIT_S = 5.0

# The name as well: a server process may have ended, and its number be another one's.
TERMINATE = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE application_name = $1::name AND pid = ANY($2::int[])
"""

log = logging.getLogger(__name__)


class LoneEnd:
    """The end of sessions on the server, for which a session is opened at once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pids: Sequence[int] = ()
        self._ended: set[object] = set()
        self._is_decided = threading.Event()
        self._thread = threading.Thread(target=self._work, name="postgres-ending", daemon=True)
        self._thread.start()

    def end(self, sessions: Sequence[Session]) -> None:
        """Have the server end *sessions*, as far as it can be reached in time."""
        self._pids = [session.pid for session in sessions]
        self._is_decided.set()
        if not sessions:
            return
        self._thread.join(TERMINATE_LIMIT_S)
        # A pooler numbers its clients by itself, and a server that is full has no room for one
        # session more.
        ended = {*self._ended}
        give_up([session for session in sessions if session.pid not in ended])

    def _work(self) -> None:
        try:
            connection = connect(self._plan.target, read_only=True)
            try:
                if self._is_decided.wait(DECISION_LIMIT_S) and self._pids:
                    rows = fetch(connection, TERMINATE, self._plan.name, self._pids)
                    self._ended.update(row[0] for row in rows)
            finally:
                connection.close()
        except (*CLIENT_ERRORS, DatabaseError) as exc:
            # The server looks for its clients by itself; here is nothing more to be done.
            log.warning("No session could be ended: %s", one_line(message_of(exc)))


def give_up(sessions: Sequence[Session]) -> None:
    """Have the server interrupt *sessions*, as many of them as can be reached in time."""
    if sessions:
        log.info("%d sessions could not be ended and are asked to give up", len(sessions))
        canceller = threading.Thread(target=_cancel, args=(sessions,), daemon=True)
        canceller.start()
        canceller.join(CANCEL_LIMIT_S)


def _cancel(sessions: Sequence[Session]) -> None:
    until_s = monotonic() + CANCEL_LIMIT_S
    for session in sessions:
        left_s = until_s - monotonic()
        if left_s <= 0:
            return
        with suppress(psycopg.Error):
            session.connection.cancel_safe(timeout=left_s)
