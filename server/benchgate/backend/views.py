"""What a reader is shown of a run, put together from its record and from what it does just now.

Pure: the same values always give the same view.
"""

from datetime import datetime

from benchgate.backend.engine.board import Live
from benchgate.backend.engine.capacity import search_bound
from benchgate.backend.runs import Run
from benchgate.domain.contract import MetricsFrame, RunDetail, TestStatus, Timing
from benchgate.domain.cost import spent
from benchgate.domain.findings import Position
from benchgate.domain.runs import LiveMetrics, is_active


def detail(run: Run, *, connection: str | None, dashboard_url: str | None) -> RunDetail:
    """What was fixed when the run was created."""
    return RunDetail(
        run_id=run.run_id,
        test_id=run.run_id,
        status=run.status,
        template_id=run.template_id,
        template_name=run.template_name,
        config=run.config,
        connection=connection,
        copies_writes=run.config.copies_writes,
        bound=search_bound(run.config),
        created_at=run.created_at,
        dashboard_url=dashboard_url,
    )


def status(run: Run, live: Live | None, *, dashboard_url: str | None) -> TestStatus:
    """Where the run stands. *live* was read before *run*, so an ended run's is out of date."""
    live = live if is_active(run.status) else None
    tick = live.tick if live else None
    position = _position(run, live)
    return TestStatus(
        test_id=run.run_id,
        run_id=run.run_id,
        template_id=run.template_id,
        template_name=run.template_name,
        status=run.status,
        phase=live.phase if live else None,
        reason=run.reason,
        load_mode=run.config.load_mode,
        **dict(position),
        metrics=tick.metrics if tick else None,
        summary=run.summary,
        findings=run.findings,
        timing=_timing(run, live),
        estimated_cost=_cost(run, live),
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        updated_at=tick.at if tick else run.updated_at,
        dashboard_url=dashboard_url,
    )


def frame(run: Run, live: Live | None, *, now: datetime) -> MetricsFrame:
    """One message to whoever watches; after the end its figures are those of the summary."""
    live = live if is_active(run.status) else None
    tick = live.tick if live else None
    metrics = tick.metrics if tick else _settled(run)
    return MetricsFrame(
        timestamp=tick.at if tick else now,
        qps=metrics.qps,
        latency_p50_ms=metrics.p50_latency_ms,
        latency_p95_ms=metrics.p95_latency_ms,
        latency_p99_ms=metrics.p99_latency_ms,
        error_rate=metrics.error_rate,
        active_connections=metrics.active_connections,
        status=run.status,
        phase=live.phase if live else None,
        elapsed_seconds=_elapsed(run, live),
        expected_seconds=run.config.expected_seconds,
        total_queries=metrics.total_queries,
        **dict(_position(run, live)),
    )


def _position(run: Run, live: Live | None) -> Position:
    """Where the load is, or where an ended search has come to."""
    if live is not None:
        if live.tick is not None:
            return live.tick.position
        return Position(current_concurrency=run.config.connections)
    search = run.findings.search if run.findings else None
    if search is None:
        return Position()
    return Position(
        current_step=len(search.steps),
        total_steps=len(search.steps),
        best_concurrency=search.outcome.best_concurrency,
        best_qps=search.outcome.best_qps,
    )


def _elapsed(run: Run, live: Live | None) -> float:
    return live.tick.elapsed_seconds if live and live.tick else run.elapsed_seconds


def _timing(run: Run, live: Live | None) -> Timing:
    return Timing(
        warmup_seconds=run.config.warmup,
        run_seconds=run.config.duration,
        total_expected_seconds=run.config.expected_seconds,
        elapsed_display_seconds=round(_elapsed(run, live), 1),
        measured_seconds=run.measured_seconds,
    )


def _cost(run: Run, live: Live | None) -> float | None:
    """What was recorded at the end, or what the run has cost so far."""
    if run.ended_at is not None:
        # What was cancelled before its start has cost nothing.
        return run.cost_credits if run.started_at else 0
    return spent(run.config, _elapsed(run, live)).credits


def _settled(run: Run) -> LiveMetrics:
    summary = run.summary
    if summary is None:
        return LiveMetrics(active_connections=0, total_queries=0)
    return LiveMetrics(
        qps=summary.average_qps,
        p50_latency_ms=summary.p50_latency_ms,
        p95_latency_ms=summary.p95_latency_ms,
        p99_latency_ms=summary.p99_latency_ms,
        error_rate=summary.error_rate,
        active_connections=0,
        total_queries=summary.total_queries,
    )
