"""Questions move only along their table, and what became of them decides whether to ask again."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchgate.domain.approvals import (
    DIALOGS_WITHOUT_ANSWER_MAX,
    LIVE,
    REFUSED,
    REOPENABLE,
    TRANSITIONS,
    UNANSWERED,
    Approval,
    ApprovalEvent,
    ApprovalState,
    Asked,
    Channel,
    Lifetimes,
    Standing,
    SubjectKind,
    next_state,
    standing_of,
    subject_of,
)
from benchgate.errors import Conflict
from tests.unit.examples import HIGH, MEDIUM, NOON, approval_of, facts_of

State = ApprovalState
LIFETIMES = Lifetimes(question=timedelta(minutes=30), answer=timedelta(minutes=10))
TICK = timedelta(microseconds=1)
DIALOG = Asked(channel=Channel.ELICITATION)
PAGE = Asked(channel=Channel.PAGE)
TERMINAL_STATES = [state for state in State if not TRANSITIONS[state]]


def history_of(*states: ApprovalState, asked: Asked = DIALOG) -> list[Approval]:
    """Questions in *states*, oldest first, the last of them put as *asked* says."""
    before = [approval_of(state=state) for state in states]
    return [*before[:-1], *(one.model_copy(update={"asked": asked}) for one in before[-1:])]


def answered(state: ApprovalState, at: datetime) -> Approval:
    return approval_of(state=state, answered_at=at, answered_through=Channel.PAGE)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, ApprovalEvent)))
def test_a_question_moves_only_along_the_table(state: ApprovalState, event: ApprovalEvent) -> None:
    allowed = TRANSITIONS[state]
    if event in allowed:
        assert next_state(state, event) is allowed[event]
        return
    before = {key: dict(moves) for key, moves in TRANSITIONS.items()}
    with pytest.raises(Conflict, match=f"A question that is {state} cannot {event}"):
        next_state(state, event)
    assert before == TRANSITIONS


def test_the_table_says_something_of_every_state() -> None:
    assert list(TRANSITIONS) == list(State)


def test_only_an_unused_yes_can_be_used() -> None:
    usable = [state for state in State if ApprovalEvent.USE in TRANSITIONS[state]]
    assert usable == [State.APPROVED]


def test_only_an_open_question_can_be_approved() -> None:
    open_ones = [state for state in State if ApprovalEvent.APPROVE in TRANSITIONS[state]]
    assert open_ones == [State.ASKED]


def test_a_spent_yes_cannot_start_a_run() -> None:
    assert TRANSITIONS[State.USED] == {}


def test_a_later_no_beats_an_unused_yes() -> None:
    assert next_state(State.APPROVED, ApprovalEvent.DECLINE) is State.DECLINED


def test_a_question_that_could_not_be_shown_is_still_open() -> None:
    assert next_state(State.ASKED, ApprovalEvent.FAIL) is State.ASKED


def test_only_an_open_question_and_an_unused_yes_are_live() -> None:
    live = [state for state in State if approval_of(state=state, answered_at=NOON).is_live]
    assert live == [State.ASKED, State.APPROVED] == [s for s in State if TRANSITIONS[s]]


@pytest.mark.parametrize(
    ("channel", "has"),
    [
        (Channel.ELICITATION, True),
        (Channel.URL, True),
        (Channel.PAGE, False),
        (Channel.TERMINAL, False),
        (Channel.CHAT, False),
    ],
)
def test_only_what_a_client_puts_has_a_dialog_left(channel: Channel, *, has: bool) -> None:
    assert approval_of(asked=Asked(channel=channel)).has_dialog_left is has


@pytest.mark.parametrize(
    ("approval", "end"),
    [
        (approval_of(), NOON + LIFETIMES.question),
        (answered(State.APPROVED, NOON + timedelta(minutes=29)), NOON + timedelta(minutes=39)),
    ],
    ids=["question", "answer"],
)
def test_a_question_and_a_yes_have_lifetimes_of_their_own(
    approval: Approval, end: datetime
) -> None:
    assert approval.expires_at(LIFETIMES) == end
    assert not approval.is_overdue(LIFETIMES, at=end)
    assert approval.is_overdue(LIFETIMES, at=end + TICK)


@pytest.mark.parametrize("state", TERMINAL_STATES)
def test_what_is_closed_is_never_overdue(state: ApprovalState) -> None:
    assert not answered(state, NOON).is_overdue(LIFETIMES, at=NOON + timedelta(days=400))


def test_a_start_against_advice_is_another_subject() -> None:
    plain, against = subject_of(facts_of(None, MEDIUM)), subject_of(facts_of(None, HIGH))
    assert (plain.kind, against.kind) == (SubjectKind.RUN, SubjectKind.OVERRIDE)
    assert plain.subject_id == against.subject_id == "run-789xyz"


STANDINGS: list[tuple[Sequence[ApprovalState], Asked, Standing]] = [
    ([], DIALOG, Standing.FRESH),
    ([State.ASKED], DIALOG, Standing.OPEN),
    ([State.ASKED], Asked(channel=Channel.URL), Standing.OPEN),
    ([State.ASKED], PAGE, Standing.WITHHELD),
    ([State.ASKED], Asked(channel=Channel.TERMINAL), Standing.WITHHELD),
    ([State.ASKED], Asked(channel=Channel.CHAT), Standing.WITHHELD),
    ([State.APPROVED], DIALOG, Standing.GRANTED),
    ([State.DECLINED], DIALOG, Standing.CLOSED),
    ([State.MODIFY_REQUESTED], DIALOG, Standing.CLOSED),
    ([State.CANCELLED], DIALOG, Standing.FRESH),
    ([State.NOT_CREDIBLE], DIALOG, Standing.FRESH),
    ([State.EXPIRED], DIALOG, Standing.FRESH),
    ([State.SUPERSEDED], DIALOG, Standing.FRESH),
    ([State.USED], DIALOG, Standing.FRESH),
    ([State.CANCELLED, State.ASKED], DIALOG, Standing.OPEN),
    ([State.CANCELLED, State.CANCELLED], DIALOG, Standing.WITHHELD),
    ([State.NOT_CREDIBLE, State.CANCELLED], DIALOG, Standing.WITHHELD),
    ([State.CANCELLED, State.CANCELLED, State.ASKED], PAGE, Standing.WITHHELD),
    ([State.CANCELLED, State.CANCELLED, State.ASKED], DIALOG, Standing.WITHHELD),
    ([State.CANCELLED, State.CANCELLED, State.EXPIRED], PAGE, Standing.WITHHELD),
    ([State.CANCELLED, State.EXPIRED], DIALOG, Standing.FRESH),
    ([State.DECLINED, State.EXPIRED], PAGE, Standing.CLOSED),
    ([State.DECLINED, State.CANCELLED], PAGE, Standing.CLOSED),
    ([State.DECLINED, State.ASKED], PAGE, Standing.WITHHELD),
    ([State.DECLINED, State.ASKED], DIALOG, Standing.WITHHELD),
    ([State.DECLINED, State.APPROVED], PAGE, Standing.GRANTED),
    ([State.DECLINED, State.USED], PAGE, Standing.FRESH),
    ([State.CANCELLED, State.CANCELLED, State.APPROVED], PAGE, Standing.GRANTED),
]


@pytest.mark.parametrize(("states", "asked", "standing"), STANDINGS)
def test_what_became_of_a_question_says_how_it_stands(
    states: Sequence[ApprovalState], asked: Asked, standing: Standing
) -> None:
    assert standing_of(history_of(*states, asked=asked)) is standing


def test_every_state_and_every_standing_is_in_the_table_above() -> None:
    assert {state for states, _, _ in STANDINGS for state in states} == set(State)
    # That others were faster is seen from the time of their start, and not from states.
    assert {standing for _, _, standing in STANDINGS} == set(Standing) - {Standing.OUTRUN}


CLOSED = st.sampled_from([state for state in State if state not in LIVE])
HISTORIES = st.lists(CLOSED, max_size=6)
CHANNELS = st.sampled_from(Channel).map(lambda channel: Asked(channel=channel))
UNDECIDED = st.lists(st.sampled_from([*UNANSWERED, State.EXPIRED, State.SUPERSEDED]), max_size=5)


@given(before=HISTORIES, no=st.sampled_from([*REFUSED]), after=UNDECIDED, asked=CHANNELS)
def test_a_refusal_outlasts_whatever_decides_nothing(
    before: list[ApprovalState], no: ApprovalState, after: list[ApprovalState], asked: Asked
) -> None:
    assert standing_of(history_of(*before, no, *after, asked=asked)) is Standing.CLOSED
    reopened = history_of(*before, no, *after, State.ASKED, asked=asked)
    assert standing_of(reopened) is Standing.WITHHELD


@given(closed=HISTORIES, last=st.sampled_from([*State]), asked=CHANNELS)
def test_there_is_a_yes_only_where_the_last_answer_is_one(
    closed: list[ApprovalState], last: ApprovalState, asked: Asked
) -> None:
    standing = standing_of(history_of(*closed, last, asked=asked))
    assert (standing is Standing.GRANTED) == (last is State.APPROVED)


@given(closed=HISTORIES, asked=CHANNELS)
def test_no_dialog_is_put_when_dialogs_had_their_chance(
    closed: list[ApprovalState], asked: Asked
) -> None:
    unanswered = sum(state in UNANSWERED for state in closed)
    again = standing_of(history_of(*closed, asked=asked))
    joined = standing_of(history_of(*closed, State.ASKED, asked=asked))
    if unanswered >= DIALOGS_WITHOUT_ANSWER_MAX:
        assert again is not Standing.FRESH
        assert joined is Standing.WITHHELD


@given(closed=st.lists(CLOSED, min_size=1, max_size=6), asked=CHANNELS)
def test_a_closed_question_has_an_answer_that_closed_it(
    closed: list[ApprovalState], asked: Asked
) -> None:
    standing = standing_of(history_of(*closed, asked=asked))
    if standing in {Standing.CLOSED, Standing.WITHHELD}:
        assert REOPENABLE.intersection(closed)
