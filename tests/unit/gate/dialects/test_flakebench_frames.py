"""What a frame adds to what is known of a run, and where the two contradict each other."""

import pytest

from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus
from benchgate.gate.dialects.flakebench.snapshots import (
    snapshot_of,
    snapshot_of_frame,
)
from tests.unit.examples import NOON
from tests.unit.gate.dialects.flakebench_samples import (
    STREAMS,
    frame_of,
    frames_of,
    recorded,
)


def before(name: str, **changes: object) -> RunSnapshot:
    """What REST said of the recorded run *name* while it was live."""
    return snapshot_of(recorded(f"rest_{name}_running", **changes))


@pytest.mark.parametrize("stream", STREAMS)
def test_a_recorded_stream_is_told_frame_by_frame(stream: str) -> None:
    frames = frames_of(stream)
    told = snapshot_of(recorded("rest_prepared", test_id=frames[0].test_id))
    statuses: list[str] = []
    for frame in frames:
        told = snapshot_of_frame(frame, told, read_at=NOON)
        statuses.append(told.status)
        assert (told.summary, told.updated_at, told.source) == (None, NOON, "stream")
        # While it gets ready and while it is counted FlakeBench repeats figures of no load.
        assert (told.metrics is not None) == (frame.status == "RUNNING")
        assert told.elapsed_seconds > 0 or frame.status != "RUNNING"
    ends = {"ws_failed": "FAILED", "ws_guardrail": "STOPPED"}
    assert statuses[0] == "PREPARED"
    assert statuses[-1] == ends.get(stream, "STOPPING")


def test_a_frame_has_the_figures_of_its_second() -> None:
    frame = frame_of(
        "ws_findmax", "RUNNING", phase="MEASUREMENT", errors={"count": 175, "rate": 0.01}
    )
    told = snapshot_of_frame(frame, before("findmax"))
    assert told.metrics is not None
    assert told.metrics.error_rate == 1
    assert told.metrics.total_queries == 18021
    assert (told.metrics.qps, told.metrics.p95_latency_ms) == (500, 40)
    assert (told.current_step, told.current_concurrency, told.total_steps) == (4, 10, None)


def test_the_warm_up_is_no_part_of_what_is_counted() -> None:
    told = snapshot_of_frame(frame_of("ws_fixed", "RUNNING", phase="WARMUP"), before("fixed"))
    assert told.metrics is not None
    assert (told.phase, told.metrics.total_queries) == ("WARMUP", 0)
    assert told.current_concurrency == 10


def test_before_the_first_operation_there_is_no_latency() -> None:
    frame = frame_of("ws_guardrail", "STARTING", phase="PREPARING").model_copy(
        update={"status": "RUNNING", "phase": "WARMUP"}
    )
    last = snapshot_of(recorded("rest_prepared", test_id=frame.test_id))
    told = snapshot_of_frame(frame, last).metrics
    assert told is not None
    assert (told.qps, told.p50_latency_ms, told.error_rate) == (0, None, 0)


@pytest.mark.parametrize(
    ("errors", "error_pct"),
    [({"count": 30}, 100 * 30 / 3007), ({"rate": 7, "count": 0}, 0), ({}, None)],
)
def test_a_rate_of_errors_is_a_fraction_or_is_counted(
    errors: object, error_pct: float | None
) -> None:
    frame = frame_of("ws_fixed", "RUNNING", phase="MEASUREMENT", errors=errors)
    metrics = snapshot_of_frame(frame, before("fixed")).metrics
    assert (metrics.error_rate if metrics else None) == error_pct


def test_a_frame_without_a_clock_leaves_the_time_as_it_was() -> None:
    frame = frame_of("ws_fixed", "RUNNING", phase="MEASUREMENT", timing=None, connections=None)
    told = snapshot_of_frame(frame, before("fixed"))
    assert (told.elapsed_seconds, told.current_concurrency) == (7, None)


def test_a_phase_that_repeats_the_status_is_none() -> None:
    frame = frame_of("ws_fixed", "RUNNING", phase="MEASUREMENT").model_copy(
        update={"phase": "RUNNING"}
    )
    assert snapshot_of_frame(frame, before("fixed")).phase is None


def test_a_frame_of_another_run_changes_nothing() -> None:
    last = before("fixed")
    assert snapshot_of_frame(frames_of("ws_qps")[-1], last) == last


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_a_frame_that_is_older_than_the_end_changes_nothing(status: str) -> None:
    last = snapshot_of(recorded("rest_failed_terminal"))
    frame = frames_of("ws_failed")[-2].model_copy(update={"status": status})
    assert snapshot_of_frame(frame, last) == last


def test_the_stream_knows_a_reason_that_rest_forgets() -> None:
    last = snapshot_of(recorded("rest_failed_terminal"))
    assert last.reason is None
    told = snapshot_of_frame(frames_of("ws_failed")[-1], last)
    assert told.reason is not None
    assert told.reason.startswith("Worker failure: 1 worker(s)")
    assert told.summary == last.summary


def test_a_completed_run_is_not_made_a_failure_by_the_stream() -> None:
    last = snapshot_of(recorded("rest_fixed_terminal", test_id=frames_of("ws_failed")[0].test_id))
    assert snapshot_of_frame(frames_of("ws_failed")[-1], last) == last


def test_an_error_before_the_load_is_a_reason() -> None:
    frame = frames_of("ws_failed")[-1].model_copy(update={"cancellation_reason": None})
    frame = type(frame).model_validate(
        frame.model_dump() | {"error": {"type": "setup_error", "message": "no table"}}
    )
    assert snapshot_of_frame(frame, before("failed")).reason == "no table"


def test_our_own_stop_is_told_as_ours_by_the_stream_too() -> None:
    last = frames_of("ws_failed")[-1].model_copy(
        update={"cancellation_reason": "User requested cancellation"}
    )
    told = snapshot_of_frame(last, before("failed"), own_stop=OwnStop())
    assert (told.status, told.reason) == (RunStatus.CANCELLED, OwnStop().reason)
    assert snapshot_of_frame(last, told, own_stop=OwnStop()) == told


def test_what_ends_a_run_before_our_stop_is_told_as_what_it_is() -> None:
    told = snapshot_of_frame(frames_of("ws_failed")[-1], before("failed"), own_stop=OwnStop())
    assert told.status == RunStatus.FAILED
    assert (told.reason or "").startswith("Worker failure")
