"""The driver for PostgreSQL: psycopg to look and to check, libpq beneath it to load.

Knows how to look, to check and to begin; what happens while the load runs is in `loop`.
"""

import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial

import anyio
from anyio import to_thread
from psycopg import pq

from benchgate.backend.drivers.layouts import Layout
from benchgate.backend.drivers.operations import Pool, check_rows, mix, place_of
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
from benchgate.backend.drivers.postgres import scratch as scratch_copies
from benchgate.backend.drivers.postgres import whereabouts
from benchgate.backend.drivers.postgres.client import (
    DEFAULT_NAME,
    Connection,
    fetch,
    fetch_texts,
    looked,
)
from benchgate.backend.drivers.postgres.failures import CLIENT_ERRORS, failure_of, message_of
from benchgate.backend.drivers.postgres.loop import Load
from benchgate.backend.drivers.postgres.opening import Plan, prepare
from benchgate.backend.drivers.postgres.session import LIBPQ_WITH_PIECES, Seat, Task
from benchgate.backend.drivers.postgres.standby import PostgresStandby
from benchgate.backend.drivers.postgres.survey import survey_of
from benchgate.backend.drivers.postgres.table import layout_of, sample
from benchgate.backend.drivers.postgres.values import as_text, sending
from benchgate.backend.drivers.statements import (
    Binding,
    Deed,
    Statement,
    refuse_idle,
    refuse_misnamed,
    statements_of,
)
from benchgate.backend.drivers.wording import refuse_writes_beside_copy
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

END_LIMIT_S = 1.0
# A copy has its own limit, and what it needs to settle comes on top of it.
MAKE_LIMIT_S = scratch_copies.COPY_LIMIT_S + 35.0
LOOK_AGAIN_S = 0.02
# A quote inside a text of the plan is escaped, so no text can look like this line or hide it.
OPERATION = re.compile(rb'^\s*"Operation": "(\w+)"', re.MULTILINE)
NOT_THE_STATEMENT = {FailureKind.CONNECTION, FailureKind.LOCK, FailureKind.TIMEOUT}

# Whatever is longer than a name of the server's has been cut off there. A user may end no sessions
# but its own.
OURS = "FROM pg_stat_activity WHERE application_name = $1::name AND usename = session_user"
END = f"SELECT pg_terminate_backend(pid) {OURS} AND pid <> pg_backend_pid()"
LEFT = f"SELECT count(*) {OURS} AND pid <> pg_backend_pid()"


class PostgresDriver:
    """Loads a table of a PostgreSQL server."""

    def resolved(self, target: Target) -> Target:
        """The server that libpq would go to, by name, port and user."""
        return whereabouts.resolved(target)

    async def greet(self, target: Target) -> str:
        """The server's version, over a session on the database of *target*."""
        return await looked(target, _greeted, read_only=True)

    async def describe(self, target: Target) -> TableShape:
        """Look at the table over a connection of its own."""
        return await looked(
            target, lambda connection: layout_of(connection, target).shape(), read_only=True
        )

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Let the server prepare every statement of *workload*."""
        # When the copy is gone, a bare name would mean the table itself again.
        if target.copy_of is not None:
            refuse_writes_beside_copy(workload)
        await looked(target, partial(_check_all, target=target, workload=workload), read_only=True)

    async def survey(self, target: Target) -> Survey:
        """Look at the server and at the size of the table."""
        look = partial(survey_of, target=target, own_name_prefix=DEFAULT_NAME)
        return await looked(target, look, read_only=True)

    def workers_max(self, workload: tuple[QueryShare, ...]) -> int | None:  # noqa: ARG002 - the port's
        """None: any number of processes can load it at the same time."""
        return None

    async def drive(self, assignment: Assignment, recorder: Recorder, course: Course) -> None:
        """Load the table from a thread that waits for all connections at once."""
        look = partial(_drawn, assignment=assignment, recorder=recorder)
        plan, seats = await looked(assignment.target, look, read_only=True)
        load = Load(assignment, course, recorder, plan=plan, seats=seats)
        try:
            await to_thread.run_sync(load.open, abandon_on_cancel=True)
            begin_ns = await course.ready()
            if begin_ns is not None:
                await to_thread.run_sync(load.run, begin_ns, abandon_on_cancel=True)
        finally:
            # A thread cannot be cancelled: it is told, and the closing waits for it.
            load.abandon()
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(load.close)

    def stand_by(
        self, target: Target, application_name: str, *, connections: int
    ) -> PostgresStandby:
        """A session that ends the others."""
        return PostgresStandby(target, application_name, connections=connections)

    async def end_sessions(self, target: Target, application_name: str) -> SessionsEnded | None:
        """Have the server end what is left of the sessions of that name."""
        return await looked(target, partial(_end, name=application_name), read_only=True)

    def scratch(self, target: Target, run_id: str) -> Target:
        """The table of the same name in a schema of that run's own."""
        return scratch_copies.scratch_of(target, run_id)

    async def make_scratch(self, target: Target, scratch: Target) -> None:
        """Copy the table, its rows, indexes and sequences, in one transaction."""
        make = partial(scratch_copies.make, target=target, scratch=scratch)
        await looked(target, make, read_only=False, limit_s=MAKE_LIMIT_S)

    async def identity(self, target: Target) -> str | None:
        """The number that the server got when it was made, and that of the database."""
        beside = target.model_copy(update={"copy_of": None})
        return await looked(beside, scratch_copies.identity, read_only=True)

    async def drop_scratch(self, scratch: Target) -> Removal:
        """Remove the schema of the copy, if it bears the mark."""
        # A session that is led to the copy would still use it.
        beside = scratch.model_copy(update={"copy_of": None})
        return await looked(beside, partial(scratch_copies.drop, scratch=scratch), read_only=False)


def _greeted(connection: Connection) -> str:
    return f"PostgreSQL {fetch(connection, 'SHOW server_version')[0][0]}"


def _end(connection: Connection, name: str) -> SessionsEnded:
    found = len(fetch(connection, END, name))
    until_s = time.monotonic() + END_LIMIT_S
    while (left := fetch(connection, LEFT, name)[0][0]) and time.monotonic() < until_s:
        time.sleep(LOOK_AGAIN_S)
    return SessionsEnded.model_validate({"found": found, "left": left})


def _check_all(connection: Connection, target: Target, workload: tuple[QueryShare, ...]) -> None:
    layout = layout_of(connection, target)
    statements = statements_of(workload, layout)
    check_rows(statements, layout)
    for number, statement in enumerate(statements):
        _check(connection, statement, name=_name(number))
        if target.copy_of is not None and statement.writes:
            _refuse_writes_beside(connection, statement, target)


def _check(connection: Connection, statement: Statement, *, name: bytes) -> None:
    # Under a name, because a pooler may ask another server for what has none.
    with _blaming(statement):
        prepare(connection, name, statement.sql.encode())
        described = connection.pgconn.describe_prepared(name)
    found = described.nparams
    # A parameter in a place that we do not understand would be bound to nothing.
    if found != statement.parameters:
        raise InvalidInput(
            f"The SQL of {statement.name} has {found} parameters for the server, "
            f"{statement.parameters} were found in it.",
            hint="Write parameters as $1, $2, … and operators that hold a ? as functions.",
        )
    if not statement.writes and not described.nfields:
        raise InvalidInput(
            f"The SQL of {statement.name} cannot be used: it returns no columns, so it is no read.",
            hint="Give one plain SELECT.",
        )
    deeds = _deeds(connection, statement)
    if deeds is None:
        return
    refuse_misnamed(statement, deeds)
    if statement.writes and not deeds:
        refuse_idle(statement)


def _deeds(connection: Connection, statement: Statement) -> set[Deed] | None:
    """What the server would do to rows, by its own plan, which does not run anything.

    None where it cannot plan.
    """
    # By its text, because behind a pooler the server knows a prepared one under another name.
    nothing = (None,) * statement.parameters
    with _blaming(statement):
        try:
            ((plan,),) = fetch_texts(connection, f"EXPLAIN (FORMAT JSON) {statement.sql}", *nothing)
        except CLIENT_ERRORS as exc:
            # A parameter of a domain that is NOT NULL cannot be planned for without a value of
            # it. The text has been looked at, and that has to do.
            if failure_of(exc) is FailureKind.CONSTRAINT:
                return None
            raise
    return {Deed(found.decode().lower()) for found in OPERATION.findall(plan or b"")}


def _refuse_writes_beside(connection: Connection, statement: Statement, scratch: Target) -> None:
    """Refuse what would write another table than the copy that was made for it."""
    nothing = (None,) * statement.parameters
    with _blaming(statement):
        ((plan,),) = fetch_texts(
            connection, f"EXPLAIN (VERBOSE, FORMAT JSON) {statement.sql}", *nothing
        )
    missed = scratch_copies.foreign_writes((plan or b"[]").decode(), scratch)
    if missed:
        raise InvalidInput(
            f"The SQL of {statement.name} would write {missed[0]}, which is not the scratch copy.",
            hint="Write {table} in its place, or set write_target to IN_PLACE.",
        )


@contextmanager
def _blaming(statement: Statement) -> Generator[None]:
    """Inside, what the server refuses is the fault of *statement*, unless it is the server's."""
    try:
        yield
    except CLIENT_ERRORS as exc:
        if failure_of(exc) in NOT_THE_STATEMENT:
            raise
        raise InvalidInput(
            f"The SQL of {statement.name} cannot be used: {one_line(message_of(exc))}",
            hint="Correct the template's SQL for this kind.",
        ) from exc


def _drawn(
    connection: Connection, assignment: Assignment, recorder: Recorder
) -> tuple[Plan, list[Seat]]:
    """What all sessions prepare, and a seat for each with the values that it will draw."""
    layout = layout_of(connection, assignment.target)
    statements = statements_of(assignment.workload, layout)
    check_rows(statements, layout)
    pool = sample(connection, layout, statements=statements, seed=assignment.seed)
    plan = Plan(
        target=assignment.target,
        name=assignment.application_name,
        statements=[(_name(n), s.sql.encode()) for n, s in enumerate(statements)],
        read_only=not any(share.writes for share in assignment.workload),
        decode_rows=assignment.decode_rows,
    )
    return plan, [
        _seat(assignment, recorder, number, statements=statements, layout=layout, pool=pool)
        for number in range(assignment.connections)
    ]


def _name(number: int) -> bytes:
    return b"benchgate_%d" % number


def _seat(
    assignment: Assignment,
    recorder: Recorder,
    number: int,
    *,
    statements: Sequence[Statement],
    layout: Layout,
    pool: Pool,
) -> Seat:
    place = place_of(assignment, number)
    tasks: list[Task] = []
    made: dict[int, Task] = {}  # a mix of odd shares has ten thousand entries
    for operation in mix(statements, layout, pool=pool, place=place, written=as_text):
        if operation.number in made:
            tasks.append(made[operation.number])
            continue
        statement = statements[operation.number]
        meter = recorder.meter(operation.kind, writes=operation.writes)
        task = Task(
            kind=operation.kind,
            name=_name(operation.number),
            bind=sending(statement, layout, operation.bind),
            in_pieces=_is_answered_in_pieces(statement),
            note_rows=meter.rows.append,
            note_response_ns=meter.response_ns.append,
            note_service_ns=meter.service_ns.append,
        )
        made[operation.number] = task
        tasks.append(task)
    return Seat(tasks, place.generator, phase=place.phase)


def _is_answered_in_pieces(statement: Statement) -> bool:
    # By its key there is one row.
    return statement.binding is not Binding.KEY and pq.version() >= LIBPQ_WITH_PIECES
