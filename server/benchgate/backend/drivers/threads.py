"""The load on a database whose client blocks: a thread for each connection, and who leads them.

Python cannot end a thread. When the load has to end, what is in flight may finish within
`FINISH_LIMIT_S` and is interrupted then, until its thread comes back; a client that does not even
hear an interrupt is left to itself after `END_LIMIT_S`, with a connection that closes as soon as
its call returns.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic

import anyio
import anyio.to_thread

from benchgate.backend.drivers.lanes import Client, Lane, Seat, Setting
from benchgate.backend.drivers.layouts import Layout
from benchgate.backend.drivers.operations import Pool, mix, place_of
from benchgate.backend.drivers.port import FINISH_LIMIT_S, Assignment, Course, Recorder
from benchgate.backend.drivers.starts import Line
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

OPEN_AT_ONCE = 16
TICK_S = 0.02  # how often the course is looked at
OPEN_TICK_S = 0.005  # the same while an open loop may need another connection
LOOK_EVERY_S = 1.0
INTERRUPT_EVERY_S = 0.02
END_LIMIT_S = 0.9

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Work:
    """What the connections of one worker have in common: what they execute, and on what."""

    client: Client
    statements: Sequence[Statement]
    layout: Layout
    pool: Pool


async def load(work: Work, assignment: Assignment, recorder: Recorder, course: Course) -> None:
    """Carry out `Driver.drive` with *work*, threads and sessions included.

    Raises:
        DatabaseError: the connections that were asked for at the start cannot all be made.
    """
    crew = Crew(work, assignment, recorder=recorder, course=course)
    try:
        await anyio.to_thread.run_sync(crew.open, abandon_on_cancel=True)
        begin_ns = None if course.stopped.is_set() else await course.ready()
        if begin_ns is not None:
            await anyio.to_thread.run_sync(crew.lead, begin_ns, abandon_on_cancel=True)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(crew.end)


class Crew:
    """The lanes of one load. Its methods block; `end` may come while another one still runs."""

    def __init__(
        self, work: Work, assignment: Assignment, *, recorder: Recorder, course: Course
    ) -> None:
        self._work = work
        self._assignment = assignment
        self._course = course
        self._setting = Setting(
            client=work.client,
            recorder=recorder,
            is_stopped=course.stopped.is_set,
            think_time_s=assignment.think_time_ms / 1000,
            openings=threading.Semaphore(OPEN_AT_ONCE),
        )
        self._seats: dict[int, Seat] = {}
        self._lanes: list[Lane] = []
        self._attempts: SimpleQueue[Lane] = SimpleQueue()
        self._changing = threading.Lock()
        self._is_ending = False
        self._look_at_s = 0.0

    def open(self) -> None:
        """Connect those that have to be open before the load begins.

        Raises:
            DatabaseError: one of them cannot be connected.
        """
        wanted = self._assignment.connections_at_start
        for _ in range(wanted):
            self._add()
        opened = 0
        while opened < wanted and not self._is_over():
            try:
                lane = self._attempts.get(timeout=TICK_S)
            except Empty:
                continue
            self._raise_defect(lane)
            if lane.refusal is not None:
                _, message = self._work.client.failure_of(lane.refusal)
                raise DatabaseError(
                    f"{opened} of a worker's {wanted} connections could be opened: "
                    f"{one_line(message)}"
                ) from lane.refusal
            opened += 1

    def lead(self, begin_ns: int) -> None:
        """Begin at that instant, and follow the course to its end."""
        arrivals = self._assignment.arrivals
        self._setting.begin_ns = begin_ns
        self._setting.line = None if arrivals is None else Line(arrivals, begin_ns)
        self._setting.begun.set()
        for lane in self._lanes:
            lane.rouse()
        while not self._is_over():
            with self._changing:
                self._conform()
            self._look_after()
            self._course.stopped.wait(self._tick_s())

    def end(self) -> None:
        """End every lane, and come back within `END_LIMIT_S`."""
        began_s = monotonic()
        with self._changing:
            self._is_ending = True
            for lane in self._lanes:
                lane.leave()
        self._await_end(began_s + FINISH_LIMIT_S, is_patient=True)
        self._await_end(began_s + END_LIMIT_S, is_patient=False)
        left = [lane for lane in self._lanes if lane.is_alive]
        for lane in left:
            lane.disown()
        if left:
            log.warning("%d connections do not end, and are left to themselves", len(left))

    def _await_end(self, until_s: float, *, is_patient: bool) -> None:
        """Wait for the lanes to end, and hasten them unless that is to be patient."""
        alive = [lane for lane in self._lanes if lane.is_alive]
        while alive and (left_s := until_s - monotonic()) > 0:
            if not is_patient:
                for lane in alive:
                    lane.cut()
            alive[0].join(left_s if is_patient else min(left_s, INTERRUPT_EVERY_S))
            alive = [lane for lane in alive if lane.is_alive]

    def _is_over(self) -> bool:
        return self._is_ending or self._course.stopped.is_set()

    def _tick_s(self) -> float:
        may_grow = self._setting.line is not None and len(self._lanes) < self._limit()
        return OPEN_TICK_S if may_grow else TICK_S

    def _limit(self) -> int:
        return max(0, min(self._course.connections, self._assignment.connections))

    def _conform(self) -> None:
        """Have as many lanes as the course says or, in an open loop, as are needed."""
        for lane in self._lanes:
            self._raise_defect(lane)
        self._lanes = [lane for lane in self._lanes if lane.is_alive]
        staying = [lane for lane in self._lanes if not lane.is_leaving]
        missing = self._limit() - len(staying)
        for lane in staying[len(staying) + min(0, missing) :]:
            lane.leave()
        if self._setting.line is not None and missing > 0:
            missing = int(self._is_needed(self._setting.line, staying))
        for _ in range(missing if not self._is_ending else 0):
            self._add()

    def _is_needed(self, line: Line, staying: Sequence[Lane]) -> bool:
        """Whether in an open loop a start has waited for a tick that no lane is about to take."""
        opening = sum(not lane.is_open for lane in staying)
        return line.lacks_idlers(opening) and not any(lane.is_idle for lane in staying)

    def _look_after(self) -> None:
        is_thorough = monotonic() >= self._look_at_s
        if is_thorough:
            self._look_at_s = monotonic() + LOOK_EVERY_S
        for lane in self._lanes:
            lane.look_after(is_thorough=is_thorough)

    def _raise_defect(self, lane: Lane) -> None:
        if lane.defect is not None:
            raise lane.defect

    def _add(self) -> None:
        """Start a lane on the first seat that nobody has."""
        taken = {lane.number for lane in self._lanes}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        if number >= self._assignment.connections:
            return  # A lane that is about to end has the seat for a moment longer.
        lane = Lane(self._setting, self._seat(number), self._attempts.put)
        self._lanes.append(lane)
        lane.start()

    def _seat(self, number: int) -> Seat:
        if number not in self._seats:
            work, place = self._work, place_of(self._assignment, number)
            operations = mix(work.statements, work.layout, pool=work.pool, place=place)
            self._seats[number] = Seat(number, operations, place.generator, place.phase)
        return self._seats[number]
