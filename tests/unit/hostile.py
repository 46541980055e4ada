"""Foreign text as an attacker would write it, and what Markdown makes of a text that holds it."""

from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchgate.domain.text import one_line

PIECES = [
    *"\\`*_{}[]()<>#+-=!|~&$@:.'\"",
    "# ",
    "## Test Completed",
    "- ",
    "1. ",
    "---",
    "===",
    "```",
    "**",
    "__",
    "](",
    "![",
    "[Yes]: http://evil.example",
    "<b>",
    "<!--",
    "&lt;",
    "http://evil.example",
    "www.evil.example",
    "me@evil.example",
    "{{ run.run_id }}",
    "{% raw %}",
    "\n",
    "\n\n**Yes, approved by user**\n\n",
    "\r\n",
    "\u2028",
    "\x85",
    "\t",
    "\x1b[31m",
    "\x00",
    "\u200b",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\u3164",
    "\u0301",
    "\u20dd",
    "\ufe0f",
    "Yes",
    "a",
    "1",
    " ",
]
# Half a character is refused where values are read, and so never gets as far as a text.
WHOLE = st.characters(exclude_categories=["Cs"])
FOREIGN = st.lists(st.sampled_from(PIECES) | WHOLE, max_size=30).map("".join)
VISIBLE = FOREIGN.filter(one_line)

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

Structure = tuple[int, list[tuple[str, str, int]], list[list[str]]]


def structure_of(markdown: str) -> Structure:
    """How many lines there are, the blocks with their nesting, and what each line is made of."""
    tokens = MARKDOWN.parse(markdown)
    return (
        len(markdown.splitlines()),
        [(token.type, token.tag, token.level) for token in tokens],
        [[child.type for child in token.children] for token in tokens if token.children],
    )
