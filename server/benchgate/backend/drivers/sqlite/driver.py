"""The driver for SQLite files: the standard library's client, one thread and connection each.

Knows how to look, to check and what a load is made of; the load itself is in `threads`.
"""

import sqlite3

import anyio
import anyio.to_thread

from benchgate.backend.drivers.copies import (
    drop_copy,
    folder_identity,
    make_copy,
    scratch_of,
    survey_of,
)
from benchgate.backend.drivers.looks import within_limit
from benchgate.backend.drivers.operations import check_rows
from benchgate.backend.drivers.port import (
    Assignment,
    Course,
    Recorder,
    Removal,
    Survey,
    TableShape,
    Target,
)
from benchgate.backend.drivers.sqlite import file as sqlite_file
from benchgate.backend.drivers.sqlite.log import LogKeeper
from benchgate.backend.drivers.sqlite.scratch import SQLITE_FILE
from benchgate.backend.drivers.sqlite.session import SqliteClient
from benchgate.backend.drivers.statements import (
    Deed,
    Statement,
    refuse_misnamed,
    statements_of,
)
from benchgate.backend.drivers.threads import Work, load
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

NOT_THE_STATEMENT = {FailureKind.CONNECTION, FailureKind.LOCK, FailureKind.RESOURCES}
DEEDS = {
    sqlite3.SQLITE_INSERT: Deed.INSERT,
    sqlite3.SQLITE_UPDATE: Deed.UPDATE,
    sqlite3.SQLITE_DELETE: Deed.DELETE,
}


class SqliteDriver:
    """Loads a table of an SQLite file."""

    def resolved(self, target: Target) -> Target:
        """*target* as it is: a file is where it is."""
        return target

    async def greet(self, target: Target) -> str:  # noqa: ARG002 - the port's
        """The library's version: there is no server."""
        return f"SQLite {sqlite3.sqlite_version}"

    async def describe(self, target: Target) -> TableShape:
        """Look at the table in the file of *target*."""
        return await within_limit(lambda: _describe(target), target)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let SQLite compile every statement of *workload*."""
        await within_limit(lambda: _check(target, workload), target)

    async def survey(self, target: Target) -> Survey:
        """Look at the file of *target* and at its disk; SQLite limits no connections."""
        return await within_limit(lambda: survey_of(target, SQLITE_FILE), target)

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:  # noqa: ARG002 - the port's
        """None: any number of processes can load it at the same time."""
        return None

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        """Load the table from as many threads as there are connections."""
        work = await anyio.to_thread.run_sync(_prepare, assignment)
        writes = any(share.writes for share in assignment.workload)
        if not writes:
            await load(work, assignment, recorder, course)
            return
        # One worker keeps the log for all of them.
        keeper = LogKeeper(assignment.target, recorder.noticed, lambda: course.is_first)
        await anyio.to_thread.run_sync(keeper.begin)
        try:
            await load(work, assignment, recorder, course)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(keeper.end)

    def stand_by(self, target: Target, application_name: str, *, connections: int) -> None:
        """Nothing: the worker interrupts what its own process does."""

    async def end_sessions(self, target: Target, application_name: str) -> None:
        """Nothing: a connection to a file is gone with the process that had it."""

    def scratch(self, target: Target, run_id: str) -> Target:
        """The copy of the whole file that would lie beside it."""
        return scratch_of(target, run_id)

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """Copy the file."""
        await make_copy(target, scratch, SQLITE_FILE)

    async def identity(self, target: Target) -> str | None:
        """The folder's, beside whose file the copy lies."""
        return await folder_identity(target)

    async def drop_scratch(self, scratch: Target) -> Removal:
        """Remove the copy with its log."""
        return await drop_copy(scratch, SQLITE_FILE)


def _describe(target: Target) -> TableShape:
    with sqlite_file.looking_at(target) as connection:
        return sqlite_file.layout_of(connection, target).shape()


def _check(target: Target, workload: tuple[QueryShare, ...]) -> None:
    with sqlite_file.looking_at(target) as connection:
        layout = sqlite_file.layout_of(connection, target)
        statements = statements_of(workload, layout)
        check_rows(statements, layout)
        for statement in statements:
            _compile(connection, statement)


def _compile(connection: sqlite3.Connection, statement: Statement) -> None:
    """Compile *statement* without running it, which is what EXPLAIN does.

    While it compiles, SQLite asks about everything that the statement would do.
    """
    nothing = (None,) * statement.parameters
    deeds: set[Deed] = set()

    def note(action: int, *details: str | None) -> int:
        is_by_trigger = details[-1] is not None
        if action in DEEDS and not is_by_trigger:
            deeds.add(DEEDS[action])
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        connection.execute(f"EXPLAIN {statement.sql}", nothing).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as exc:
        if sqlite_file.failure_of(exc) in NOT_THE_STATEMENT:
            raise
        raise InvalidInput(
            f"The SQL of {statement.name} cannot be used: {one_line(str(exc))}",
            hint="Correct the template's SQL for this kind.",
        ) from exc
    finally:
        connection.set_authorizer(None)
    refuse_misnamed(statement, deeds)


def _prepare(assignment: Assignment) -> Work:
    """What the connections have in common: their statements, and the values that they draw."""
    target = assignment.target
    with sqlite_file.looking_at(target) as connection:
        layout = sqlite_file.layout_of(connection, target)
        statements = statements_of(assignment.workload, layout)
        check_rows(statements, layout)
        pool = sqlite_file.sample(connection, layout, statements=statements, seed=assignment.seed)
    return Work(SqliteClient(target, statements), statements, layout=layout, pool=pool)
