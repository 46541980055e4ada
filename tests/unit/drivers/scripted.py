"""A client that blocks and does what a test says, for those who load over it."""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from benchgate.backend.drivers.lanes import Call
from benchgate.backend.drivers.layouts import Dialect, Layout
from benchgate.backend.drivers.operations import Pool, Row
from benchgate.backend.drivers.port import Assignment, Target
from benchgate.backend.drivers.statements import statements_of
from benchgate.backend.drivers.threads import Work, load
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, TableType
from tests.integration.databases import END_LIMIT_S, LedCourse, Notes, assignment, only

TARGET = Target(table_type=TableType.SQLITE, database="scripted", table_name="t")
WORKLOAD = only(QueryKind.POINT_LOOKUP, "SELECT 1")
LAYOUT = Layout(
    dialect=Dialect.SQLITE, name='"t"', fields=(), key=(), has_rows=True, server_version="1"
)
HANG_S = 30.0  # longer than any test waits for


class Refused(Exception):
    """What the scripted client raises: a kind of failure."""


@dataclass
class ScriptedSession:
    """A session whose calls do what the client's script says."""

    client: "ScriptedClient"
    interrupted: threading.Event = field(default_factory=threading.Event)
    lost_because: str | None = None
    closed: int = 0

    @property
    def calls(self) -> Sequence[Call]:
        return [self._call]

    def _call(self, parameters: Row) -> int:
        self.interrupted.clear()
        return self.client.answer(self)

    def hang(self) -> int:
        """Answer not before an interrupt."""
        self.interrupted.wait(HANG_S)
        raise Refused(FailureKind.TIMEOUT)

    def interrupt(self) -> None:
        self.interrupted.set()

    def lost(self) -> str | None:
        return self.lost_because

    def close(self) -> None:
        self.closed += 1


@dataclass
class ScriptedClient:
    """A client whose sessions answer as *answer* does, and that refuses while *refusal* is set."""

    answer: Callable[[ScriptedSession], int] = lambda _: 1
    opening: Callable[[], object] = lambda: None
    refusal: FailureKind | None = None
    errors: tuple[type[Exception], ...] = (Refused,)
    sessions: list[ScriptedSession] = field(default_factory=list[ScriptedSession])

    def open(self) -> ScriptedSession:
        self.opening()
        if self.refusal is not None:
            raise Refused(self.refusal)
        self.sessions.append(ScriptedSession(self))
        return self.sessions[-1]

    def failure_of(self, exc: Exception) -> tuple[FailureKind, str]:
        return FailureKind(exc.args[0]), f"refused: {exc.args[0]}"


def given(connections: int = 2, **also: object) -> Assignment:
    """What the scripted client's worker does."""
    return assignment(TARGET, WORKLOAD, connections=connections).model_copy(update=also)


def work_on(client: ScriptedClient) -> Work:
    """What the connections have in common."""
    return Work(client, statements_of(WORKLOAD, LAYOUT), layout=LAYOUT, pool=Pool())


@asynccontextmanager
async def loaded(
    client: ScriptedClient, given: Assignment, notes: Notes
) -> AsyncGenerator[LedCourse]:
    """The load runs inside; on leaving, it is stopped and has to end in good time."""
    course, ended = LedCourse(given.connections), anyio.Event()

    async def drive() -> None:
        try:
            await load(work_on(client), given, notes, course)
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(drive)
        await course.reached.wait()
        yield course
        course.stopped.set()
        with anyio.fail_after(END_LIMIT_S):
            await ended.wait()
    assert notes.connections == 0
