"""The SQL of a workload: sensible defaults for the table's real key, or the template's own.

Pure. It decides what each statement is and which values its parameters are bound to; where the
values come from is the affair of `operations`.

A template's own SQL may write `{table}` for the quoted, qualified name, and parameters as `?` or
as `$1`, `$2`, … in any database. They are bound by the kind of the query:

* POINT_LOOKUP: the key columns;
* RANGE_SCAN: the key columns, then, if there is one more and the key is an integer, key + 100;
* INSERT: all columns in table order, or all that the database does not generate itself;
* UPDATE: a value for the first column that is neither part of a key nor generated, then the key
  columns; or the key columns alone;
* GENERIC_SQL: what the template gives, or the key columns where it gives nothing.

A statement without parameters is possible for every kind.
"""

import re
from collections.abc import Collection
from enum import StrEnum
from typing import NoReturn

from benchgate.backend.drivers.draws import counted, draws_of
from benchgate.backend.drivers.hiding import refuse_hiding
from benchgate.backend.drivers.layouts import Dialect, Layout, quoted
from benchgate.backend.drivers.wording import TOKEN, check_meaning, either
from benchgate.domain.parameters import Known
from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

SCAN_ROWS = 100

# What stands before the number of a parameter, where it is not a dollar.
PLACE_MARKS = {Dialect.SQLITE: "?", Dialect.SNOWFLAKE: ":"}


class Deed(StrEnum):
    """What a statement does to rows, as the database has understood it."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"  # the database does not say whether one deletes


# An INSERT may update on conflict, an UPDATE may keep a journal; a person's own write may do all.
DEEDS_OF_WRITES = frozenset({Deed.INSERT, Deed.UPDATE})
DEEDS_OF_OWN_WRITES = frozenset(Deed)


class Binding(StrEnum):
    """What the parameters of a statement are bound to."""

    NOTHING = "nothing"
    KEY = "key"
    KEY_AND_UPPER = "key and upper bound"
    VALUE_AND_KEY = "value and key"
    ROW = "row"
    GIVEN = "as the template says"


class Statement(Value):
    """One kind of operation, ready to be prepared."""

    kind: QueryKind
    name: str  # in messages
    share_pct: float
    writes: bool
    sql: str
    binding: Binding
    parameters: int
    columns: tuple[str, ...] = ()  # those that a ROW binds, in the order of the parameters
    draws: tuple[Known, ...] = ()  # what it binds as it is GIVEN, likewise


def statements_of(workload: tuple[QueryShare, ...], layout: Layout) -> tuple[Statement, ...]:
    """The statements of *workload* on the table of *layout*.

    Raises:
        InvalidInput: one of them cannot be meant; the message names its kind and says why.
    """
    return tuple(_statement(share, layout) for share in workload)


def refuse_misnamed(statement: Statement, deeds: Collection[Deed]) -> None:
    """Refuse a *statement* that does more than its kind says.

    Raises:
        InvalidInput: it does; the message says what.
    """
    beyond = sorted(set(deeds) - _allowed(statement))
    if beyond:
        raise InvalidInput(
            f"The SQL of {statement.name} would {beyond[0]} rows, which that kind does not do.",
            hint="Give the statement under the kind that says what it does.",
        )


def refuse_idle(statement: Statement) -> NoReturn:
    """Refuse a *statement* that is called a write and changes no rows.

    Raises:
        InvalidInput: always.
    """
    raise InvalidInput(
        f"The SQL of {statement.name} changes no rows, and it stands for a write.",
        hint="Give a statement that changes rows, or one that reads as a read.",
    )


def _allowed(statement: Statement) -> frozenset[Deed]:
    if not statement.writes:
        return frozenset()
    is_own = statement.kind is QueryKind.GENERIC_SQL
    return DEEDS_OF_OWN_WRITES if is_own else DEEDS_OF_WRITES


def _statement(share: QueryShare, layout: Layout) -> Statement:
    if share.sql is None:
        return _default(share, layout)
    sql, parameters = _parse(share, layout)
    if share.kind is QueryKind.GENERIC_SQL:
        return _given(share, layout, sql=sql, parameters=parameters)
    return _bound(share, layout, sql=sql, parameters=parameters)


def _default(share: QueryShare, layout: Layout) -> Statement:
    """The statement for a kind without SQL of its own."""
    if share.kind is QueryKind.INSERT:
        return _default_insert(share, layout)
    if not layout.key:
        raise InvalidInput(
            f"{share.kind} on {layout.name} needs SQL of your own: the table has no primary key.",
            hint="Give the template SQL for this kind, or load a table with a primary key.",
        )
    binding = Binding.VALUE_AND_KEY if share.kind is QueryKind.UPDATE else Binding.KEY
    return Statement(
        kind=share.kind,
        name=share.name,
        share_pct=share.share_pct,
        writes=share.writes,
        sql=_default_sql(share.kind, layout),
        binding=binding,
        parameters=len(layout.key) + (binding is Binding.VALUE_AND_KEY),
    )


def _default_sql(kind: QueryKind, layout: Layout) -> str:
    keys = ", ".join(quoted(name) for name in layout.key)
    if kind is QueryKind.UPDATE:
        if layout.value_column is None:
            raise InvalidInput(
                f"UPDATE on {layout.name} needs SQL of your own: "
                "every column belongs to a key or is generated."
            )
        places = _places(layout, len(layout.key) + 1)
        where = _equals(layout.key, places[1:])
        column = quoted(layout.value_column)
        return f"UPDATE {layout.name} SET {column} = {places[0]} WHERE {where}"  # noqa: S608 - quoted
    places = _places(layout, len(layout.key))
    if kind is QueryKind.POINT_LOOKUP:
        where = _equals(layout.key, places)
        return f"SELECT * FROM {layout.name} WHERE {where}"  # noqa: S608 - quoted
    where = f"({keys}) >= ({', '.join(places)})"
    if layout.dialect is Dialect.SNOWFLAKE:
        where = _at_or_after(layout.key, places)
    return f"SELECT * FROM {layout.name} WHERE {where} ORDER BY {keys} LIMIT {SCAN_ROWS}"  # noqa: S608 - quoted


def _at_or_after(columns: tuple[str, ...], places: list[str]) -> str:
    """The comparison of rows, for a database that compares rows only for equality."""
    *firsts, last = (quoted(name) for name in columns)
    condition = f"{last} >= {places[-1]}"
    for column, place in reversed(list(zip(firsts, places, strict=False))):
        condition = f"({column} > {place} OR ({column} = {place} AND {condition}))"
    return condition


def _default_insert(share: QueryShare, layout: Layout) -> Statement:
    columns = layout.insertable
    names = ", ".join(quoted(name) for name in columns)
    places = ", ".join(_places(layout, len(columns)))
    values = f"({names}) VALUES ({places})" if columns else "DEFAULT VALUES"
    return Statement(
        kind=share.kind,
        name=share.name,
        share_pct=share.share_pct,
        writes=share.writes,
        sql=f"INSERT INTO {layout.name} {values}",
        binding=Binding.ROW if columns else Binding.NOTHING,
        parameters=len(columns),
        columns=columns,
    )


def _equals(columns: tuple[str, ...], places: list[str]) -> str:
    pairs = zip(columns, places, strict=True)
    return " AND ".join(f"{quoted(name)} = {place}" for name, place in pairs)


def _places(layout: Layout, count: int) -> list[str]:
    return [_place(layout.dialect, number) for number in range(1, count + 1)]


def _place(dialect: Dialect, number: int) -> str:
    return f"{PLACE_MARKS.get(dialect, '$')}{number}"


def _parse(share: QueryShare, layout: Layout) -> tuple[str, int]:
    """A template's own SQL in the database's own notation, and how many parameters it has."""
    template = (share.sql or "").replace("{table}", layout.name)
    refuse_hiding(share, layout.dialect)
    check_meaning(share, template)
    numbers = [int(n) for m in TOKEN.finditer(template) if (n := m["number"])]
    # Beside numbered parameters a question mark can only be an operator of PostgreSQL's.
    if numbers and layout.dialect is Dialect.POSTGRES:
        return _renumbered(template, layout.dialect), max(numbers)
    bare = sum(1 for match in TOKEN.finditer(template) if match["bare"])
    if numbers and bare:
        raise InvalidInput(f"The SQL of {share.name} mixes ? with numbered parameters.")
    return _renumbered(template, layout.dialect), max(numbers, default=bare)


def _renumbered(template: str, dialect: Dialect) -> str:
    has_numbers = any(match["number"] for match in TOKEN.finditer(template))
    seen = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal seen
        if match["number"]:
            return _place(dialect, int(match["number"]))
        if match["bare"] and not has_numbers:
            seen += 1
            return _place(dialect, seen)
        return match[0]

    return TOKEN.sub(replace, template)


def _bound(share: QueryShare, layout: Layout, *, sql: str, parameters: int) -> Statement:
    """*sql* with what its parameters are bound to, which their number decides."""
    allowed = _bindings(share.kind, layout)
    if parameters not in allowed:
        raise InvalidInput(
            f"The SQL of {share.kind} has {counted(parameters)}; on {layout.name} "
            f"it can have {either([str(number) for number in sorted(allowed)])}.",
            hint=(
                "Parameters are bound by kind: a lookup to the key columns, an insert to all "
                "columns, an update to a new value and the key columns."
            ),
        )
    binding = allowed[parameters]
    columns: tuple[str, ...] = ()
    if binding is Binding.ROW:
        columns = layout.names if parameters == len(layout.names) else layout.insertable
    return Statement(
        kind=share.kind,
        name=share.name,
        share_pct=share.share_pct,
        writes=share.writes,
        sql=sql,
        binding=binding,
        parameters=parameters,
        columns=columns,
    )


def _given(share: QueryShare, layout: Layout, *, sql: str, parameters: int) -> Statement:
    """*sql* with what its parameters are bound to, which the template says."""
    draws = draws_of(share, layout, parameters=parameters)
    return Statement(
        kind=share.kind,
        name=share.name,
        share_pct=share.share_pct,
        writes=share.writes,
        sql=sql,
        binding=Binding.GIVEN if draws else Binding.NOTHING,
        parameters=parameters,
        draws=draws,
    )


def _bindings(kind: QueryKind, layout: Layout) -> dict[int, Binding]:
    """How many parameters a statement of *kind* can have, and what each number means."""
    keys = len(layout.key)
    by_number: dict[int, Binding] = {}
    if kind is QueryKind.INSERT:
        by_number = {len(layout.names): Binding.ROW, len(layout.insertable): Binding.ROW}
    elif keys:
        by_number[keys] = Binding.KEY
        if kind is QueryKind.RANGE_SCAN and layout.integer_key:
            by_number[keys + 1] = Binding.KEY_AND_UPPER
        if kind is QueryKind.UPDATE and layout.value_column is not None:
            by_number[keys + 1] = Binding.VALUE_AND_KEY
    return by_number | {0: Binding.NOTHING}
