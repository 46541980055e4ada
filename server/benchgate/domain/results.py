"""The hand-over to the analysis phase, in the specification's keys."""

from collections.abc import Sequence

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from benchgate.domain.evidence import Evidence
from benchgate.domain.likeness import CautionKind
from benchgate.domain.runs import RunSnapshot, RunStatus, Summary
from benchgate.domain.values import Value


class RunResult(Value):
    """One run's figures; `summary_metrics` is None for a run that did not complete.

    `best_concurrency` and `best_qps` are what a search has found.
    """

    run_id: str
    template_name: str
    status: str
    reason: str | None = None
    summary_metrics: Summary | None = None
    partial_metrics: Summary | None = None
    best_concurrency: int | None = None
    best_qps: float | None = None
    duration_seconds: float | None = None
    estimated_cost: float | None = None


class Figure(Value):
    """One metric of one test; `delta` and `delta_pct` are against the first test's."""

    metric: str
    value: float
    runs: int
    std_error: float | None = Field(default=None, description="Of the mean, with several runs")
    delta: float | None = None
    delta_pct: float | None = None


class TestResult(Value):
    """One test: the runs that count, and their figures.

    Only completed runs count, and of these only such as ran with the test's newest configuration.
    """

    __test__ = False  # pytest: a value, not a test

    variant: str
    template_name: str
    status: str
    run_ids: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    left_out: tuple[str, ...] = Field(
        default=(), description="Of another configuration: in results only"
    )
    # What the figures do not show of their runs. The words explain themselves, and every token of
    # a schema is read at each turn.
    notes: SkipJsonSchema[tuple[str, ...] | None] = None

    def figure(self, metric: str) -> Figure | None:
        """The figure of one metric, if there is one."""
        return next((one for one in self.figures if one.metric == metric), None)


class HandOver(Value):
    """The specification's output for one run, for several (`results`) or for a comparison.

    Of a comparison `results` has the completed runs that are in no test's figures.
    """

    run_ids: tuple[str, ...]
    status: str
    comparison_id: str | None = None
    comparison_type: str | None = None
    variants: tuple[str, ...] | None = None
    tests: tuple[TestResult, ...] | None = None
    cautions: tuple[CautionKind, ...] | None = Field(
        default=None, description="In what the tests are not like with like"
    )
    summary_metrics: Summary | None = None
    duration_seconds: float | None = None
    estimated_cost: float | None = None
    results: tuple[RunResult, ...] | None = None
    # The yes of each run that was started through this record.
    approvals: tuple[Evidence, ...] | None = None
    # The end of the ledger by now: a later cut or rewrite of it shows against this.
    ledger_head: str | None = None


def result_of(snapshot: RunSnapshot) -> RunResult:
    """*snapshot* as a result: only a completed run has summary metrics, any other's are partial."""
    completed = snapshot.status == RunStatus.COMPLETED
    ended = snapshot.is_terminal
    return RunResult(
        run_id=snapshot.run_id,
        template_name=snapshot.template_name,
        status=snapshot.status,
        reason=snapshot.reason,
        summary_metrics=snapshot.summary if completed else None,
        partial_metrics=None if completed else snapshot.summary,
        best_concurrency=snapshot.best_concurrency,
        best_qps=snapshot.best_qps,
        duration_seconds=round(snapshot.elapsed_seconds, 1) if ended else None,
        estimated_cost=snapshot.estimated_cost,
    )


def hand_over(
    snapshots: list[RunSnapshot],
    *,
    approvals: Sequence[Evidence] = (),
    ledger_head: str | None = None,
) -> HandOver:
    """The hand-over of one or several runs, in the order given, with the evidence of their yeses.

    The status of several is COMPLETED only if each of them is; else it is that of the first that
    is not.
    """
    results = tuple(result_of(snapshot) for snapshot in snapshots)
    unfinished = [r.status for r in results if r.status != RunStatus.COMPLETED]
    status = unfinished[0] if unfinished else RunStatus.COMPLETED.value
    run_ids = tuple(result.run_id for result in results)
    if len(results) > 1:
        return HandOver(
            run_ids=run_ids,
            status=status,
            results=results,
            approvals=tuple(approvals) or None,
            ledger_head=ledger_head,
        )
    only = result_of(snapshots[0])
    return HandOver(
        run_ids=run_ids,
        status=status,
        approvals=tuple(approvals) or None,
        ledger_head=ledger_head,
        summary_metrics=only.summary_metrics,
        duration_seconds=only.duration_seconds,
        estimated_cost=only.estimated_cost,
        results=None if _says_all(only) else (only,),
    )


def _says_all(result: RunResult) -> bool:
    """Whether the summary is all that there is to *result*: no note, and nothing found beside."""
    has_more = result.reason or result.best_concurrency
    return result.summary_metrics is not None and not has_more
