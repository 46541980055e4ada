"""When the sessions of a load send: right after their answers, or on a schedule.

Knows neither sockets nor databases. A pace begins operations by the function that it is given,
which says whether the operation was sent.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from operator import itemgetter
from time import perf_counter_ns
from typing import Protocol

from benchgate.backend.drivers.port import Recorder
from benchgate.backend.drivers.postgres.fleet import Fleet
from benchgate.backend.drivers.postgres.session import Session
from benchgate.backend.drivers.postgres.waits import NEVER

# So long starts find no session free before further ones are opened for them. A moment in which
# the server or this machine was slow is over by then, and to open one slows both.
PATIENCE_NS = 2_000_000

Begin = Callable[[Session], bool]


class Pace(Protocol):
    """When sessions that are free send again."""

    is_timed: bool  # at this moment something can become due by itself
    due_ns: int  # when it is, if nothing else happens before
    woke_ns: int  # when the last wait ended: what came in before was there by then

    def admit(self, session: Session) -> None:
        """A session more takes part."""
        ...

    def freed(self, session: Session, /) -> object:
        """An operation of *session* has come to its end.

        Raises:
            psycopg.OperationalError: the connection is lost.
        """
        ...

    def begin_due(self) -> None:
        """Begin what is due; to be called whenever something has happened while it is timed."""
        ...

    def pop_idle(self) -> Session | None:
        """A session with nothing in flight, which takes part no longer; None if there is none."""
        ...

    def forget(self, session: Session) -> None:
        """*session* takes part no longer."""
        ...

    def fill(self, wanted: int) -> None:
        """Ask for the sessions that are missing; there may be *wanted* of them."""
        ...


class ClosedPace:
    """Each session sends when it has had its answer and thought about it."""

    def __init__(self, begin: Begin, *, fleet: Fleet, begin_ns: int, think_ns: int) -> None:
        self.is_timed = False
        self.due_ns = NEVER
        self.woke_ns = 0
        self.freed = self._think if think_ns else Session.begin
        self._begin = begin
        self._fleet = fleet
        self._begin_ns = begin_ns
        self._think_ns = think_ns
        # In the order in which they are due; after an answer all think for the same time.
        self._thinking: deque[tuple[int, Session]] = deque()

    def admit(self, session: Session) -> None:
        """Send when the load has begun, after so long as keeps sessions out of step."""
        now_ns = perf_counter_ns()
        due_ns = max(now_ns, self._begin_ns) + int(session.seat.phase * self._think_ns)
        if due_ns > now_ns:
            self.is_timed = True
            insort(self._thinking, (due_ns, session), key=itemgetter(0))
        else:
            self._begin(session)

    def begin_due(self) -> None:
        """Let those send that have thought for long enough."""
        thinking, now_ns = self._thinking, perf_counter_ns()
        while thinking and thinking[0][0] <= now_ns:
            self._begin(thinking.popleft()[1])
        self.due_ns = thinking[0][0] if thinking else NEVER
        self.is_timed = bool(thinking)

    def pop_idle(self) -> Session | None:
        """The one that is due last."""
        return self._thinking.pop()[1] if self._thinking else None

    def forget(self, session: Session) -> None:
        """*session* thinks no longer."""
        kept = [thought for thought in self._thinking if thought[1] is not session]
        self._thinking = deque(kept)

    def fill(self, wanted: int) -> None:
        """Ask for all that are missing."""
        self._fleet.ask(wanted - self._fleet.in_being)

    def _think(self, session: Session) -> None:
        self.is_timed = True
        self._thinking.append((session.ended_ns + self._think_ns, session))


class OpenPace:
    """Operations begin when the schedule says so, on whichever session became free last.

    That is the order of most pools: what was used last is still at hand in the server's memory,
    and the others are there for when they are needed.

    Starts for which no session is free wait in the schedule itself. Only as many are drawn from it
    as there may be sessions, to know how many of these are needed.
    """

    def __init__(
        self, begin: Begin, *, fleet: Fleet, starts_ns: Iterator[int], recorder: Recorder
    ) -> None:
        self.is_timed = True
        self.due_ns = NEVER
        self.woke_ns = 0
        self._begin = begin
        self._fleet = fleet
        self._starts_ns = starts_ns
        self._next_ns = next(starts_ns)
        self._waiting: deque[int] = deque()
        self._idle: deque[Session] = deque()  # those that have been free longest first
        self._wanted = 0
        self._held_ns = NEVER  # what was due by then could have been sent in time
        self._held_for_ns = 0  # for so long it was not
        self._short_since_ns = NEVER  # when a start first found no session free, if one still waits
        self._note_lag_ns = recorder.lag_ns.append
        self._note_oversleep_ns = recorder.oversleep_ns.append

    def admit(self, session: Session) -> None:
        """Be ready for a start."""
        session.idle_ns = perf_counter_ns()
        self._idle.append(session)

    def freed(self, session: Session) -> None:
        """Be ready for the next start."""
        session.idle_ns = self.woke_ns
        self._idle.append(session)

    def begin_due(self) -> None:
        """Begin the starts that have come, as far as sessions are free."""
        waiting, idle = self._waiting, self._idle
        now_ns = perf_counter_ns()
        while self._next_ns <= now_ns and len(waiting) < self._wanted:
            waiting.append(self._next_ns)
            self._next_ns = next(self._starts_ns)
        if waiting and idle and idle[0].idle_ns <= waiting[0]:
            # It could have been sent in time: all that has come since then waits for us, though no
            # longer than that. A server that answers nobody from then on is not ours.
            still_held = waiting[0] <= self._held_ns
            held_for_ns = now_ns - waiting[0]
            self._held_for_ns = max(held_for_ns, self._held_for_ns if still_held else 0)
            self._held_ns = now_ns
        while waiting and idle:
            self._send(waiting.popleft())
        if waiting:
            self._grow(now_ns)
            return
        self._short_since_ns = NEVER
        # The next start matters if a session is free for it or could be opened.
        is_met = idle or self._fleet.in_being < self._wanted
        self.due_ns = self._next_ns if is_met else NEVER

    def pop_idle(self) -> Session | None:
        """The one that has been free longest."""
        return self._idle.popleft() if self._idle else None

    def forget(self, session: Session) -> None:
        """*session* is not free any more."""
        self._idle = deque(idle for idle in self._idle if idle is not session)

    def fill(self, wanted: int) -> None:
        """Ask from now on for up to *wanted* sessions, as starts wait for them."""
        self._wanted = wanted

    def _grow(self, now_ns: int) -> None:
        """Open sessions for starts that wait for long, and look again when they do."""
        if self._short_since_ns == NEVER:
            self._short_since_ns = now_ns
        fleet, wanted = self._fleet, self._wanted
        spare = wanted - fleet.in_being
        if spare <= 0:
            self.due_ns = NEVER
            return
        if now_ns >= self._short_since_ns + PATIENCE_NS:
            coming = fleet.in_being - len(fleet.open)
            fleet.ask(min(len(self._waiting) - coming, spare))
            self._short_since_ns = now_ns
        alarm_ns = self._short_since_ns + PATIENCE_NS
        has_room = len(self._waiting) < wanted
        self.due_ns = min(self._next_ns, alarm_ns) if has_room else alarm_ns

    def _send(self, start_ns: int) -> None:
        session = self._idle.pop()
        session.due_ns = start_ns
        if not self._begin(session):
            self._waiting.appendleft(start_ns)
            return
        lag_ns = session.sent_ns - start_ns
        self._note_lag_ns(lag_ns)
        if start_ns <= self._held_ns:
            self._note_oversleep_ns(min(lag_ns, self._held_for_ns))
