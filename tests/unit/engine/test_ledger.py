from datetime import timedelta

import pytest

from benchgate.backend.engine.accounts import parted
from benchgate.backend.engine.ledger import DEAD_AFTER_S, Ledger
from benchgate.backend.engine.messages import Punctuality
from benchgate.domain.runs import LiveMetrics
from benchgate.domain.templates import QueryKind, TableType
from tests.unit.engine.reports import (
    INSERT,
    LOOKUP,
    MS_NS,
    NOON,
    SECOND_NS,
    counts,
    histogram_of,
    refused,
    report,
)


def ledger(workers: int = 1) -> Ledger:
    return Ledger(workers=workers, source=TableType.POSTGRES)


def closed(sums: Ledger, second: int) -> LiveMetrics:
    return sums.close(second)[1]


def test_a_report_that_makes_up_for_a_late_one_is_no_peak() -> None:
    sums = ledger()
    sums.enter(0, report(1, 0.3, interval_ns=4 * SECOND_NS))
    sums.enter(0, report(2, 0.3, 0.3, interval_ns=20_000))
    assert closed(sums, 1).qps == pytest.approx(0.25, abs=0.1)
    assert closed(sums, 2).qps <= 4


def silent_after_three(sums: Ledger) -> Ledger:
    for second in range(1, 8):
        sums.enter(0, report(second, *([0.3] if second < 4 else [])))
        sums.close(second)
    return sums


def test_whoever_thinks_for_long_is_silent_for_long() -> None:
    thinking = Ledger(workers=1, source=TableType.POSTGRES, think_time_ms=5_000)
    assert silent_after_three(thinking).silence() is None
    assert thinking.unanswered_seconds == 0


@pytest.mark.parametrize(
    ("answers", "is_measured", "unanswered"),
    [
        # The database was gone for ten seconds, and then for four.
        ([1] * 5 + [0] * 10 + [1] * 5 + [0] * 4 + [1], True, 14),
        ([1] * 5 + [0] * 10, True, 10),
        # A moment without an answer is none.
        ([1, 0, 0, 1, 0, 1], True, 0),
        ([1] + [0] * 10 + [1], False, 0),
    ],
)
def test_seconds_in_which_the_database_was_gone_are_counted(
    *, answers: list[int], is_measured: bool, unanswered: int
) -> None:
    sums = ledger()
    for second, count in enumerate(answers, 1):
        failures = () if count else (refused(1),)
        told = report(second, *[0.3] * count, failures=failures, is_measured=is_measured)
        sums.enter(0, told)
        sums.close(second)
    assert sums.unanswered_seconds == unanswered


def test_an_answer_that_took_as_long_as_the_silence_explains_it() -> None:
    sums = ledger()
    for second in range(1, 12):
        sums.enter(0, report(second, *{1: [0.3], 11: [9_400]}.get(second, [])))
        sums.close(second)
    assert sums.unanswered_seconds == 0


def test_a_silence_longer_than_any_answer_is_told_beside_the_figures() -> None:
    sums = silent_after_three(ledger())
    told = sums.silence()
    assert told is not None
    assert "in the last 4 s" in told


def test_a_slow_database_is_silent_between_its_answers() -> None:
    sums = ledger()
    for second in range(1, 8):
        sums.enter(0, report(second, *([3_000] if second == 3 else [])))
        sums.close(second)
    assert sums.silence() is None


def punctual(scheduled: int) -> Punctuality:
    nothing = counts(LOOKUP, []).service
    return Punctuality(scheduled=scheduled, lag=nothing, oversleep=nothing)


def test_a_schedule_is_silent_between_its_starts() -> None:
    sums = ledger()
    for second in range(1, 40):
        begins = second in {5, 30}
        sums.enter(0, report(second, *([0.3] * begins), punctuality=punctual(int(begins))))
        sums.close(second)
    assert sums.silence() is None


def test_a_start_that_nobody_answers_ends_the_silence_of_a_schedule_in_one_to_tell_of() -> None:
    sums = ledger()
    for second in range(1, 41):
        answered = [0.3] * (second == 5)
        failures = (refused(1, kind=LOOKUP),) if second == 20 else ()
        begins = punctual(int(second in {5, 20, 36}))
        sums.enter(0, report(second, *answered, failures=failures, punctuality=begins))
        sums.close(second)
    told = sums.silence()
    assert told is not None
    assert "in the last 5 s" in told


def test_a_second_is_complete_when_every_worker_has_reported_it() -> None:
    sums = ledger(workers=2)
    sums.enter(0, report(1, 0.1))
    assert not sums.is_complete(1)
    sums.enter(1, report(1, 0.3, 0.3, interval_ns=SECOND_NS // 2))
    assert sums.is_complete(1)
    second, live = sums.close(1)
    # The rate of each worker is over its own interval.
    assert (live.qps, live.total_queries, live.active_connections) == (5.0, 3, 4)
    assert live.p50_latency_ms == pytest.approx(0.3, rel=1e-3)
    assert (second.qps, second.connections, second.accounts.answered) == (5.0, 4, 3)


def test_a_lost_worker_is_waited_for_no_more_and_what_it_did_counts() -> None:
    sums = ledger(workers=2)
    sums.enter(0, report(1, 0.1))
    sums.enter(1, report(1, 0.1))
    sums.close(1)
    sums.lose(1)
    sums.enter(0, report(2, 0.1, connections=4))
    assert sums.is_complete(2)
    assert closed(sums, 2).active_connections == 4
    summary = sums.summary()
    assert summary is not None
    assert (summary.total_queries, summary.average_qps) == (3, 1.5)


def test_the_warmup_is_in_no_figure_of_the_summary() -> None:
    sums = ledger()
    sums.enter(0, report(1, *[9_000] * 50, is_measured=False, failures=(refused(3),)))
    assert closed(sums, 1).total_queries == 0
    assert sums.summary() is None
    sums.enter(0, report(2, *[0.1] * 30, failures=(refused(10),)))
    summary = sums.summary()
    assert summary is not None
    assert (summary.total_queries, summary.average_qps, summary.error_rate) == (30, 30.0, 25.0)
    assert summary.p99_latency_ms == pytest.approx(0.1)
    assert sums.errors()[0].count == 13


def test_errors_are_grouped_with_the_earliest_message() -> None:
    sums = ledger(workers=2)
    later = NOON + timedelta(seconds=1)
    sums.enter(0, report(1, failures=(refused(2, "later", at=later),)))
    sums.enter(1, report(1, failures=(refused(3, "earlier"),)))
    (row,) = sums.errors()
    assert (row.summary, row.query_type, row.source) == ("connection", "OTHER", "POSTGRES")
    assert (row.count, row.message, row.earliest_occurrence) == (5, "earlier", NOON)


def test_a_load_is_dead_when_nothing_has_worked_for_ten_seconds() -> None:
    sums = ledger()
    for second in range(1, DEAD_AFTER_S + 1):
        assert not sums.is_dead(2)
        sums.enter(0, report(second, failures=(refused(1, f"refused {second}"),)))
        sums.close(second)
    assert sums.is_dead(2)
    assert sums.last_message == f"refused {DEAD_AFTER_S}"
    sums.enter(0, report(11, 0.1))
    sums.close(11)
    assert not sums.is_dead(2)


def test_a_slow_database_is_not_a_dead_one() -> None:
    sums = ledger()
    for second in range(1, 60):
        sums.enter(0, report(second, failures=(refused(1),) if second % 10 == 0 else ()))
        sums.close(second)
    assert not sums.is_dead(8)


def test_one_failure_after_a_long_silence_is_no_end() -> None:
    sums = ledger()
    for second in range(1, 40):
        failures = (refused(1),) if second == 30 else ()
        sums.enter(0, report(second, *([0.1] if second == 1 else []), failures=failures))
        sums.close(second)
        assert not sums.is_dead(1)
    assert not sums.ended_dead(1)


def test_a_load_in_which_nothing_ever_worked_ends_as_that() -> None:
    sums = ledger()
    sums.enter(0, report(1, failures=(refused(1),)))
    sums.close(1)
    assert sums.ended_dead(64)


def test_what_was_due_in_the_warmup_and_is_sent_later_hides_nothing_that_was_missed() -> None:
    sums = ledger()
    nothing = histogram_of([]).packed
    backlog = Punctuality(scheduled=5, lag=nothing, oversleep=nothing)
    sums.enter(0, report(1, is_measured=False, punctuality=backlog))
    kept = Punctuality(scheduled=5, lag=histogram_of([1] * 5).packed, oversleep=nothing)
    sums.enter(0, report(2, *[1] * 5, punctuality=kept))
    schedule = sums.timekeeping.schedule
    assert schedule is not None
    assert (schedule.scheduled, schedule.sent, schedule.missed) == (5, 5, 5)


def test_each_kind_has_its_own_figures() -> None:
    sums = ledger()
    kinds = (
        counts(LOOKUP, [1, 1, 3], rows=3),
        counts(INSERT, [5], responses_ms=[900], rows=1),
    )
    sums.enter(0, report(1, kinds=kinds, failures=(refused(1, kind=INSERT),)))
    lookups, inserts = sums.measured.kinds(2.0)
    assert (lookups.kind, lookups.qps, lookups.rows_read, lookups.rows_written) == (
        LOOKUP,
        1.5,
        3,
        0,
    )
    assert lookups.service.mean_ms == pytest.approx(5 / 3, rel=1e-3)
    assert (lookups.service.n, lookups.response) == (3, None)
    assert (inserts.errors, inserts.rows_read, inserts.rows_written) == (1, 0, 1)
    assert inserts.response is not None
    assert inserts.response.p99_ms == pytest.approx(900, rel=1e-3)
    assert inserts.service.max_ms == pytest.approx(5, rel=1e-3)


def test_statements_of_ones_own_are_one_kind_that_reads_and_writes() -> None:
    sums = ledger()
    kinds = (
        counts(QueryKind.GENERIC_SQL, [1], rows=7),
        counts(QueryKind.GENERIC_SQL, [3], rows=2, writes=True),
    )
    sums.enter(0, report(1, kinds=kinds))
    (own,) = sums.measured.kinds(1.0)
    assert (own.total_queries, own.rows_read, own.rows_written) == (2, 7, 2)
    assert own.service.max_ms == pytest.approx(3, rel=1e-3)


def test_an_open_loop_is_judged_by_what_a_user_would_have_waited() -> None:
    sums = ledger()
    sums.enter(0, report(1, kinds=(counts(LOOKUP, [1] * 9, responses_ms=[700] * 9),)))
    summary = sums.summary()
    assert summary is not None
    assert summary.p50_latency_ms == pytest.approx(700, rel=1e-3)


def test_the_keeping_of_a_schedule_is_added_up() -> None:
    sums = ledger(workers=2)
    for worker in range(2):
        kept = Punctuality(
            scheduled=4,
            lag=histogram_of([0.1, 0.2, 50]).packed,
            oversleep=histogram_of([0.1]).packed,
        )
        cpu_ns = (100 + 400 * worker) * MS_NS
        sums.enter(worker, report(1, 1, 1, 1, cpu_ns=cpu_ns, punctuality=kept))
    schedule = sums.timekeeping.schedule
    assert schedule is not None
    assert (schedule.scheduled, schedule.sent, schedule.late, schedule.missed) == (8, 6, 2, 2)
    assert schedule.lag_max_ms == pytest.approx(50, rel=1e-3)
    health = sums.timekeeping.health(cores=2, machine_cpu_pct=70, lost=1)
    assert (health.workers, health.workers_lost, health.cores) == (2, 1, 2)
    assert (health.busiest_worker_cpu_pct, health.workers_cpu_pct) == (50, 60)
    assert health.oversleep_p99_ms == pytest.approx(0.1, rel=1e-3)


def test_a_closed_loop_has_no_schedule() -> None:
    sums = ledger()
    sums.enter(0, report(1, 1))
    assert sums.timekeeping.schedule is None


@pytest.mark.parametrize(("whole", "parts"), [(1, 1), (8, 2), (9, 4), (10_000, 7)])
def test_connections_are_shared_out_fairly(whole: int, parts: int) -> None:
    shares = parted(whole, parts)
    assert (len(shares), sum(shares)) == (parts, whole)
    assert max(shares) - min(shares) <= 1
