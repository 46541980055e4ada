"""One connection of a client that blocks, and the thread that loads over it.

Knows what a driver has to supply for that; the number of connections, the order of an open loop
and the end of the load are decided elsewhere.
"""

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter_ns
from typing import Protocol

from benchgate.backend.drivers.backoff import delays_s
from benchgate.backend.drivers.operations import Bind, Operation, Row
from benchgate.backend.drivers.port import Recorder
from benchgate.backend.drivers.starts import Line, sharpen_timer
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind

# Executes one statement with these parameters and fetches all that it returns. The answer is how
# many rows it returned or, where it writes, changed.
Call = Callable[[Row], int]
Note = Callable[[int], None]
Turn = tuple[QueryKind, Bind, Call, Note, Note, Note]  # the notes: rows, response, service


class Session(Protocol):
    """An open connection. Its thread alone uses it, but for what is said to come from another."""

    @property
    def calls(self) -> Sequence[Call]:
        """One for each statement of the workload, in their order; asked for once."""
        ...

    def interrupt(self) -> None:
        """From another thread: cut short the call in flight; nothing where there is none.

        It is repeated until the call has ended, so it may miss one that is about to begin. The
        call ends with an error that the client's `failure_of` tells as TIMEOUT.
        """
        ...

    def lost(self) -> str | None:
        """From another thread, about once a second: why it cannot be used further, if so.

        For what no call would notice, such as a file that was replaced. It must not block.
        """
        ...

    def close(self) -> None:
        """End it on the server as well; may be called twice, and never raises its own errors."""
        ...


class Client(Protocol):
    """What a driver supplies, once for each worker; used by many threads at the same time."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """All that `open` and the calls raise; anything else is a defect, and ends the load."""
        ...

    def open(self) -> Session:
        """Connect and prepare, within a time limit of its own; one of `errors` if it cannot."""
        ...

    def failure_of(self, exc: Exception) -> tuple[FailureKind, str]:
        """What kind of failure one of `errors` is, and the database's own words for it.

        After CONNECTION the session is given up, and another one is opened after a while.
        """
        ...


# What an operation in flight becomes when the end of the load cuts it short.
CUT_SHORT = frozenset({FailureKind.TIMEOUT, FailureKind.LOCK})
STATEMENT_LIMIT_S = 30.0
TURN_EVERY_S = 0.05  # how soon a lane that waits for its turn to connect hears that it shall leave
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Seat:
    """What a connection's number stands for: its values, which go on after it was reopened."""

    number: int
    operations: Sequence[Operation]
    generator: random.Random
    phase: float = 0.0  # the part of the time to think that passes before the first operation


@dataclass(slots=True)
class Setting:
    """What all lanes of a load have in common."""

    client: Client
    recorder: Recorder
    is_stopped: Callable[[], bool]
    think_time_s: float
    openings: threading.Semaphore  # how many may connect at once
    begun: threading.Event = field(default_factory=threading.Event)
    begin_ns: int = 0
    line: Line | None = None  # of an open loop


class Lane:
    """A thread with a connection: it connects, loads and connects again, until it shall leave."""

    def __init__(self, setting: Setting, seat: Seat, attempted: Callable[["Lane"], None]) -> None:
        """Tell *attempted*, from the thread, how the first attempt to connect went."""
        self.number = seat.number
        self.is_open = False
        self.refusal: Exception | None = None  # of a first attempt, before the load has begun
        self.defect: BaseException | None = None
        self.idle_since_ns = 0
        self._setting = setting
        self._seat = seat
        self._attempted: Callable[[Lane], None] | None = attempted
        self._session: Session | None = None
        self._usable = True  # read before every operation, so it is a plain attribute
        self._leaving = False
        self._is_cut = False
        self._started_ns = 0  # of the operation in flight; 0 while it waits
        self._is_disowned = False
        self._changing = threading.Lock()
        self._waking = threading.Lock()
        self._waking.acquire()
        self._thread = threading.Thread(target=self._run, name=f"lane {self.number}", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    @property
    def is_leaving(self) -> bool:
        """Whether it has been told to leave."""
        return self._leaving

    @property
    def is_idle(self) -> bool:
        """Whether it has a connection and no operation in flight."""
        return self.is_open and not self._started_ns

    def start(self) -> None:
        """Let the thread begin."""
        self._thread.start()

    def join(self, limit_s: float) -> None:
        """Wait so long for its end."""
        self._thread.join(limit_s)

    def leave(self) -> None:
        """Begin no further operation, close the connection and end."""
        with self._changing:
            self._leaving = True
            self._usable = False
        self.rouse()

    def cut(self) -> None:
        """End the operation in flight, whose failure is nobody's."""
        self._is_cut = True
        session = self._session
        if session is not None:
            session.interrupt()

    def disown(self) -> None:
        """Count the connection as closed, although the client does not come back from a call."""
        self._count(is_open=False)
        self._is_disowned = True

    def look_after(self, *, is_thorough: bool) -> None:
        """End an operation that takes too long and, being thorough, leave a lost connection."""
        session, started_ns = self._session, self._started_ns
        if session is None:
            return
        if started_ns and perf_counter_ns() - started_ns > STATEMENT_LIMIT_S * NS_PER_S:
            session.interrupt()
        reason = session.lost() if is_thorough and self._usable else None
        if reason is not None:
            self._usable = False
            self._setting.recorder.failed(None, FailureKind.CONNECTION, reason)
            self.rouse()

    def may_load(self) -> bool:
        """Whether it can still send an operation."""
        return self._usable and not self._setting.is_stopped()

    def wait(self, limit_s: float | None) -> None:
        """Sleep for so long at most; shorter when it is roused, also when it was before."""
        self._waking.acquire(timeout=-1 if limit_s is None else max(0.0, limit_s))

    def rouse(self) -> None:
        """From another thread: end its wait."""
        # It may have been roused already.
        with suppress(RuntimeError):
            self._waking.release()

    def _run(self) -> None:
        try:
            while (session := self._open()) is not None:
                try:
                    self._load(session)
                finally:
                    self._close(session)
        except BaseException as exc:  # noqa: BLE001 - the thread's last seam; whoever leads raises it
            self.defect = exc
        self._tell()

    def _tell(self) -> None:
        """Say once that the first attempt to connect is over, however it ended."""
        tell, self._attempted = self._attempted, None
        if tell is not None:
            tell(self)

    def _open(self) -> Session | None:
        """A session, after as many attempts as it takes; None where the lane shall leave."""
        is_first = self.idle_since_ns == 0
        for delay_s in chain([0.0] if is_first else [], delays_s(self._seat.generator)):
            self._pause(delay_s, lambda: not self._leaving)
            try:
                session = self._attempt()
            except self._setting.client.errors as exc:
                if not self._setting.begun.is_set():
                    self.refusal = exc
                    break
                if not self._leaving:
                    self._setting.recorder.failed(None, *self._setting.client.failure_of(exc))
            else:
                if session is not None:
                    self._opened(session)
                return session
        return None

    def _attempt(self) -> Session | None:
        """A session, as soon as not too many connect at the same time."""
        openings = self._setting.openings
        while not self._leaving:
            if openings.acquire(timeout=TURN_EVERY_S):
                try:
                    return self._setting.client.open()
                finally:
                    openings.release()
        return None

    def _opened(self, session: Session) -> None:
        self.idle_since_ns = perf_counter_ns()
        with self._changing:
            self._session = session
            self._usable = not self._leaving
        self._count(is_open=True)
        self._tell()

    def _close(self, session: Session) -> None:
        self._session = None
        self._usable = False
        session.close()
        self._count(is_open=False)

    def _count(self, *, is_open: bool) -> None:
        with self._changing:
            by = is_open - self.is_open
            self.is_open = is_open
        if by and not self._is_disowned:
            self._setting.recorder.connections_changed(by)

    def _pause(self, limit_s: float, is_wanted: Callable[[], bool]) -> None:
        """Wait until the time is over, whoever rouses meanwhile, while that is wanted."""
        until_ns = perf_counter_ns() + int(limit_s * NS_PER_S)
        while is_wanted() and (left_ns := until_ns - perf_counter_ns()) > 0:
            self.wait(left_ns / NS_PER_S)

    def _load(self, session: Session) -> None:
        setting = self._setting
        while not setting.begun.is_set() and self.may_load():
            self.wait(None)
        turns = self._turns(session)
        if setting.line is None:
            self._await_beginning()
            self._load_closed(turns)
        else:
            sharpen_timer()
            self._load_open(turns, setting.line)
        self._started_ns = 0

    def _await_beginning(self) -> None:
        """Wait for the load to begin, and for so long as keeps connections out of step."""
        ahead_s = max(0, self._setting.begin_ns - perf_counter_ns()) / NS_PER_S
        self._pause(ahead_s + self._seat.phase * self._setting.think_time_s, self.may_load)

    def _turns(self, session: Session) -> list[Turn]:
        """The operations in their shares, each as what the loops below need of it."""
        made: dict[int, Turn] = {}
        meter_of = self._setting.recorder.meter
        for operation in self._seat.operations:
            if operation.number not in made:
                meter = meter_of(operation.kind, writes=operation.writes)
                made[operation.number] = (
                    operation.kind,
                    operation.bind,
                    session.calls[operation.number],
                    meter.rows.append,
                    meter.response_ns.append,
                    meter.service_ns.append,
                )
        return [made[operation.number] for operation in self._seat.operations]

    def _load_closed(self, turns: Sequence[Turn]) -> None:
        """Send the next operation after the last answer and the time to think."""
        draw, count, clock_ns = self._seat.generator.random, len(turns), perf_counter_ns
        is_stopped, errors = self._setting.is_stopped, self._setting.client.errors
        think_time_s = self._setting.think_time_s
        while self._usable and not is_stopped():
            kind, bind, call, note_rows, _, note_service = turns[int(draw() * count)]
            parameters = bind()
            self._started_ns = started_ns = clock_ns()
            try:
                rows = call(parameters)
                service_ns = clock_ns() - started_ns
            except errors as exc:
                self._fail(kind, exc)
            else:
                note_rows(rows)
                note_service(service_ns)
            if think_time_s:
                self._started_ns = 0
                self._pause(think_time_s, self.may_load)

    def _load_open(self, turns: Sequence[Turn], line: Line) -> None:
        """Send each operation that the line gives out, when it is due."""
        draw, count, clock_ns = self._seat.generator.random, len(turns), perf_counter_ns
        recorder, errors, take = self._setting.recorder, self._setting.client.errors, line.take
        note_lag, note_oversleep = recorder.lag_ns.append, recorder.oversleep_ns.append
        while True:
            kind, bind, call, note_rows, note_response, note_service = turns[int(draw() * count)]
            parameters = bind()
            taken = take(self)
            if taken is None:
                return
            start_ns, was_foreseen = taken
            self._started_ns = sent_ns = clock_ns()
            note_lag(sent_ns - start_ns)
            if was_foreseen:
                note_oversleep(sent_ns - start_ns)
            try:
                rows = call(parameters)
                self.idle_since_ns = answered_ns = clock_ns()
            except errors as exc:
                self.idle_since_ns = clock_ns()
                self._fail(kind, exc)
            else:
                note_rows(rows)
                # A service time without its response time would be taken for a closed loop's.
                note_response(answered_ns - start_ns)
                note_service(answered_ns - sent_ns)
            self._started_ns = 0

    def _fail(self, kind: QueryKind, exc: Exception) -> None:
        failure, message = self._setting.client.failure_of(exc)
        is_ending = self._leaving or self._setting.is_stopped()
        if self._is_cut or (is_ending and failure in CUT_SHORT):
            return
        self._setting.recorder.failed(kind, failure, message)
        if failure is FailureKind.CONNECTION:
            self._usable = False
