"""Foreign text made safe to show: one line, bounded, without characters that hide or reorder.

Names, messages and warnings come from backends and databases. Before a person or a model reads
them inside one of our blocks they pass through here, so that they can never look like a part of
the block itself.
"""

import unicodedata

NAME_CHARACTERS_MAX = 120
MESSAGE_CHARACTERS_MAX = 400
ELLIPSIS = "…"

# Every character that can open or close something in Markdown or HTML.
MARKUP = frozenset("\\`*_{}[]()<>#+!|~&")
# Categories: control, format (bidirectional and zero-width marks live here), surrogate,
# private use, unassigned, line and paragraph separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and symbols that draw nothing although they are not in a hidden category.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | {
    chr(point) for point in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
# More marks than this on one letter would paint over its neighbours' lines.
MARKS_PER_LETTER_MAX = 2


def one_line(text: str, limit: int = MESSAGE_CHARACTERS_MAX) -> str:
    """*text* on one line of at most *limit* characters, only of characters that can be seen."""
    # Read no more than can be shown, so that a text of megabytes costs nothing.
    seen = "".join(_visible(text[: limit * 4]))
    line = " ".join(seen.split())
    cut = len(line) > limit or len(text) > limit * 4
    return line[: limit - 1].rstrip() + ELLIPSIS if cut else line


def plain(text: str, limit: int = MESSAGE_CHARACTERS_MAX) -> str:
    """*text* as `one_line`, with everything that Markdown would interpret made literal."""
    return "".join(f"\\{c}" if c in MARKUP else c for c in one_line(text, limit))


def code(text: str, limit: int = NAME_CHARACTERS_MAX) -> str:
    """*text* as an inline code span that it cannot leave: backticks become apostrophes."""
    inside = one_line(text, limit).replace("`", "'")
    return f"`{inside or '-'}`"


def _visible(text: str) -> list[str]:
    """The characters of *text* that draw something; anything else that separates is a space."""
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if character in "\n\r\t\v\f" or category in {"Zl", "Zp", "Zs"}:
            kept.append(" ")
        elif category not in HIDDEN and character not in BLANK and marks <= MARKS_PER_LETTER_MAX:
            kept.append(character)
    return kept
