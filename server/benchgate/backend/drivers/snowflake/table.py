"""A Snowflake table as the driver sees it: where it is, its columns and keys, and its values.

Snowflake reads a name without quotes as upper case, and templates hold names without quotes. So
each name is looked for exactly as it is written first, and in upper case after that.
"""

import re
from collections.abc import Sequence
from typing import Any

from benchgate.backend.drivers.layouts import Dialect, Field, Layout, qualified, quoted
from benchgate.backend.drivers.operations import (
    KEYS_MAX,
    ROWS_MAX,
    VALUES_MAX,
    Pool,
    Row,
    columns_drawn,
    needs_keys,
    needs_rows,
    seeded,
)
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.snowflake.client import Connection, rows_of
from benchgate.backend.drivers.statements import Statement
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import DatabaseError

DEFAULT_SCHEMA = "PUBLIC"
# So many more rows than are wanted are looked for, because a hash spreads them by chance.
SPARE = 2
TYPE_CHARACTERS_MAX = 16_777_216

ORDERED = re.compile(r"(NUMBER|FLOAT|DATE|TIMESTAMP)")
INTEGER = re.compile(r"NUMBER\(\d+,0\)")
CHARACTERS = re.compile(r"(?:VARCHAR|CHAR|TEXT)\w*\((\d+)\)")
GENERATED = re.compile(r"\b(IDENTITY|AUTOINCREMENT|NEXTVAL|UUID_STRING)\b", re.IGNORECASE)

TABLES = (
    "SELECT * FROM {database}.INFORMATION_SCHEMA.TABLES "
    "WHERE TABLE_SCHEMA IN (:1, UPPER(:1)) AND TABLE_NAME IN (:2, UPPER(:2))"
)


class Place(Value):
    """A table that is there, by the names that it really has."""

    database: str
    schema_name: str
    table_name: str
    rows: int | None = None
    bytes: int | None = None
    comment: str = ""

    @property
    def name(self) -> str:
        """Its name, ready to stand in a statement."""
        return qualified(self.database, self.schema_name, self.table_name)

    @property
    def within(self) -> str:
        """The name of its schema, ready to stand in a statement."""
        return qualified(self.database, self.schema_name)


def find(connection: Connection, target: Target) -> Place | None:
    """Where the table of *target* is; None where the database has none of that name.

    Raises:
        DatabaseError: there is no such database.
    """
    database = _database(connection, target)
    schema_name = target.schema_name or DEFAULT_SCHEMA
    # Only the quoted name of the database is put into the text; the others are bound.
    sql = TABLES.format(database=quoted(database))
    found = rows_of(connection, sql, (schema_name, target.table_name))

    def in_upper_case(row: dict[str, Any]) -> tuple[bool, bool]:
        return (row["TABLE_SCHEMA"] != schema_name, row["TABLE_NAME"] != target.table_name)

    row = min(found, key=in_upper_case, default=None)
    if row is None:
        return None
    return Place(
        database=database,
        schema_name=row["TABLE_SCHEMA"],
        table_name=row["TABLE_NAME"],
        rows=row.get("ROW_COUNT"),
        bytes=row.get("BYTES"),
        comment=row.get("COMMENT") or "",
    )


def enter(connection: Connection, target: Target) -> Place:
    """Where the table of *target* is; from now on its schema is where names are looked for.

    Raises:
        DatabaseError: it is not there, or this role may not see it.
    """
    place = find(connection, target)
    if place is None:
        name = ".".join((target.database, target.schema_name or DEFAULT_SCHEMA, target.table_name))
        raise DatabaseError(
            f"The table {one_line(name)} does not exist or this role is not authorized to see it."
        )
    rows_of(connection, f"USE SCHEMA {place.within}")
    return place


def _database(connection: Connection, target: Target) -> str:
    rows = rows_of(connection, f"SHOW DATABASES LIKE {literal(target.database)}")
    names = [str(row["name"]) for row in rows]
    for name in (target.database, target.database.upper()):
        if name in names:
            return name
    raise DatabaseError(
        f"The database {one_line(target.database)} does not exist or this role is not authorized "
        "to see it."
    )


def literal(text: str) -> str:
    """*text* as a string constant that it cannot leave."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def version_of(connection: Connection) -> str:
    """Which Snowflake answers."""
    ((version,),) = (row.values() for row in rows_of(connection, "SELECT CURRENT_VERSION()"))
    return f"Snowflake {version}"


def layout_of(connection: Connection, place: Place) -> Layout:
    """What the table at *place* looks like."""
    columns = rows_of(connection, f"DESCRIBE TABLE {place.name}")
    fields = tuple(_field(row) for row in columns)
    keys = _keys(connection, place, kind="PRIMARY")
    key = keys[0] if keys else ()
    types = {field.name: field.type_name for field in fields}
    found = rows_of(connection, f"SELECT 1 AS FOUND FROM {place.name} LIMIT 1")  # noqa: S608 - quoted
    return Layout(
        dialect=Dialect.SNOWFLAKE,
        name=place.name,
        fields=fields,
        key=key,
        uniques=_keys(connection, place, kind="UNIQUE"),
        integer_key=len(key) == 1 and INTEGER.fullmatch(types[key[0]]) is not None,
        has_rows=bool(found),
        server_version=version_of(connection),
    )


def _field(row: dict[str, Any]) -> Field:
    type_name = str(row["type"])
    characters = CHARACTERS.match(type_name)
    limit = int(characters[1]) if characters else TYPE_CHARACTERS_MAX
    return Field(
        name=row["name"],
        type_name=type_name,
        generated=GENERATED.search(str(row["default"] or "")) is not None,
        computed=bool(row.get("expression")),
        has_maximum=ORDERED.match(type_name) is not None,
        characters_max=limit if limit < TYPE_CHARACTERS_MAX else None,
        few_values=type_name == "BOOLEAN",
    )


def _keys(connection: Connection, place: Place, *, kind: str) -> tuple[tuple[str, ...], ...]:
    """The columns of each key of *kind*, in their order within it."""
    rows = rows_of(connection, f"SHOW {kind} KEYS IN TABLE {place.name}")
    rows.sort(key=lambda row: (row["constraint_name"], row["key_sequence"]))
    by_name: dict[str, tuple[str, ...]] = {}
    for row in rows:
        name = row["constraint_name"]
        by_name[name] = (*by_name.get(name, ()), row["column_name"])
    return tuple(by_name.values())


def sample(
    connection: Connection,
    layout: Layout,
    *,
    statements: Sequence[Statement],
    rows_in_all: int | None,
    seed: int,
) -> Pool:
    """The keys and whole rows that *statements* draw from, spread over the table by a hash."""
    keys: list[Row] = []
    rows: list[Row] = []
    values: list[Row] = []
    maxima: dict[str, object] = {}

    def drawn(columns: tuple[str, ...], limit: int) -> list[Row]:
        sql = _sampling(layout, columns, limit=limit, rows_in_all=rows_in_all, seed=seed)
        return [tuple(row.values()) for row in rows_of(connection, sql)]

    if needs_keys(statements):
        keys = drawn(layout.key, KEYS_MAX)
    if needs_rows(statements):
        rows = drawn(layout.names, ROWS_MAX)
        for name in layout.fresh:
            if layout.field(name).has_maximum:
                sql = f"SELECT MAX({quoted(name)}) AS HIGHEST FROM {layout.name}"  # noqa: S608 - quoted
                maxima[name] = rows_of(connection, sql)[0]["HIGHEST"]
    if columns := columns_drawn(statements):
        values = drawn(columns, VALUES_MAX)
    return Pool(keys=keys, rows=rows, values=values, maxima=maxima)


def _sampling(
    layout: Layout,
    columns: tuple[str, ...],
    *,
    limit: int,
    rows_in_all: int | None,
    seed: int,
) -> str:
    """The query that picks rows by the hash of their key.

    Snowflake's own SAMPLE takes a seed only with whole blocks and not of every kind of table. A
    hash picks the same rows again, also from a scratch copy.
    """
    salt = seeded(seed, "pool").randrange(2**31)
    hashed = ", ".join(quoted(name) for name in layout.key or layout.names)
    order = f"HASH({hashed}, {salt})"
    one_in = (rows_in_all or 0) // (limit * SPARE)
    where = f"WHERE MOD(ABS({order}), {one_in}) = 0 " if one_in > 1 else ""
    listed = ", ".join(quoted(name) for name in columns)
    return f"SELECT {listed} FROM {layout.name} {where}ORDER BY {order} LIMIT {limit}"  # noqa: S608 - quoted
