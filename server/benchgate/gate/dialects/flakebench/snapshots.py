"""Where a run of FlakeBench stands, out of its payloads; knows neither HTTP nor clocks.

FlakeBench tells one run's state in two places that lag behind and contradict each other, and its
last word on the figures comes after its last word on the state. So that nobody takes zeros for a
result, a run that is said to be COMPLETED counts as STOPPING, phase PROCESSING, until its figures
are there. A guardrail's stop is told as a failure; a stop of ours as a failure or a cancellation.
"""

from datetime import datetime, timedelta

from benchgate.domain.contract import RunRow
from benchgate.domain.runs import (
    TERMINAL,
    LiveMetrics,
    OwnStop,
    Phase,
    RunSnapshot,
    RunStatus,
    Summary,
    is_terminal,
)
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.gate.dialects.flakebench.payloads import (
    Enrichment,
    Frame,
    Latency,
    Row,
    Search,
    Test,
)

GUARDRAIL = "Guardrail triggered"
BY_REQUEST = "User requested cancellation"
NO_FIGURES = "The run has completed, but FlakeBench has told no figures of it"
BOUNDS_REACHED = "BOUNDS_LIMIT_REACHED"
ESTIMATED = "estimated"
PENDING = "PENDING"
ENRICHED = frozenset({"COMPLETED", "FAILED", "SKIPPED"})
STATE_CHARACTERS_MAX = 40
PERCENT = 100
# So long are the figures of a frame the newest that there are.
FRAME_AGE_MAX = timedelta(seconds=5)
# As either of these a stop of ours is told.
STOPPED_AS = frozenset({RunStatus.FAILED, RunStatus.CANCELLED})
UNLOADED = frozenset({Phase.PREPARING, Phase.PROCESSING})
# What a phase is called where FlakeBench has none and repeats the status instead.
NO_PHASES = frozenset(RunStatus) - {Phase.PROCESSING}


class Standing(Value):
    """A status and a phase, normalised, with the reason on one line."""

    status: str
    phase: str | None = None
    reason: str | None = None


def snapshot_of(
    test: Test,
    *,
    last: RunSnapshot | None = None,
    own_stop: OwnStop | None = None,
    waited_out: bool = False,
    read_at: datetime | None = None,
) -> RunSnapshot:
    """What *test*, read at *read_at*, says of a run.

    *last* is what was known before, a reason among it that FlakeBench forgets; *own_stop* is how
    we ended it, if we did. *waited_out* takes a completed run for ended although its figures have
    not come.
    """
    known = last or RunSnapshot(run_id=test.test_id, status=test.status)
    reason = test.cancellation_reason or test.failure_reason or _ended_for(known)
    standing = _believed(_standing(test, reason=reason, own_stop=own_stop), known)
    if standing.status == RunStatus.COMPLETED:
        standing = _completed(test, waited_out=waited_out)
    ended = is_terminal(standing.status)
    if last and last.is_terminal and not ended:
        return last
    search = test.find_max_result or Search()
    summary = _summary(test) if ended else None
    return RunSnapshot(
        run_id=test.test_id,
        **standing.model_dump(),
        template_id=test.template_id,
        template_name=test.template_name or test.test_name or "",
        # Of an end that is not counted yet it is 0.
        elapsed_seconds=max(0.0, test.timing.elapsed_display_seconds)
        or (known.elapsed_seconds if ended else 0.0),
        expected_seconds=test.timing.total_expected_seconds or None,
        measured_seconds=measured_seconds(test) if summary else None,
        current_step=search.current_step or known.current_step,
        current_concurrency=search.current_concurrency or known.current_concurrency,
        best_concurrency=search.best_concurrency or known.best_concurrency,
        best_qps=search.best_qps or known.best_qps,
        metrics=_still_live(known, standing, read_at=read_at) or _searching(search, standing),
        summary=summary,
        estimated_cost=test.credits_used if test.cost_calculation_method == ESTIMATED else None,
        dashboard_url=known.dashboard_url,
        # Before the start it is the time of creation.
        started_at=None if standing.status == RunStatus.PREPARED else test.start_time,
        updated_at=read_at,
        source="rest",
        # How much a run did that was ended early is counted after it is told to have ended.
        is_settled=ended and (waited_out or summary is not None),
    )


def snapshot_of_frame(
    frame: Frame,
    last: RunSnapshot,
    *,
    own_stop: OwnStop | None = None,
    read_at: datetime | None = None,
) -> RunSnapshot:
    """What *frame*, which came at *read_at*, adds to *last*.

    It holds no result: once a run has ended, or is being counted, its figures are in the test.
    A frame of another run, and one that is older than the end, change nothing.
    """
    if frame.test_id != last.run_id:
        return last
    told = frame.cancellation_reason or (frame.error.message if frame.error else None)
    standing = _standing(frame, reason=told or _ended_for(last), own_stop=own_stop)
    if standing.status == RunStatus.COMPLETED:
        standing = Standing(status=RunStatus.STOPPING, phase=Phase.PROCESSING)
    if last.is_terminal:
        says_why = told and is_terminal(standing.status) and last.status != RunStatus.COMPLETED
        return last.model_copy(update=standing.model_dump()) if says_why else last
    search, timing = frame.find_max or Search(), frame.timing
    told_elapsed = max(0.0, timing.elapsed_display_seconds) if timing else None
    concurrency = search.current_concurrency or frame.connections.target
    return last.model_copy(
        update={
            **standing.model_dump(),
            "elapsed_seconds": last.elapsed_seconds if told_elapsed is None else told_elapsed,
            "current_step": search.current_step or last.current_step,
            "current_concurrency": concurrency or last.current_concurrency,
            "best_concurrency": search.best_concurrency or last.best_concurrency,
            "best_qps": search.best_qps or last.best_qps,
            "metrics": _metrics(frame, standing),
            "updated_at": read_at,
            "source": "stream",
        }
    )


def is_settled(test: Test) -> bool:
    """Whether *test* is FlakeBench's last word on a run, figures included."""
    status = _name(test.status)
    if status != RunStatus.COMPLETED:
        return status in TERMINAL
    is_counting = _name(test.phase) == Phase.PROCESSING or _name(test.enrichment_status) == PENDING
    return not is_counting and _summary(test) is not None


def counting(run_id: str, last: RunSnapshot | None) -> RunSnapshot:
    """A run of which nothing is known, but that it has ended or is about to, besides *last*."""
    last = last or RunSnapshot(run_id=run_id, status=RunStatus.STOPPING)
    if last.is_terminal or last.status == RunStatus.CANCELLING:
        return last.model_copy(update={"metrics": None})
    counted = {"status": RunStatus.STOPPING, "phase": Phase.PROCESSING, "metrics": None}
    return last.model_copy(update=counted)


def has_ended(last: RunSnapshot | None) -> bool:
    """Whether a run is known to load nothing any more, or to stop doing so by itself."""
    if last is None:
        return False
    is_going = last.status == RunStatus.CANCELLING or last.phase == Phase.PROCESSING
    return last.is_terminal or is_going


def is_told_live(known: RunSnapshot, *, now: datetime) -> bool:
    """Whether the stream has just told all that there is to know of a run that goes on."""
    is_loading = known.status == RunStatus.RUNNING and known.phase != Phase.PROCESSING
    return is_loading and _is_new_frame(known, now)


def is_enriched(enrichment: Enrichment) -> bool:
    """Whether the details of a run can be asked for without being answered too early.

    Such an answer would be repeated for minutes.
    """
    status = _name(enrichment.test_status)
    if status in {RunStatus.FAILED, RunStatus.CANCELLED}:
        return _name(enrichment.enrichment_status) != PENDING
    return status == RunStatus.COMPLETED and _name(enrichment.enrichment_status) in ENRICHED


def run_row_of(row: Row) -> RunRow | None:
    """*row* as a line of the list of runs, which has its time; its template is never told."""
    if row.created_at is None:
        return None
    return RunRow(
        run_id=row.test_id,
        template_id="",
        template_name=row.test_name or "",
        status=_standing(row, reason=None).status,
        created_at=row.created_at,
    )


def measured_seconds(test: Test) -> float | None:
    """How long a run was under measured load, as well as it can be told; None where it cannot.

    FlakeBench's own times include warm-up, start and drain. A run that went its whole time was
    measured for as long as it was configured to; of any other it is what is left without warm-up.
    """
    elapsed = test.elapsed_seconds or test.timing.elapsed_display_seconds
    run_seconds = test.timing.run_seconds or 0
    was_cut = test.bounds_state is not None and (
        test.bounds_state.completion_reason == BOUNDS_REACHED
    )
    whole = _name(test.status) == RunStatus.COMPLETED and not was_cut
    if whole and 0 < run_seconds <= max(elapsed, test.timing.elapsed_display_seconds):
        return run_seconds
    left = elapsed - (test.timing.warmup_seconds or 0)
    return next((seconds for seconds in (left, elapsed) if seconds > 0), None)


def _ended_for(known: RunSnapshot) -> str | None:
    """The reason of an end that is known already, which FlakeBench may have forgotten."""
    ended_early = known.is_terminal and known.status != RunStatus.COMPLETED
    return known.reason if ended_early else None


def _standing(
    told: Test | Frame | Row, *, reason: str | None, own_stop: OwnStop | None = None
) -> Standing:
    status, phase = _name(told.status), _name(told.phase)
    reason = one_line(reason) if reason else None
    if status == Phase.PROCESSING:
        return Standing(status=RunStatus.STOPPING, phase=Phase.PROCESSING)
    if status == RunStatus.FAILED and reason and reason.startswith(GUARDRAIL):
        return Standing(status=RunStatus.STOPPED, reason=reason)
    if status in STOPPED_AS and own_stop is not None and _is_wanted(reason, own_stop):
        return Standing(status=own_stop.status, reason=own_stop.reason)
    if status == RunStatus.FAILED and reason and reason.startswith(BY_REQUEST):
        return Standing(status=RunStatus.CANCELLED, reason=reason)
    no_phase = is_terminal(status) or not phase or phase in NO_PHASES
    return Standing(status=status, phase=None if no_phase else phase, reason=reason)


def _is_wanted(reason: str | None, own_stop: OwnStop) -> bool:
    """Whether a run that ended for *reason* did so of our stop, and not of something before it."""
    return not reason or reason == own_stop.reason or reason.startswith(BY_REQUEST)


def _believed(standing: Standing, known: RunSnapshot) -> Standing:
    """*standing* without what FlakeBench only reckons: that a run which loads is being counted.

    It says so as soon as the planned time is over, in which it counts the time to get ready, too.
    """
    if standing.status != RunStatus.RUNNING or standing.phase != Phase.PROCESSING:
        return standing
    phase = known.phase if known.status == RunStatus.RUNNING else None
    return standing.model_copy(update={"phase": phase})


def _completed(test: Test, *, waited_out: bool) -> Standing:
    """A completed run has ended once its figures are there, or nobody waits for them any more."""
    if not is_settled(test) and not waited_out:
        return Standing(status=RunStatus.STOPPING, phase=Phase.PROCESSING)
    reason = _found(test.find_max_result) if _summary(test) else NO_FIGURES
    return Standing(status=RunStatus.COMPLETED, reason=reason)


def _found(search: Search | None) -> str | None:
    """What a search has found, which no figure of the summary says."""
    if search is None or search.final_best_concurrency is None:
        return None
    if search.final_best_concurrency == 0:
        found = "Not even the first step was stable"
    else:
        qps = f" at {search.final_best_qps:.0f} QPS" if search.final_best_qps else ""
        found = f"Best concurrency {search.final_best_concurrency}{qps}"
    return one_line(f"{found}: {search.final_reason}" if search.final_reason else found)


def _metrics(frame: Frame, standing: Standing) -> LiveMetrics | None:
    """The frame's second; None where no worker has reported, works yet, or works any more."""
    is_loading = standing.status == RunStatus.RUNNING and standing.phase not in UNLOADED
    if frame.ops is None or not is_loading:
        return None
    total = frame.ops.total
    rate = None if frame.errors.rate is None else PERCENT * frame.errors.rate
    error_pct = _error_pct(rate, failed=frame.errors.count, total=total)
    if error_pct is None:
        return None
    # Before the first operation the zeros are no latencies.
    latency = frame.latency if total else Latency()
    return LiveMetrics(
        qps=frame.ops.current_per_sec,
        p50_latency_ms=latency.p50,
        p95_latency_ms=latency.p95,
        p99_latency_ms=latency.p99,
        error_rate=error_pct,
        active_connections=frame.connections.active,
        total_queries=0 if standing.phase == Phase.WARMUP else total,
    )


def _still_live(
    known: RunSnapshot, standing: Standing, *, read_at: datetime | None
) -> LiveMetrics | None:
    """The figures of the last frame while they are new: no other tells of a second."""
    is_same = known.phase == standing.phase and not is_terminal(standing.status)
    return known.metrics if is_same and read_at and _is_new_frame(known, read_at) else None


def _is_new_frame(known: RunSnapshot, now: datetime) -> bool:
    if known.source != "stream" or known.updated_at is None:
        return False
    # What is of a time to come was told before a clock was set back.
    return timedelta(0) <= now - known.updated_at <= FRAME_AGE_MAX


def _searching(search: Search, standing: Standing) -> LiveMetrics | None:
    """The figures of a search's step so far: all that is told of a live run without a stream."""
    is_measuring = standing.status == RunStatus.RUNNING and standing.phase == Phase.MEASUREMENT
    is_over = search.final_best_concurrency is not None
    error_pct = _error_pct(search.current_error_rate_pct, failed=None, total=0)
    if not is_measuring or is_over or search.current_qps is None or error_pct is None:
        return None
    return LiveMetrics(
        qps=search.current_qps,
        # Before the first operation the zeros are no latencies.
        p95_latency_ms=search.current_p95_latency_ms or None,
        p99_latency_ms=search.current_p99_latency_ms or None,
        error_rate=error_pct,
    )


def _error_pct(told_pct: float | None, *, failed: int | None, total: int) -> float | None:
    """The error rate as it was told, else as it can be counted; None where neither can be."""
    if told_pct is not None and told_pct <= PERCENT:
        return told_pct
    if failed is None or failed > total:
        return None
    return PERCENT * failed / total if total else 0.0


def _summary(test: Test) -> Summary | None:
    """The figures of an ended run; None where it has done nothing, or nobody counted it yet."""
    operations, seconds = test.total_operations, measured_seconds(test)
    error_pct = _error_pct(test.error_rate, failed=test.failed_operations, total=operations)
    if operations == 0 or seconds is None or error_pct is None:
        return None
    return Summary(
        total_queries=operations,
        average_qps=round(operations / seconds, 1),
        p50_latency_ms=test.p50_latency_ms,
        p95_latency_ms=test.p95_latency_ms,
        p99_latency_ms=test.p99_latency_ms,
        error_rate=error_pct,
    )


def _name(text: str | None) -> str:
    """A status or phase as it is compared and shown, bounded."""
    return one_line(text or "", STATE_CHARACTERS_MAX).upper()
