"""Foreign text made safe to show: one line, bounded, without characters that hide or reorder.

Names, messages and warnings come from backends and databases. Before a person or a model reads
them inside one of our blocks they pass through here, so that they can never look like a part of
the block itself: no heading, list, emphasis, HTML or link of theirs survives, wherever in a line
they stand.
"""

import hashlib
import re
import unicodedata

NAME_CHARACTERS_MAX = 120
MESSAGE_CHARACTERS_MAX = 400
LINK_CHARACTERS_MAX = 2_000
ELLIPSIS = "…"

# What opens or closes something in Markdown or HTML wherever it stands.
MARKUP = re.compile(r"[\\`*\[\]{}<>|~&$@]")
# An underscore within a word means nothing, and names are full of them.
UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
# Renderers make links of `https://…` and of `www.example.com` unasked; the escape prevents it.
BARE_LINK = re.compile(r":(?=//)|(?<=\w)\.(?=[^\W\d])")
# An id, which has to be copied as it stands, means nothing in Markdown.
HARMLESS = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)+")
# What makes a heading, list, rule or table of the line that it begins.
LINE_START = re.compile(r"^(\d*)([-+=#:.)])")
# Terminals make links of these even where Markdown would not.
ADDRESS = re.compile(r"(https?|ftp|file):(?=//)", re.IGNORECASE)
# Only characters that an address may hold and that end neither it nor the text around it.
SAFE_LINK = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?#\[\]@!$&'()+,;=%-]*")

SEPARATORS = frozenset({"Zs", "Zl", "Zp"})
# Control, format (bidirectional and zero-width marks live here), surrogate, private, unassigned.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Letters and symbols that draw nothing although they are not in a hidden category.
BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5") | {
    chr(point)
    for point in (*range(0x180B, 0x180E), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}
MARKS = frozenset({"Mn", "Me"})
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
    """*text* as `one_line`, with everything that Markdown would interpret made literal.

    A text in which nothing can be seen is a dash, because an empty place can change the meaning
    of the line before it.
    """
    line = one_line(text, limit) or "-"
    if HARMLESS.fullmatch(line):
        return line
    line = MARKUP.sub(r"\\\g<0>", line)
    line = UNDERSCORE.sub(r"\\_", line)
    line = BARE_LINK.sub(r"\\\g<0>", line)
    return LINE_START.sub(r"\1\\\2", line)


def code(text: str, limit: int = NAME_CHARACTERS_MAX) -> str:
    """*text* as an inline code span that it cannot leave: backticks become apostrophes.

    An address in it gets a space before its slashes, which keeps a terminal from linking it.
    """
    inside = ADDRESS.sub(r"\1: ", one_line(text, limit).replace("`", "'"))
    return f"`{inside or '-'}`"


def link(address: str) -> str:
    """*address* as a link where it is a web address and nothing else, or as code."""
    if len(address) <= LINK_CHARACTERS_MAX and SAFE_LINK.fullmatch(address):
        return f"<{address}>"
    return code(address)


def digest_of(text: str) -> str:
    """SHA-256 of *text* in UTF-8, as 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _visible(text: str) -> list[str]:
    """The characters of *text* that draw something; whatever separates is a space."""
    kept: list[str] = []
    marks = MARKS_PER_LETTER_MAX  # there is no letter yet that could carry one
    for character in text:
        category = unicodedata.category(character)
        if character.isspace() or category in SEPARATORS:
            kept.append(" ")
            marks = MARKS_PER_LETTER_MAX
        elif category in MARKS:
            marks += 1
            if marks <= MARKS_PER_LETTER_MAX and character not in BLANK:
                kept.append(character)
        elif category not in HIDDEN and character not in BLANK:
            kept.append(character)
            marks = 0
    return kept
