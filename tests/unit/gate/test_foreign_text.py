"""Foreign text cannot alter a block: not its lines, not its headings, not what is a link in it."""

import jinja2
import pytest
from hypothesis import given, settings

from benchgate.domain.answers import StartOutcome
from benchgate.gate.blocks import Blocks
from tests.unit.examples import config_of, facts_of, snapshot_of
from tests.unit.foreign import (
    DASHBOARD,
    HOSTILE,
    Facts,
    foreign_comparison,
    foreign_list,
    foreign_question,
)
from tests.unit.hostile import VISIBLE, structure_of
from tests.unit.texts import sources

BLOCKS = Blocks()
OUTCOMES = sorted({*StartOutcome} - {StartOutcome.STARTED})
# The advice of these depends on what kind of failure the text tells of.
ADVISED = {"failed", "errors"}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Foreign texts, drawn once for all blocks: to draw one takes longer than to render it."""
    drawn: list[str] = []

    @given(VISIBLE)
    def draw(text: str) -> None:
        drawn.append(text)

    draw()
    assert len(drawn) >= settings().max_examples
    return drawn


def test_every_block_is_tried_with_foreign_text() -> None:
    files = {path for path in sources() if path.startswith("blocks/")}
    assert {f"blocks/{name}.md" for name in HOSTILE} == files


@pytest.mark.parametrize("name", sorted({*HOSTILE} - ADVISED))
def test_foreign_text_cannot_alter_a_block(name: str, texts: list[str]) -> None:
    benign = structure_of(BLOCKS.render(name, **HOSTILE[name]("x")))
    for text in texts:
        assert structure_of(BLOCKS.render(name, **HOSTILE[name](text))) == benign, repr(text)


@pytest.mark.parametrize("name", sorted(ADVISED))
def test_foreign_text_can_choose_the_advice_of_a_block_but_not_alter_it(
    name: str, texts: list[str]
) -> None:
    wordings = ["x", "refused password", "deadlock", "syntax error", "timeout", "no such table"]
    wordings += ["duplicate key", "disk full", "broken pipe"]
    known = [structure_of(BLOCKS.render(name, **HOSTILE[name](text))) for text in wordings]
    for text in texts:
        assert structure_of(BLOCKS.render(name, **HOSTILE[name](text))) in known, repr(text)


@pytest.mark.parametrize(
    "mode",
    [
        {"load_mode": "CONCURRENCY"},
        {"load_mode": "QPS", "target_qps": 500, "think_time": 5},
        {"load_mode": "FIND_MAX_CONCURRENCY"},
    ],
    ids=lambda mode: mode["load_mode"],
)
def test_foreign_text_cannot_alter_the_question_of_any_load_mode(
    mode: Facts, texts: list[str]
) -> None:
    benign = structure_of(BLOCKS.render("question", **foreign_question("x", **mode)))
    for text in texts:
        question = BLOCKS.render("question", **foreign_question(text, **mode))
        assert structure_of(question) == benign, repr(text)
        assert question.endswith("\n---\n\nStart this test? [Yes / No / Modify]")
        assert "http://" not in question


@pytest.mark.parametrize("is_whole", [False, True], ids=["run", "comparison"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_hostile_note_cannot_alter_what_a_start_came_to(
    outcome: str, is_whole: bool, texts: list[str]
) -> None:
    def rendered(text: str) -> str:
        facts = {"outcome": outcome, "note": text, "reason": text}
        comparison = foreign_comparison(text) if is_whole else None
        known = HOSTILE["not_started"]("x") | facts | {"comparison": comparison}
        return BLOCKS.render("not_started", **known)

    benign = structure_of(rendered("x"))
    for text in texts:
        assert structure_of(rendered(text)) == benign, repr(text)


def test_foreign_text_cannot_alter_the_choices_of_a_question_about_several_tests(
    texts: list[str],
) -> None:
    for text in texts:
        question = BLOCKS.render("comparison_question", **foreign_list(text))
        lines = question.splitlines()
        assert lines.count("Start these tests? [Yes / No / Modify]") == 1
        assert [line[:2] for line in lines[-5:]] == ["Ho", "A)", "B)", "", "Wi"]
        assert "http://" not in question


@pytest.mark.parametrize("cell", ["a | b", r"a \| b", "|", r"\|", "a`|`b", "| COMPLETED | 9,999 |"])
def test_a_bar_in_a_name_makes_no_column_of_a_table(cell: str) -> None:
    for name in ("comparison_progress", "comparison_results"):
        told, benign = (BLOCKS.render(name, **HOSTILE[name](text)) for text in (cell, "x"))
        assert structure_of(told)[1] == structure_of(benign)[1]


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("nothing", [" ", "\n\n", "\u200b", "\u202e"])
def test_a_text_of_nothing_makes_no_heading_and_no_link(name: str, nothing: str) -> None:
    text = BLOCKS.render(name, **HOSTILE[name](nothing))
    benign = BLOCKS.render(name, **HOSTILE[name]("x"))
    for kind in ("heading_open", "hr"):
        count = [t for t, _, _ in structure_of(text)[1] if t == kind]
        assert count == [t for t, _, _ in structure_of(benign)[1] if t == kind]
    links = str(structure_of(text)).count("link_open")
    assert links == str(structure_of(benign)).count("link_open")


def test_a_dashboard_link_is_the_only_link_of_a_block() -> None:
    run = snapshot_of("RUNNING", dashboard_url=DASHBOARD)
    assert f"**Dashboard:** <{DASHBOARD}>" in BLOCKS.render("started", run=run)
    forged = snapshot_of("RUNNING", dashboard_url="javascript:alert(1)")
    assert "**Dashboard:** `javascript:alert(1)`" in BLOCKS.render("started", run=forged)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_missing_fact_is_an_error_and_not_a_blank(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        BLOCKS.render(name)


def test_the_table_is_shown_however_long_the_path_to_it_is() -> None:
    config = config_of(database="/" + "d" * 1_023, schema="main", table_name="payroll")
    question = BLOCKS.render("question", facts=facts_of(config), changed=())
    assert "payroll" in question
