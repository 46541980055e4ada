"""A driver without a database: what it counts is written beforehand, so every figure is known.

A worker takes it from here by its name. The target's database is a folder, in which each worker
leaves a note of itself, so that a test knows where the workers are and how they fared.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns

import anyio

from benchgate.backend.drivers.port import (
    Assignment,
    Course,
    Driver,
    Recorder,
    Removal,
    SessionsEnded,
    Survey,
    TableShape,
    Target,
)
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchgate.domain.values import Value

DRIVERS = "tests.integration.scripted:driver_for"
LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
NS_PER_MS, NS_PER_S = 1_000_000, 1_000_000_000
# In the middle of each second, of which the first is warm-up and the others are measured.
AT_NS = NS_PER_S // 2
OPERATIONS = 500
LOOK_EVERY_S = 0.02


class Note(Value):
    """What a worker leaves behind."""

    pid: int
    first_connection: int
    start_epoch_ns: int
    has_stopped: bool = False


def latencies_ns(first_connection: int) -> Sequence[int]:
    """What the worker with that connection measures; another one measures something else."""
    return range(
        (first_connection + 1) * NS_PER_MS,
        (first_connection + 1 + OPERATIONS) * NS_PER_MS,
        NS_PER_MS,
    )


def notes(folder: Path) -> list[Note]:
    """What the workers have left in *folder*, in the order of their connections."""
    files = sorted(folder.glob("*.json"))
    return [Note.model_validate_json(file.read_text(encoding="utf-8")) for file in files]


def driver_for(table_type: TableType) -> Driver:
    """The one driver there is."""
    return ScriptedDriver()


class ScriptedDriver:
    """Answers each operation of its script at once."""

    async def greet(self, target: Target) -> str:
        return "a script"

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:
        return None

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        open_now = 0
        start_ns = await course.ready()
        if start_ns is None:
            return
        note = Note(
            pid=os.getpid(),
            first_connection=assignment.first_connection,
            start_epoch_ns=time.time_ns() + start_ns - perf_counter_ns(),
        )
        _leave(note, assignment)
        answers: Sequence[int] = [NS_PER_S] * OPERATIONS
        due_ns = start_ns + AT_NS
        while not course.stopped.is_set():
            recorder.connections_changed(course.connections - open_now)
            open_now = course.connections
            if due_ns <= perf_counter_ns():
                _record(recorder, answers)
                answers = latencies_ns(assignment.first_connection)
                due_ns += NS_PER_S
            await anyio.sleep(LOOK_EVERY_S)
        recorder.connections_changed(-open_now)
        _leave(note.model_copy(update={"has_stopped": True}), assignment)

    def resolved(self, target: Target) -> Target:
        return target

    async def describe(self, target: Target) -> TableShape:
        return TableShape(server_version="1", columns=(), key=(), has_rows=True)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Nothing can be wrong with it."""

    async def survey(self, target: Target) -> Survey:
        return Survey()

    def stand_by(self, target: Target, application_name: str, *, connections: int) -> None:
        """Nothing: its workers end at once."""

    async def end_sessions(self, target: Target, application_name: str) -> SessionsEnded | None:
        return None

    def scratch(self, target: Target, run_id: str) -> Target:
        return target

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """There is nothing to copy."""

    async def identity(self, target: Target) -> str | None:
        return None

    async def drop_scratch(self, scratch: Target) -> Removal:
        return Removal.REMOVED


def _record(recorder: Recorder, latencies: Sequence[int]) -> None:
    meter = recorder.meter(LOOKUP)
    for latency_ns in latencies:
        meter.rows.append(1)
        meter.service_ns.append(latency_ns)


def _leave(note: Note, assignment: Assignment) -> None:
    file = Path(assignment.target.database) / f"{note.first_connection:03}.json"
    # A reader must never meet half of it.
    new = file.with_suffix(".new")
    new.write_text(note.model_dump_json(), encoding="utf-8")
    new.replace(file)
