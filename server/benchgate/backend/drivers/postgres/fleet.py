"""The sessions of a load: which are open, and how those come to be that are missing or lost.

Every seat is free, waits to be filled again, is being filled, or has an open session.
"""

from collections.abc import Sequence
from time import perf_counter_ns

import psycopg

from benchgate.backend.drivers.port import Recorder
from benchgate.backend.drivers.postgres.failures import failure_of, message_of, refusal_of
from benchgate.backend.drivers.postgres.opening import Opened, Opener, Plan
from benchgate.backend.drivers.postgres.session import NOTHING_IN_FLIGHT, Seat, Session
from benchgate.backend.drivers.postgres.waits import LOOK_EVERY_S, NS_PER_S, Waits
from benchgate.domain.failures import FailureKind
from benchgate.errors import DatabaseError

# A server counts sessions that have ended until it has seen their end, and those of the survey
# have ended a moment ago: a load that takes all that are left may have to ask again.
ASKED_AGAIN_MAX = 4


class Fleet:
    """All sessions of one worker; belongs to one thread."""

    def __init__(
        self, plan: Plan, seats: Sequence[Seat], *, recorder: Recorder, waits: Waits
    ) -> None:
        self.plan = plan
        self.open: dict[int, Session] = {}  # by the numbers of their sockets
        self._free = [*reversed(seats)]
        self._lost: list[tuple[int, Seat]] = []  # with when to try again
        self._asked_again = 0  # before the load began
        self._opener = Opener(plan, waits)
        self._recorder = recorder
        self._waits = waits

    @property
    def pending(self) -> int:
        """How many sessions are being opened."""
        return self._opener.pending

    @property
    def in_being(self) -> int:
        """How many sessions there are, with those that are to be."""
        return len(self.open) + self._opener.pending + len(self._lost)

    def ask(self, count: int) -> None:
        """Open *count* more in the background, as far as there are seats."""
        for _ in range(min(count, len(self._free))):
            self._opener.ask(self._free.pop())

    def newcomer(self) -> Session | None:
        """A session that has been opened since; what was refused is reported and tried again."""
        while self._opener.pending:
            opened = self._opener.take()
            if opened is None:
                return None
            if opened.session is not None:
                return self._admit(opened.session)
            self._report(opened)
            self._put_off(opened.seat)
        return None

    def open_first(self, wait_s: float = LOOK_EVERY_S) -> bool:
        """Take one session of those that the load begins with; whether one came in time.

        Raises:
            DatabaseError: one was refused.
        """
        self.look_after(perf_counter_ns())
        opened = self._opener.take(wait_s)
        if opened is None:
            return False
        if opened.session is None:
            self._ask_again(opened)
            return False
        self._admit(opened.session)
        return True

    def look_after(self, now_ns: int) -> None:
        """Try again what was lost, and give up what takes too long."""
        self._opener.look_after()
        due = [seat for due_ns, seat in self._lost if due_ns <= now_ns]
        self._lost = [(due_ns, seat) for due_ns, seat in self._lost if due_ns > now_ns]
        for seat in due:
            self._opener.ask(seat)

    def lose(self, session: Session, failure: FailureKind, message: str) -> None:
        """Report that *session* is lost, close it, and have it made again."""
        kind = None if session.sent_ns == NOTHING_IN_FLIGHT else session.task.kind
        self._recorder.failed(kind, failure, message)
        self.replace(session)

    def replace(self, session: Session) -> None:
        """Close *session* and have it made again in a while."""
        self._remove(session)
        self._put_off(session.seat)

    def leave(self, session: Session) -> None:
        """Close *session*, which is not needed any more."""
        self._remove(session)
        self._free.append(session.seat)

    def forgo(self) -> bool:
        """Give up one of those that wait to be made again, if there is any."""
        if not self._lost:
            return False
        self._free.append(self._lost.pop()[1])
        return True

    def close_opening(self) -> None:
        """Open nothing more, whatever has been asked for."""
        self._opener.close()

    def _admit(self, session: Session) -> Session:
        self.open[session.number] = session
        self._waits.add(session.number)
        self._recorder.connections_changed(+1)
        session.seat.settle()
        return session

    def _remove(self, session: Session) -> None:
        del self.open[session.number]
        self._waits.remove(session.number)
        session.close()
        self._recorder.connections_changed(-1)

    def _put_off(self, seat: Seat) -> None:
        due_ns = perf_counter_ns() + int(next(seat.delays_s) * NS_PER_S)
        self._lost.append((due_ns, seat))

    def _ask_again(self, opened: Opened) -> None:
        reason = opened.reason
        assert reason is not None
        is_full = isinstance(reason, psycopg.Error) and failure_of(reason) is FailureKind.RESOURCES
        if not is_full or self._asked_again == ASKED_AGAIN_MAX:
            raise DatabaseError(refusal_of(reason, self.plan.target)) from reason
        self._asked_again += 1
        self._put_off(opened.seat)

    def _report(self, opened: Opened) -> None:
        reason = opened.reason
        assert reason is not None
        if isinstance(reason, DatabaseError):
            self._recorder.failed(None, FailureKind.CREDENTIALS, message_of(reason))
        else:
            refusal = refusal_of(reason, self.plan.target)
            self._recorder.failed(None, failure_of(reason), refusal)
