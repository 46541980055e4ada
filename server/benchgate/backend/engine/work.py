"""The unit of work: a worker that takes an assignment, loads, and says what it has counted.

It knows neither process nor machine nor pipe: messages come in by `hear` and go out by `say`.

**What is measured, and for how long.** All workers begin at one instant. An operation belongs to
the second in which its answer arrives. At the end of each second of the load a worker takes what
has been answered until then and reports it with the exact length of the interval, by a clock that
is read as it takes; so a report that comes a few milliseconds late is longer, not wrong. Warm-up
and measurement are whole seconds, so the boundary between them is one of these cuts: nothing that
was answered in the warm-up is measured, and nothing that is answered after the last cut.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns, process_time_ns

import anyio

from benchgate.backend.drivers.port import Assignment, Driver
from benchgate.backend.engine.messages import (
    Begin,
    Broken,
    Done,
    Go,
    Ready,
    Report,
    Steer,
    Stop,
    Stopped,
    ToWorker,
)
from benchgate.backend.engine.tally import Tally
from benchgate.domain.arrivals import due
from benchgate.domain.values import Value
from benchgate.errors import BenchgateError

# To count what was collected takes a while in which nothing is sent, and so does to wake up for it:
# it is done so often that few operations have come together, and no more often than that.
FOLD_MANY, FOLD_FEW = 400, 100
FOLD_SOONEST_S, FOLD_LATEST_S = 0.02, 0.16
NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
OVERTIME_S = 5.0


class WorkerCourse:
    """The course of one worker, as its driver sees it."""

    def __init__(self, connections: int, say: Callable[[Value], None], *, is_first: bool) -> None:
        """Begin with *connections*; *say* tells the crew that they are open."""
        self.connections = connections
        self.is_first = is_first
        self.is_alone = False
        self.stopped = threading.Event()
        self.start_ns: int | None = None  # once the word to begin has been heard
        self.decided = anyio.Event()  # whether the load begins
        self._say = say

    async def ready(self) -> int | None:
        """Say so, and wait for the word to begin; its instant, or None where there is none."""
        self._say(Ready())
        await self.decided.wait()
        return None if self.stopped.is_set() else self.start_ns


class Worker:
    """One worker's course, from its assignment to its last report."""

    def __init__(
        self, assignment: Assignment, driver: Driver, say: Callable[[Value], None]
    ) -> None:
        """Carry *assignment* out with *driver*, and tell the crew by *say*."""
        self._assignment = assignment
        self._driver = driver
        self._say = say
        self._tally = Tally()
        is_open = assignment.arrivals is not None
        at_first = assignment.connections if is_open else assignment.connections_at_start
        is_first = assignment.first_connection == 0
        self._course = WorkerCourse(at_first, say, is_first=is_first)
        self._go: Go | None = None
        self._halted = anyio.Event()  # the load shall end; set by the clock or from outside
        self._loop_lag_ns = 0
        self._fold_every_s = FOLD_SOONEST_S

    def hear(self, message: ToWorker | None) -> None:
        """Take in what the crew says; None when it is gone."""
        match message:
            case Go():
                self._begin(message)
            case Steer():
                self._course.connections = message.connections
                self._course.is_first = message.is_first
            case Stop() | None:
                self._course.is_alone = message is None
                self._course.stopped.set()
                self._halted.set()
            case Begin():
                return
        if self._go is not None or self._halted.is_set():
            self._course.decided.set()

    def _begin(self, go: Go) -> None:
        self._go = go
        ahead_ns = go.start_epoch_ns - time.time_ns()
        if ahead_ns < 0:
            self._tally.noticed(
                f"A worker heard {-ahead_ns / NS_PER_MS:.0f} ms too late when to begin, or its "
                "clock is ahead: it began then."
            )
        self._course.start_ns = perf_counter_ns() + max(0, ahead_ns)
        # Whatever holds up the reports, the load does not outlast its time.
        whole_s = max(0, ahead_ns) / NS_PER_S + go.warmup_seconds + go.duration_seconds
        backstop = threading.Timer(whole_s + OVERTIME_S, self._course.stopped.set)
        backstop.daemon = True
        backstop.start()

    async def work(self) -> None:
        """Load until the time is over or a halt is heard, end every session, and say how it was."""
        reason = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report)
            try:
                await self._driver.drive(self._assignment, self._tally, self._course)
            except BenchgateError as exc:
                reason = str(exc)
            tasks.cancel_scope.cancel()
        done = Done(notices=tuple(self._tally.notices))
        self._say(done if reason is None else Broken(reason=reason))

    async def _report(self) -> None:
        await self._course.decided.wait()
        if self._go is not None and self._course.start_ns is not None:
            await self._report_seconds(self._go, self._course.start_ns)
        self._course.stopped.set()
        self._say(Stopped())

    async def _report_seconds(self, go: Go, start_ns: int) -> None:
        await self._until(start_ns)
        if self._halted.is_set():
            return
        cut_ns, cpu_ns = start_ns, process_time_ns()
        for second in range(1, go.warmup_seconds + go.duration_seconds + 1):
            await self._until(start_ns + second * NS_PER_S)
            before_ns, cut_ns = cut_ns, perf_counter_ns()
            cpu_before_ns, cpu_ns = cpu_ns, process_time_ns()
            interval = partial(self._due, before_ns - start_ns, cut_ns - start_ns)
            counted = self._tally.take(interval if self._assignment.arrivals else None)
            report = Report(
                second=second,
                is_measured=second > go.warmup_seconds,
                interval_ns=cut_ns - before_ns,
                cpu_ns=cpu_ns - cpu_before_ns,
                loop_lag_ns=self._loop_lag_ns,
                **dict(counted),
            )
            self._loop_lag_ns = 0
            self._say(report)
            if self._halted.is_set():
                return

    def _due(self, from_ns: int, to_ns: int) -> int:
        """How many starts the schedule has in an interval of the load."""
        arrivals = self._assignment.arrivals
        assert arrivals is not None, "a closed loop has no schedule"
        return due(arrivals, to_ns) - due(arrivals, from_ns)

    async def _until(self, instant_ns: int) -> None:
        """Return at that instant, or at a halt; count what is collected meanwhile."""
        while not self._halted.is_set():
            left_ns = instant_ns - perf_counter_ns()
            if left_ns <= 0:
                return
            wait_s = min(left_ns / NS_PER_S, self._fold_every_s)
            wake_ns = perf_counter_ns() + int(wait_s * NS_PER_S)
            with anyio.move_on_after(wait_s):
                await self._halted.wait()
            if not self._halted.is_set():
                self._loop_lag_ns = max(self._loop_lag_ns, perf_counter_ns() - wake_ns)
            self._fold_every_s = _fold_next(self._fold_every_s, counted=self._tally.fold())


def _fold_next(every_s: float, *, counted: int) -> float:
    """In how long to count again, where *counted* had come together in *every_s* or less."""
    if counted > FOLD_MANY:
        return max(FOLD_SOONEST_S, every_s / 2)
    return min(FOLD_LATEST_S, every_s * 2) if counted < FOLD_FEW else every_s
