"""A PostgreSQL table as a driver sees it: its columns and keys, and samples of its values.

A sampled value stays the text in which the server sent it: that is what it takes back, and no
type of Python's has to hold it. Only what fresh values are made from is read.
"""

import random
from collections.abc import Sequence
from contextlib import suppress

import psycopg

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
from benchgate.backend.drivers.postgres.client import (
    Connection,
    Texts,
    answer,
    fetch,
    fetch_texts,
)
from benchgate.backend.drivers.postgres.values import model
from benchgate.backend.drivers.statements import Statement

# A sample reads about so many pages of a large table, wherever they lie, and at most so many keys.
SAMPLE_PAGES = 400
SAMPLE_KEYS_MAX = 20_000

INTEGERS = {"int2", "int4", "int8"}
ORDERED = INTEGERS | {"numeric", "float4", "float8", "date", "timestamp", "timestamptz", "interval"}
SAMPLED_RELATIONS = {"r", "p", "m"}  # tables, partitioned ones, materialized views

# The cast to regclass lets the server itself say what is missing. A domain is what it is made of.
COLUMNS = r"""
SELECT a.attname::text,
       format_type(a.atttypid, a.atttypmod),
       t.typname::text,
       a.attidentity::text <> ''
         OR coalesce(pg_get_expr(d.adbin, d.adrelid)
                     ~ '(nextval|gen_random_uuid|uuid_generate_v|uuidv)[0-9a-z]*\(', false),
       a.attgenerated::text <> '',
       CASE WHEN t.typname IN ('varchar', 'bpchar')
            THEN nullif(greatest(a.atttypmod, own.typtypmod) - 4, -5) END,
       t.typtype = 'e' OR t.typname = 'bool'
  FROM pg_attribute a
  JOIN pg_type own ON own.oid = a.atttypid
  JOIN pg_type t ON t.oid = CASE own.typtype WHEN 'd' THEN own.typbasetype ELSE own.oid END
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""
INDEXES = """
SELECT i.indisprimary,
       ARRAY(SELECT a.attname::text
               FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
              WHERE k.place <= i.indnkeyatts
              ORDER BY k.place)
  FROM pg_index i
 WHERE i.indrelid = $1::text::regclass AND i.indisunique
 ORDER BY i.indexrelid
"""
SIZE = """
SELECT c.relkind::text,
       pg_relation_size(c.oid) / current_setting('block_size')::int
  FROM pg_class c WHERE c.oid = $1::text::regclass
"""


def layout_of(connection: Connection, target: Target) -> Layout:
    """What the table of *target* looks like; the server's own error where there is none."""
    name = qualified(target.schema_name, target.table_name)
    columns = fetch(connection, COLUMNS, name)
    fields = tuple(_field(row) for row in columns)
    indexes = fetch(connection, INDEXES, name)
    key = next((_names(row[1]) for row in indexes if row[0]), ())
    types = {row[0]: row[2] for row in columns}
    found = fetch(connection, f"SELECT 1 FROM {name} LIMIT 1")  # noqa: S608 - quoted
    version = fetch(connection, "SHOW server_version")
    return Layout(
        dialect=Dialect.POSTGRES,
        name=name,
        fields=fields,
        key=key,
        uniques=tuple(_names(row[1]) for row in indexes if not row[0]),
        integer_key=len(key) == 1 and types[key[0]] in INTEGERS,
        has_rows=bool(found),
        server_version=f"PostgreSQL {version[0][0]}",
    )


def _field(row: Sequence[object]) -> Field:
    name, type_name, base_type, generated, computed, characters_max, few_values = row
    return Field.model_validate(
        {
            "name": name,
            "type_name": type_name,
            "generated": generated,
            "computed": computed,
            "has_maximum": base_type in ORDERED,
            "characters_max": characters_max,
            "few_values": few_values,
        }
    )


def _names(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(str(name) for name in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def sample(
    connection: Connection, layout: Layout, *, statements: Sequence[Statement], seed: int
) -> Pool:
    """The keys and whole rows that *statements* draw from, from random points of the table."""
    generator = seeded(seed, "pool")
    keys: Sequence[Row] = ()
    rows: Sequence[Row] = ()
    values: Sequence[Row] = ()
    maxima: dict[str, object] = {}
    if needs_keys(statements):
        keys = _sampled(connection, layout, columns=layout.key, limit=KEYS_MAX, generator=generator)
    if needs_rows(statements):
        texts = _sampled(
            connection, layout, columns=layout.names, limit=ROWS_MAX, generator=generator
        )
        rows = _with_models(connection, layout, texts)
        for name in layout.fresh:
            if layout.field(name).has_maximum:
                maxima[name] = _maximum(connection, layout, name=name)
    if columns := columns_drawn(statements):
        values = _sampled(
            connection, layout, columns=columns, limit=VALUES_MAX, generator=generator
        )
    return Pool(keys=keys, rows=rows, values=values, maxima=maxima)


def _with_models(connection: Connection, layout: Layout, rows: Sequence[Texts]) -> Sequence[Row]:
    """*rows* with those values read from which fresh ones are made."""
    if not layout.fresh:
        return rows
    listed = ", ".join(quoted(name) for name in layout.fresh)
    types = answer(connection, f"SELECT {listed} FROM {layout.name} LIMIT 0")  # noqa: S608 - quoted
    oids = {layout.names.index(name): types.ftype(n) for n, name in enumerate(layout.fresh)}
    return [
        [model(text, oids[n]) if n in oids else text for n, text in enumerate(row)] for row in rows
    ]


def _maximum(connection: Connection, layout: Layout, *, name: str) -> object:
    # There is nothing after an infinite date.
    is_date = layout.field(name).type_name.startswith(("date", "timestamp"))
    finite = f" FILTER (WHERE isfinite({quoted(name)}))" if is_date else ""
    query = f"SELECT max({quoted(name)}){finite} FROM {layout.name}"  # noqa: S608 - quoted
    # In the binary format, which is the same whatever style of dates the server likes best.
    cursor = connection.cursor(binary=True)
    # The server's dates reach further than Python's.
    with suppress(psycopg.DataError):
        row = cursor.execute(query.encode()).fetchone()
        return row[0] if row else None
    return None


def _sampled(
    connection: Connection,
    layout: Layout,
    *,
    columns: tuple[str, ...],
    limit: int,
    generator: random.Random,
) -> list[Texts]:
    listed = ", ".join(quoted(name) for name in columns)
    if layout.integer_key:
        return _at_points(connection, layout, listed=listed, limit=limit, generator=generator)
    wanted = SAMPLE_KEYS_MAX if limit == KEYS_MAX else limit
    rows = _from_pages(connection, layout, listed=listed, limit=wanted, generator=generator)
    return generator.sample(rows, min(limit, len(rows)))


def _at_points(
    connection: Connection, layout: Layout, *, listed: str, limit: int, generator: random.Random
) -> list[Texts]:
    """The rows at or after random points between the least and the greatest key."""
    key = quoted(layout.key[0])
    ((low, high),) = fetch(connection, f"SELECT min({key}), max({key}) FROM {layout.name}")  # noqa: S608 - quoted
    if not isinstance(low, int) or not isinstance(high, int):
        return []
    points = [generator.randint(low, high) for _ in range(limit)]
    return fetch_texts(
        connection,
        f"SELECT r.* FROM unnest($1::bigint[]) AS p(point) CROSS JOIN LATERAL ("  # noqa: S608 - quoted
        f"SELECT {listed} FROM {layout.name} WHERE {key} >= p.point ORDER BY {key} LIMIT 1) AS r",
        points,
    )


def _from_pages(
    connection: Connection, layout: Layout, *, listed: str, limit: int, generator: random.Random
) -> list[Texts]:
    """The rows of random pages, or the first ones of what has no pages or few rows in them."""
    ((relation, pages),) = fetch(connection, SIZE, layout.name)
    assert isinstance(pages, int)
    rows: list[Texts] = []
    if relation in SAMPLED_RELATIONS:
        percent = min(100.0, 100.0 * SAMPLE_PAGES / max(1, pages))
        rows = fetch_texts(
            connection,
            f"SELECT {listed} FROM {layout.name} "  # noqa: S608 - quoted
            f"TABLESAMPLE SYSTEM ({percent}) REPEATABLE ({generator.randrange(2**31)}) "
            f"LIMIT {limit}",
        )
    if rows:
        return rows
    return fetch_texts(connection, f"SELECT {listed} FROM {layout.name} LIMIT {limit}")  # noqa: S608 - quoted
