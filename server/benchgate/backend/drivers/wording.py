"""What the text of a statement may say, by the kind that it stands under. Pure.

It looks at the text alone. What is hidden from it, because a database reads quotes and comments
otherwise, only the database finds: `statements.refuse_misnamed` judges that.
"""

import re
from collections.abc import Collection

from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

# What lies in literals, quoted names and comments is no parameter and no keyword.
TOKEN = re.compile(
    r"""
    (?P<skip>
        (?<![\w$\x80-\U0010ffff])[eE]'(?:[^'\\]|\\.|'')*'
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | `[^`]*`
      | --[^\n]*
      | /\*.*?\*/
      | (?<![\w$\x80-\U0010ffff])\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$
    )
  | (?P<numbered>(?<!\w)[$?](?P<number>\d+))
  | (?P<bare>\?)
    """,
    re.VERBOSE | re.DOTALL,
)

# A person says yes to "80% point lookups": no statement may do something else under that name.
READING = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
FIRST_WORDS = {
    QueryKind.POINT_LOOKUP: READING,
    QueryKind.RANGE_SCAN: READING,
    QueryKind.INSERT: frozenset({"INSERT", "WITH", "REPLACE"}),
    QueryKind.UPDATE: frozenset({"UPDATE", "WITH"}),
}
# Of a person's own statement that writes: what changes rows, and nothing that changes tables.
CHANGING = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "WITH"})

# The same for what a WITH can hide behind its first word, as far as it shows in the text.
HIDDEN_IN_READS = re.compile(r"\b(INTO|DELETE\s+FROM|UPDATE\b.*\bSET)\b", re.I | re.S)
HIDDEN_WRITES = {
    QueryKind.POINT_LOOKUP: HIDDEN_IN_READS,
    QueryKind.RANGE_SCAN: HIDDEN_IN_READS,
    QueryKind.INSERT: re.compile(r"\b(DELETE\s+FROM|INSERT\s+OVERWRITE)\b", re.I),
    QueryKind.UPDATE: re.compile(r"\bDELETE\s+FROM\b", re.I),
}

# A table to write to that is not left to the place holder.
WRITTEN_BY_NAME = re.compile(r"\b(INTO|UPDATE|DELETE\s+FROM)\b(?!\s+\{table\})", re.I)
# Here UPDATE names no table: of a conflict, of a merge, of a lock.
UPDATE_OF_NO_TABLE = re.compile(
    r"\b(?:DO|THEN)\s+UPDATE\s+SET\b|\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b", re.I
)
# Nothing may follow that would make it another name.
WRITES_TO_COPY = re.compile(
    r"\s*(?:INSERT\s+(?:OVERWRITE\s+)?INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)"
    r"\s+\{table\}(?![\w$.])",
    re.I,
)
DELETING = re.compile(r"\bDELETE\b", re.I)


def check_meaning(share: QueryShare, template: str) -> None:
    """Refuse *template*, the SQL of *share*, where its words do not suit its kind.

    Raises:
        InvalidInput: they do not; the message names the words.
    """
    text = visible(template)
    word = re.search(r"[A-Za-z]+", text)
    found = word[0].upper() if word else one_line(template, 40)
    allowed = _first_words(share)
    if found not in allowed:
        raise InvalidInput(
            f"The SQL of {share.name} begins with {found or 'nothing'}; "
            f"it has to begin with {either(sorted(allowed))}.",
            hint=_remedy(share),
        )
    hidden = _hidden(share, text)
    if hidden:
        raise InvalidInput(
            f"The SQL of {share.name} holds {' '.join(hidden[0].split()).upper()[:40]}, "
            "which that kind does not do.",
            hint=_remedy(share),
        )


def _first_words(share: QueryShare) -> frozenset[str]:
    return FIRST_WORDS.get(share.kind, CHANGING if share.writes else READING)


def _hidden(share: QueryShare, text: str) -> re.Match[str] | None:
    if share.kind in HIDDEN_WRITES:
        return HIDDEN_WRITES[share.kind].search(text)
    return None if share.writes else HIDDEN_IN_READS.search(text)


def _remedy(share: QueryShare) -> str:
    if share.kind is not QueryKind.GENERIC_SQL:
        return "Give the statement under the kind that says what it does."
    if share.writes:
        return "Give one statement that changes rows; tables are neither made nor dropped here."
    return "Give it the operation_type WRITE if it changes rows."


def writes_by_name(share: QueryShare) -> bool:
    """Whether the SQL of a write names another table than `{table}` to write to."""
    text = UPDATE_OF_NO_TABLE.sub(" ", visible(share.sql or ""))
    return share.writes and bool(WRITTEN_BY_NAME.search(text))


def deletes(share: QueryShare) -> bool:
    """Whether the SQL of a write may remove rows."""
    return share.writes and bool(DELETING.search(visible(share.sql or "")))


def refuse_writes_beside_copy(workload: Collection[QueryShare]) -> None:
    """Refuse writes that name their table themselves, and so may miss the scratch copy.

    For databases in which the copy lies beside the table.

    Raises:
        InvalidInput: the SQL of a write names another table than `{table}` to write to.
    """
    for share in workload:
        if writes_by_name(share):
            raise InvalidInput(
                f"The SQL of {share.name} names the table that it writes to, and so would write "
                "to the table itself instead of its scratch copy.",
                hint="Write {table} in its place, or choose write_target IN_PLACE.",
            )


def refuse_other_targets(workload: Collection[QueryShare]) -> None:
    """Refuse writes that do not begin with what they do to `{table}`.

    For a database that does not tell which table a statement would write to.

    Raises:
        InvalidInput: the SQL of a write begins otherwise.
    """
    for share in workload:
        if share.writes and share.sql and not WRITES_TO_COPY.match(visible(share.sql)):
            raise InvalidInput(
                f"The SQL of {share.name} does not begin with what it does to {{table}}, and so "
                "may write to another table instead of its scratch copy.",
                hint=(
                    "Begin it with INSERT INTO {table}, UPDATE {table}, DELETE FROM {table} or "
                    "MERGE INTO {table}, or choose write_target IN_PLACE."
                ),
            )


def visible(template: str) -> str:
    """*template* without what lies in literals, quoted names and comments."""
    return TOKEN.sub(lambda match: " " if match["skip"] else match[0], template)


def either(words: list[str]) -> str:
    """*words* as a choice: "a", "a or b", "a, b or c"."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
