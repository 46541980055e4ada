"""What in a person's SQL would hide a part of it from `wording`, or reach past what it says. Pure.

Databases do not agree on where a comment or a literal ends. Where they differ, the text is refused,
so that what was looked at is what is run.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from benchgate.backend.drivers.layouts import Dialect
from benchgate.backend.drivers.wording import TOKEN, visible
from benchgate.domain.templates import QueryShare
from benchgate.errors import InvalidInput

EVERYWHERE = frozenset(Dialect)
SNOWFLAKE = frozenset({Dialect.SNOWFLAKE})
POSTGRES = frozenset({Dialect.POSTGRES})


@dataclass(frozen=True, slots=True)
class Snare:
    """Something that is not allowed in SQL of one's own."""

    pattern: re.Pattern[str]
    what: str  # in messages
    dialects: frozenset[Dialect] = EVERYWHERE


# In one literal, quoted name or comment, from its first character on.
IN_TOKENS: Sequence[Snare] = (
    # Half of the databases nest them, and go on with the comment where the others end it.
    Snare(re.compile(r"/\*.*/\*", re.DOTALL), "a comment inside a comment"),
    # There are databases for which the comment ends here.
    Snare(re.compile(r"--[^\n]*\r(?!\Z)"), "a comment with a carriage return in it"),
    Snare(re.compile(r"\$[^$]*[^\x00-\x7f$][^$]*\$"), "a dollar quote beyond ASCII"),
    # It takes the quote after it out of its meaning.
    Snare(re.compile(r"[eE]?'.*\\", re.DOTALL), "a backslash in a literal", SNOWFLAKE),
    Snare(re.compile(r"\$\w"), "a dollar quote with a name", SNOWFLAKE),
)
# In what lies outside of them.
IN_WORDS: Sequence[Snare] = (
    # They may quote in PostgreSQL, by the bytes of their encoding.
    Snare(re.compile(r"\$[^\x00-\x7f]|[^\x00-\x7f]\$"), "a dollar beside a letter beyond ASCII"),
    Snare(re.compile(r"\$[A-Za-z_]\w*[^\x00-\x7f]"), "a dollar quote beyond ASCII"),
    Snare(re.compile(r"//"), "//, which begins a comment there", SNOWFLAKE),
    # These run a second statement, or a procedure with statements of its own.
    Snare(re.compile(r"->>"), "->>", SNOWFLAKE),
    Snare(re.compile(r"\bCALL\b", re.IGNORECASE), "CALL", SNOWFLAKE),
    Snare(re.compile(r"\bAS\s+PROCEDURE\b", re.IGNORECASE), "AS PROCEDURE", SNOWFLAKE),
)
# In all but literals and comments, because a quoted name is a name as well.
IN_NAMES: Sequence[Snare] = (
    Snare(re.compile(r"\bU&", re.IGNORECASE), "U&, which writes characters as numbers", POSTGRES),
    Snare(re.compile(r'"\{table\}|\{table\}"'), "{table} beside a quotation mark"),
    # Turns off what keeps a session from writing, or leads it past the scratch copy.
    Snare(re.compile(r"\bset_config\b", re.IGNORECASE), "set_config", POSTGRES),
    # Ends what other people do.
    Snare(
        re.compile(r"\bpg_(?:terminate|cancel)_backend\b", re.IGNORECASE),
        "a function that ends other sessions",
        POSTGRES,
    ),
    # Works in another session, or on the server's files, which no copy stands for.
    Snare(re.compile(r"\bdblink(?:_\w+)?\b", re.IGNORECASE), "dblink", POSTGRES),
    Snare(re.compile(r"\blo_export\b", re.IGNORECASE), "lo_export", POSTGRES),
    # Runs the SQL of a literal, in which nothing is looked for.
    Snare(re.compile(r"\bquery_to_xml", re.IGNORECASE), "query_to_xml", POSTGRES),
)


def refuse_hiding(share: QueryShare, dialect: Dialect) -> None:
    """Refuse SQL of *share* that could do what its visible words do not tell.

    Raises:
        InvalidInput: it could; the message says by what.
    """
    template = share.sql or ""
    tokens = [match[0] for match in TOKEN.finditer(template) if match["skip"]]
    found = (
        *(_first(IN_TOKENS, token, dialect, at_start=True) for token in tokens),
        _first(IN_WORDS, visible(template), dialect),
        _first(IN_NAMES, _with_names(template), dialect),
    )
    snare = next((one for one in found if one is not None), None)
    if snare is not None:
        raise InvalidInput(
            f"The SQL of {share.name} cannot be used: it holds {snare.what}.",
            hint="Write the statement so that its plain words say all that it does.",
        )


def _first(
    snares: Sequence[Snare], text: str, dialect: Dialect, *, at_start: bool = False
) -> Snare | None:
    for snare in snares:
        find = snare.pattern.match if at_start else snare.pattern.search
        if dialect in snare.dialects and find(text):
            return snare
    return None


def _with_names(template: str) -> str:
    """*template* without what lies in literals and comments."""

    def replace(match: re.Match[str]) -> str:
        return " " if match["skip"] and match[0][0] not in '"`' else match[0]

    return TOKEN.sub(replace, template)
