"""A DuckDB table as a driver sees it: its columns and keys, and samples of its values."""

import re
from collections.abc import Sequence
from typing import Any

import duckdb

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
)
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.statements import Statement

INTEGERS = re.compile(r"U?((TINY|SMALL|BIG|HUGE)INT|INTEGER)\Z")
ORDERED = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL|FLOAT|DOUBLE|DATE|TIMESTAMP)")
FEW_VALUES = re.compile(r"(BOOLEAN|ENUM)")
MADE_BY_DEFAULT = re.compile(r"\b(nextval|uuid|uuidv4|uuidv7|gen_random_uuid)\(", re.IGNORECASE)

HERE = "database_name = current_database() AND lower(schema_name) = lower($1)"
COLUMNS = f"""
SELECT column_name, data_type, column_default, is_generated
  FROM duckdb_columns() WHERE {HERE} AND lower(table_name) = lower($2)
 ORDER BY column_index
"""  # noqa: S608 - a constant
CONSTRAINTS = f"""
SELECT constraint_type, constraint_column_names
  FROM duckdb_constraints() WHERE {HERE} AND lower(table_name) = lower($2)
   AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')
 ORDER BY constraint_index
"""  # noqa: S608 - a constant
UNIQUE_INDEXES = f"""
SELECT expressions
  FROM duckdb_indexes() WHERE {HERE} AND lower(table_name) = lower($2)
   AND is_unique AND NOT is_primary
 ORDER BY index_name
"""  # noqa: S608 - a constant
DEFAULT_SCHEMA = "main"


def layout_of(connection: duckdb.DuckDBPyConnection, target: Target) -> Layout:
    """What the table looks like; DuckDB's own error where there is none."""
    name = qualified(target.schema_name, target.table_name)
    # Asked first, because the catalog answers with an empty list for a table that is not there.
    has_rows = connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is not None  # noqa: S608 - quoted
    place = (target.schema_name or DEFAULT_SCHEMA, target.table_name)
    fields = tuple(_field(row) for row in connection.execute(COLUMNS, place).fetchall())
    constraints = connection.execute(CONSTRAINTS, place).fetchall()
    key = next((tuple(row[1]) for row in constraints if row[0] == "PRIMARY KEY"), ())
    uniques = [tuple(row[1]) for row in constraints if row[0] == "UNIQUE"]
    uniques += [
        _indexed(str(row[0]), fields)
        for row in connection.execute(UNIQUE_INDEXES, place).fetchall()
    ]
    types = {field.name: field.type_name for field in fields}
    return Layout(
        dialect=Dialect.DUCKDB,
        name=name,
        fields=fields,
        key=key,
        uniques=tuple(uniques),
        integer_key=len(key) == 1 and bool(INTEGERS.match(types[key[0]])),
        has_rows=has_rows,
        server_version=f"DuckDB {duckdb.__version__}",
    )


def _field(row: Sequence[Any]) -> Field:
    name, type_name, default, is_generated = row
    return Field(
        name=name,
        type_name=type_name,
        generated=bool(MADE_BY_DEFAULT.search(default or "")) and not is_generated,
        computed=is_generated,
        has_maximum=bool(ORDERED.match(type_name)),
        few_values=bool(FEW_VALUES.match(type_name)),
    )


def _indexed(expressions: str, fields: Sequence[Field]) -> tuple[str, ...]:
    """The plain columns of an index, which DuckDB shows as "[a, b]"."""
    shown = {part.strip().strip("'\"") for part in expressions.strip("[]").split(",")}
    return tuple(field.name for field in fields if field.name in shown)


def sample(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    *,
    statements: Sequence[Statement],
    seed: int,
) -> Pool:
    """The keys and whole rows that *statements* draw from, from everywhere in the table."""
    keys: list[Row] = []
    rows: list[Row] = []
    values: list[Row] = []
    maxima: dict[str, object] = {}
    if needs_keys(statements) and layout.key:
        keys = _sampled(connection, layout, columns=layout.key, limit=KEYS_MAX, seed=seed)
    if needs_rows(statements):
        rows = _sampled(connection, layout, columns=layout.names, limit=ROWS_MAX, seed=seed)
        maxima = {
            name: found[0]
            for name in layout.fresh
            if layout.field(name).has_maximum
            and (
                found := connection.execute(
                    f"SELECT max({quoted(name)}) FROM {layout.name}"  # noqa: S608 - quoted
                ).fetchone()
            )
        }
    if columns := columns_drawn(statements):
        values = _sampled(connection, layout, columns=columns, limit=VALUES_MAX, seed=seed)
    return Pool(keys=keys, rows=rows, values=values, maxima=maxima)


def _sampled(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    *,
    columns: tuple[str, ...],
    limit: int,
    seed: int,
) -> list[Row]:
    """Rows in the order of their hash: random, and the same again with the same seed.

    DuckDB's own samples differ from time to time where several threads draw them.
    """
    listed = ", ".join(quoted(name) for name in columns)
    known = ", ".join(quoted(name) for name in layout.key or layout.names)
    query = (
        f"SELECT {listed} FROM {layout.name} "  # noqa: S608 - quoted
        f"ORDER BY hash({known}, $1::BIGINT), {known} LIMIT {limit}"
    )
    return list(connection.execute(query, (seed,)).fetchall())
