"""Comparisons as the blocks show them, and the shape that their texts have."""

from typing import Any

from benchgate.domain.approvals import ExecutionMode
from benchgate.domain.comparisons import Comparison, ComparisonState, Cover, Step, StepState
from tests.unit.comparing import SECONDS, comparison_of, result_of_run
from tests.unit.examples import METRICS, snapshot_of
from tests.unit.hostile import MARKDOWN

DASHBOARD = "http://127.0.0.1:40613/dashboard/run-3?key=4n1uZl0Qw9yXb2Tt"
LIVE = snapshot_of(
    "RUNNING",
    run_id="run-3",
    elapsed_seconds=0.75 * SECONDS,
    expected_seconds=SECONDS,
    metrics=METRICS.model_copy(update={"qps": 1_102, "p95_latency_ms": 47}),
    dashboard_url=DASHBOARD,
)
CHOICES = [
    "Ready to analyze results?",
    "",
    "A) Analyze (recommended): `get_results` with `comparison_id`, prompt `analyze_results`",
    "B) View raw results in dashboard",
    "C) Export results to CSV: links of `get_results`",
    "D) Start another test: `list_templates`",
]


def completed(number: int, qps: float, p95_latency_ms: float) -> Step:
    run_id = f"run-{number}"
    result = result_of_run(run_id, average_qps=qps, p95_latency_ms=p95_latency_ms)
    return Step(test=number - 1, repetition=1, state=StepState.ENDED, run_id=run_id, result=result)


def halfway(**changes: object) -> Comparison:
    """Four tests: two have completed, the third is under way."""
    fresh = comparison_of(4)
    third = fresh.steps[2].model_copy(update={"state": StepState.ACTIVE, "run_id": "run-3"})
    known: dict[str, Any] = {
        "steps": (completed(1, 312, 156), completed(2, 589, 84), third, fresh.steps[3]),
        "state": ComparisonState.RUNNING,
        "position": 2,
        "mode": ExecutionMode.SEQUENTIAL,
        "cover": Cover(approval_id="a1", last=3),
    }
    return fresh.model_copy(update=known | changes)


def finished(**changes: object) -> Comparison:
    steps = (completed(1, 312, 156), completed(2, 589, 84))
    known: dict[str, Any] = {"steps": steps, "position": 2, "state": ComparisonState.COMPLETED}
    return comparison_of(2).model_copy(update=known | changes)


def shapely(text: str) -> str:
    """*text*, whose blank lines and tables are as Markdown wants them."""
    assert "\n\n\n" not in text
    lines = text.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    rows = [number for number, line in enumerate(lines) if line.startswith("|")]
    assert not rows or lines[rows[0] - 1] == lines[rows[-1] + 1] == ""
    assert rows == list(range(rows[0], rows[-1] + 1)) if rows else True
    tables = [token for token in MARKDOWN.parse(text) if token.type == "table_open"]
    assert len(tables) == (1 if rows else 0)
    return text
