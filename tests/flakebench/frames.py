"""The bodies of the WebSocket messages, with the keys of the recorded ones."""

from dataclasses import dataclass

from tests.flakebench.clock import moment
from tests.flakebench.loads import QpsLoad, latencies_ms, qps_of
from tests.flakebench.payloads import enrichment, find_max, operations, threads, timing
from tests.flakebench.runs import Run
from tests.flakebench.samples import Json, frame_data

UNSTARTED_FRAME = 1
LOADED_FRAME = 4
EVALUATION_SECONDS = 10.0
# What only a row of the controller's record can tell, and so is missing for an unknown id.
FROM_RECORD = (
    "workers_expected",
    "workers_registered",
    "workers_active",
    "workers_completed",
    "start_time",
    "end_time",
)


@dataclass(frozen=True)
class Told:
    """What the stream says of the run's state; it may lag behind the controller's record."""

    status: str
    phase: str
    reason: str | None = None


def connected(run_id: str, now_s: float) -> Json:
    """The first message, which is no event."""
    return {"status": "connected", "test_id": run_id, "timestamp": moment(now_s).isoformat()}


def update(data: Json) -> Json:
    """The event that carries *data*."""
    return {"event": "RUN_UPDATE", "data": data}


def unknown(run_id: str, told: Told, now_s: float) -> Json:
    """What is told of a run that no record knows: it goes on and on."""
    data = frame_data("ws_fixed", UNSTARTED_FRAME)
    for key in FROM_RECORD:
        del data["run"][key]
    return _addressed(data, run_id, told, now_s)


def known(run: Run, told: Told, now_s: float) -> Json:
    """What is told of a run: live figures as soon as there are workers."""
    if run.loaded_at_s is None:
        data = frame_data("ws_fixed", UNSTARTED_FRAME)
        if run.started_at_s is not None:
            data |= _elapsed(run, now_s)
    else:
        data = _loaded(run, now_s)
    data = _addressed(data, run.run_id, told, now_s)
    data["run"]["start_time"] = _iso(run.started_at_s)
    data["run"]["end_time"] = _iso(run.ended_at_s)
    if told.reason:
        data["cancellation_reason"] = told.reason
    if told.status in {"STOPPING", "COMPLETED"}:
        data["enrichment_progress"] = enrichment(run)
    return data


def _addressed(data: Json, run_id: str, told: Told, now_s: float) -> Json:
    said = {"status": told.status, "phase": told.phase}
    data |= {"test_id": run_id, "timestamp": moment(now_s).isoformat(), **said}
    data["run"] |= {"run_id": run_id, **said}
    return data


def _elapsed(run: Run, now_s: float) -> Json:
    shown = timing(run, now_s)["elapsed_display_seconds"]
    if run.is_terminal and run.ended_at_s is None and run.unloaded_at_s is not None:
        # Unlike REST, the stream knows the end before the results' record does.
        shown = round(run.unloaded_at_s - run.shown_start_s, 1)
    return {"elapsed": shown, "timing": {"elapsed_display_seconds": shown}}


def _loaded(run: Run, now_s: float) -> Json:
    """A frame with figures. Error rates are fractions here, not percent."""
    data = frame_data("ws_fixed", LOADED_FRAME) | _elapsed(run, now_s)
    done, active = operations(run, now_s), threads(run, now_s)
    failed = int(done * run.error_share)
    at_ms = latencies_ms(active)
    data |= {
        "ops": {"total": done, "current_per_sec": qps_of(active)},
        "operations": {"reads": done, "writes": 0},
        "latency": at_ms,
        "errors": {"count": failed, "rate": run.error_share},
        "connections": {"active": active, "target": active},
    }
    data["run"] |= {"elapsed_seconds": data["elapsed"], "timing": data["timing"]}
    data["run"]["aggregate_metrics"] = _aggregate(data, at_ms)
    data["workers"] = [_worker(run, data, now_s)]
    if (state := find_max(run, now_s)) is not None:
        data["find_max"] = state
    if isinstance(run.load, QpsLoad):
        data["qps_controller_state"] = _qps_state(run, run.load, now_s)
    return data


def _aggregate(data: Json, at_ms: dict[str, float]) -> Json:
    figures: Json = {f"{name}_latency_ms": value for name, value in at_ms.items()}
    return figures | {
        "total_ops": data["ops"]["total"],
        "qps": data["ops"]["current_per_sec"],
        "error_rate": data["errors"]["rate"],
        "total_errors": data["errors"]["count"],
        "active_connections": data["connections"]["active"],
        "target_connections": data["connections"]["target"],
        "read_count": data["operations"]["reads"],
        "write_count": data["operations"]["writes"],
    }


def _worker(run: Run, data: Json, now_s: float) -> Json:
    worker: Json = data["workers"][0]
    is_loading = run.unloaded_at_s is None
    aggregate: Json = data["run"]["aggregate_metrics"]
    return worker | {
        "status": "RUNNING" if is_loading else "COMPLETED",
        "phase": run.phase,
        "last_heartbeat": moment(now_s).isoformat(),
        "last_heartbeat_ago_s": 0.2,
        "metrics": {key: aggregate.get(key, 0) for key in worker["metrics"]},
    }


def _qps_state(run: Run, load: QpsLoad, now_s: float) -> Json:
    measured_s, since_s = run.measured_s(now_s), run.measured_from_s or 0.0
    steps = load.steps(measured_s)
    qps, target_qps = qps_of(load.threads(measured_s)), run.plan.target_qps
    last_s = since_s + measured_s - measured_s % EVALUATION_SECONDS
    epoch_ms = int(moment(last_s).timestamp() * 1_000)
    return {
        "mode": "QPS",
        "status": "RUNNING",
        "target_qps": target_qps,
        "current_qps": qps,
        "current_threads": load.threads(measured_s),
        "min_threads": 1,
        "max_threads": run.plan.ceiling_threads,
        "last_evaluation_epoch_ms": epoch_ms,
        "next_evaluation_epoch_ms": epoch_ms + int(EVALUATION_SECONDS * 1_000),
        "evaluation_interval_seconds": EVALUATION_SECONDS,
        "last_scaling_step": len(steps),
        "qps_error_pct": 100 * (qps - target_qps) / target_qps,
        "step_history": [step | {"timestamp": moment(last_s).isoformat()} for step in steps],
    }


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else moment(at_s).isoformat()
