"""The REST bodies that tell of a run, with the keys of the recorded answers."""

import math

from tests.flakebench.clock import moment
from tests.flakebench.loads import FindMaxLoad, QpsLoad, latencies_ms, qps_of
from tests.flakebench.plans import FIND_MAX, USD_PER_CREDIT, Plan
from tests.flakebench.runs import TERMINAL, Run
from tests.flakebench.samples import Json, sample

KINDS = ("point_lookup", "range_scan", "insert", "update")
UNMEASURED = frozenset({"", "PREPARING", "WARMUP"})
TERMINAL_ONLY: Json = {"generic_sql_error_rate_pct": None, "generic_sql_count": 0}
COST_PER = ("cost_per_operation", "cost_per_1000_ops", "cost_per_1k_ops", "cost_per_1000_qps")


def detail(run: Run, now_s: float) -> Json:
    """`GET /api/tests/{id}` as of now; every metric is zero until the workers have ended."""
    seen = run.seen(now_s)
    body = sample("rest_prepared") | _identity(run) | _configured(run)
    body |= {
        "status": seen.status,
        "start_time": moment(run.shown_start_s).isoformat(),
        "created_at": moment(run.shown_start_s).isoformat(),
        "end_time": _iso(run.ended_at_s),
        "enrichment_status": run.enrichment,
        "find_max_result": find_max(run, now_s),
        "timing": timing(run, now_s),
    }
    if seen.phase:
        body["phase"] = seen.phase
    if seen.reason:
        body["cancellation_reason"] = seen.reason
    if seen.status in TERMINAL:
        body |= TERMINAL_ONLY
    if run.has_figures:
        body |= _figures(run, now_s)
    if isinstance(run.load, QpsLoad) and run.started_at_s is not None:
        body["qps_controller_state"] = _qps_history(run, run.load, now_s)
    return body


def list_row(run: Run, now_s: float) -> Json:
    """The run in `GET /api/tests`; never cached, and so the only fresh figures after an end."""
    seen = run.seen(now_s)
    figures = _figures(run, now_s) if run.has_figures else {}
    body = sample("list_row_guardrail") | _kept(detail(run, now_s), "list_row_guardrail")
    is_processing = seen.status == "COMPLETED" and seen.phase == "PROCESSING"
    body |= {
        "created_at": moment(run.shown_start_s).isoformat().replace("+00:00", "Z"),
        "ops_per_sec": figures.get("qps", 0.0),
        "p95_latency": figures.get("p95_latency", 0.0),
        "p99_latency": figures.get("p99_latency", 0.0),
        "error_rate": figures.get("error_rate", 0.0),
        "status": "PROCESSING" if is_processing else seen.status,
        "phase": seen.phase,
        "duration": figures.get("elapsed_seconds", 0.0),
    }
    operations = body["ops_per_sec"] * body["duration"]
    return body | _cost_per(figures.get("estimated_cost_usd", 0.0), operations, body["ops_per_sec"])


def search_row(run: Run, now_s: float) -> Json:
    """The run in `GET /api/tests/search`, which knows no status."""
    body = list_row(run, now_s)
    return {key: value for key, value in body.items() if key != "status"} | {
        "p50_latency": detail(run, now_s)["p50_latency"]
    }


def enrichment(run: Run) -> Json:
    """`GET /api/tests/{id}/enrichment-status`: the results' record alone, never cached."""
    return {
        "test_id": run.run_id,
        "test_status": run.result_status,
        "enrichment_status": run.enrichment,
        "enrichment_error": None,
        "total_queries": 0,
        "enriched_queries": 0,
        "enrichment_ratio_pct": 0.0,
        "is_complete": run.enrichment == "COMPLETED",
        "can_retry": False,
    }


def find_max(run: Run, now_s: float) -> Json | None:
    """`find_max_result`: null until the first step begins."""
    if not isinstance(run.load, FindMaxLoad) or run.phase in UNMEASURED:
        return None
    return run.load.state(run.measured_s(now_s), since_s=run.measured_from_s or 0.0)


def timing(run: Run, now_s: float) -> Json:
    """`timing`: the only elapsed figure that holds while the run is live."""
    is_open = run.plan.load_mode == FIND_MAX
    return {
        "warmup_seconds": run.plan.warmup_s,
        "run_seconds": 0 if is_open else run.plan.duration_s,
        "total_expected_seconds": run.plan.expected_s,
        "elapsed_display_seconds": round(run.elapsed_s(now_s), 1),
    }


def errors(run_id: str, run: Run | None, now_s: float) -> Json:
    """`GET /api/tests/{id}/error-summary`: 200 for any id, empty until the workers have ended."""
    rows: list[Json] = []
    failed = _figures(run, now_s)["failed_operations"] if run and run.has_figures else 0
    if failed:
        text = "Statement was aborted because the number of waiters for this lock exceeds the limit"
        rows.append(
            {
                "source": "APP",
                "summary": "SF_LOCK_WAITER_LIMIT",
                "message": text,
                "count": failed,
                "level": "ERROR",
                "query_type": "UPDATE",
                "earliest_occurrence": None,
            }
        )
    by_type = {"ERROR": {"UPDATE": failed}} if failed else {}
    by_level = {"ERROR": failed} if failed else {}
    return {
        "test_id": run_id,
        "query_tag": None,
        "available": True,
        "rows": rows,
        "hierarchy": {"by_level": by_level, "by_query_type": by_type},
    }


def series(run_id: str, run: Run | None, now_s: float) -> Json:
    """`GET /api/tests/{id}/metrics`: the seconds of a run whose workers have ended."""
    snapshots = _snapshots(run, now_s) if run and run.has_figures else []
    return {
        "test_id": run_id,
        "snapshots": snapshots,
        "count": len(snapshots),
        "latency_aggregation_method": "slowest_worker_approximation" if snapshots else None,
        "warmup_end_elapsed_seconds": float(run.plan.warmup_s) if run and snapshots else None,
        "smoothing_applied": False,
    }


def average_qps(run: Run, now_s: float) -> float:
    """What `qps` is not: the operations over the time that they were counted in."""
    measured_s = run.measured_s(now_s)
    return operations(run, now_s) / measured_s if measured_s else 0.0


def operations(run: Run, now_s: float) -> int:
    """How many operations have been counted; those of the warm-up have been forgotten."""
    return int(run.load.operations(run.measured_s(now_s)))


def threads(run: Run, now_s: float) -> int:
    """How many threads load the database."""
    return run.load.threads(run.measured_s(now_s))


def _identity(run: Run) -> Json:
    config = run.config
    names = (config.get("database"), config.get("schema"), config.get("table_name"))
    is_postgres = run.plan.table_type == "POSTGRES"
    return {
        "test_id": run.run_id,
        "run_id": run.run_id,
        "test_name": run.name,
        "template_id": run.template_id,
        "template_name": run.name,
        "scenario_name": run.name,
        "table_type": run.plan.table_type,
        "table_name": config.get("table_name"),
        "table_full_name": ".".join(str(name) for name in names if name),
        "warehouse": None if is_postgres else config.get("warehouse_name"),
        "warehouse_size": None if is_postgres else config.get("warehouse_size"),
        "postgres_instance_size": "STANDARD_M" if is_postgres else None,
    }


def _configured(run: Run) -> Json:
    plan, config = run.plan, run.config
    body: Json = {
        "duration_seconds": plan.duration_s,
        "duration": plan.duration_s,
        "warmup_seconds": plan.warmup_s,
        "concurrent_connections": plan.start_threads,
        "load_mode": plan.load_mode,
        "scaling": config.get("scaling"),
        "credits_per_hour": plan.credits_per_hour,
        "autoscale_max_cpu_percent": plan.cpu_limit_pct,
        "autoscale_max_memory_percent": plan.memory_limit_pct,
    }
    body |= {f"custom_{kind}_pct": config.get(f"custom_{kind}_pct", 0.0) for kind in KINDS}
    return body | _search(plan)


def _search(plan: Plan) -> Json:
    if plan.load_mode == FIND_MAX:
        return {
            "start_concurrency": plan.start_concurrency,
            "concurrency_increment": plan.concurrency_increment,
        }
    if plan.load_mode != "QPS":
        return {}
    return {
        "target_qps": plan.target_qps,
        "starting_threads": float(plan.starting_threads),
        "min_connections": 1,
        "qps_target_mode": "QPS",
    }


def _figures(run: Run, now_s: float) -> Json:
    """What the rollup fills in; nothing where the run ended before it measured."""
    done = 0 if run.phase in UNMEASURED else operations(run, now_s)
    if not done:
        return {"failed_operations": 0}
    elapsed_s = round(run.elapsed_s(now_s), 1)
    last_qps = qps_of(threads(run, now_s))
    at_ms = latencies_ms(threads(run, now_s))
    writes = int(done * _write_share(run))
    credits_used = elapsed_s / 3_600 * run.plan.credits_per_hour
    body: Json = {
        "elapsed_seconds": elapsed_s,
        "total_operations": done,
        "read_operations": done - writes,
        "write_operations": writes,
        "failed_operations": int(done * run.error_share),
        "error_rate": 100 * run.error_share,
        "qps": last_qps,
        "ops_per_sec": last_qps,
        "reads_per_second": (done - writes) / elapsed_s,
        "writes_per_second": writes / elapsed_s,
        "avg_latency_ms": at_ms["avg"],
        "latency_spread_ratio": at_ms["p95"] / at_ms["p50"],
        "credits_used": credits_used,
        "estimated_cost_usd": credits_used * USD_PER_CREDIT,
        "cost_per_hour": run.plan.credits_per_hour * USD_PER_CREDIT,
        "cost_calculation_method": "estimated" if credits_used else "unavailable",
    }
    for name in ("p50", "p95", "p99"):
        body |= {f"{name}_latency_ms": at_ms[name], f"{name}_latency": at_ms[name]}
    return body | _cost_per(body["estimated_cost_usd"], done, last_qps)


def _cost_per(usd: float, done: float, qps: float) -> Json:
    if not usd or not done:
        return {}
    each = usd / done
    values = (each, 1_000 * each, 1_000 * each, 1_000 * usd / qps)
    return dict(zip(COST_PER, values, strict=True))


def _write_share(run: Run) -> float:
    writes_pct = run.config.get("custom_insert_pct", 0), run.config.get("custom_update_pct", 0)
    return sum(float(str(pct)) for pct in writes_pct) / 100


def _qps_history(run: Run, load: QpsLoad, now_s: float) -> Json:
    steps: list[Json] = [
        {**{key: value for key, value in step.items() if key != "current_qps"}}
        | {"qps": step["current_qps"], "timestamp": moment(run.shown_start_s).isoformat()}
        for step in load.steps(run.measured_s(now_s))
    ]
    return {"mode": "QPS", "target_qps": run.plan.target_qps, "step_history": steps}


def _snapshots(run: Run, now_s: float) -> list[Json]:
    return [
        {
            "timestamp": moment((run.measured_from_s or 0.0) + second).isoformat(),
            "elapsed_seconds": float(run.plan.warmup_s + second),
            "ops_per_sec": qps_of(run.load.threads(second)),
            "p50_latency": latencies_ms(run.load.threads(second))["p50"],
            "p95_latency": latencies_ms(run.load.threads(second))["p95"],
            "p99_latency": latencies_ms(run.load.threads(second))["p99"],
            "active_connections": run.load.threads(second),
            "target_workers": run.load.threads(second),
            "warmup": False,
        }
        for second in range(math.floor(run.measured_s(now_s)))
    ]


def _kept(body: Json, name: str) -> Json:
    return {key: body[key] for key in sample(name) if key in body}


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else moment(at_s).isoformat()
