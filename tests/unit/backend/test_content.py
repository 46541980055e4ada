"""What a run's page shows: each note once, on one line, and no more rows than there is room."""

from typing import Any

import pytest

from benchgate.backend.dashboard.content import NOT_THE_LIMIT, STEPS_SHOWN_MAX, PageData, content_of
from benchgate.domain.contract import RunDetail, TestStatus
from benchgate.domain.findings import Findings
from tests.unit.backend.found import OPEN_LOOP, SEARCHED, STEPS
from tests.unit.examples import NOON, config_of

LIMITED = "Limited by the load generator: treat QPS as a lower bound"


def detail_of(**config: Any) -> RunDetail:
    """A run whose configuration is the usual one but for *config*."""
    return RunDetail(
        run_id="run-1",
        test_id="run-1",
        status="COMPLETED",
        template_id="tpl-1",
        template_name="Orders\u202e lookup",
        config=config_of(**config),
        created_at=NOON,
    )


def content(findings: Findings | None = None, **changes: Any) -> PageData:
    """The content of a completed run's page with *findings*, but for *changes*."""
    known = {"test_id": "run-1", "run_id": "run-1", "status": "COMPLETED", "findings": findings}
    return content_of(detail_of(), TestStatus.model_validate(known | changes))


def test_the_notes_of_a_completed_run_are_told_once_and_in_their_order() -> None:
    shown = content(OPEN_LOOP, reason=" ".join(OPEN_LOOP.notes))
    assert shown.notes == OPEN_LOOP.notes
    assert shown.notes[0].startswith(LIMITED)


def test_why_a_search_ended_stands_at_its_steps_and_not_above_them() -> None:
    shown = content(SEARCHED, reason=" ".join(SEARCHED.notes))
    assert SEARCHED.search is not None
    assert SEARCHED.notes == (SEARCHED.search.sentence,)
    assert shown.notes == ()


def test_a_completed_run_of_which_nothing_more_was_found_keeps_its_reason() -> None:
    assert content(reason="The clock of the server was set back.").notes == (
        "The clock of the server was set back.",
    )
    assert content().notes == ()


@pytest.mark.parametrize("status", ["STOPPED", "FAILED", "CANCELLED"])
def test_what_the_reason_of_an_end_has_told_is_no_note_beside_it(status: str) -> None:
    told = "81% of the operations failed."
    reason = " ".join((told, OPEN_LOOP.notes[0]))
    assert content(OPEN_LOOP, status=status, reason=reason).notes == OPEN_LOOP.notes[1:]
    assert content(status=status, reason=told).notes == ()
    assert content(OPEN_LOOP, status=status).notes == OPEN_LOOP.notes


def test_texts_of_the_content_hide_nothing() -> None:
    hostile = OPEN_LOOP.model_copy(update={"remarks": ("a\u200b\n<b>\u202eb",)})
    shown = content(hostile)
    assert shown.name == "Orders lookup"
    assert shown.notes[-1] == "a <b>b"


def test_whether_the_generator_was_the_limit_is_said_either_way() -> None:
    busy, calm = content(OPEN_LOOP).generator, content(SEARCHED).generator
    assert busy is not None
    assert calm is not None
    assert busy.is_limit
    assert busy.sentence.startswith(LIMITED)
    assert (calm.is_limit, calm.sentence) == (False, NOT_THE_LIMIT)
    assert content(Findings()).generator is None
    assert content().generator is None


def test_of_a_search_of_many_steps_the_last_ones_are_shown() -> None:
    search = SEARCHED.search
    assert search is not None
    steps = tuple(STEPS[0].model_copy(update={"number": n}) for n in range(1, 1_001))
    long = search.model_copy(update={"steps": steps})
    shown = content(SEARCHED.model_copy(update={"search": long}))
    assert shown.test.findings is not None
    assert shown.test.findings.search is not None
    numbers = [step.number for step in shown.test.findings.search.steps]
    assert numbers == list(range(1_001 - STEPS_SHOWN_MAX, 1_001))
    assert shown.steps_left_out == 1_000 - STEPS_SHOWN_MAX
    assert content(SEARCHED).steps_left_out == 0


@pytest.mark.parametrize(
    ("changes", "load"),
    [
        ({}, "8 connections"),
        ({"load_mode": "QPS", "target_qps": 500}, "500 QPS on 8 connections"),
        ({"load_mode": "FIND_MAX_CONCURRENCY"}, "+10 each step"),
    ],
)
def test_the_load_is_told_in_every_mode(changes: dict[str, Any], load: str) -> None:
    status = TestStatus(test_id="run-1", run_id="run-1", status="PREPARED")
    assert load in content_of(detail_of(**changes), status).load
