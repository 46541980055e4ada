"""What limits a run's figures, and what a search has found, stand beside them in every block."""

from typing import Any

import pytest

from benchgate.domain.results import hand_over
from benchgate.gate.blocks import Blocks
from tests.unit.examples import SUMMARY, snapshot_of

BLOCKS = Blocks()
NOTE = "Limited by the load generator: treat QPS as a lower bound (its busiest worker used 99%)."
LONG_NOTE = (NOTE * 12)[:999] + "."


@pytest.mark.parametrize("note", [NOTE, LONG_NOTE], ids=["short", "long"])
def test_results_of_a_completed_run_carry_its_note_whole(note: str) -> None:
    run = snapshot_of("COMPLETED", summary=SUMMARY, reason=note, elapsed_seconds=310)
    lines = BLOCKS.render("results", hand_over=hand_over([run]), runs=[run]).splitlines()
    assert lines[2:7] == [
        "**Run ID:** run-789xyz",
        "**Status:** COMPLETED",
        "**Duration:** 5m 10s",
        f"**Note:** {note}",
        "- Total Queries: 374,100",
    ]


def test_results_of_a_search_tell_what_it_has_found() -> None:
    run = snapshot_of("COMPLETED", summary=SUMMARY, best_concurrency=35, best_qps=812.5)
    lines = BLOCKS.render("results", hand_over=hand_over([run]), runs=[run]).splitlines()
    place = lines.index("- Best Stable Concurrency: 35 threads at 812 QPS")
    assert lines[place + 1].startswith("- Estimated Cost:")


def test_results_of_several_runs_carry_each_ones_note_or_reason() -> None:
    runs = [
        snapshot_of("COMPLETED", run_id="r-a", summary=SUMMARY, reason=LONG_NOTE),
        snapshot_of("COMPLETED", run_id="r-b", summary=SUMMARY),
        snapshot_of("STOPPED", run_id="r-c", summary=SUMMARY, reason="Too many errors."),
    ]
    text = BLOCKS.render("results", hand_over=hand_over(runs), runs=runs)
    first, second, third = (line for line in text.splitlines() if line.startswith("- r-"))
    assert first.startswith("- r-a `Orders lookup`: **COMPLETED**; 374,100 queries")
    assert first.endswith(f". **Note:** {LONG_NOTE}")
    assert "Note" not in second
    assert "**STOPPED** (Too many errors.); partial: 374,100 queries" in third


def test_completion_tells_what_a_search_has_found_and_what_limits_its_figures() -> None:
    run = snapshot_of(
        "COMPLETED", summary=SUMMARY, best_concurrency=35, best_qps=812.5, reason=LONG_NOTE
    )
    lines = BLOCKS.render("completed", run=run).splitlines()
    assert f"**Note:** {LONG_NOTE}" in lines
    place = lines.index("**Best Stable Concurrency:** 35 threads at 812 QPS")
    assert lines[place - 2 : place + 3] == [
        "- Error Rate: 0.0%",
        "",
        "**Best Stable Concurrency:** 35 threads at 812 QPS",
        "",
        "**Estimated Cost:** unknown",
    ]


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ({"current_concurrency": 1_200}, ["**Connections:** 1,200"]),
        (
            {"current_step": 3, "total_steps": 10, "current_concurrency": 35},
            ["**Step:** 3 / 10 at 35 threads"],
        ),
        (
            {"current_step": 3, "best_concurrency": 25, "best_qps": 812.5},
            ["**Step:** 3", "**Best so far:** 25 threads at 812 QPS"],
        ),
    ],
    ids=["rate", "step", "best"],
)
def test_progress_tells_where_the_load_is(position: dict[str, Any], told: list[str]) -> None:
    run = snapshot_of("RUNNING", elapsed_seconds=150, **position)
    lines = BLOCKS.render("progress", run=run).splitlines()
    place = lines.index(told[0])
    assert lines[place : place + len(told)] == told
    prepared = run.model_copy(update={"status": "PREPARED"})
    assert "**Connections:**" not in BLOCKS.render("progress", run=prepared, approval=None)
