"""The driver for SQLite files: the standard library's client, one thread and connection each.

Knows how to look, to check and to start threads; what a thread does is in `sqlite_load`.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from benchgate.backend.drivers import sqlite_file
from benchgate.backend.drivers.operations import check_rows, mix, place_of
from benchgate.backend.drivers.port import Assignment, Recorder, TableShape, Target
from benchgate.backend.drivers.sqlite_load import Plan, Session, load, open_all
from benchgate.backend.drivers.statements import (
    Deed,
    Statement,
    refuse_misnamed,
    statements_of,
)
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError, InvalidInput

LOOK_LIMIT_S = 10.0
NOT_THE_STATEMENT = {FailureKind.CONNECTION, FailureKind.LOCK, FailureKind.RESOURCES}
DEEDS = {
    sqlite3.SQLITE_INSERT: Deed.INSERT,
    sqlite3.SQLITE_UPDATE: Deed.UPDATE,
    sqlite3.SQLITE_DELETE: Deed.DELETE,
}

Answer = TypeVar("Answer")


class SqliteDriver:
    """Loads a table of an SQLite file."""

    async def describe(self, target: Target) -> TableShape:
        """Look at the table in the file of *target*."""
        return await _within_limit(lambda: _describe(target), target)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let SQLite compile every statement of *workload*."""
        await _within_limit(lambda: _check(target, workload), target)

    async def drive(
        self,
        assignment: Assignment,
        recorder: Recorder,
        *,
        ready: Callable[[], Awaitable[None]],
        stop: anyio.Event,
    ) -> None:
        """Load the table from as many threads as there are connections."""
        sessions = await anyio.to_thread.run_sync(_prepare, assignment, recorder)
        try:
            await anyio.to_thread.run_sync(open_all, sessions)
            await ready()
            await load(sessions, stop=stop)
        finally:
            for session in sessions:
                session.close()


async def _within_limit(look: Callable[[], Answer], target: Target) -> Answer:
    try:
        with anyio.fail_after(LOOK_LIMIT_S):
            return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
    except TimeoutError as exc:
        raise DatabaseError(
            f"{one_line(target.database)} did not answer within {LOOK_LIMIT_S:g} s."
        ) from exc


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
            f"The SQL of {statement.kind} cannot be used: {one_line(str(exc))}",
            hint="Correct the template's SQL for this kind.",
        ) from exc
    finally:
        connection.set_authorizer(None)
    refuse_misnamed(statement.kind, deeds)


def _prepare(assignment: Assignment, recorder: Recorder) -> list[Session]:
    """One session for each connection, not yet open, with the values it will draw."""
    target = assignment.target
    with sqlite_file.looking_at(target) as connection:
        layout = sqlite_file.layout_of(connection, target)
        statements = statements_of(assignment.workload, layout)
        check_rows(statements, layout)
        pool = sqlite_file.sample(connection, layout, statements=statements, seed=assignment.seed)
    sql = tuple(statement.sql for statement in statements)
    plan = Plan(
        target=target,
        sql=sql,
        read_only=not any(share.writes for share in assignment.workload),
        think_time_s=assignment.think_time_ms / 1000,
    )
    places = [place_of(assignment, number) for number in range(assignment.connections)]
    return [
        Session(
            plan,
            recorder,
            operations=mix(statements, layout, pool=pool, place=place),
            generator=place.generator,
        )
        for place in places
    ]
