"""`/api/tests`: where a run stands, what it measured and what went wrong.

A run is one test: `test_id` equals `run_id`.
"""

from fastapi import APIRouter

from benchgate.backend.runs import RunTable
from benchgate.backend.series import SeriesTable
from benchgate.backend.watch import Watch
from benchgate.domain.contract import ErrorSummary, Series, TestStatus
from benchgate.domain.runs import is_active


def routes(runs: RunTable, series: SeriesTable, watch: Watch) -> APIRouter:
    """The routes over what is recorded and seen of a test."""
    router = APIRouter(prefix="/api/tests", tags=["tests"])

    @router.get("/{test_id}")
    def get_test(test_id: str) -> TestStatus:
        """Status, phase, live metrics, and after the end the summary."""
        return watch.status(test_id)

    @router.get("/{test_id}/error-summary")
    def get_error_summary(test_id: str) -> ErrorSummary:
        """Errors by category; `available` is false until the run has ended."""
        available = not is_active(runs.get(test_id).status)
        return ErrorSummary(test_id=test_id, available=available, rows=runs.errors_of(test_id))

    @router.get("/{test_id}/metrics")
    def get_metrics(test_id: str) -> Series:
        """The run second by second, at most 3,600 points.

        A longer run keeps every k-th second as it was measured, counted back from the last;
        nothing is averaged.
        """
        runs.get(test_id)
        snapshots = series.of(test_id)
        return Series(test_id=test_id, snapshots=snapshots, count=len(snapshots))

    return router
