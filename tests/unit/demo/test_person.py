"""What a person's choice between ways of running several tests comes to."""

from io import StringIO

import pytest
from rich.console import Console

from benchgate.domain.answers import MODES
from benchgate.gate.approvals.asking import Prompt, form
from demo.host import Form
from demo.person import Choice, InAdvance
from demo.screen import Screen

pytestmark = pytest.mark.anyio


def asked(*, asks_mode: bool) -> Choice | None:
    """What the demo reads in the form that the server really sends."""
    schema = form(Prompt(question="Start these tests?", asks_mode=asks_mode))
    return Form.model_validate(schema).properties.mode


def choice() -> Choice:
    found = asked(asks_mode=True)
    assert found is not None
    return found


def test_a_choice_is_offered_for_several_tests_alone() -> None:
    assert choice().options == tuple(MODES)
    assert asked(asks_mode=False) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("", "B) pause"),
        ("a", "A) sequential"),
        ("A", "A) sequential"),
        ("A)", "A) sequential"),
        ("sequential", "A) sequential"),
        ("b", "B) pause"),
        ("Pause", "B) pause"),
        ("C", None),
        ("yes", None),
        ("a b", None),
        (")", None),
    ],
)
def test_a_letter_or_its_word_is_a_choice_and_nothing_else_is(
    typed: str, meant: str | None
) -> None:
    assert choice().meant_by(typed) == meant


def test_the_letters_and_what_an_empty_answer_means_stand_in_the_question() -> None:
    assert choice().question == "How [A / B; Enter is B]:"


@pytest.mark.parametrize(("asks_mode", "mode"), [(True, "B) pause"), (False, None)])
async def test_what_was_said_in_advance_stands_on_the_screen(
    asks_mode: bool, mode: str | None
) -> None:
    written = StringIO()
    reply = await InAdvance(Screen(Console(file=written, width=80))).decide(
        asked(asks_mode=asks_mode)
    )
    assert (reply.decision, reply.mode) == ("yes", mode)
    assert written.getvalue().count("given in advance") == 1 + asks_mode
