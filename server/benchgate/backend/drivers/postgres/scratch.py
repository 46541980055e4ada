"""Scratch copies, which make writes safe to repeat: what they are called, made, and removed again.

A copy lies under the table's own name in a schema of its run's own. In a session whose search path
is that of `leading_to`, an unqualified name of the table means the copy too. What bears the name
of such a schema but not its mark is somebody else's, and is left alone.

What the copy is like, `copies` says. A function that writes, or takes a number from a sequence by
its full name, reaches past it; the server tells nobody of that beforehand.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import psycopg
from psycopg.errors import (
    DependentObjectsStillExist,
    DuplicateSchema,
    InsufficientPrivilege,
    LockNotAvailable,
    QueryCanceled,
)
from psycopg.sql import SQL, Composed, Identifier, Literal

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import Removal, Target
from benchgate.backend.drivers.postgres.copies import copy_table
from benchgate.backend.drivers.postgres.steps import IN_PLACE, Steps
from benchgate.backend.drivers.postgres.survey import table_bytes
from benchgate.domain.text import digest_of, one_line
from benchgate.errors import DatabaseError, NameTaken

COPY_LIMIT_S = 110.0
# Longer than the second after which the server's own clean-up gives way to whoever waits for it.
LOCK_LIMIT = "SET LOCAL lock_timeout = '5s'"

PREFIX = "benchgate_scratch_"
MARK = "benchgate scratch copy for run "
# Prefix, readable part and digest fill the 63 bytes that a name may have.
READABLE_CHARACTERS = 32
DIGEST_CHARACTERS = 12
OWN_SCHEMA = re.compile(
    rf"{PREFIX}([a-z0-9_]{{0,{READABLE_CHARACTERS}}}_[0-9a-f]{{{DIGEST_CHARACTERS}}})"
)

# Held while a copy is being made, which nobody else sees before it is there: whoever is to remove
# it waits for what may come of a maker that has been cut off.
MAKING = SQL("SELECT pg_advisory_xact_lock(hashtextextended({}, 0))")
IS_MARKED = """
SELECT 1 FROM pg_namespace AS n
 WHERE n.nspname = %s AND obj_description(n.oid, 'pg_namespace') = %s
"""
IS_THERE = """
SELECT coalesce(obj_description(n.oid, 'pg_namespace') = %s, false)
  FROM pg_namespace AS n WHERE n.nspname = %s
"""
IDENTITY = """
SELECT CASE WHEN NOT pg_is_in_recovery() THEN system_identifier || '/' || d.oid END
  FROM pg_control_system() CROSS JOIN pg_database AS d WHERE d.datname = current_database()
"""
PATH = SQL(
    "SELECT set_config('search_path', "
    "concat_ws(', ', {names}, nullif(current_setting('search_path'), '')), false)"
)


def scratch_of(target: Target, run_id: str) -> Target:
    """Where the scratch copy of *target* for the run *run_id* lies.

    The schema tells the run in the letters that are safe everywhere, and by a digest: two runs
    never share one. The original's schema is empty where the search path is to find the table.
    """
    readable = re.sub(r"[^a-z0-9_]", "_", run_id.lower())[:READABLE_CHARACTERS]
    schema_name = f"{PREFIX}{readable}_{digest_of(run_id)[:DIGEST_CHARACTERS]}"
    return target.model_copy(update={"schema_name": schema_name, "copy_of": target.schema_name})


def leading_to(scratch: Target) -> str:
    """The statement after which a session finds the copy before the original.

    The path is the copy's schema, the original's, and the one that the session has had before.
    """
    names = qualified(scratch.schema_name)
    if scratch.copy_of:
        names += ", " + qualified(scratch.copy_of)
    return PATH.format(names=Literal(names)).as_string()


def make(
    connection: psycopg.Connection[Any],
    target: Target,
    scratch: Target,
    *,
    limit_s: float = COPY_LIMIT_S,
) -> None:
    """Copy the table of *target* to *scratch*, whose schema must not be there yet.

    All in one transaction, which needs a session that may write and commits by itself.

    Raises:
        DatabaseError: it cannot be made, or not within *limit_s*; nothing of it is left then.
    """
    assert connection.autocommit
    mark = _mark_of(scratch)
    assert mark is not None, "not from `scratch_of`"
    steps = Steps(connection, limit_s=limit_s)
    schema = Identifier(scratch.schema_name)
    try:
        with connection.transaction():
            steps.run(LOCK_LIMIT)
            steps.run(MAKING.format(Literal(scratch.schema_name)))
            steps.run(SQL("CREATE SCHEMA {}").format(schema))
            steps.run(SQL("COMMENT ON SCHEMA {} IS {}").format(schema, Literal(mark)))
            copy_table(steps, target, scratch)
    except psycopg.Error as exc:
        if isinstance(exc, QueryCanceled) and steps.is_late:
            raise _too_large(connection, target, limit_s=limit_s) from exc
        raise _not_made(exc, target) from exc
    _settle(connection, scratch)


def identity(connection: psycopg.Connection[Any]) -> str | None:
    """By what the server and the database of *connection* are known again.

    None for a replica, to which what its primary has may be still to come, and for a server that
    tells its own number to nobody.
    """
    try:
        row = connection.execute(IDENTITY).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    return row[0] if row else None


def drop(connection: psycopg.Connection[Any], scratch: Target) -> Removal:
    """Remove the table of *scratch* and its schema, if they are there and `make` made them.

    What others have put into the schema, or built upon the table, is not removed with it.

    Raises:
        DatabaseError: somebody still uses it, or it may not be removed.
    """
    place = Identifier(scratch.schema_name, scratch.table_name)
    try:
        _await_maker(connection, scratch)
        found = connection.execute(IS_THERE, [_mark_of(scratch), scratch.schema_name]).fetchone()
        if found is None or not found[0]:
            return Removal.ABSENT if found is None else Removal.UNMARKED
        _remove(connection, scratch, SQL("DROP TABLE IF EXISTS {}").format(place))
        schema = Identifier(scratch.schema_name)
        _remove(connection, scratch, SQL("DROP SCHEMA IF EXISTS {}").format(schema))
    except psycopg.Error as exc:
        raise _not_dropped(exc, scratch) from exc
    return Removal.REMOVED


def foreign_writes(plan: object, scratch: Target) -> tuple[str, ...]:
    """The tables outside the schema of *scratch* that a statement would write, by its *plan*.

    That is what EXPLAIN (VERBOSE, FORMAT JSON) answers, as text or read already. A table that
    the plan names without a schema counts as outside.
    """
    read: object = json.loads(plan) if isinstance(plan, str) else plan
    written = set(_written(read))
    return tuple(sorted(qualified(*name) for name in written if name[0] != scratch.schema_name))


def _written(node: object) -> Iterator[tuple[str, str]]:
    """The schema and name of every table that *node* of a plan, or one below it, writes."""
    if isinstance(node, list):
        for inner in cast("list[object]", node):
            yield from _written(inner)
    if isinstance(node, dict):
        fields = cast("dict[str, object]", node)
        if fields.get("Node Type") == "ModifyTable":
            yield from _targets(fields)
        yield from _written(list(fields.values()))


def _targets(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # The parts of a partitioned table are named beside the table itself.
    for table in (node, *node.get("Target Tables", ())):
        yield str(table.get("Schema", "")), str(table.get("Relation Name", "?"))


def _mark_of(scratch: Target) -> str | None:
    """The comment that a schema of ours bears; None for a name that we never give."""
    found = OWN_SCHEMA.fullmatch(scratch.schema_name)
    return MARK + found[1] if found else None


def _settle(connection: psycopg.Connection[Any], scratch: Target) -> None:
    """Spare the load what a table that has just been written still has before it.

    Otherwise its first readers finish the writing, and the server's own clean-up comes in the
    midst of the load. The copy is as good without, so the session's own limits will do.
    """
    place = Identifier(scratch.schema_name, scratch.table_name)
    with suppress(psycopg.Error):
        connection.execute(SQL("VACUUM {}").format(place))


def _await_maker(connection: psycopg.Connection[Any], scratch: Target) -> None:
    # In a transaction of its own, because one may see only what was there when it began.
    with connection.transaction():
        connection.execute(LOCK_LIMIT)
        connection.execute(MAKING.format(Literal(scratch.schema_name)))


def _remove(connection: psycopg.Connection[Any], scratch: Target, statement: Composed) -> None:
    with connection.transaction():
        about = [scratch.schema_name, _mark_of(scratch)]
        if connection.execute(IS_MARKED, about).fetchone() is not None:
            connection.execute(LOCK_LIMIT)
            connection.execute(statement)


def _too_large(
    connection: psycopg.Connection[Any], target: Target, *, limit_s: float
) -> DatabaseError:
    with suppress(psycopg.Error):
        size_bytes = table_bytes(connection, target)
        if size_bytes is not None:
            size = f", which has {size_bytes / 1e6:,.1f} MB with its indexes,"
            return DatabaseError(
                f"{_shown(target)}{size} could not be copied within {limit_s:g} s.", hint=IN_PLACE
            )
    return DatabaseError(
        f"{_shown(target)} could not be copied within {limit_s:g} s.", hint=IN_PLACE
    )


def _not_made(exc: psycopg.Error, target: Target) -> DatabaseError:
    message = f"There is no scratch copy of {_shown(target)}: {_said(exc)}"
    if isinstance(exc, DuplicateSchema):
        return NameTaken(message)
    hint = IN_PLACE
    if isinstance(exc, InsufficientPrivilege):
        hint = f"It takes CREATE on the database and SELECT on the table. {IN_PLACE}"
    return DatabaseError(message, hint=hint)


def _not_dropped(exc: psycopg.Error, scratch: Target) -> DatabaseError:
    hint = f"Drop the schema {scratch.schema_name} by hand when nothing keeps it any more."
    if isinstance(exc, LockNotAvailable):
        hint = f"End the sessions that use it. {hint}"
    if isinstance(exc, DependentObjectsStillExist):
        hint = f"Others have added to it what is not ours to remove. {hint}"
    return DatabaseError(
        f"The scratch copy {_shown(scratch)} is still there: {_said(exc)}", hint=hint
    )


def _shown(target: Target) -> str:
    return one_line(".".join(name for name in (target.schema_name, target.table_name) if name))


def _said(exc: psycopg.Error) -> str:
    """What the server says, and of what, on one line."""
    parts = (exc.diag.message_primary or str(exc), exc.diag.message_detail)
    return one_line("; ".join(part for part in parts if part))
