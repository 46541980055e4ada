"""Which names sound like a production system's. Pure words and globs; looks nothing up.

A word counts only where no letter touches it: `prod` is in `db-prod1.example.com` and
`orders_prod`, and not in `products`. A pattern with `*`, `?` or `[` is a glob over the whole name.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

PRODUCTION_PATTERNS = ("prod", "production", "prd", "live", "primary")
PATTERNS_MAX = 100
PATTERN_CHARACTERS_MAX = 200
GLOB = re.compile(r"[*?\[]")
LETTER = r"[^\W\d_]"


def telling(names: Iterable[str], patterns: Sequence[str]) -> tuple[str, str] | None:
    """The first of *names* that sounds like production, and the pattern that it fits."""
    return next(
        ((name, pattern) for name in names for pattern in patterns if _fits(name, pattern)), None
    )


def _fits(name: str, pattern: str) -> bool:
    """Whether *name* is as *pattern* says, in whatever case."""
    folded, wanted = name.casefold(), pattern.casefold()
    if GLOB.search(wanted):
        return fnmatchcase(folded, wanted)
    return re.search(rf"(?<!{LETTER}){re.escape(wanted)}(?!{LETTER})", folded) is not None
