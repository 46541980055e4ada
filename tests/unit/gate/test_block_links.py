"""What the blocks say beside their figures: the way to the run's page, and what happened to it."""

from benchgate.domain.results import hand_over
from benchgate.gate.blocks import Blocks
from benchgate.gate.endings import Offer
from tests.unit.examples import METRICS, SUMMARY, report_of, snapshot_of

BLOCKS = Blocks()
DASHBOARD = "http://127.0.0.1:40613/dashboard/run-789xyz?key=4n1uZl0Qw9yXb2Tt"


def test_what_a_completed_run_has_to_say_stands_in_its_block() -> None:
    run = snapshot_of("COMPLETED", summary=SUMMARY, reason="Nothing was answered at the end.")
    assert "**Note:** Nothing was answered at the end." in BLOCKS.render("completed", run=run)


def test_every_block_about_one_run_links_to_its_page() -> None:
    prepared = snapshot_of("PREPARED", dashboard_url=DASHBOARD)
    completed = snapshot_of("COMPLETED", summary=SUMMARY, dashboard_url=DASHBOARD)
    live = snapshot_of("RUNNING", metrics=METRICS, dashboard_url=DASHBOARD)
    ended = snapshot_of("CANCELLED", dashboard_url=DASHBOARD)
    texts = {
        "created": BLOCKS.render("created", run=prepared, is_variant=False),
        "preflight": BLOCKS.render("preflight", report=report_of(), run=prepared),
        "not_started": BLOCKS.render(
            "not_started",
            run=prepared,
            comparison=None,
            outcome="declined",
            run_id="r",
            template_name="t",
            reason="why",
            note="",
            offer=Offer(),
        ),
        "started": BLOCKS.render("started", run=live),
        "progress": BLOCKS.render("progress", run=live),
        "completed": BLOCKS.render("completed", run=completed),
        "failed": BLOCKS.render("failed", run=snapshot_of("FAILED", dashboard_url=DASHBOARD)),
        "ended": BLOCKS.render("ended", run=ended),
        "stop_requested": BLOCKS.render("stop_requested", run=live, comparison=None),
        "result": BLOCKS.render("results", hand_over=hand_over([completed]), runs=[completed]),
        "results": BLOCKS.render(
            "results", hand_over=hand_over([completed, ended]), runs=[completed, ended]
        ),
    }
    assert {name for name, text in texts.items() if DASHBOARD not in text} == set()
