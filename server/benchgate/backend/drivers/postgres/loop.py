"""The load on PostgreSQL: one thread, which waits for all connections of a worker at once.

No task, future or generator stands between an answer and the next operation. When the load has to
stop, operations in flight may finish. The crew has the server end those sessions whose operations
do not (`standby`); without a crew the load does so itself (`lone`). Then every session is closed.
"""

import threading
from collections.abc import Sequence
from time import perf_counter_ns

import psycopg

from benchgate.backend.drivers.port import FINISH_LIMIT_S, Assignment, Course, Recorder
from benchgate.backend.drivers.postgres.failures import failure_of, is_stale, message_of
from benchgate.backend.drivers.postgres.fleet import Fleet
from benchgate.backend.drivers.postgres.lone import LoneEnd, give_up
from benchgate.backend.drivers.postgres.opening import SILENCE_LIMIT_NS, Plan
from benchgate.backend.drivers.postgres.pacing import ClosedPace, OpenPace, Pace
from benchgate.backend.drivers.postgres.priority import RealTimePriority, is_affordable
from benchgate.backend.drivers.postgres.session import NOTHING_IN_FLIGHT, Seat, Session
from benchgate.backend.drivers.postgres.waits import LOOK_EVERY_S, NS_PER_S, Event, new_waits
from benchgate.backend.drivers.starts import sharpen_timer
from benchgate.domain.arrivals import starts_ns
from benchgate.domain.failures import FailureKind
from benchgate.errors import DatabaseError

NS_PER_MS = 1_000_000
FINISH_SOON_NS = 50 * NS_PER_MS
FINISH_LIMIT_NS = int(FINISH_LIMIT_S * NS_PER_S)
# The crew has them ended, which takes a while where all cores are taken.
ENDED_LIMIT_NS = FINISH_LIMIT_NS + 400 * NS_PER_MS
LOOK_EVERY_NS = int(LOOK_EVERY_S * NS_PER_S)


class Load:
    """One worker's load, from its first connection to its last; each step blocks its thread.

    Steps may be called from different threads; one waits for the other.
    """

    def __init__(
        self,
        assignment: Assignment,
        course: Course,
        recorder: Recorder,
        *,
        plan: Plan,
        seats: Sequence[Seat],
    ) -> None:
        self._assignment = assignment
        self._course = course
        self._recorder = recorder
        self._is_abandoned = False
        self._step = threading.Lock()
        self._look_ns = 0  # when to look around next
        self._priority: RealTimePriority | None = None
        self._surplus = 0  # sessions that are to leave after their operation
        self._waits = new_waits()
        self._fleet = Fleet(plan, seats, recorder=recorder, waits=self._waits)
        self._pace: Pace = self._new_pace(0)

    def open(self) -> None:
        """Open the connections that the load begins with.

        Raises:
            DatabaseError: one of them was refused.
        """
        fleet, wanted = self._fleet, self._assignment.connections_at_start
        with self._step:
            fleet.ask(wanted)
            while len(fleet.open) < wanted and not self._is_over():
                try:
                    fleet.open_first()
                except DatabaseError as exc:
                    raise DatabaseError(
                        f"{len(fleet.open)} of a worker's {wanted} connections could be opened: "
                        f"{exc}"
                    ) from exc

    def run(self, begin_ns: int) -> None:
        """Load from *begin_ns* until the course is stopped."""
        with self._step:
            sharpen_timer()
            # A closed loop has no schedule to be late for.
            if self._assignment.arrivals is not None and is_affordable(self._assignment.workers):
                self._run_preferred(begin_ns)
            else:
                self._run(begin_ns)

    def _run_preferred(self, begin_ns: int) -> None:
        self._priority = priority = RealTimePriority(self._recorder.real_time_ns.append)
        try:
            self._run(begin_ns)
        finally:
            # The thread may have other work to do afterwards, and so may others with the load.
            self._priority = None
            priority.give_back()

    def _run(self, begin_ns: int) -> None:
        pace = self._pace = self._new_pace(begin_ns)
        for session in [*self._fleet.open.values()]:
            pace.admit(session)
        wait, wait_for_sockets = self._waits.wait, self._waits.wait_for_sockets
        is_stopped = self._course.stopped.is_set
        events: Sequence[Event] = ()
        while not is_stopped() and not self._is_abandoned:
            pace.woke_ns = now_ns = perf_counter_ns()
            self._hear(events)
            if now_ns >= self._look_ns:
                self._look(now_ns)
            # What comes in after the stop is left for the close, which begins nothing.
            if pace.is_timed:
                pace.begin_due()
                events = wait(pace.due_ns)
            else:
                events = wait_for_sockets()

    def abandon(self) -> None:
        """End, although the course goes on; from any thread."""
        self._is_abandoned = True
        self._waits.wake()

    def close(self) -> None:
        """Let finish what is in flight, as long as it may, and close every session."""
        with self._step:
            self._close()

    def _close(self) -> None:
        self._fleet.close_opening()
        for session in [*self._fleet.open.values()]:
            if session.sent_ns == NOTHING_IN_FLIGHT:
                self._fleet.leave(session)
        if self._course.is_alone:
            self._end_alone()
        else:
            self._finish(perf_counter_ns() + ENDED_LIMIT_NS)
            give_up([*self._fleet.open.values()])
        for session in [*self._fleet.open.values()]:
            self._fleet.leave(session)
        self._waits.close()

    def _end_alone(self) -> None:
        began_ns = perf_counter_ns()
        self._finish(began_ns + FINISH_SOON_NS)
        if self._fleet.open:
            # To open a session may take a while on a server that is busy.
            ending = LoneEnd(self._fleet.plan)
            self._finish(began_ns + FINISH_LIMIT_NS)
            ending.end([*self._fleet.open.values()])

    def _finish(self, until_ns: int) -> None:
        """Wait for what is in flight, until that instant at the latest."""
        while self._fleet.open and perf_counter_ns() < until_ns:
            for number, _ in self._waits.wait(until_ns):
                session = self._fleet.open.get(number)
                if session is not None:
                    self._hear_last(session)

    def _new_pace(self, begin_ns: int) -> Pace:
        given = self._assignment
        if given.arrivals is None:
            think_ns = given.think_time_ms * NS_PER_MS
            return ClosedPace(self._begin, fleet=self._fleet, begin_ns=begin_ns, think_ns=think_ns)
        starts = (begin_ns + start_ns for start_ns in starts_ns(given.arrivals))
        return OpenPace(self._begin, fleet=self._fleet, starts_ns=starts, recorder=self._recorder)

    def _is_over(self) -> bool:
        return self._is_abandoned or self._course.stopped.is_set()

    def _begin(self, session: Session) -> bool:
        try:
            session.begin()
        except psycopg.OperationalError as exc:
            # It was not sent: in an open loop its start goes to another session.
            session.sent_ns = NOTHING_IN_FLIGHT
            self._fleet.lose(session, FailureKind.CONNECTION, message_of(exc))
            return False
        return True

    def _hear(self, events: Sequence[Event]) -> None:
        """Take what sessions have for us; those whose operations have ended go on."""
        find, freed = self._fleet.open.get, self._pace.freed
        for number, _ in events:
            session = find(number)
            if session is None:
                if self._waits.is_woken_by(number):
                    self._look_ns = 0
                continue
            try:
                if session.take():
                    if session.error is None and not self._surplus:
                        freed(session)
                    else:
                        self._part(session)
            except psycopg.OperationalError as exc:
                self._pace.forget(session)
                self._fleet.lose(session, FailureKind.CONNECTION, message_of(exc))

    def _part(self, session: Session) -> None:
        """Part from *session* if it is of no more use or one too many; else it goes on."""
        error, session.error = session.error, None
        if error is not None and self._fail(session, error):
            self._fleet.replace(session)
        elif self._surplus > 0:
            self._surplus -= 1
            self._fleet.leave(session)
        else:
            self._pace.freed(session)

    def _fail(self, session: Session, exc: psycopg.Error) -> bool:
        """Report the failure of an operation; whether its session is of no more use."""
        failure = failure_of(exc)
        self._recorder.failed(session.task.kind, failure, message_of(exc))
        return failure is FailureKind.CONNECTION or session.is_broken() or is_stale(exc)

    def _hear_last(self, session: Session) -> None:
        """The same after the stop, when nothing goes on and nothing lost is a failure."""
        try:
            if not session.take():
                return
        except psycopg.OperationalError:
            self._fleet.leave(session)
            return
        if session.error is not None and failure_of(session.error) is not FailureKind.CONNECTION:
            self._fail(session, session.error)
        self._fleet.leave(session)

    def _look(self, now_ns: int) -> None:
        """What there is to see to every now and then: losses, silence, more or fewer sessions."""
        self._look_ns = now_ns + LOOK_EVERY_NS
        if self._priority is not None:
            self._priority.review(now_ns)
        fleet = self._fleet
        while (newcomer := fleet.newcomer()) is not None:
            self._pace.admit(newcomer)
        fleet.look_after(now_ns)
        for session in [*fleet.open.values()]:
            if session.sent_ns and now_ns - session.sent_ns > SILENCE_LIMIT_NS:
                fleet.lose(session, FailureKind.CONNECTION, "the server has fallen silent")
        wanted = max(0, min(self._course.connections, self._assignment.connections))
        self._surplus = self._release(fleet.in_being - wanted)
        self._pace.fill(wanted)

    def _release(self, surplus: int) -> int:
        """Do without so many sessions; how many of them have to finish their operation first."""
        while surplus > 0 and self._fleet.forgo():
            surplus -= 1
        while surplus > 0 and (session := self._pace.pop_idle()) is not None:
            self._fleet.leave(session)
            surplus -= 1
        return max(0, surplus)
