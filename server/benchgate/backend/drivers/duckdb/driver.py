"""The driver for DuckDB files: the database lives in the process, with a thread per connection.

Knows how to look, to check and what a load is made of; the load itself is in `threads`.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import anyio.to_thread
import duckdb

from benchgate.backend.drivers.copies import (
    drop_copy,
    folder_identity,
    make_copy,
    scratch_of,
    survey_of,
)
from benchgate.backend.drivers.duckdb.file import failure_of, imitating, looking_at
from benchgate.backend.drivers.duckdb.scratch import DUCKDB_FILE
from benchgate.backend.drivers.duckdb.session import DuckdbClient
from benchgate.backend.drivers.duckdb.table import layout_of, sample
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
from benchgate.backend.drivers.statements import (
    Deed,
    Statement,
    refuse_idle,
    refuse_misnamed,
    statements_of,
)
from benchgate.backend.drivers.threads import Work, load
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

NOT_THE_STATEMENT = {
    FailureKind.CONNECTION,
    FailureKind.CREDENTIALS,  # a file that is open to be read is planned for writing
    FailureKind.LOCK,
    FailureKind.RESOURCES,
}
# The steps of a plan that change rows. A merge is one for each thing that it may do, but for what
# the planner has found to do nothing.
DEEDS = {
    "INSERT": Deed.INSERT,
    "BATCH_INSERT": Deed.INSERT,
    "UPDATE": Deed.UPDATE,
    "DELETE": Deed.DELETE,
    "TRUNCATE": Deed.DELETE,
}
MERGE = "MERGE_INTO"
# What DuckDB may take the SQL of each kind for; only its own parser knows all its comments.
READ_TYPES = frozenset({duckdb.StatementType.SELECT})
WRITE_TYPES = {
    QueryKind.INSERT: frozenset({duckdb.StatementType.INSERT}),
    QueryKind.UPDATE: frozenset({duckdb.StatementType.UPDATE}),
}
OWN_WRITE_TYPES = frozenset(
    {
        duckdb.StatementType.SELECT,  # of what a WITH before it changes
        duckdb.StatementType.INSERT,
        duckdb.StatementType.UPDATE,
        duckdb.StatementType.DELETE,
        duckdb.StatementType.MERGE_INTO,
    }
)


class DuckdbDriver:
    """Loads a table of a DuckDB file."""

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:
        """One process where anything is written, which must have the file to itself."""
        return 1 if any(share.writes for share in workload) else None

    def resolved(self, target: Target) -> Target:
        """*target* as it is: a file is where it is."""
        return target

    async def greet(self, target: Target) -> str:  # noqa: ARG002 - the port's
        """The library's version: there is no server."""
        return f"DuckDB {duckdb.__version__}"

    async def describe(self, target: Target) -> TableShape:
        """Look at the table in the file of *target*."""
        return await within_limit(lambda: _describe(target), target)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let DuckDB plan every statement of *workload*."""
        await within_limit(lambda: _check(target, workload), target)

    async def survey(self, target: Target) -> Survey:
        """Look at the file of *target* and at its disk; DuckDB limits no connections."""
        return await within_limit(lambda: survey_of(target, DUCKDB_FILE), target)

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        """Load the table from as many threads as there are connections."""
        work = await anyio.to_thread.run_sync(_prepare, assignment)
        await load(work, assignment, recorder, course)

    def stand_by(self, target: Target, application_name: str, *, connections: int) -> None:
        """Nothing: the worker interrupts what its own process does."""

    async def end_sessions(self, target: Target, application_name: str) -> None:
        """Nothing: a connection to a file is gone with the process that had it."""

    def scratch(self, target: Target, run_id: str) -> Target:
        """The copy of the whole file that would lie beside it."""
        return scratch_of(target, run_id)

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """Copy the file."""
        await make_copy(target, scratch, DUCKDB_FILE)

    async def identity(self, target: Target) -> str | None:
        """The folder's, beside whose file the copy lies."""
        return await folder_identity(target)

    async def drop_scratch(self, scratch: Target) -> Removal:
        """Remove the copy with its log."""
        return await drop_copy(scratch, DUCKDB_FILE)


def _describe(target: Target) -> TableShape:
    with looking_at(target) as connection:
        return layout_of(connection, target).shape()


def _check(target: Target, workload: tuple[QueryShare, ...]) -> None:
    with looking_at(target) as connection:
        layout = layout_of(connection, target)
        statements = statements_of(workload, layout)
        check_rows(statements, layout)
        writing = [statement for statement in statements if not _is_read(connection, statement)]
    if writing:
        with imitating(target) as connection:
            for statement in writing:
                _plan(connection, statement)


def _is_read(connection: duckdb.DuckDBPyConnection, statement: Statement) -> bool:
    """Whether *statement* has been checked, since it is one that only reads."""
    if statement.writes:
        return False
    try:
        _plan(connection, statement)
    except duckdb.InvalidInputException:
        return False  # It would write under the name of a read.
    return True


def _plan(connection: duckdb.DuckDBPyConnection, statement: Statement) -> None:
    """Plan *statement* without running it, and look at what the plan does."""
    try:
        found = connection.extract_statements(statement.sql)
        _refuse_other_types(statement, found)
        nothing = (None,) * statement.parameters
        plans = connection.execute(f"EXPLAIN (FORMAT json) {statement.sql}", nothing).fetchall()
    except duckdb.Error as exc:
        is_outside = isinstance(exc, duckdb.PermissionException)  # of the file
        if failure_of(exc) in NOT_THE_STATEMENT and not is_outside:
            raise
        raise _unusable(statement, one_line(str(exc))) from exc
    steps = {step for _, plan in plans for step in _steps(json.loads(plan))}
    deeds = {DEEDS[step] for step in steps if step in DEEDS}
    refuse_misnamed(statement, deeds or ({Deed.MERGE} if MERGE in steps else set[Deed]()))
    # Of a statement that writes, the planner may have found that it can meet no row.
    if statement.writes and found[0].type is duckdb.StatementType.SELECT and not deeds:
        refuse_idle(statement)


def _refuse_other_types(statement: Statement, found: Sequence[duckdb.Statement]) -> None:
    """Refuse what DuckDB takes for anything but one statement of its kind."""
    # Explaining several would explain the first and run the others.
    if len(found) != 1:
        raise _unusable(statement, f"it is {len(found)} statements")
    allowed = WRITE_TYPES.get(statement.kind, OWN_WRITE_TYPES) if statement.writes else READ_TYPES
    if found[0].type not in allowed:
        raise _unusable(
            statement,
            f"DuckDB takes it for {found[0].type.name}, which is not what it stands for",
        )


def _unusable(statement: Statement, reason: str) -> InvalidInput:
    return InvalidInput(
        f"The SQL of {statement.name} cannot be used: {reason}",
        hint="Correct the template's SQL for this kind.",
    )


def _steps(plan: Any) -> Iterator[str]:
    """The names of all steps of a plan, whichever of them feeds which."""
    for step in plan:
        yield step["name"].strip()
        yield from _steps(step["children"])


def _prepare(assignment: Assignment) -> Work:
    """What the connections have in common: their statements, and the values that they draw."""
    target = assignment.target
    with looking_at(target) as connection:
        layout = layout_of(connection, target)
        statements = statements_of(assignment.workload, layout)
        check_rows(statements, layout)
        pool = sample(connection, layout, statements=statements, seed=assignment.seed)
    return Work(DuckdbClient(target, statements), statements, layout=layout, pool=pool)
