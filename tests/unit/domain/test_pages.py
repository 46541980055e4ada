"""A long list read page by page: nothing twice, nothing lost, and no cursor that was not given."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.pages import (
    CURSOR_CHARACTERS,
    PAGE_ENTRIES_MAX,
    Page,
    page_of,
    place_of,
)
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput
from tests.unit.examples import NOON

SCOPE = ("list", "backend", "")
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


class Entry(Value):
    name: str
    made_at: datetime | None = NOON


def entries_of(number: int) -> list[Entry]:
    """One a second, the oldest first."""
    return [
        Entry(name=f"e{index}", made_at=NOON + timedelta(seconds=index)) for index in range(number)
    ]


def read(
    entries: Sequence[Entry], cursor: str | None = None, *, scope: Sequence[str] = SCOPE
) -> Page[Entry]:
    return page_of(
        entries,
        place=lambda one: place_of(one.name, moment=one.made_at),
        scope=scope,
        cursor=cursor,
    )


def names_of(page: Page[Entry]) -> list[str]:
    return [entry.name for entry in page.entries]


def read_all(
    entries: list[Entry], between: Callable[[list[Entry], Page[Entry]], None] | None = None
) -> list[str]:
    """What is shown by all pages, with what happens to the list *between* two of them."""
    page = read(entries)
    shown = names_of(page)
    while page.next_cursor:
        if between is not None:
            between(entries, page)
        page = read(entries, page.next_cursor)
        shown += names_of(page)
    return shown


@pytest.mark.parametrize("number", [0, 1, 25, 26, 50, 60])
def test_all_pages_together_are_the_list_with_the_newest_first(number: int) -> None:
    assert read_all(entries_of(number)) == [f"e{index}" for index in reversed(range(number))]


def test_a_page_says_where_it_stands_and_the_last_one_leads_nowhere() -> None:
    entries = entries_of(PAGE_ENTRIES_MAX + 2)
    first = read(entries)
    last = read(entries, first.next_cursor)
    assert (first.first, len(first.entries), first.total) == (1, 25, 27)
    assert (last.first, len(last.entries), last.total) == (26, 2, 27)
    assert last.next_cursor is None


def test_what_is_added_meanwhile_moves_nothing() -> None:
    def add(entries: list[Entry], page: Page[Entry]) -> None:
        for _ in range(3):
            number = len(entries)
            entries.append(Entry(name=f"new{number}", made_at=NOON + timedelta(days=number)))

    assert read_all(entries_of(60), add) == [f"e{index}" for index in reversed(range(60))]


def test_the_last_entry_shown_may_be_deleted_with_all_around_it() -> None:
    def delete(entries: list[Entry], page: Page[Entry]) -> None:
        last = entries.index(page.entries[-1])
        del entries[last - 1 : last + 2]

    shown = read_all(entries_of(60), delete)
    assert shown == [f"e{index}" for index in reversed(range(60)) if index not in {34, 8}]


def test_after_the_deletion_of_all_that_is_left_there_is_nothing_more() -> None:
    entries = entries_of(60)
    page = read(entries[:2], read(entries).next_cursor)
    assert (names_of(page), page.total) == (["e1", "e0"], 2)
    page = read([], read(entries).next_cursor)
    assert (page.entries, page.total, page.next_cursor) == ((), 0, None)


def test_entries_of_the_same_moment_are_each_shown_once() -> None:
    entries = [Entry(name=f"e{index}") for index in range(60)]
    assert sorted(read_all(entries)) == sorted(entry.name for entry in entries)
    assert read_all(entries) == read_all(entries[::-1])


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=90))
def test_whatever_is_deleted_meanwhile_the_rest_is_shown_once(
    kinds: list[tuple[int, bool]],
) -> None:
    """The number is the second in which an entry was made; the flag tells that it does not stay."""
    entries = [
        Entry(name=f"{number}", made_at=NOON + timedelta(seconds=second))
        for number, (second, _) in enumerate(kinds)
    ]
    staying = [one for one, (_, goes) in zip(entries, kinds, strict=True) if not goes]

    def delete(present: list[Entry], page: Page[Entry]) -> None:
        present[:] = staying

    shown = read_all([*entries], delete)
    assert len(shown) == len({*shown})
    assert {one.name for one in staying} <= {*shown}


def test_an_entry_without_a_time_stands_last_and_a_time_without_a_zone_is_utc() -> None:
    entries = [
        Entry(name="untimed", made_at=None),
        Entry(name="first", made_at=EARLIEST),
        Entry(name="east", made_at=NOON.astimezone(timezone(timedelta(hours=9)))),
        Entry(name="bare", made_at=(NOON + timedelta(seconds=1)).replace(tzinfo=None)),
        Entry(name="last", made_at=LATEST),
    ]
    assert names_of(read(entries)) == ["last", "bare", "east", "first", "untimed"]


@pytest.mark.parametrize("moment", [None, NOON, EARLIEST, LATEST])
@pytest.mark.parametrize("name", ["", "e", "é" * 10_000])
def test_a_cursor_is_short_whatever_it_stands_for(name: str, moment: datetime | None) -> None:
    entries = [Entry(name=f"{name}{index}", made_at=moment) for index in range(30)]
    page = read(entries)
    assert page.next_cursor is not None
    assert len(page.next_cursor) == CURSOR_CHARACTERS
    assert len(read(entries, page.next_cursor).entries) == 5


def test_a_cursor_with_any_other_character_is_refused() -> None:
    entries = entries_of(30)
    cursor = read(entries).next_cursor or ""
    others = [
        cursor[:index] + other + cursor[index + 1 :]
        for index, own in enumerate(cursor)
        for other in "A_"
        if own != other
    ]
    assert len(others) >= CURSOR_CHARACTERS
    for other in others:
        with pytest.raises(InvalidInput, match="has not given that cursor"):
            read(entries, other)


@pytest.mark.parametrize(
    "cursor", ["x", "2", "A" * 27, "A" * 28, "A" * 32, "é" * 28, "{}", " ", "\ud800", "=" * 28]
)
def test_what_is_no_cursor_is_refused_with_a_way_out(cursor: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(entries_of(30), cursor)
    assert "without cursor" in refused.value.hint


@pytest.mark.parametrize(
    "scope",
    [("other", "backend", ""), ("list", "other", ""), ("list", "backend", "filter"), ("list",), ()],
)
def test_a_cursor_serves_no_other_list_than_its_own(scope: tuple[str, ...]) -> None:
    cursor = read(entries_of(30)).next_cursor
    with pytest.raises(InvalidInput, match="has not given that cursor"):
        read(entries_of(30), cursor, scope=scope)


def test_an_empty_cursor_is_none() -> None:
    assert read(entries_of(30), "") == read(entries_of(30))
