"""Whatever a foreign text is made of, it stays on its line and means only itself."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.text import (
    ELLIPSIS,
    HIDDEN,
    LINK_CHARACTERS_MAX,
    MARKS_PER_LETTER_MAX,
    code,
    link,
    one_line,
    plain,
)
from tests.unit.hostile import FOREIGN, MARKDOWN


def shown_by(markdown: str) -> str:
    """The text that a reader of the rendered *markdown* sees; it must be one plain paragraph."""
    tokens = MARKDOWN.parse(markdown)
    assert [t.type for t in tokens] in (
        [],
        ["paragraph_open", "inline", "paragraph_close"],
    )
    inline = tokens[1].children or [] if tokens else []
    assert {token.type for token in inline} <= {"text"}
    return "".join(token.content for token in inline)


@given(FOREIGN, st.integers(1, 100))
def test_one_line_is_one_visible_bounded_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line == line.strip()
    assert line.splitlines() in ([], [line])
    assert {unicodedata.category(c) for c in line}.isdisjoint({*HIDDEN, "Zl", "Zp"})


@given(FOREIGN)
def test_one_line_leaves_alone_what_it_has_made(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)


@given(FOREIGN)
def test_no_letter_carries_marks_enough_to_paint_over_another_line(text: str) -> None:
    marks = MARKS_PER_LETTER_MAX
    for character in one_line(text):
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        assert marks <= MARKS_PER_LETTER_MAX


@given(FOREIGN)
def test_plain_text_is_shown_as_itself_by_markdown(text: str) -> None:
    assert shown_by(plain(text)) == (one_line(text) or "-")


@given(FOREIGN, FOREIGN)
def test_plain_text_means_nothing_in_the_middle_of_a_line_either(first: str, second: str) -> None:
    line = f"Name: {plain(first)} and {plain(second)}."
    assert shown_by(line) == f"Name: {one_line(first) or '-'} and {one_line(second) or '-'}."


@given(FOREIGN)
def test_plain_text_offers_no_renderer_a_link(text: str) -> None:
    written = plain(text)
    assert not re.search(r"(?i)\w://|www\.\w|\w@\w|(?<!\\)<", written)


@given(FOREIGN)
def test_code_cannot_leave_its_span(text: str) -> None:
    written = code(text)
    (paragraph,) = [t for t in MARKDOWN.parse(f"a {written} b") if t.type == "inline"]
    assert [t.type for t in paragraph.children or []] == ["text", "code_inline", "text"]
    assert written.count("`") == 2
    assert not re.search(r"(?i)(?:https?|ftp|file)://", written)


@given(FOREIGN)
def test_a_link_is_one_link_or_one_span_of_code(text: str) -> None:
    (paragraph,) = [t for t in MARKDOWN.parse(f"a {link(text)} b") if t.type == "inline"]
    assert [t.type for t in paragraph.children or []] in (
        ["text", "code_inline", "text"],
        ["text", "link_open", "text", "link_close", "text"],
    )


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b\u202e", "\ud800"])
def test_a_text_of_nothing_is_shown_as_such(text: str) -> None:
    assert one_line(text) == ""
    assert plain(text) == r"\-"
    assert code(text) == "`-`"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("concurrent_connections", "concurrent_connections"),
        ("run-789xyz", "run-789xyz"),
        ("About 15 INSERT/UPDATE operations (30%).", "About 15 INSERT/UPDATE operations (30%)."),
        ("p95 1.5 ms at 127.0.0.1", "p95 1.5 ms at 127.0.0.1"),
        ("# Test Started", r"\# Test Started"),
        ("- Yes", r"\- Yes"),
        ("12. Yes", r"12\. Yes"),
        ("---", r"\---"),
        ("**Yes**", r"\*\*Yes\*\*"),
        ("see https://a.example", r"see https\://a\.example"),
    ],
)
def test_only_what_would_mean_something_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_an_id_is_shown_as_it_has_to_be_copied() -> None:
    run_id = "91627461-c80a-4428-b231-ec9e027e8829"
    assert plain(run_id) == run_id


def test_an_overlong_text_is_cut_and_says_so() -> None:
    assert one_line("a" * 401) == "a" * 399 + ELLIPSIS
    assert one_line("a" * 400) == "a" * 400
    assert one_line("\u200b" * 10_000_000 + "a", 10) == ELLIPSIS


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8088/dashboard/run-789xyz",
        "https://bench.example/dashboard/r?key=a-b_c.d~e",
        "http://[::1]:8000/",
    ],
)
def test_a_web_address_is_a_link(address: str) -> None:
    assert link(address) == f"<{address}>"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/dashboard/r",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://",
        "http://a.example/ b",
        "http://a.example/>x",
        "http://a.example/\n",
        "http://a.example/`x`",
        "http://ä.example/",
        "http://a.example/" + "x" * LINK_CHARACTERS_MAX,
    ],
)
def test_anything_else_is_shown_and_no_link(address: str) -> None:
    assert link(address).startswith("`")
