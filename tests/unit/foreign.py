"""Facts for every block with one foreign text wherever a backend, a person or an agent writes."""

from collections.abc import Callable
from typing import Any

from benchgate.domain import cost
from benchgate.domain.approvals import Channel, ExecutionMode
from benchgate.domain.compared import cautions_of, compared
from benchgate.domain.comparisons import Comparison, ComparisonState
from benchgate.domain.contract import ErrorRow, ErrorSummary
from benchgate.domain.evidence import Evidence
from benchgate.domain.facts import Difference, differences
from benchgate.domain.likeness import Caution, CautionKind
from benchgate.domain.pages import Page
from benchgate.domain.preflight import PreflightWarning, Severity
from benchgate.domain.progress import ProgressLine
from benchgate.domain.results import hand_over
from benchgate.domain.runs import RunSnapshot
from benchgate.gate.comparisons.service import View
from benchgate.gate.dialects.port import Unreadable
from benchgate.gate.endings import Offer
from benchgate.gate.tools.answers import ConnectionLine, OpenComparison, TemplateLine
from benchgate.gate.tools.catalog import ConnectionRow, TemplateRow
from benchgate.gate.tools.results import Page as ResultsPage
from tests.unit.comparing import comparison_of, result_of_run
from tests.unit.examples import (
    METRICS,
    NOON,
    SUMMARY,
    comparison_facts_of,
    config_of,
    facts_of,
    report_of,
    snapshot_of,
)

DASHBOARD = "http://127.0.0.1:40613/dashboard/run-789xyz?key=4n1uZl0Qw9yXb2Tt"

Facts = dict[str, Any]


OFFER = Offer(page_url=DASHBOARD, terminal=True, code="AB23CD45", question="## Ready\n\nStart?")


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
            "best_concurrency": 35,
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


def foreign_templates(text: str) -> Facts:
    """Two of thirty that can be read, and seven that cannot."""
    line = TemplateLine(
        template_id=text,
        template_name=text,
        target=text,
        table_type=text,
        load_mode=text,
        load=text,
        workload=text,
        expected_seconds=65,
        last_used_on=text,
    )
    row = TemplateRow(line=line, cost=cost.estimate(config_of()))
    return {
        "page": Page[object](entries=(), first=1, total=30, next_cursor=text),
        "rows": (row, row),
        "unreadable": [Unreadable(template_name=text, reason=text)] * 7,
    }


def foreign_connections(text: str) -> Facts:
    line = ConnectionLine(
        connection_id=text,
        connection_name=text,
        connection_type=text,
        server=text,
        username=text,
        has_password=True,
        has_private_key=True,
    )
    row = ConnectionRow(line=line, is_active=False)
    page = Page[object](entries=(), first=1, total=30, next_cursor=text)
    return {"page": page, "rows": (row, row)}


def foreign_errors(text: str) -> ErrorSummary:
    row = ErrorRow(summary=text, message=text, count=1, query_type=text, level=text, source=text)
    return ErrorSummary(test_id=text, rows=(row, row))


def foreign_evidence(text: str) -> Evidence:
    return Evidence(
        run_id=text, channel=Channel.CHAT, answered_at=NOON, note=text or None, digest="d" * 64
    )


def foreign_comparison(text: str) -> Comparison:
    """Three tests: one has completed, one has ended otherwise, one is pending."""
    completed = result_of_run(text).model_copy(update={"reason": text})
    ended = result_of_run(text).model_copy(update={"status": text, "summary_metrics": None})
    results = (completed, ended, None)
    fresh = comparison_of(3)
    named = {"variant": text, "template_id": text, "template_name": text}
    return fresh.model_copy(
        update={
            "comparison_id": text,
            "comparison_type": text,
            "state": ComparisonState.PAUSED,
            "position": 1,
            "mode": ExecutionMode.PAUSE,
            "reason": text,
            "tests": tuple(test.model_copy(update=named) for test in fresh.tests),
            "steps": tuple(
                step.model_copy(update={"run_id": text, "result": result})
                for step, result in zip(fresh.steps, results, strict=True)
            ),
            "cautions": foreign_cautions(text),
        }
    )


def foreign_cautions(text: str) -> tuple[Caution, ...]:
    return tuple(Caution(kind=kind, values=(text, text)) for kind in CautionKind)


def foreign_list(text: str) -> Facts:
    """The question about two tests that are left."""
    facts = foreign_question(text)["facts"]
    (test, _) = comparison_facts_of().tests
    listed = test.model_copy(
        update={
            "variant": text,
            "template_name": text,
            "config": facts.config,
            "connection": text,
            "warnings": facts.warnings,
            "can_proceed": facts.can_proceed,
        }
    )
    shown = comparison_facts_of().model_copy(
        update={
            "comparison_type": text,
            "tests": (listed, listed),
            "done": 1,
            "cautions": foreign_cautions(text),
        }
    )
    comparison = foreign_comparison(text)
    return {"facts": shown, "changed": foreign_changes(text), "comparison": comparison}


def foreign_next(text: str) -> Facts:
    """The question about the next test, after one that has completed."""
    comparison = foreign_comparison(text)
    return foreign_question(text) | {
        "comparison": comparison,
        "variant": text,
        "last": comparison.steps[0],
        "last_variant": text,
    }


def foreign_progress(text: str) -> Facts:
    line = ProgressLine(variant=text, status=text, progress_pct=75, qps=1, p95_latency_ms=1)
    return {
        "comparison": foreign_comparison(text),
        "lines": (line, line),
        "remaining_seconds": 480,
        "approval": None,
        "next_check_seconds": 25,
    }


def foreign_results(text: str) -> Facts:
    comparison = foreign_comparison(text)
    approvals = [foreign_evidence(text).model_copy(update={"mode": ExecutionMode.PAUSE})]
    handed = compared(comparison, approvals=approvals, ledger_head="7:abc")
    return {
        "hand_over": handed,
        "comparison": comparison,
        "cautions": cautions_of(comparison),
        "is_local": False,
        "pages": [ResultsPage(variant=text, run=foreign_run(text))],
        "ended_count": 2,
    }


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
    "stop_requested": lambda text: {
        "run": foreign_run(text),
        "comparison": foreign_comparison(text),
    },
    "not_started": lambda text: {
        "run": foreign_run(text),
        "comparison": None,
        "outcome": "declined",
        "run_id": text,
        "template_name": text,
        "reason": text,
        "note": text,
        "offer": OFFER,
    },
    "results": lambda text: {
        "hand_over": hand_over(
            [
                foreign_run(text, status="COMPLETED"),
                foreign_run(text),
                foreign_run(text, summary=None),
            ],
            approvals=[foreign_evidence(text)],
            ledger_head="7:abc",
        ),
        "runs": [foreign_run(text)] * 3,
    },
    "errors": lambda text: {"run": foreign_run(text), "summary": foreign_errors(text)},
    "templates": foreign_templates,
    "connections": foreign_connections,
    "error": lambda text: {"code": text, "message": text, "hint": text},
    "creation_failed": lambda text: {"message": text, "hint": text},
    "connection_lost": lambda text: {
        "message": text,
        "hint": text,
        "backend_url": DASHBOARD,
        "embedded": True,
    },
    "comparison_created": lambda text: {"comparison": foreign_comparison(text)},
    "comparisons": lambda text: {
        "comparisons": [
            OpenComparison(
                comparison_id="cmp-1",
                comparison_type=text,
                state="paused",
                completed=1,
                run_count=2,
            )
        ]
    },
    "comparison_question": foreign_list,
    "next_test_question": foreign_next,
    "comparison_started": lambda text: {
        "view": View(comparison=foreign_comparison(text)),
        "run": foreign_run(text),
    },
    "comparison_line": lambda text: {
        "view": View(comparison=foreign_comparison(text), live=foreign_run(text))
    },
    "comparison_progress": foreign_progress,
    "comparison_results": foreign_results,
}
