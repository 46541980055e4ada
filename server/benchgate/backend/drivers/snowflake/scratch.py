"""The scratch copy of a Snowflake table: how it is made, known again and removed."""

import re
from contextlib import suppress

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import Removal, Target
from benchgate.backend.drivers.snowflake.client import (
    CLIENT_ERRORS,
    Connection,
    Cursor,
    execute,
    message_of,
    rows_of,
)
from benchgate.backend.drivers.snowflake.table import Place, enter, find, literal
from benchgate.domain.templates import TableType
from benchgate.errors import DatabaseError, NameTaken

PREFIX = "BENCHGATE_SCRATCH_"
MARK = "benchgate scratch copy, to be removed after its run"
ALREADY_EXISTS = 2002
NO_NAME = re.compile(r"[^0-9A-Z]+")


def target_of(target: Target, run_id: str) -> Target:
    """The copy of *target* for that run: in the same schema, under a name of its own."""
    name = PREFIX + NO_NAME.sub("_", run_id.upper())
    return target.model_copy(update={"table_name": name, "copy_of": target.table_name})


def make(connection: Connection, target: Target, scratch: Target) -> None:
    """Copy the table of *target* to *scratch*; nothing of it is left where that fails."""
    source = enter(connection, target)
    _refuse_sequences(connection, source)
    copy = qualified(source.database, source.schema_name, scratch.table_name)
    cursor = connection.cursor()
    first, *others = _statements(source, copy, is_hybrid=target.table_type is TableType.HYBRID)
    _create(cursor, first)
    try:
        for statement in others:
            execute(cursor, statement, ())
    except CLIENT_ERRORS:
        with suppress(*CLIENT_ERRORS):
            execute(cursor, f"DROP TABLE {copy}", ())
        raise


def _create(cursor: Cursor, statement: str) -> None:
    """Make the copy itself; where that fails nothing is ours."""
    try:
        execute(cursor, statement, ())
    except CLIENT_ERRORS as exc:
        if getattr(exc, "errno", None) == ALREADY_EXISTS:
            raise NameTaken(message_of(exc)) from exc
        raise


def _refuse_sequences(connection: Connection, source: Place) -> None:
    """A clone takes its defaults along, and with them the table's own sequences."""
    columns = rows_of(connection, f"DESCRIBE TABLE {source.name}")
    if any("NEXTVAL" in str(column.get("default")).upper() for column in columns):
        raise DatabaseError(
            f"A scratch copy of {source.name} would take numbers from the table's own sequence.",
            hint="Load a table without such a default, or choose write_target IN_PLACE.",
        )


def _statements(source: Place, copy: str, *, is_hybrid: bool) -> tuple[str, ...]:
    """What makes the copy; the first statement creates it, and the second marks it."""
    mark = f"COMMENT ON TABLE {copy} IS {literal(MARK)}"
    if is_hybrid:
        # A hybrid table cannot be cloned; LIKE takes its keys and indexes along.
        fill = f"INSERT INTO {copy} SELECT * FROM {source.name}"  # noqa: S608 - quoted
        return (f"CREATE HYBRID TABLE {copy} LIKE {source.name}", mark, fill)
    # A clone shares the data of its source until one of them is written to.
    return (f"CREATE TRANSIENT TABLE {copy} CLONE {source.name}", mark)


def drop(connection: Connection, scratch: Target) -> Removal:
    """Remove *scratch* if it bears the name and the mark of a copy of ours."""
    place = find(connection, scratch)
    if place is None:
        return Removal.ABSENT
    if not place.table_name.startswith(PREFIX) or place.comment != MARK:
        return Removal.UNMARKED
    execute(connection.cursor(), f"DROP TABLE {place.name}", ())
    return Removal.REMOVED
