"""How a table is copied within a PostgreSQL database, in a transaction that the caller has begun.

The copy has the rows, columns, defaults, identities, generated columns, keys, indexes, checks,
extended statistics, storage options, tablespace and partitions of the original. It has no foreign
keys, triggers, rules, policies and grants: what those do may reach beyond it. Knows nothing of
runs and marks.
"""

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.indexes import build, put_aside
from benchgate.backend.drivers.postgres.sequences import Column, advance, separate
from benchgate.backend.drivers.postgres.steps import IN_PLACE, Steps, given, name_of
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import DatabaseError

# The parts of a partitioned table may lie in many schemas, and their copies lie in one.
PART_NAME = "benchgate_part_{}"

COPIED = {"r", "p"}  # ordinary and partitioned tables
OTHERS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
}

# Where policies hide rows, nothing is copied rather than a part of the table.
ALL_ROWS = "SET LOCAL row_security = off"
# With no path, all names in expressions come out qualified.
NO_PATH = "SET LOCAL search_path = ''"
PATH = SQL("SELECT set_config('search_path', {}, true)")
# The cast to regclass lets the server itself say what is missing.
ORIGINAL = """
SELECT n.nspname::text AS schema_name, current_setting('search_path') AS path
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = %s::regclass
"""
# A subscriber that does not know the copy would stop at its first row, and with it all the rest.
PUBLICATIONS = "SELECT pubname::text AS name FROM pg_publication WHERE puballtables ORDER BY 1"
PARTS = """
SELECT c.oid, t.parent, n.nspname::text AS schema_name, c.relname::text AS table_name,
       c.relkind::text AS kind, c.relkind = 'r' AND c.relpersistence = 'u' AS is_unlogged,
       m.amname::text AS access_method, coalesce(c.reloptions, '{}') AS options,
       CASE WHEN has_tablespace_privilege(s.oid, 'CREATE') THEN s.spcname::text END AS tablespace,
       pg_get_partkeydef(c.oid) AS partition_key,
       pg_get_expr(c.relpartbound, c.oid) AS bound
  FROM (SELECT relid::oid AS oid, CASE WHEN level > 0 THEN parentrelid::oid END AS parent, level
          FROM pg_partition_tree(%(name)s::regclass)
         UNION
        SELECT %(name)s::regclass::oid, NULL, 0) AS t
  JOIN pg_class AS c ON c.oid = t.oid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_am AS m ON m.oid = c.relam
  LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
 ORDER BY t.level, c.oid
"""
COLUMNS = """
SELECT a.attname::text AS name
  FROM pg_attribute AS a
 WHERE a.attrelid = %s::regclass
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 ORDER BY a.attnum
"""


class Original(Value):
    """Where a table lies, and the search path of the session that has led to it."""

    schema_name: str
    path: str


class Part(Value):
    """A table, or one part of a partitioned one."""

    oid: int
    parent: int | None  # None for the table itself
    schema_name: str
    table_name: str
    kind: str
    is_unlogged: bool
    access_method: str | None
    options: tuple[str, ...]
    tablespace: str | None  # None also where this user may not use it
    partition_key: str | None
    bound: str | None


def copy_table(steps: Steps, target: Target, copy: Target) -> None:
    """Make *copy*, in a schema that is there and empty, of the table of *target*.

    Raises:
        DatabaseError: what is there cannot be copied.
        psycopg.Error: the server refuses.
    """
    (found,) = steps.rows(ORIGINAL, [name_of(target)], kind=Original)
    original = target.model_copy(update={"schema_name": found.schema_name})
    steps.run(ALL_ROWS)
    steps.run(NO_PATH)
    _refuse_published(steps)
    table, *parts = _parts(steps, original)
    like = SQL("(LIKE {} INCLUDING ALL)").format(_place(original))
    steps.run(_creation(table, _place(copy), source=like))
    counters = separate(steps, original, copy)
    _add_parts(steps, table, copy, parts=parts)
    indexes = put_aside(steps, copy)
    # Functions in checks, indexes and generated columns may need the path that they always have.
    steps.run(PATH.format(Literal(found.path)))
    steps.run(_filling(steps, original, copy))
    build(steps, indexes, copy)
    advance(steps, counters, copy)
    steps.run(SQL("ANALYZE {}").format(_place(copy)))


def _refuse_published(steps: Steps) -> None:
    for publication in steps.rows(PUBLICATIONS, kind=Column):
        raise DatabaseError(
            f"The publication {one_line(publication.name)} replicates every table of the database, "
            "and its subscribers would fail at the rows of a scratch copy.",
            hint=IN_PLACE,
        )


def _parts(steps: Steps, original: Target) -> list[Part]:
    """The table of *original*, and after it its parts, each behind the one that it belongs to."""
    parts = steps.rows(PARTS, {"name": name_of(original)}, kind=Part)
    for part in parts:
        if part.kind not in COPIED:
            name = one_line(f"{part.schema_name}.{part.table_name}")
            raise DatabaseError(
                f"{name} is {OTHERS.get(part.kind, 'no table')}, of which there can be no scratch "
                "copy: only tables are copied.",
                hint=IN_PLACE,
            )
    return parts


def _creation(part: Part, place: Identifier, *, source: Composed) -> Composed:
    clauses: list[Composable] = [
        SQL("CREATE UNLOGGED TABLE" if part.is_unlogged else "CREATE TABLE")
    ]
    clauses += [place, source]
    if part.partition_key is not None:
        clauses.append(SQL("PARTITION BY ") + given(part.partition_key))
    if part.access_method is not None:
        clauses.append(SQL("USING ") + Identifier(part.access_method))
    if part.options:
        pairs = (option.partition("=") for option in part.options)
        settings = [Identifier(key) + SQL(" = ") + Literal(value) for key, _, value in pairs]
        clauses.append(SQL("WITH (") + SQL(", ").join(settings) + SQL(")"))
    if part.tablespace is not None:
        clauses.append(SQL("TABLESPACE ") + Identifier(part.tablespace))
    return SQL(" ").join(clauses)


def _add_parts(steps: Steps, table: Part, copy: Target, *, parts: Sequence[Part]) -> None:
    places = {table.oid: _place(copy)}
    for number, part in enumerate(parts, start=1):
        assert part.parent is not None
        assert part.bound is not None
        places[part.oid] = Identifier(copy.schema_name, PART_NAME.format(number))
        source = SQL("PARTITION OF {} ").format(places[part.parent]) + given(part.bound)
        steps.run(_creation(part, places[part.oid], source=source))


def _filling(steps: Steps, original: Target, copy: Target) -> Composed:
    columns = [found.name for found in steps.rows(COLUMNS, [name_of(original)], kind=Column)]
    names = SQL(", ").join(Identifier(name) for name in columns)
    return SQL(
        "INSERT INTO {copy} {listed} OVERRIDING SYSTEM VALUE SELECT {names} FROM {original}"
    ).format(
        copy=_place(copy),
        # A table without columns has rows nevertheless.
        listed=SQL("({})").format(names) if columns else SQL(""),
        names=names,
        original=_place(original),
    )


def _place(target: Target) -> Identifier:
    return Identifier(target.schema_name, target.table_name)
