"""The SQL of a workload: sensible defaults for the table's real key, or the template's own.

Pure. It decides what each statement is and which values its parameters are bound to; where the
values come from is the affair of `operations`.

A template's own SQL may write `{table}` for the quoted, qualified name, and parameters as `?` or
as `$1`, `$2`, … in any database. They are bound by the kind of the query:

* POINT_LOOKUP: the key columns;
* RANGE_SCAN: the key columns, then, if there is one more and the key is an integer, key + 100;
* INSERT: all columns in table order, or all that the database does not generate itself;
* UPDATE: a value for the first column that is neither part of a key nor generated, then the key
  columns; or the key columns alone.

A statement without parameters is possible for every kind.
"""

import re
from collections.abc import Collection
from enum import StrEnum

from benchgate.backend.drivers.layouts import Dialect, Layout, quoted
from benchgate.domain.templates import WRITES, QueryKind, QueryShare
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

SCAN_ROWS = 100

# What stands before the number of a parameter, where it is not a dollar.
PLACE_MARKS = {Dialect.SQLITE: "?", Dialect.SNOWFLAKE: ":"}

# What lies in literals, quoted names and comments is no parameter and no keyword.
TOKEN = re.compile(
    r"""
    (?P<skip>
        (?<!\w)[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | `[^`]*`
      | --[^\n]*
      | /\*.*?\*/
      | (?<!\w)\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
    )
  | (?P<numbered>(?<!\w)[$?](?P<number>\d+))
  | (?P<bare>\?)
    """,
    re.VERBOSE | re.DOTALL,
)

# A person says yes to "80% point lookups": no statement may do something else under that name.
FIRST_WORDS = {
    QueryKind.POINT_LOOKUP: frozenset({"SELECT", "WITH", "VALUES", "TABLE"}),
    QueryKind.RANGE_SCAN: frozenset({"SELECT", "WITH", "VALUES", "TABLE"}),
    QueryKind.INSERT: frozenset({"INSERT", "WITH", "REPLACE"}),
    QueryKind.UPDATE: frozenset({"UPDATE", "WITH"}),
}

# The same for what a WITH can hide behind its first word. This much shows in the text; what is
# hidden from us, because a database reads quotes and comments otherwise, `refuse_misnamed` finds.
HIDDEN_WRITES = {
    QueryKind.POINT_LOOKUP: re.compile(r"\b(INTO|DELETE\s+FROM|UPDATE\b.*\bSET)\b", re.I | re.S),
    QueryKind.RANGE_SCAN: re.compile(r"\b(INTO|DELETE\s+FROM|UPDATE\b.*\bSET)\b", re.I | re.S),
    QueryKind.INSERT: re.compile(r"\b(DELETE\s+FROM|INSERT\s+OVERWRITE)\b", re.I),
    QueryKind.UPDATE: re.compile(r"\bDELETE\s+FROM\b", re.I),
}


# A table to write to that is not left to the place holder.
WRITTEN_BY_NAME = re.compile(r"\b(INTO|UPDATE)\b(?!\s+\{table\})", re.I)


class Deed(StrEnum):
    """What a statement does to rows, as the database has understood it."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    MERGE = "merge"  # the database does not say whether one deletes


# An INSERT may update on conflict, an UPDATE may keep a journal.
DEEDS_OF_WRITES = frozenset({Deed.INSERT, Deed.UPDATE})


class Binding(StrEnum):
    """What the parameters of a statement are bound to."""

    NOTHING = "nothing"
    KEY = "key"
    KEY_AND_UPPER = "key and upper bound"
    VALUE_AND_KEY = "value and key"
    ROW = "row"


class Statement(Value):
    """One kind of operation, ready to be prepared."""

    kind: QueryKind
    share_pct: float
    sql: str
    binding: Binding
    parameters: int
    columns: tuple[str, ...] = ()  # those that a ROW binds, in the order of the parameters


def statements_of(workload: tuple[QueryShare, ...], layout: Layout) -> tuple[Statement, ...]:
    """The statements of *workload* on the table of *layout*.

    Raises:
        InvalidInput: one of them cannot be meant; the message names its kind and says why.
    """
    return tuple(_statement(share, layout) for share in workload)


def refuse_misnamed(kind: QueryKind, deeds: Collection[Deed]) -> None:
    """Refuse a statement of *kind* that does more than the name of its kind says.

    Raises:
        InvalidInput: it does; the message says what.
    """
    allowed = DEEDS_OF_WRITES if kind in WRITES else frozenset[Deed]()
    beyond = sorted(set(deeds) - allowed)
    if beyond:
        raise InvalidInput(
            f"The SQL of {kind} would {beyond[0]} rows, which that kind does not do.",
            hint="Give the statement under the kind that says what it does.",
        )


def writes_by_name(share: QueryShare) -> bool:
    """Whether the SQL of a write names another table than `{table}` to write to."""
    return share.writes and bool(WRITTEN_BY_NAME.search(_visible(share.sql or "")))


def refuse_writes_beside_copy(workload: Collection[QueryShare]) -> None:
    """Refuse writes that name their table themselves, and so may miss the scratch copy.

    For databases in which the copy lies beside the table.

    Raises:
        InvalidInput: the SQL of a write names another table than `{table}` to write to.
    """
    for share in workload:
        if writes_by_name(share):
            raise InvalidInput(
                f"The SQL of {share.kind} names the table that it writes to, and so would write "
                "to the table itself instead of its scratch copy.",
                hint="Write {table} in its place, or choose write_target IN_PLACE.",
            )


def _statement(share: QueryShare, layout: Layout) -> Statement:
    if share.kind not in FIRST_WORDS:
        raise InvalidInput(
            f"{share.kind} is not driven by this backend yet.",
            hint="Give the statement as the SQL of a point lookup, range scan, insert or update.",
        )
    if share.sql is None:
        return _default(share, layout)
    sql, parameters = _parse(share, layout)
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
        share_pct=share.share_pct,
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
        share_pct=share.share_pct,
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
    _check_meaning(share.kind, template)
    numbers = [int(n) for m in TOKEN.finditer(template) if (n := m["number"])]
    # Beside numbered parameters a question mark can only be an operator of PostgreSQL's.
    if numbers and layout.dialect is Dialect.POSTGRES:
        return _renumbered(template, layout.dialect), max(numbers)
    bare = sum(1 for match in TOKEN.finditer(template) if match["bare"])
    if numbers and bare:
        raise InvalidInput(f"The SQL of {share.kind} mixes ? with numbered parameters.")
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


def _check_meaning(kind: QueryKind, template: str) -> None:
    visible = _visible(template)
    word = re.search(r"[A-Za-z]+", visible)
    found = word[0].upper() if word else one_line(template, 40)
    if found not in FIRST_WORDS[kind]:
        raise InvalidInput(
            f"The SQL of {kind} begins with {found or 'nothing'}; "
            f"it has to begin with {_either(sorted(FIRST_WORDS[kind]))}.",
            hint="Give the statement under the kind that says what it does.",
        )
    hidden = HIDDEN_WRITES[kind].search(visible)
    if hidden:
        raise InvalidInput(
            f"The SQL of {kind} holds {' '.join(hidden[0].split()).upper()[:40]}, "
            "which that kind does not do.",
            hint="Give the statement under the kind that says what it does.",
        )


def _visible(template: str) -> str:
    """*template* without what lies in literals, quoted names and comments."""
    return TOKEN.sub(lambda match: " " if match["skip"] else match[0], template)


def _bound(share: QueryShare, layout: Layout, *, sql: str, parameters: int) -> Statement:
    """*sql* with what its parameters are bound to, which their number decides."""
    allowed = _bindings(share.kind, layout)
    if parameters not in allowed:
        raise InvalidInput(
            f"The SQL of {share.kind} has {_counted(parameters)}; on {layout.name} "
            f"it can have {_either([str(number) for number in sorted(allowed)])}.",
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
        share_pct=share.share_pct,
        sql=sql,
        binding=binding,
        parameters=parameters,
        columns=columns,
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


def _counted(parameters: int) -> str:
    return f"{parameters} parameter{'' if parameters == 1 else 's'}"


def _either(words: list[str]) -> str:
    """*words* as a choice: "a", "a or b", "a, b or c"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
