"""The numbers that a copied table gives to its rows: never from the original's sequences.

A copy of a table takes over its defaults as they are, so that a row in the copy would use up a
number of the original. Here they come to refer to new sequences, which go on where the original's
are, or after the rows that there are, whichever is further.
"""

from collections.abc import Collection, Iterable
from typing import LiteralString

from psycopg.sql import SQL, Composable, Identifier, Literal

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.steps import IN_PLACE, Steps, given, name_of
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import DatabaseError

# For a sequence whose own name is taken in the schema of the copy.
SPARE_NAME = "benchgate_sequence_{}"

# A column without a default of its own has that of its domain.
DEFAULTS = """
SELECT a.attname::text AS column_name,
       pg_get_expr(coalesce(d.adbin, t.typdefaultbin), coalesce(d.adrelid, 0)) AS expression,
       ARRAY(SELECT DISTINCT p.refobjid
               FROM pg_depend AS p JOIN pg_class AS s ON s.oid = p.refobjid AND s.relkind = 'S'
              WHERE p.refclassid = 'pg_class'::regclass
                AND p.classid = CASE WHEN d.oid IS NULL THEN 'pg_type'::regclass
                                     ELSE 'pg_attrdef'::regclass END
                AND p.objid = coalesce(d.oid, t.oid)) AS sequences
  FROM pg_attribute AS a
  JOIN pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = %s::regclass
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   AND coalesce(d.adbin, t.typdefaultbin) IS NOT NULL
 ORDER BY a.attnum
"""
SEQUENCE = """
SELECT c.relname::text AS name, s.seqrelid::regclass::text AS shown_name,
       format_type(s.seqtypid, NULL) AS type_name, s.seqincrement AS increment,
       s.seqmin AS minimum, s.seqmax AS maximum, s.seqstart AS start, s.seqcache AS cache,
       s.seqcycle AS cycles, to_regclass(format('%%I.%%I', %(schema)s::text, c.relname)) IS NOT NULL
         AS is_taken
  FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid
 WHERE s.seqrelid = %(oid)s
"""
IDENTITIES = """
SELECT pg_get_serial_sequence(%(original)s, a.attname)::regclass::oid AS original,
       pg_get_serial_sequence(%(copy)s, a.attname) AS name,
       ARRAY[a.attname::text] AS columns
  FROM pg_attribute AS a
 WHERE a.attrelid = %(original)s::regclass
   AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> ''
"""
# Only columns of integers say how far their sequence has come.
ADVANCE = SQL("""
SELECT setval({name}, greatest(s.seqmin, least(s.seqmax, p.place))::bigint)
  FROM pg_sequence AS s
 CROSS JOIN LATERAL (
       SELECT CASE WHEN has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
                   THEN pg_sequence_last_value(s.seqrelid) END AS place) AS o
 CROSS JOIN LATERAL (
       SELECT CASE WHEN s.seqincrement > 0 THEN greatest({furthest_up})
                   ELSE least({furthest_down}) END AS place) AS p
 WHERE s.seqrelid = {original} AND p.place IS NOT NULL
""")
INTEGERS = """
SELECT a.attname::text AS name
  FROM pg_attribute AS a
  JOIN pg_type AS own ON own.oid = a.atttypid
  JOIN pg_type AS t ON t.oid = CASE own.typtype WHEN 'd' THEN own.typbasetype ELSE own.oid END
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND t.typname IN ('int2', 'int4', 'int8')
"""


class Default(Value):
    """What a column has by default, and the sequences that this takes numbers from."""

    column_name: str
    expression: str
    sequences: tuple[int, ...]


class Sequence(Value):
    """A sequence of the original."""

    name: str
    shown_name: str  # as it stands in an expression
    type_name: str
    increment: int
    minimum: int
    maximum: int
    start: int
    cache: int
    cycles: bool
    is_taken: bool  # its name, in the schema of the copy


class Counter(Value):
    """A sequence of the copy, with the columns that it counts for."""

    original: int
    name: str  # quoted and qualified
    columns: tuple[str, ...]


class Column(Value):
    """A column of which only the name matters."""

    name: str


def separate(steps: Steps, original: Target, copy: Target) -> list[Counter]:
    """Make *copy* count for itself; all the sequences that it then has, identities' included.

    Raises:
        DatabaseError: a default takes its numbers from where the catalog does not say.
    """
    counters: dict[int, Counter] = {}
    names = {"original": name_of(original), "copy": name_of(copy)}
    for default in steps.rows(DEFAULTS, [names["original"]], kind=Default):
        expression = default.expression
        for oid in default.sequences:
            about = {"oid": oid, "schema": copy.schema_name}
            (sequence,) = steps.rows(SEQUENCE, about, kind=Sequence)
            counter = counters.get(oid) or _made(steps, sequence, copy, oid=oid, column=default)
            columns = (*counter.columns, default.column_name)
            counters[oid] = counter.model_copy(update={"columns": columns})
            expression = expression.replace(_literal(sequence.shown_name), _literal(counter.name))
        _refuse_foreign(default, expression, own={c.name for c in counters.values()})
        if expression != default.expression:
            _set_default(steps, copy, column_name=default.column_name, expression=expression)
    return [*counters.values(), *steps.rows(IDENTITIES, names, kind=Counter)]


def advance(steps: Steps, counters: Iterable[Counter], copy: Target) -> None:
    """Let the sequences of *copy* go on behind its rows."""
    integers = {found.name for found in steps.rows(INTEGERS, [name_of(copy)], kind=Column)}
    for counter in counters:
        columns = [column for column in counter.columns if column in integers]
        steps.run(
            ADVANCE.format(
                name=Literal(counter.name),
                original=Literal(counter.original),
                furthest_up=_furthest("max", columns, copy),
                furthest_down=_furthest("min", columns, copy),
            )
        )


def _made(steps: Steps, model: Sequence, copy: Target, *, oid: int, column: Default) -> Counter:
    name = SPARE_NAME.format(oid) if model.is_taken else model.name
    steps.run(
        SQL(
            "CREATE SEQUENCE {name} AS {type_name} INCREMENT {increment} MINVALUE {minimum} "
            "MAXVALUE {maximum} START {start} CACHE {cache} {cycles} OWNED BY {column}"
        ).format(
            name=Identifier(copy.schema_name, name),
            type_name=given(model.type_name),
            increment=Literal(model.increment),
            minimum=Literal(model.minimum),
            maximum=Literal(model.maximum),
            start=Literal(model.start),
            cache=Literal(model.cache),
            cycles=SQL("CYCLE" if model.cycles else "NO CYCLE"),
            column=Identifier(copy.schema_name, copy.table_name, column.column_name),
        )
    )
    return Counter(original=oid, name=qualified(copy.schema_name, name), columns=())


def _set_default(steps: Steps, copy: Target, *, column_name: str, expression: str) -> None:
    steps.run(
        SQL("ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {expression}").format(
            table=Identifier(copy.schema_name, copy.table_name),
            column=Identifier(column_name),
            expression=given(expression),
        )
    )


def _refuse_foreign(default: Default, expression: str, *, own: Collection[str]) -> None:
    """Refuse a default that looks its sequence up by name each time, and finds the original's."""
    for name in own:
        expression = expression.replace(f"nextval({_literal(name)})", "")
    if "nextval(" in expression:
        raise DatabaseError(
            f"The default of the column {one_line(default.column_name)} takes numbers from a "
            "sequence that it looks up by its name, and a copy would use up those of the original.",
            hint=IN_PLACE,
        )


def _furthest(function: LiteralString, columns: Iterable[str], copy: Target) -> Composable:
    ends = [
        SQL("(SELECT {function}({column}) FROM {table})").format(
            function=SQL(function),
            column=Identifier(column),
            table=Identifier(copy.schema_name, copy.table_name),
        )
        for column in columns
    ]
    return SQL(", ").join([SQL("o.place"), *ends])


def _literal(name: str) -> str:
    """How an expression of the server's refers to the relation *name*."""
    return "'" + name.replace("'", "''") + "'::regclass"
