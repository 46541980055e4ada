"""Values that tests start from: whole and valid, to be changed in the one thing under test."""

from datetime import UTC, datetime
from typing import Any

from benchgate.domain import cost, preflight
from benchgate.domain.approvals import Approval, ApprovalState, Asked, Channel, subject_of
from benchgate.domain.contract import RunDetail
from benchgate.domain.facts import ComparisonFacts, Facts, ListedTest, StartFacts, start_facts
from benchgate.domain.preflight import PreflightReport, PreflightWarning, Severity
from benchgate.domain.runs import LiveMetrics, RunSnapshot, Summary
from benchgate.domain.templates import Template, TemplateConfig
from benchgate.domain.text import digest_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

CONFIG: dict[str, Any] = {
    "table_type": "POSTGRES",
    "database": "bench",
    "schema": "public",
    "table_name": "orders",
    "custom_point_lookup_pct": 80,
    "custom_range_scan_pct": 20,
    "duration": 60,
    "warmup": 5,
    "concurrent_connections": 8,
}
SUMMARY = Summary(
    total_queries=374_100,
    average_qps=1_247,
    p50_latency_ms=12,
    p95_latency_ms=45,
    p99_latency_ms=89,
    error_rate=0,
)
METRICS = LiveMetrics(
    qps=1_247,
    p50_latency_ms=12,
    p95_latency_ms=45,
    p99_latency_ms=89,
    error_rate=0,
    active_connections=8,
    total_queries=187_050,
)
MEDIUM = PreflightWarning(
    severity=Severity.MEDIUM,
    title="Few Connections Left",
    message="The server has 12 connections left.",
    recommendations=("Use fewer connections",),
)
HIGH = MEDIUM.model_copy(update={"severity": Severity.HIGH})


def config_of(**changes: object) -> TemplateConfig:
    """A valid configuration with *changes*."""
    return TemplateConfig.model_validate(CONFIG | changes)


def template_of(**changes: object) -> Template:
    """A valid template with *changes*."""
    known = {
        "template_id": "tpl-1",
        "template_name": "Orders lookup",
        "config": config_of(),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Template.model_validate(known | changes)


def snapshot_of(status: str, **changes: object) -> RunSnapshot:
    """A run in *status* with *changes*."""
    known = {"run_id": "run-789xyz", "status": status, "template_name": "Orders lookup"}
    return RunSnapshot.model_validate(known | changes)


def report_of(*warnings: PreflightWarning) -> PreflightReport:
    """A report of *warnings*."""
    return preflight.report("run-789xyz", list(warnings))


def facts_of(config: TemplateConfig | None = None, *warnings: PreflightWarning) -> StartFacts:
    """What a person is shown of a run of *config*."""
    config = config or config_of()
    run = RunDetail(
        run_id="run-789xyz",
        test_id="test-abc123",
        status="PREPARED",
        template_id="abc123-def456",
        template_name="Orders lookup",
        config=config,
        connection="db.example:5432 as bench (orders-db)",
        created_at=NOON,
    )
    return start_facts(run, preflight=report_of(*warnings), cost=cost.estimate(config))


def comparison_facts_of(**changes: object) -> ComparisonFacts:
    """What a person is shown of a comparison of two tests with *changes*; none has run yet."""
    shown = facts_of().model_dump(exclude={"run_id", "template_name"})
    tests = tuple(
        ListedTest.model_validate(
            shown
            | {
                "template_name": f"Orders lookup, {variant}",
                "variant": variant,
                "template_id": f"tpl-{number}",
            }
        )
        for number, variant in enumerate(("X-Small", "Small"), start=1)
    )
    known = {
        "comparison_id": "cmp-456abc",
        "comparison_type": "warehouse_size",
        "tests": tests,
        "order": (0, 1),
        "done": 0,
        "cautions": (),
    }
    return ComparisonFacts.model_validate(known | changes)


def approval_of(facts: Facts | None = None, **changes: object) -> Approval:
    """An open question about *facts* with *changes*."""
    facts = facts or facts_of()
    known = {
        "approval_id": "a1",
        "subject": subject_of(facts),
        "name": facts.name,
        "facts": facts,
        "digest": facts.digest,
        "question": "Start?",
        "question_digest": digest_of("Start?"),
        "state": ApprovalState.ASKED,
        "asked": Asked(channel=Channel.ELICITATION, client_name="host"),
        "asked_at": NOON,
    }
    return Approval.model_validate(known | changes)
