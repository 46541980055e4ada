"""Statements on one session that share a limit of time. Knows nothing of what they are for."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, LiteralString, TypeVar, cast

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Literal

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import Target

# What is advised wherever there can be no scratch copy.
IN_PLACE = "Load a smaller table, or set `write_target: in_place` to write into the table itself."

Row = TypeVar("Row")


class Steps:
    """What is left of the time is the limit of the next statement, for the server to enforce."""

    def __init__(self, connection: psycopg.Connection[Any], *, limit_s: float) -> None:
        self._connection = connection
        self._end_s = monotonic() + limit_s

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self._end_s

    def run(self, statement: LiteralString | Composed) -> None:
        """Run *statement* within the present transaction."""
        self._limit()
        self._connection.execute(statement)

    def rows(
        self,
        question: LiteralString,
        about: Sequence[object] | Mapping[str, object] = (),
        *,
        kind: type[Row],
    ) -> list[Row]:
        """What the server answers to *question*, each row as a *kind* by the columns' names."""
        self._limit()
        with self._connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(question, about).fetchall()

    def _limit(self) -> None:
        left_ms = max(1, round((self._end_s - monotonic()) * 1000))
        self._connection.execute(SQL("SET LOCAL statement_timeout = {}").format(Literal(left_ms)))


def given(text: str) -> SQL:
    """*text* as it stands: an expression that the server itself has written."""
    return SQL(cast("LiteralString", text))


def name_of(target: Target) -> str:
    """The quoted name of the table of *target*, qualified where its schema is known."""
    return qualified(target.schema_name, target.table_name)
