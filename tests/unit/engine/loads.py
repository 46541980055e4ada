"""Loads, and a place without processes: workers that run in the test's own event loop."""

from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from benchgate.backend.drivers.port import (
    Assignment,
    Course,
    Driver,
    Recorder,
    SessionsEnded,
    Standby,
    Target,
)
from benchgate.backend.engine.load import Load, Tick
from benchgate.backend.engine.messages import Begin, FromWorker, Stop
from benchgate.backend.engine.work import Worker
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchgate.domain.values import Value
from benchgate.errors import DatabaseError

TARGET = Target(table_type=TableType.SQLITE, database="/nowhere.db", table_name="items")
LOOKUPS = (QueryShare(kind=QueryKind.POINT_LOOKUP, share_pct=100, writes=False),)
TICK_S = 0.01
ANSWER_NS = 2_000_000


def load_of(**changes: Any) -> Load:
    """A closed loop of four connections for a second, but for *changes*."""
    values: dict[str, Any] = {
        "run_id": "run-1",
        "target": TARGET,
        "workload": LOOKUPS,
        "connections": 4,
        "connections_at_start": 4,
        "warmup_seconds": 0,
        "duration_seconds": 1,
        "seed": 7,
    }
    return Load.model_validate(values | changes)


class Pretence:
    """A driver of no database: each connection is answered every `TICK_S`."""

    def __init__(self, *, refuses: str | None = None, left: int | None = None) -> None:
        self.assignments: list[Assignment] = []
        self.courses: list[Course] = []
        self.refuses = refuses
        self.ended: list[str] = []
        self.standby = PretendedStandby(self)
        self.hangs_until: anyio.Event | None = None
        self._left = left

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:
        return None

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        self.assignments.append(assignment)
        self.courses.append(course)
        if self.refuses is not None:
            raise DatabaseError(self.refuses)
        opened = assignment.connections_at_start
        recorder.connections_changed(opened)
        meter = recorder.meter(QueryKind.POINT_LOOKUP)
        if await course.ready() is not None:
            while not course.stopped.is_set():
                recorder.connections_changed(course.connections - opened)
                opened = course.connections
                meter.rows.extend([1] * opened)
                meter.service_ns.extend([ANSWER_NS] * opened)
                await anyio.sleep(TICK_S)
            if self.hangs_until is not None:
                await self.hangs_until.wait()
        recorder.connections_changed(-opened)

    def stand_by(self, target: Target, application_name: str, *, connections: int) -> Standby:
        return self.standby

    async def end_sessions(self, target: Target, application_name: str) -> SessionsEnded | None:
        self.ended.append(application_name)
        if self._left is None:
            raise DatabaseError("the database is gone")
        return SessionsEnded(found=self._left + 1, left=self._left)


class PretendedStandby:
    """Ends what hangs when all is to end."""

    def __init__(self, driver: Pretence) -> None:
        self.settled = anyio.Event()
        self.was_let_go = False
        self.is_slow = False  # to be there
        self.wishes: list[float] = []
        self.was_hasty = False  # somebody still loaded when it was called
        self._driver = driver

    async def serve(self) -> None:
        if not self.is_slow:
            self.settled.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.was_let_go = True

    def end(self, *, in_flight_s: float) -> None:
        assert self.settled.is_set() or self.is_slow
        self.wishes.append(in_flight_s)
        self.was_hasty |= not all(course.stopped.is_set() for course in self._driver.courses)
        if not in_flight_s and self._driver.hangs_until is not None:
            self._driver.hangs_until.set()


class Here:
    """A place where workers are tasks; `lost` are the numbers of those that have died."""

    cores = 2
    workers = 2
    is_here = True

    tasks: TaskGroup  # in which they run

    def __init__(self, driver: Any) -> None:
        self.members: list[Companion] = []
        self.closed = False
        self._driver: Driver = driver

    async def start(self, number: int) -> "Companion":
        member = Companion(number, self._driver, self.tasks)
        self.members.append(member)
        return member

    async def close(self) -> None:
        self.closed = True


class Companion:
    """A worker that is a task."""

    def __init__(self, number: int, driver: Driver, tasks: TaskGroup) -> None:
        self.number = number
        self.is_ready = self.has_stopped = self.is_done = self.has_exited = False
        self.was_killed = False
        self.slow_s = 0.0  # so much later it hears that it shall stop
        self._driver, self._tasks = driver, tasks
        self._worker: Worker | None = None
        self._say, self._said = anyio.create_memory_object_stream[Value](10_000)
        self._scope = anyio.CancelScope()

    async def hear(self) -> FromWorker | None:
        try:
            message = await self._said.receive()
        except anyio.EndOfStream:
            self.has_exited = True
            return None
        assert isinstance(message, FromWorker)
        return message

    async def tell(self, message: Value) -> None:
        if isinstance(message, Begin):
            self._worker = Worker(message.assignment, self._driver, self._say.send_nowait)
            self._tasks.start_soon(self._work, self._worker)
        elif self._worker is not None:
            if isinstance(message, Stop) and self.slow_s:
                self._tasks.start_soon(self._hear_late, self._worker, message)
                return
            self._worker.hear(message)  # pyright: ignore[reportArgumentType] - what a crew says

    async def _hear_late(self, worker: Worker, message: Stop) -> None:
        await anyio.sleep(self.slow_s)
        worker.hear(message)

    async def _work(self, worker: Worker) -> None:
        with self._scope:
            await worker.work()
        self._say.close()

    async def log_errors(self) -> None: ...

    def fate(self) -> str:
        return f"Worker {self.number + 1} is no more."

    def kill(self) -> None:
        self.was_killed = True
        self._scope.cancel()

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.hear(None)
        self._say.close()
        self._said.close()


class Ear:
    """An observer that keeps what it hears, and can act on a tick."""

    def __init__(self, on_tick: Callable[[Tick], None] | None = None) -> None:
        self.heard: list[str] = []
        self.ticks: list[Tick] = []
        self._on_tick = on_tick

    async def ready(self) -> None:
        self.heard.append("ready")

    async def ticked(self, tick: Tick) -> None:
        self.ticks.append(tick)
        if self._on_tick is not None:
            self._on_tick(tick)

    async def draining(self) -> None:
        self.heard.append("draining")
