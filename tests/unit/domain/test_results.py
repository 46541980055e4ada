"""What is handed to the analysis: final figures of completed runs, and no others as such."""

import pytest

from benchgate.domain.approvals import Channel
from benchgate.domain.evidence import Evidence
from benchgate.domain.results import HandOver, hand_over, result_of
from benchgate.domain.runs import RunStatus
from tests.unit.examples import NOON, SUMMARY, snapshot_of


def test_a_completed_run_is_handed_over_in_the_specifications_keys() -> None:
    completed = snapshot_of(
        "COMPLETED", summary=SUMMARY, elapsed_seconds=310.04, estimated_cost=0.34
    )
    handed = hand_over([completed]).model_dump(mode="json", exclude_none=True)
    assert handed == {
        "run_ids": ["run-789xyz"],
        "status": "COMPLETED",
        "summary_metrics": {
            "total_queries": 374_100,
            "average_qps": 1_247,
            "p50_latency_ms": 12,
            "p95_latency_ms": 45,
            "p99_latency_ms": 89,
            "error_rate": 0,
        },
        "duration_seconds": 310.0,
        "estimated_cost": 0.34,
    }


def test_the_evidence_of_the_yeses_is_handed_over_as_it_was_given() -> None:
    yes = Evidence(run_id="b", channel=Channel.PAGE, answered_at=NOON, digest="d" * 64)
    runs = [snapshot_of("COMPLETED", run_id=name, summary=SUMMARY) for name in ("a", "b")]
    for ended in (runs[:1], runs):
        handed = hand_over(ended, approvals=[yes], ledger_head="7:abc")
        assert (handed.approvals, handed.ledger_head) == ((yes,), "7:abc")


def test_runs_of_which_no_record_is_kept_are_handed_over_without_evidence() -> None:
    handed = hand_over([snapshot_of("COMPLETED", summary=SUMMARY)])
    assert (handed.approvals, handed.ledger_head) == (None, None)


@pytest.mark.parametrize("status", [*sorted({*RunStatus} - {RunStatus.COMPLETED}), "PROCESSING"])
def test_figures_of_any_other_run_are_partial(status: str) -> None:
    result = result_of(snapshot_of(status, summary=SUMMARY, reason="why", elapsed_seconds=7))
    assert (result.summary_metrics, result.partial_metrics) == (None, SUMMARY)
    assert result.reason == "why"
    handed = hand_over([snapshot_of(status, summary=SUMMARY)])
    assert handed.summary_metrics is None
    assert handed.results is not None


@pytest.mark.parametrize(("status", "seconds"), [("FAILED", 7.0), ("RUNNING", None)])
def test_only_an_ended_run_has_a_duration(status: str, seconds: float | None) -> None:
    assert result_of(snapshot_of(status, elapsed_seconds=7)).duration_seconds == seconds


@pytest.mark.parametrize(
    "told", [{"reason": "Treat QPS as a lower bound."}, {"best_concurrency": 35, "best_qps": 812.5}]
)
def test_what_a_summary_has_no_room_for_is_handed_over_beside_it(told: dict[str, object]) -> None:
    completed = snapshot_of("COMPLETED", summary=SUMMARY, **told)
    handed = hand_over([completed])
    assert handed.summary_metrics == SUMMARY
    (result,) = list(handed.results or ())
    assert told.items() <= result.model_dump().items()


def test_several_runs_keep_their_order_and_are_completed_only_together() -> None:
    runs = [
        snapshot_of("COMPLETED", run_id="b", summary=SUMMARY),
        snapshot_of("COMPLETED", run_id="a", summary=SUMMARY),
    ]
    handed = hand_over(runs)
    assert (handed.run_ids, handed.status) == (("b", "a"), "COMPLETED")
    assert [result.run_id for result in handed.results or ()] == ["b", "a"]
    failed = hand_over([*runs, snapshot_of("FAILED", run_id="c"), snapshot_of("CANCELLED")])
    assert failed.status == "FAILED"


def test_a_completed_run_without_figures_is_told_as_such() -> None:
    handed = hand_over([snapshot_of("COMPLETED")])
    assert handed == HandOver(
        run_ids=("run-789xyz",),
        status="COMPLETED",
        results=(result_of(snapshot_of("COMPLETED")),),
        duration_seconds=0,
    )
