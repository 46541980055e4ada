"""The chain: every edit, gap, swap and addition is found, and the first broken entry is named."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.approvals import (
    ApprovalEvent,
    ApprovalState,
    Channel,
    ExecutionMode,
    next_state,
)
from benchgate.domain.ledger import (
    GENESIS,
    HEAD_PATTERN,
    Break,
    Entry,
    Link,
    Moment,
    Stored,
    drift,
    first_break,
    sealed,
)
from benchgate.domain.text import digest_of
from tests.unit.examples import NOON, approval_of
from tests.unit.hostile import FOREIGN

LENGTH = 6
PLACES = st.integers(0, LENGTH - 1)
QUESTION, FACTS = approval_of().question_digest, approval_of().digest
STORY: list[tuple[ApprovalEvent | Moment, ApprovalState]] = [
    (Moment.ASK, ApprovalState.ASKED),
    (Moment.JOIN, ApprovalState.ASKED),
    (ApprovalEvent.APPROVE, ApprovalState.APPROVED),
    (ApprovalEvent.USE, ApprovalState.USED),
    (Moment.SETTLE, ApprovalState.USED),
    (Moment.STRAY, ApprovalState.USED),
]


def chain_of(*entries: Entry) -> list[Link]:
    """*entries* one after the other."""
    links: list[Link] = []
    for seq, entry in enumerate(entries, start=1):
        previous = links[-1].hash if links else GENESIS
        links.append(sealed(entry.model_copy(update={"seq": seq, "previous": previous})))
    return links


def story_of(approval_id: str = "a1", *, note: str | None = None) -> list[Link]:
    """One question from the asking to an answer that came too late."""
    approval = approval_of(approval_id=approval_id)
    known = {
        "at": NOON,
        "approval_id": approval_id,
        "subject": approval.subject,
        "channel": Channel.PAGE,
        "digest": FACTS,
        "note": note,
        "seq": 1,
        "previous": GENESIS,
    }
    entries = [
        Entry.model_validate(known | {"event": event, "state": state}) for event, state in STORY
    ]
    asked = {"question_digest": QUESTION, "asked": approval.asked, "name": approval.name}
    return chain_of(entries[0].model_copy(update=asked), *entries[1:])


USED = Stored(state="used", question_digest=QUESTION, digest=FACTS, channel="page")
STORED = {"a1": USED}
OTHER = story_of("a2")


def broken_at(links: Sequence[Link], *, head: str | None = None) -> int | None:
    found = first_break(links, head=head)
    return found.seq if found else None


def resealed(link: Link, **changes: object) -> Link:
    """*link* with *changes* to its entry, and a hash that fits."""
    return sealed(link.entry.model_copy(update=changes))


def test_an_empty_chain_is_whole() -> None:
    assert first_break([]) is None
    assert first_break([], head=f"0:{GENESIS}") is None


def test_a_chain_is_whole_at_every_length_and_under_every_earlier_head() -> None:
    links = story_of()
    for length in range(1, LENGTH + 1):
        grown = links[:length]
        assert first_break(grown) is None
        for earlier in grown:
            assert first_break(iter(grown), head=earlier.head) is None


@given(note=FOREIGN)
def test_an_entry_comes_back_as_it_was_written(note: str) -> None:
    for link in story_of(note=note):
        assert sealed(link.entry) == link
        assert link.entry.note == note


def test_the_text_of_an_entry_is_canonical() -> None:
    body = story_of(note="é")[0].body
    assert body.startswith('{"approval_id":"a1","asked":{')
    assert '"note":"é"' in body
    assert "null" not in body.replace('"principal":null', "")


@given(place=PLACES, data=st.data())
def test_any_edit_of_a_text_is_found_at_its_place(place: int, data: st.DataObject) -> None:
    links = story_of()
    body = links[place].body
    at = data.draw(st.integers(0, len(body) - 1))
    put = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != body[at]))
    links[place] = links[place].model_copy(update={"body": body[:at] + put + body[at + 1 :]})
    found = first_break(links)
    assert found == Break(seq=place + 1, reason="its text is not the one that was written")


@given(place=PLACES, hash_=st.text("0123456789abcdef", min_size=64, max_size=64))
def test_another_hash_is_found_at_its_place(place: int, hash_: str) -> None:
    links = story_of()
    links[place] = links[place].model_copy(update={"hash": hash_})
    assert broken_at(links) == place + 1


@given(place=st.integers(0, LENGTH - 2), state=st.sampled_from(ApprovalState))
def test_an_edit_with_a_hash_that_fits_breaks_the_entry_after_it(
    place: int, state: ApprovalState
) -> None:
    links = story_of()
    if links[place].entry.state is not state:
        links[place] = resealed(links[place], state=state)
        found = first_break(links)
        assert found == Break(seq=place + 2, reason="it does not follow the entry before it")


@given(place=PLACES)
def test_a_removed_entry_is_named_unless_it_was_the_last(place: int) -> None:
    links = story_of()
    head = links[-1].head
    del links[place]
    last = place == LENGTH - 1
    assert broken_at(links) == (None if last else place + 1)
    assert broken_at(links, head=head) == place + 1


@given(place=PLACES)
def test_a_gap_that_was_closed_by_new_numbers_is_found(place: int) -> None:
    links = story_of()
    del links[place]
    renumbered = [link.model_copy(update={"seq": seq}) for seq, link in enumerate(links, start=1)]
    expected = None if place == LENGTH - 1 else place + 1
    found = first_break(renumbered)
    assert (found.seq if found else None) == expected
    if found:
        assert found.reason == "its text belongs to another number"


@given(places=st.tuples(PLACES, PLACES).filter(lambda pair: pair[0] < pair[1]))
def test_swapped_entries_are_found_at_the_first(places: tuple[int, int]) -> None:
    one, other = places
    links = story_of()
    links[one], links[other] = (
        links[other].model_copy(update={"seq": one + 1}),
        links[one].model_copy(update={"seq": other + 1}),
    )
    assert broken_at(links) == one + 1


@given(place=st.integers(0, LENGTH), put=st.sampled_from(OTHER[1:]))
def test_an_entry_that_was_put_in_is_found(place: int, put: Link) -> None:
    links = story_of()
    links.insert(place, put)
    assert broken_at(links) == place + 1


@given(place=st.integers(0, LENGTH))
def test_an_entry_that_was_forged_into_the_chain_breaks_the_next_one(place: int) -> None:
    links = story_of()
    previous = links[place - 1].hash if place else GENESIS
    forged = resealed(OTHER[0], seq=place + 1, previous=previous)
    later = [link.model_copy(update={"seq": link.seq + 1}) for link in links[place:]]
    found = broken_at([*links[:place], forged, *later])
    # At the very end it is an entry like any other: nobody can tell who appended it.
    assert found == (None if place == LENGTH else place + 2)


@pytest.mark.parametrize("seq", [0, -1, -(2**31)])
def test_an_entry_before_the_first_is_found(seq: int) -> None:
    put = OTHER[0].model_copy(update={"seq": seq})
    assert broken_at([put, *story_of()]) == 1


@pytest.mark.parametrize("body", ["", "no JSON", "{}", '{"seq":1,"event":"invented"}'])
def test_a_text_that_nobody_can_read_is_named(body: str) -> None:
    links = [Link(seq=1, body=body, hash=digest_of(body))]
    assert first_break(links) == Break(seq=1, reason="its text cannot be read")


@given(length=st.integers(0, LENGTH - 1))
def test_a_tail_that_was_cut_off_shows_against_a_head_kept_elsewhere(length: int) -> None:
    links = story_of()
    cut = links[:length]
    assert first_break(cut) is None
    found = first_break(cut, head=links[-1].head)
    assert found == Break(
        seq=length + 1, reason="it is missing: the given head is of a longer chain"
    )


@given(place=PLACES)
def test_a_rewritten_chain_shows_against_a_head_kept_elsewhere(place: int) -> None:
    genuine = story_of()
    forged = story_of(note="forged")
    assert first_break(forged) is None
    found = first_break(forged, head=genuine[place].head)
    assert found == Break(seq=place + 1, reason="it is not the entry that the given head names")


@pytest.mark.parametrize("head", ["", "1", f"x:{GENESIS}", f"1:{GENESIS}0", f"-1:{GENESIS}"])
def test_what_is_no_head_is_not_taken_for_one(head: str) -> None:
    assert re.match(HEAD_PATTERN, head) is None


def test_every_head_is_one_that_can_be_handed_in_again() -> None:
    assert all(re.match(HEAD_PATTERN, link.head) for link in story_of())


def test_questions_that_are_as_the_ledger_tells_have_not_drifted() -> None:
    assert drift(story_of(), STORED) == ()
    assert drift([], {}) == ()


@pytest.mark.parametrize("state", [state for state in ApprovalState if state != "used"])
def test_a_state_that_the_ledger_does_not_tell_is_named(state: ApprovalState) -> None:
    assert drift(story_of(), {"a1": USED.model_copy(update={"state": state.value})}) == ("a1",)


@pytest.mark.parametrize(
    "change",
    [
        {"question_digest": digest_of("Start it?")},
        {"digest": digest_of("other facts")},
        {"channel": "elicitation"},
        {"note": "as agreed"},
        {"mode": "sequential"},
    ],
    ids=str,
)
def test_whatever_else_than_the_ledger_tells_is_named(change: dict[str, str]) -> None:
    assert drift(story_of(), {"a1": USED.model_copy(update=change)}) == ("a1",)


@pytest.mark.parametrize("end", [ApprovalEvent.EXPIRE, ApprovalEvent.SUPERSEDE], ids=str)
def test_a_yes_that_has_come_to_nothing_is_held_against_no_answer(end: ApprovalEvent) -> None:
    state = next_state(ApprovalState.APPROVED, end)
    entries = [link.entry for link in story_of()[:3]]
    ended = entries[-1].model_copy(update={"event": end, "state": state})
    stored = USED.model_copy(update={"state": state.value, "channel": None})
    assert drift(chain_of(*entries, ended), {"a1": stored}) == ()


def chosen_in(mode: ExecutionMode, *, length: int = LENGTH) -> list[Link]:
    """The beginning of a story whose yes came with *mode*."""
    entries = [link.entry for link in story_of()[:length]]
    entries[2] = entries[2].model_copy(update={"mode": mode})
    return chain_of(*entries)


@pytest.mark.parametrize("mode", ExecutionMode)
def test_how_tests_are_to_run_is_held_against_the_yes_that_said_so(mode: ExecutionMode) -> None:
    links = chosen_in(mode)
    assert drift(links, {"a1": USED.model_copy(update={"mode": mode.value})}) == ()
    others: list[str | None] = [None, "", *(one.value for one in ExecutionMode if one is not mode)]
    for other in others:
        assert drift(links, {"a1": USED.model_copy(update={"mode": other})}) == ("a1",)


@pytest.mark.parametrize("end", [ApprovalEvent.EXPIRE, ApprovalEvent.SUPERSEDE], ids=str)
def test_a_yes_that_has_come_to_nothing_says_of_no_mode(end: ApprovalEvent) -> None:
    state = next_state(ApprovalState.APPROVED, end)
    entries = [link.entry for link in chosen_in(ExecutionMode.SEQUENTIAL, length=3)]
    ended = entries[-1].model_copy(update={"event": end, "state": state, "mode": None})
    stored = USED.model_copy(update={"state": state.value, "channel": None})
    assert drift(chain_of(*entries, ended), {"a1": stored}) == ()


def test_a_yes_that_was_taken_back_says_of_no_mode() -> None:
    entries = [link.entry for link in chosen_in(ExecutionMode.SEQUENTIAL, length=3)]
    back = {"event": ApprovalEvent.DECLINE, "state": ApprovalState.DECLINED, "mode": None}
    declined = entries[-1].model_copy(update=back)
    stored = USED.model_copy(update={"state": "declined"})
    assert drift(chain_of(*entries, declined), {"a1": stored}) == ()


def test_a_question_that_was_removed_or_slipped_in_is_named() -> None:
    assert drift(story_of(), {}) == ("a1",)
    slipped_in = {"b": USED.model_copy(update={"state": "approved"}), "a0": USED}
    assert drift(story_of(), STORED | slipped_in) == ("a0", "b")


def test_what_is_about_no_question_moves_none() -> None:
    pin = Entry(seq=1, at=NOON, event=Moment.PIN_SET, previous=GENESIS)
    links = chain_of(pin, *(link.entry for link in story_of()), pin)
    assert first_break(links) is None
    assert drift(links, STORED) == ()
