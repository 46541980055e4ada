"""Where a run stands: recorded tests as snapshots, and what they leave out."""

import json
from datetime import timedelta

import pytest

from benchgate.domain.results import result_of
from benchgate.domain.runs import OwnStop, Phase, RunSnapshot, RunStatus, Summary
from benchgate.gate.dialects.flakebench.payloads import Enrichment, Row
from benchgate.gate.dialects.flakebench.snapshots import (
    NO_FIGURES,
    is_enriched,
    is_settled,
    is_told_live,
    measured_seconds,
    run_row_of,
    snapshot_of,
)
from tests.unit.examples import NOON
from tests.unit.gate.dialects.flakebench_samples import (
    ROWS,
    recorded,
    text_of,
)

GUARDRAIL = "Guardrail triggered: cpu_percent 99.00 >= 80.00"
ZEROS = {"total_operations": 0, "elapsed_seconds": 0.0, "p95_latency_ms": 0.0}


def before(name: str, **changes: object) -> RunSnapshot:
    """What REST said of the recorded run *name* while it was live."""
    return snapshot_of(recorded(f"rest_{name}_running", **changes))


@pytest.mark.parametrize(
    ("name", "status", "phase", "expected"),
    [
        ("prepared", "PREPARED", None, 8),
        ("fixed_running", "RUNNING", "MEASUREMENT", 8),
        ("findmax_running", "RUNNING", "MEASUREMENT", None),
        ("qps_running", "RUNNING", "MEASUREMENT", 62),
        ("failed_running", "RUNNING", "MEASUREMENT", 62),
        ("fixed_terminal", "COMPLETED", None, 8),
        ("findmax_terminal", "COMPLETED", None, None),
        ("qps_terminal", "COMPLETED", None, 62),
        ("failed_terminal", "FAILED", None, 62),
        ("guardrail_terminal", "STOPPED", None, 62),
        ("user_stopped", "CANCELLED", None, 602),
    ],
)
def test_a_recorded_test_stands_where_it_says(
    name: str, status: str, phase: str | None, expected: float | None
) -> None:
    test = recorded(f"rest_{name}")
    told = snapshot_of(test, read_at=NOON)
    assert (told.status, told.phase, told.expected_seconds) == (status, phase, expected)
    assert told.run_id == test.test_id
    assert told.elapsed_seconds == test.timing.elapsed_display_seconds
    assert (told.updated_at, told.source) == (NOON, "rest")


def test_the_figures_of_a_completed_run_are_its_average_over_the_measured_time() -> None:
    told = snapshot_of(recorded("rest_fixed_terminal"))
    assert told.summary == Summary(
        total_queries=3007,
        average_qps=501.2,
        p50_latency_ms=20,
        p95_latency_ms=40,
        p99_latency_ms=60,
        error_rate=0,
    )
    assert told.measured_seconds == 6
    assert told.estimated_cost == 0.0077777777777777776


def test_a_search_has_steps_and_tells_what_it_found() -> None:
    live = snapshot_of(recorded("rest_findmax_running"))
    assert (live.current_step, live.total_steps, live.current_concurrency) == (4, None, 10)
    told = snapshot_of(recorded("rest_findmax_terminal"))
    assert told.reason == (
        "Best concurrency 10 at 501 QPS: P95 latency increased 36.4% vs baseline (limit 20.0%)"
    )
    assert told.summary is not None
    assert told.summary.average_qps == round(18021 / 39, 1)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"final_best_concurrency": 0}, "Not even the first step was stable"),
        ({"final_best_concurrency": 5}, "Best concurrency 5"),
        ({}, None),
    ],
)
def test_a_search_tells_no_more_than_it_found(result: object, reason: str | None) -> None:
    test = recorded("rest_findmax_terminal", find_max_result=result)
    assert snapshot_of(test).reason == reason


@pytest.mark.parametrize("name", ["fixed", "qps", "failed"])
def test_no_zero_of_a_live_run_is_told(name: str) -> None:
    told = before(name)
    assert (told.metrics, told.summary, told.estimated_cost) == (None, None, None)
    assert not is_settled(recorded(f"rest_{name}_running"))


def test_a_prepared_run_has_not_been_started() -> None:
    assert snapshot_of(recorded("rest_prepared")).started_at is None
    assert snapshot_of(recorded("rest_fixed_running")).started_at is not None


@pytest.mark.parametrize(
    "change",
    [
        ZEROS,
        {"phase": "PROCESSING"},
        {"enrichment_status": "PENDING"},
        {"error_rate": None, "failed_operations": None},
    ],
)
def test_a_completed_run_counts_until_its_figures_are_there(change: dict[str, object]) -> None:
    test = recorded("rest_findmax_terminal", **change)
    told = snapshot_of(test)
    assert (told.status, told.phase) == (RunStatus.STOPPING, Phase.PROCESSING)
    assert (told.summary, told.reason) == (None, None)
    assert not is_settled(test)


def test_a_completed_run_without_figures_says_so_when_nobody_waits_any_more() -> None:
    told = snapshot_of(recorded("rest_findmax_terminal", **ZEROS), waited_out=True)
    assert (told.status, told.summary, told.reason) == ("COMPLETED", None, NO_FIGURES)
    late = snapshot_of(recorded("rest_fixed_terminal", phase="PROCESSING"), waited_out=True)
    assert late.summary is not None
    assert late.reason is None


@pytest.mark.parametrize(
    ("known", "phase"),
    [("MEASUREMENT", "MEASUREMENT"), ("WARMUP", "WARMUP"), (None, None)],
)
def test_a_run_that_loads_is_not_being_counted_whatever_its_planned_time_says(
    known: str | None, phase: str | None
) -> None:
    test = recorded("rest_fixed_running", phase="PROCESSING")
    last = snapshot_of(recorded("rest_fixed_running", phase=known)) if known else None
    told = snapshot_of(test, last=last)
    assert (told.status, told.phase) == (RunStatus.RUNNING, phase)


def test_the_list_says_processing_for_a_run_that_is_being_counted() -> None:
    told = snapshot_of(recorded("rest_fixed_running", status="PROCESSING"))
    assert (told.status, told.phase) == (RunStatus.STOPPING, Phase.PROCESSING)


@pytest.mark.parametrize("reason", [None, "User requested cancellation"])
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_our_own_stop_is_told_as_ours(status: str, reason: str | None) -> None:
    test = recorded("rest_user_stopped", status=status, cancellation_reason=reason)
    told = snapshot_of(test, own_stop=OwnStop())
    assert (told.status, told.reason) == (RunStatus.CANCELLED, OwnStop().reason)
    again = snapshot_of(test, last=told, own_stop=OwnStop())
    assert (again.status, again.reason) == (RunStatus.CANCELLED, OwnStop().reason)


@pytest.mark.parametrize(
    ("age_seconds", "is_live"), [(0, True), (5, True), (6, False), (-1, False)]
)
def test_a_frame_is_live_for_some_seconds_and_never_before_its_time(
    age_seconds: int, is_live: bool
) -> None:
    told = before("fixed").model_copy(
        update={"source": "stream", "updated_at": NOON - timedelta(seconds=age_seconds)}
    )
    assert is_told_live(told, now=NOON) is is_live


def test_what_ends_a_run_before_our_stop_is_told_as_what_it_is() -> None:
    test = recorded("rest_user_stopped", status="FAILED", cancellation_reason="Worker failure: x")
    told = snapshot_of(test, own_stop=OwnStop())
    assert (told.status, told.reason) == (RunStatus.FAILED, "Worker failure: x")


def test_a_stop_of_somebody_elses_is_no_failure() -> None:
    reason = "User requested cancellation"
    told = snapshot_of(recorded("rest_user_stopped", status="FAILED", cancellation_reason=reason))
    assert (told.status, told.reason) == (RunStatus.CANCELLED, reason)


def test_a_run_that_completes_after_our_stop_has_completed() -> None:
    told = snapshot_of(recorded("rest_fixed_terminal"), own_stop=OwnStop())
    assert told.status == RunStatus.COMPLETED


def test_a_guardrails_stop_is_no_failure_and_its_reason_is_not_forgotten() -> None:
    told = snapshot_of(recorded("rest_guardrail_terminal"), own_stop=OwnStop())
    assert (told.status, told.reason) == (RunStatus.STOPPED, GUARDRAIL)
    silent = recorded("rest_guardrail_terminal", cancellation_reason=None)
    assert snapshot_of(silent, last=told).status == RunStatus.STOPPED
    assert snapshot_of(silent).status == RunStatus.FAILED


def test_a_failure_has_partial_figures_and_no_result() -> None:
    told = snapshot_of(recorded("rest_failed_terminal", failure_reason="no\nheartbeat " * 99))
    result = result_of(told)
    assert result.summary_metrics is None
    assert result.partial_metrics is not None
    assert result.partial_metrics.total_queries == 1103
    assert told.reason is not None
    assert "\n" not in told.reason
    assert len(told.reason) <= 400


def test_a_failure_that_did_nothing_has_no_figures() -> None:
    told = snapshot_of(recorded("rest_guardrail_terminal"))
    assert (told.summary, told.measured_seconds) == (None, None)
    assert is_settled(recorded("rest_guardrail_terminal"))


def test_a_status_and_a_phase_that_nobody_knows_are_kept() -> None:
    told = snapshot_of(recorded("rest_fixed_running", status="hibernating ", phase="cooldown"))
    assert (told.status, told.phase) == ("HIBERNATING", "COOLDOWN")
    assert not told.is_known


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_an_end_that_is_known_is_final(status: str) -> None:
    last = snapshot_of(recorded("rest_fixed_terminal"))
    stale = recorded("rest_fixed_running", status=status)
    assert snapshot_of(stale, last=last) == last


def test_what_was_known_before_is_not_lost() -> None:
    last = before("findmax").model_copy(update={"dashboard_url": "http://b/dashboard/r"})
    told = snapshot_of(recorded("rest_findmax_running", find_max_result=None), last=last)
    assert (told.current_step, told.current_concurrency) == (4, 10)
    assert told.dashboard_url == "http://b/dashboard/r"


def test_progress_never_passes_its_end_and_time_never_goes_below_nothing() -> None:
    late = recorded("rest_fixed_running", timing={"total_expected_seconds": 8})
    assert snapshot_of(late).elapsed_seconds == 0
    over = {"total_expected_seconds": 8, "elapsed_display_seconds": 40.0}
    assert snapshot_of(recorded("rest_fixed_running", timing=over)).progress_pct == 100
    negative = {"elapsed_display_seconds": -3.0}
    assert snapshot_of(recorded("rest_fixed_running", timing=negative)).elapsed_seconds == 0


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 60),
        ({"bounds_state": {"completion_reason": "BOUNDS_LIMIT_REACHED"}}, 60),
        ({"elapsed_seconds": 32.0, "timing": {"warmup_seconds": 2, "run_seconds": 60}}, 30),
        ({"elapsed_seconds": 2.0, "timing": {"warmup_seconds": 2, "run_seconds": 60}}, 2),
        ({"elapsed_seconds": 0.0, "timing": {}}, None),
        ({"elapsed_seconds": None, "timing": {"elapsed_display_seconds": 5.0}}, 5),
        ({"status": "FAILED", "elapsed_seconds": 62.0}, 60),
        (
            {
                "elapsed_seconds": 61.5,
                "bounds_state": {"completion_reason": "BOUNDS_LIMIT_REACHED"},
            },
            59.5,
        ),
    ],
)
def test_the_measured_time_leaves_out_what_can_be_left_out(
    changes: dict[str, object], seconds: float | None
) -> None:
    assert measured_seconds(recorded("rest_qps_terminal", **changes)) == seconds


@pytest.mark.parametrize(
    ("rate", "failed", "error_pct"),
    [(1.5, 0, 1.5), (None, 30, 100 * 30 / 3007), (250, 0, 0), (None, 4000, None)],
)
def test_errors_are_told_in_percent_or_counted(
    rate: float | None, failed: int, error_pct: float | None
) -> None:
    told = snapshot_of(
        recorded("rest_fixed_terminal", error_rate=rate, failed_operations=failed)
    ).summary
    assert (told.error_rate if told else None) == error_pct


def test_only_an_estimated_cost_is_one() -> None:
    test = recorded("rest_fixed_terminal", cost_calculation_method="unavailable")
    assert snapshot_of(test).estimated_cost is None


@pytest.mark.parametrize(
    ("status", "enrichment", "is_ready"),
    [
        ("COMPLETED", "COMPLETED", True),
        ("COMPLETED", "SKIPPED", True),
        ("COMPLETED", "PENDING", False),
        ("COMPLETED", None, False),
        ("FAILED", None, True),
        ("CANCELLED", "PENDING", False),
        ("RUNNING", "COMPLETED", False),
        (None, None, False),
    ],
)
def test_details_are_asked_for_when_they_are_complete(
    status: str | None, enrichment: str | None, is_ready: bool
) -> None:
    told = Enrichment(test_id="r", test_status=status, enrichment_status=enrichment)
    assert is_enriched(told) is is_ready


@pytest.mark.parametrize("name", ROWS)
def test_a_recorded_row_is_a_line_of_the_list(name: str) -> None:
    body = json.loads(text_of(name))
    row = run_row_of(Row.model_validate(body))
    assert row is not None
    assert (row.run_id, row.template_name, row.status) == (
        body["test_id"],
        body["test_name"],
        body["status"],
    )
    counting = run_row_of(Row.model_validate(body | {"status": "PROCESSING", "test_name": None}))
    assert counting is not None
    assert (counting.status, counting.template_name) == ("STOPPING", "")
    assert run_row_of(Row.model_validate(body | {"created_at": None})) is None
