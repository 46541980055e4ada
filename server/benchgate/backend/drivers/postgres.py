"""The driver for PostgreSQL: asyncpg, one prepared connection and task each.

Knows how to look, to check and to begin; what a connection does is in `postgres_load`.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from benchgate.backend.drivers import postgres_table
from benchgate.backend.drivers.operations import check_rows, mix, place_of
from benchgate.backend.drivers.port import Assignment, Recorder, TableShape, Target
from benchgate.backend.drivers.postgres_client import (
    CLIENT_ERRORS,
    Connection,
    connect,
    failure_of,
    message_of,
    refusal_of,
)
from benchgate.backend.drivers.postgres_load import Plan, Session, close_all, load, open_all
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
# A quote inside a text of the plan is escaped, so no text can look like this line or hide it.
OPERATION = re.compile(r'^\s*"Operation": "(\w+)"', re.MULTILINE)
NOT_THE_STATEMENT = {FailureKind.CONNECTION, FailureKind.LOCK, FailureKind.TIMEOUT}


class PostgresDriver:
    """Loads a table of a PostgreSQL server."""

    async def describe(self, target: Target) -> TableShape:
        """Look at the table over a connection of its own."""
        async with _looking_at(target) as connection:
            return (await postgres_table.layout_of(connection, target)).shape()

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let the server prepare every statement of *workload*."""
        async with _looking_at(target) as connection:
            layout = await postgres_table.layout_of(connection, target)
            statements = statements_of(workload, layout)
            check_rows(statements, layout)
            for statement in statements:
                await _check(connection, statement)

    async def drive(
        self,
        assignment: Assignment,
        recorder: Recorder,
        *,
        ready: Callable[[], Awaitable[None]],
        stop: anyio.Event,
    ) -> None:
        """Load the table from as many tasks as there are connections."""
        sessions = await _sessions(assignment, recorder)
        try:
            await open_all(sessions)
            await ready()
            await load(sessions, stop=stop)
        finally:
            await close_all(sessions)


@asynccontextmanager
async def _looking_at(target: Target) -> AsyncGenerator[Connection]:
    """A session for one look, within the limit; the client's errors come out as ours."""
    try:
        with anyio.fail_after(LOOK_LIMIT_S):
            connection = await connect(target, read_only=True)
            try:
                yield connection
            finally:
                connection.terminate()
    except CLIENT_ERRORS as exc:
        raise DatabaseError(refusal_of(exc, target)) from exc


async def _check(connection: Connection, statement: Statement) -> None:
    with _blaming(statement):
        prepared = await connection.prepare(statement.sql)
    # A parameter in a place that we do not understand would be bound to nothing.
    found = len(prepared.get_parameters())
    if found != statement.parameters:
        raise InvalidInput(
            f"The SQL of {statement.kind} has {found} parameters for the server, "
            f"{statement.parameters} were found in it.",
            hint="Write parameters as $1, $2, … and operators that hold a ? as functions.",
        )
    refuse_misnamed(statement.kind, await _deeds(connection, statement))


async def _deeds(connection: Connection, statement: Statement) -> set[Deed]:
    """What the server would do to rows, by its own plan, which does not run anything."""
    # By its text, because behind a pooler the server knows a prepared one under another name.
    nothing = (None,) * statement.parameters
    with _blaming(statement):
        try:
            ((plan,),) = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement.sql}", *nothing)
        except CLIENT_ERRORS as exc:
            # A parameter of a domain that is NOT NULL cannot be planned for without a value of
            # it. The text has been looked at, and that has to do.
            if failure_of(exc) is FailureKind.CONSTRAINT:
                return set()
            raise
    return {Deed(found.lower()) for found in OPERATION.findall(str(plan))}


@contextmanager
def _blaming(statement: Statement) -> Generator[None]:
    """Inside, what the server refuses is the fault of *statement*, unless it is the server's."""
    try:
        yield
    except CLIENT_ERRORS as exc:
        if failure_of(exc) in NOT_THE_STATEMENT:
            raise
        raise InvalidInput(
            f"The SQL of {statement.kind} cannot be used: {one_line(message_of(exc))}",
            hint="Correct the template's SQL for this kind.",
        ) from exc


async def _sessions(assignment: Assignment, recorder: Recorder) -> list[Session]:
    """One session for each connection, not yet open, with the values it will draw."""
    async with _looking_at(assignment.target) as connection:
        layout = await postgres_table.layout_of(connection, assignment.target)
        statements = statements_of(assignment.workload, layout)
        check_rows(statements, layout)
        pool = await postgres_table.sample(
            connection, layout, statements=statements, seed=assignment.seed
        )
    plan = Plan(
        target=assignment.target,
        name=assignment.application_name,
        sql=tuple(statement.sql for statement in statements),
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
