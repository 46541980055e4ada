"""The indexes of a copied table while it is being filled: put aside, and built when it is full.

To build an index of rows that are there takes a fraction of the time that it takes to enter them
one by one, and so a copy within its limit may be several times as large.
"""

from collections.abc import Iterable

from psycopg.sql import SQL, Identifier, Literal

from benchgate.backend.drivers.port import Target
from benchgate.backend.drivers.postgres.steps import Steps, given, name_of
from benchgate.domain.values import Value

# Those that a definition alone cannot bring back stay: of exclusions, of keys that are looked at
# only in the end, and of partitioned tables.
INDEXES = """
SELECT c.relname::text AS index_name, pg_get_indexdef(i.indexrelid) AS definition,
       coalesce(s.spcname::text, '') AS tablespace,
       k.conname::text AS constraint_name, i.indisprimary AS is_primary
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
  LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
  LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
 WHERE i.indrelid = %s::regclass AND i.indimmediate AND NOT i.indisexclusion
 ORDER BY i.indexrelid
"""


class Index(Value):
    """An index of the copy, with the key that rests on it."""

    index_name: str
    definition: str
    tablespace: str  # empty for that of the database
    constraint_name: str | None
    is_primary: bool


def put_aside(steps: Steps, copy: Target) -> list[Index]:
    """Drop what can be built again of the indexes of *copy*; no row may be in it yet."""
    indexes = steps.rows(INDEXES, [name_of(copy)], kind=Index)
    for index in indexes:
        if index.constraint_name is None:
            name = Identifier(copy.schema_name, index.index_name)
            steps.run(SQL("DROP INDEX {}").format(name))
        else:
            steps.run(
                SQL("ALTER TABLE {table} DROP CONSTRAINT {name}").format(
                    table=Identifier(copy.schema_name, copy.table_name),
                    name=Identifier(index.constraint_name),
                )
            )
    return indexes


def build(steps: Steps, indexes: Iterable[Index], copy: Target) -> None:
    """Build *indexes* on the rows of *copy*."""
    for index in indexes:
        tablespace = Literal(index.tablespace)
        steps.run(SQL("SET LOCAL default_tablespace = {}").format(tablespace))
        steps.run(SQL("{}").format(given(index.definition)))
        if index.constraint_name is not None:
            steps.run(
                SQL("ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {index}").format(
                    table=Identifier(copy.schema_name, copy.table_name),
                    name=Identifier(index.constraint_name),
                    kind=SQL("PRIMARY KEY" if index.is_primary else "UNIQUE"),
                    index=Identifier(index.index_name),
                )
            )
