"""The sentences that a reader of a run's figures has to know."""

from benchgate.domain.findings import (
    NOTES_MAX,
    Findings,
    ScheduleFigures,
    SearchFindings,
    SessionsProof,
)
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.objectives import Metric, RateVerdict, Verdict
from benchgate.domain.search import SearchEnd, SearchOutcome
from benchgate.domain.templates import QueryKind

HELD = Verdict(kind=QueryKind.INSERT, metric=Metric.P95_LATENCY_MS, limit=5, value=4)
MISSED = HELD.model_copy(update={"value": 6})


def test_a_run_with_nothing_to_tell_has_no_notes() -> None:
    findings = Findings(
        rate=RateVerdict(target_qps=100, qps=100, scheduled=1_000, answered=1_000),
        verdicts=(HELD,),
        schedule=ScheduleFigures(scheduled=10, sent=10, late=0, missed=0),
        sessions=SessionsProof(found=2, left=0),
    )
    assert findings.notes == ()


def test_whatever_was_missed_is_told_and_the_finding_of_a_search_comes_first() -> None:
    outcome = SearchOutcome(
        best_concurrency=4, best_qps=100, reason="four were stable", end=SearchEnd.GAP_CLOSED
    )
    findings = Findings(
        search=SearchFindings(outcome=outcome, steps=()),
        generator=GeneratorHealth(busiest_worker_cpu_pct=99),
        rate=RateVerdict(target_qps=100, qps=50, scheduled=1_000, answered=500),
        verdicts=(HELD, MISSED),
        schedule=ScheduleFigures(scheduled=10, sent=7, late=0, missed=3),
        sessions=SessionsProof(found=2, left=1),
        remarks=("The sky fell.",),
    )
    told = findings.notes
    assert told[0] == "Four were stable."
    assert "Limited by the load generator" in told[1]
    assert "50 QPS" in told[2]
    assert told[3] == MISSED.sentence
    assert told[4:] == (
        "Scheduled operations that were never sent: 3.",
        "Sessions of the run still in the database: 1.",
        "The sky fell.",
    )


def test_a_maximum_that_is_a_lower_bound_is_told_beside_the_end_of_the_search() -> None:
    outcome = SearchOutcome(
        best_concurrency=4,
        best_qps=100,
        reason="four were stable",
        end=SearchEnd.GAP_CLOSED,
        is_lower_bound=True,
    )
    notes = Findings(search=SearchFindings(outcome=outcome, steps=())).notes
    assert notes == ("Four were stable.", outcome.caution)


def test_time_in_which_nothing_was_answered_is_told() -> None:
    (note,) = Findings(unanswered_seconds=10).notes
    assert note.startswith("For 10 s nothing was answered although operations were wanted; ")


def test_the_notes_are_bounded() -> None:
    assert len(Findings(remarks=("again",) * 100).notes) == NOTES_MAX
