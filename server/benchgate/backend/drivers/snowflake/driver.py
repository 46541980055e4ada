"""The driver for Snowflake: the connector, a thread and a session for each connection.

Knows how to look, to check and to begin; what a session does is in `snowflake.session`.
"""

from collections.abc import Collection, Generator
from contextlib import contextmanager

import anyio.to_thread

from benchgate.backend.drivers.looks import within_limit
from benchgate.backend.drivers.operations import check_rows
from benchgate.backend.drivers.port import (
    Assignment,
    Course,
    Recorder,
    Removal,
    SessionsEnded,
    Survey,
    TableShape,
    Target,
)
from benchgate.backend.drivers.snowflake import scratch as copies
from benchgate.backend.drivers.snowflake import server
from benchgate.backend.drivers.snowflake.client import (
    CLIENT_ERRORS,
    COPY_LIMITS,
    LOOK_LIMITS,
    SAMPLE_LIMITS,
    Connection,
    Limits,
    connect,
    described,
    failure_of,
    message_of,
    refusal_of,
)
from benchgate.backend.drivers.snowflake.session import SnowflakeClient
from benchgate.backend.drivers.snowflake.table import enter, layout_of, sample, version_of
from benchgate.backend.drivers.statements import (
    Deed,
    Statement,
    refuse_misnamed,
    statements_of,
)
from benchgate.backend.drivers.threads import Work, load
from benchgate.backend.drivers.wording import refuse_other_targets, refuse_writes_beside_copy
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.errors import DatabaseError, InvalidInput

NOT_THE_STATEMENT = {
    FailureKind.CONNECTION,
    FailureKind.LOCK,
    FailureKind.RESOURCES,
    FailureKind.TIMEOUT,
}
# What Snowflake says that a statement is, as the statement's number of its protocol.
SELECTING = frozenset({0x1000})
TYPES = {QueryKind.INSERT: frozenset({0x3100}), QueryKind.UPDATE: frozenset({0x3200})}
DEEDS = {0x3100: Deed.INSERT, 0x3200: Deed.UPDATE, 0x3300: Deed.DELETE, 0x3400: Deed.MERGE}


class SnowflakeDriver:
    """Loads a table of a Snowflake account."""

    def resolved(self, target: Target) -> Target:
        """*target* as it is: no environment leads to an account."""
        return target

    async def greet(self, target: Target) -> str:
        """The server's version, over a session that chooses no database."""
        return await within_limit(lambda: _greeted(target), target)

    async def describe(self, target: Target) -> TableShape:
        """Look at the table over a session of its own."""
        return await within_limit(lambda: _describe(target), target)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let Snowflake describe every statement of *workload*."""
        if target.copy_of is not None:
            _refuse_beside_copy(workload)
        await within_limit(lambda: _check(target, workload), target)

    async def survey(self, target: Target) -> Survey:
        """Look at the warehouse and the size of the table."""
        return await within_limit(lambda: _survey(target), target)

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:  # noqa: ARG002 - the port's
        """None: any number of processes can load it at the same time."""
        return None

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        """Load the table from as many threads as there are connections."""
        if assignment.target.copy_of is not None:
            _refuse_beside_copy(assignment.workload)
        work = await anyio.to_thread.run_sync(_prepare, assignment, abandon_on_cancel=True)
        await load(work, assignment, recorder, course)

    def stand_by(self, target: Target, application_name: str, *, connections: int) -> None:
        """Nothing: a statement is cancelled by the session that has sent it."""

    async def end_sessions(self, target: Target, application_name: str) -> SessionsEnded | None:
        """Cancel what sessions with that query tag have under way."""

        def end() -> SessionsEnded:
            with _looking_at(target) as connection:
                return server.end_sessions(connection, target, application_name)

        return await within_limit(end, target)

    def scratch(self, target: Target, run_id: str) -> Target:
        """A table of its own name in the schema of *target*."""
        return copies.target_of(target, run_id)

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """Clone the table, or copy it where it cannot be cloned."""

        def make() -> None:
            with _looking_at(target, limits=COPY_LIMITS) as connection:
                copies.make(connection, target, scratch)

        await anyio.to_thread.run_sync(make)

    async def identity(self, target: Target) -> str | None:
        """The account's, as the role that is used sees it: another one may not see the copy."""

        def known_again_by() -> str | None:
            with _looking_at(target) as connection:
                return server.identity(connection)

        return await within_limit(known_again_by, target)

    async def drop_scratch(self, scratch: Target) -> Removal:
        """Drop the copy if it is one of ours."""

        def drop() -> Removal:
            with _looking_at(scratch) as connection:
                return copies.drop(connection, scratch)

        return await anyio.to_thread.run_sync(drop)


@contextmanager
def _looking_at(target: Target, *, limits: Limits = LOOK_LIMITS) -> Generator[Connection]:
    """A session for one look; the connector's errors come out as ours."""
    try:
        connection = connect(target, limits=limits)
        try:
            yield connection
        finally:
            connection.close(retry=False)
    except CLIENT_ERRORS as exc:
        raise DatabaseError(refusal_of(exc, target)) from exc


def _refuse_beside_copy(workload: tuple[QueryShare, ...]) -> None:
    """Refuse writes that may miss the scratch copy; only their words tell where they would go."""
    refuse_writes_beside_copy(workload)
    refuse_other_targets(workload)


def _greeted(target: Target) -> str:
    with _looking_at(target) as connection:
        return version_of(connection)


def _describe(target: Target) -> TableShape:
    with _looking_at(target) as connection:
        return layout_of(connection, enter(connection, target)).shape()


def _survey(target: Target) -> Survey:
    with _looking_at(target) as connection:
        return server.survey(connection, target)


def _check(target: Target, workload: tuple[QueryShare, ...]) -> None:
    with _looking_at(target) as connection:
        place = enter(connection, target)
        layout = layout_of(connection, place)
        statements = statements_of(workload, layout)
        check_rows(statements, layout)
        for statement in statements:
            _check_one(connection, statement)


def _check_one(connection: Connection, statement: Statement) -> None:
    """Let Snowflake say what *statement* is and how many parameters it has, which runs nothing."""
    try:
        found = described(connection, statement.sql)
    except CLIENT_ERRORS as exc:
        if failure_of(exc) in NOT_THE_STATEMENT:
            raise
        raise InvalidInput(
            f"The SQL of {statement.name} cannot be used: {message_of(exc)}",
            hint="Correct the template's SQL for this kind.",
        ) from exc
    if found.type_id in DEEDS:
        refuse_misnamed(statement, {DEEDS[found.type_id]})
    if found.type_id not in _types(statement):
        raise InvalidInput(
            f"Snowflake takes the SQL of {statement.kind} for a statement of another kind "
            f"(type {found.type_id:#x}).",
            hint="Give one plain statement of the kind under which it stands.",
        )
    # A parameter in a place that we do not understand would be bound to nothing.
    if found.parameters not in {None, statement.parameters}:
        raise InvalidInput(
            f"The SQL of {statement.name} has {found.parameters} parameters for Snowflake, "
            f"{statement.parameters} were found in it.",
            hint="Write parameters as ? or as $1, $2, …, outside of literals and comments.",
        )


def _types(statement: Statement) -> Collection[int]:
    if not statement.writes:
        return SELECTING
    return TYPES.get(statement.kind, DEEDS.keys())


def _prepare(assignment: Assignment) -> Work:
    """What the sessions of a worker have in common."""
    target = assignment.target
    with _looking_at(target, limits=SAMPLE_LIMITS) as connection:
        place = enter(connection, target)
        layout = layout_of(connection, place)
        statements = statements_of(assignment.workload, layout)
        check_rows(statements, layout)
        pool = sample(
            connection,
            layout,
            statements=statements,
            rows_in_all=place.rows,
            seed=assignment.seed,
        )
    client = SnowflakeClient(assignment, place, statements)
    return Work(client=client, statements=statements, layout=layout, pool=pool)
