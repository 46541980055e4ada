"""Foreign text cannot alter a block: not its lines, not its headings, not what is a link in it."""

from collections.abc import Callable
from typing import Any

import jinja2
import pytest
from hypothesis import given

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import Channel
from benchgate.domain.contract import ConnectionView, ErrorRow, ErrorSummary
from benchgate.domain.evidence import Evidence
from benchgate.domain.facts import Difference, differences
from benchgate.domain.preflight import PreflightWarning, Severity
from benchgate.domain.results import hand_over
from benchgate.domain.runs import RunSnapshot
from benchgate.gate.blocks import Blocks
from benchgate.gate.endings import Offer
from tests.unit.examples import (
    METRICS,
    NOON,
    SUMMARY,
    config_of,
    facts_of,
    report_of,
    snapshot_of,
    template_of,
)
from tests.unit.hostile import VISIBLE, structure_of
from tests.unit.texts import sources

BLOCKS = Blocks()
DASHBOARD = "http://127.0.0.1:40613/dashboard/run-789xyz?key=4n1uZl0Qw9yXb2Tt"

Facts = dict[str, Any]


OFFER = Offer(page_url=DASHBOARD, terminal=True, code="AB23CD45", question="## Ready\n\nStart?")
OUTCOMES = sorted({*StartOutcome} - {StartOutcome.STARTED})


def foreign_run(text: str, **known: object) -> RunSnapshot:
    return snapshot_of(
        **{
            "status": text,
            "run_id": text,
            "phase": text,
            "template_name": text,
            "reason": text,
            "dashboard_url": DASHBOARD,
            "metrics": METRICS,
            "summary": SUMMARY,
        }
        | known  # pyright: ignore[reportArgumentType]
    )


def foreign_warning(text: str) -> PreflightWarning:
    return PreflightWarning(
        severity=Severity.HIGH, title=text, message=text, recommendations=(text, text)
    )


def foreign_question(text: str, **changes: object) -> Facts:
    short = text[:40]
    own = {"operation_type": "WRITE", "weight_pct": 10, "sql": text, "label": short}
    known: Facts = {
        "table_type": "INTERACTIVE",
        "database": text,
        "schema": text,
        "table_name": text,
        "warehouse_name": text,
        "warehouse_size": short,
        "postgres_instance_size": short,
        "connection_id": short,
        "custom_point_lookup_pct": 70,
        "custom_point_lookup_query": text,
        "generic_queries": [own],
    }
    facts = facts_of(config_of(**(known | changes)), foreign_warning(text))
    named = facts.model_copy(update={"template_name": text})
    assert not named.can_proceed, "the verdict is part of what is tried"
    return {"facts": named, "changed": foreign_changes(text)}


def foreign_changes(text: str) -> tuple[Difference, ...]:
    """Twelve, which is more than are shown: some as they are told, some as they could be."""
    told = Difference(name=text, before=text, after=text)
    known = differences(
        facts_of().model_copy(update={"template_name": text, "connection": "a"}),
        facts_of().model_copy(update={"template_name": "benign", "connection": text + "b"}),
    )
    return (*known, *[told] * (12 - len(known)))


def foreign_connection(text: str) -> ConnectionView:
    return ConnectionView(
        connection_id=text,
        connection_name=text,
        connection_type=text,
        host=text,
        port=5_432,
        username=text,
    )


def foreign_errors(text: str) -> ErrorSummary:
    row = ErrorRow(summary=text, message=text, count=1, query_type=text, level=text, source=text)
    return ErrorSummary(test_id=text, rows=(row, row))


def foreign_evidence(text: str) -> Evidence:
    return Evidence(
        run_id=text, channel=Channel.CHAT, answered_at=NOON, note=text or None, digest="d" * 64
    )


def foreign_config(text: str) -> Any:
    return config_of(database=text, schema=text, table_name=text)


HOSTILE: dict[str, Callable[[str], Facts]] = {
    "created": lambda text: {
        "run": foreign_run(text, template_id=text),
        "is_variant": True,
    },
    "preflight": lambda text: {
        "report": report_of(foreign_warning(text), foreign_warning(text)),
        "run": foreign_run(text),
    },
    "question": foreign_question,
    "started": lambda text: {"run": foreign_run(text)},
    "progress": lambda text: {"run": foreign_run(text), "next_check_seconds": 25, "approval": None},
    "progress_line": lambda text: {"run": foreign_run(text)},
    "completed": lambda text: {"run": foreign_run(text)},
    "failed": lambda text: {"run": foreign_run(text)},
    "ended": lambda text: {"run": foreign_run(text)},
    "stop_requested": lambda text: {"run": foreign_run(text)},
    "not_started": lambda text: {
        "run": foreign_run(text),
        "outcome": "declined",
        "run_id": text,
        "template_name": text,
        "reason": text,
        "note": text,
        "offer": OFFER,
    },
    "results": lambda text: {
        "hand_over": hand_over(
            [foreign_run(text), foreign_run(text, summary=None)],
            approvals=[foreign_evidence(text)],
            ledger_head="7:abc",
        ),
        "runs": [foreign_run(text), foreign_run(text)],
    },
    "errors": lambda text: {"run": foreign_run(text), "summary": foreign_errors(text)},
    "templates": lambda text: {
        "templates": [
            template_of(template_id=text, template_name=text, config=foreign_config(text))
        ],
        "total": 30,
    },
    "connections": lambda text: {"connections": (foreign_connection(text),)},
    "error": lambda text: {"code": text, "message": text, "hint": text},
    "creation_failed": lambda text: {"message": text, "hint": text},
    "connection_lost": lambda text: {
        "message": text,
        "hint": text,
        "backend_url": DASHBOARD,
        "embedded": True,
    },
}
# The advice of these depends on what kind of failure the text tells of.
ADVISED = {"failed", "errors"}


def test_every_block_is_tried_with_foreign_text() -> None:
    files = {path for path in sources() if path.startswith("blocks/")}
    assert {f"blocks/{name}.md" for name in HOSTILE} == files


@pytest.mark.parametrize("name", sorted({*HOSTILE} - ADVISED))
def test_foreign_text_cannot_alter_a_block(name: str) -> None:
    benign = structure_of(BLOCKS.render(name, **HOSTILE[name]("x")))

    @given(VISIBLE)
    def holds(text: str) -> None:
        assert structure_of(BLOCKS.render(name, **HOSTILE[name](text))) == benign

    holds()


@pytest.mark.parametrize("name", sorted(ADVISED))
def test_foreign_text_can_choose_the_advice_of_a_block_but_not_alter_it(name: str) -> None:
    wordings = ["x", "refused password", "deadlock", "syntax error", "timeout", "no such table"]
    wordings += ["duplicate key", "disk full", "broken pipe"]
    known = [structure_of(BLOCKS.render(name, **HOSTILE[name](text))) for text in wordings]

    @given(VISIBLE)
    def holds(text: str) -> None:
        assert structure_of(BLOCKS.render(name, **HOSTILE[name](text))) in known

    holds()


@pytest.mark.parametrize(
    "mode",
    [
        {"load_mode": "CONCURRENCY"},
        {"load_mode": "QPS", "target_qps": 500, "think_time": 5},
        {"load_mode": "FIND_MAX_CONCURRENCY"},
    ],
    ids=lambda mode: mode["load_mode"],
)
def test_foreign_text_cannot_alter_the_question_of_any_load_mode(mode: Facts) -> None:
    benign = structure_of(BLOCKS.render("question", **foreign_question("x", **mode)))

    @given(VISIBLE)
    def holds(text: str) -> None:
        question = BLOCKS.render("question", **foreign_question(text, **mode))
        assert structure_of(question) == benign
        assert question.endswith("\n---\n\nStart this test? [Yes / No / Modify]")
        assert "http://" not in question

    holds()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_hostile_note_cannot_alter_what_a_start_came_to(outcome: str) -> None:
    known = HOSTILE["not_started"]("x") | {"outcome": outcome}
    benign = structure_of(BLOCKS.render("not_started", **known))

    @given(VISIBLE)
    def holds(text: str) -> None:
        noted = BLOCKS.render("not_started", **known | {"note": text, "reason": text})
        assert structure_of(noted) == benign

    holds()


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
