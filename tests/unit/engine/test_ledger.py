from datetime import timedelta

import pytest

from benchgate.backend.engine.accounts import parted
from benchgate.backend.engine.ledger import Ledger
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


def test_starts_of_the_warmup_that_came_to_no_end_in_it_are_a_backlog() -> None:
    sums = ledger()
    nothing = histogram_of([]).packed
    due = Punctuality(scheduled=5, lag=nothing, oversleep=nothing)
    ended = (refused(1, kind=LOOKUP), refused(4))
    sums.enter(0, report(1, 1, is_measured=False, punctuality=due, failures=ended))
    assert sums.backlog == 3
    sums.enter(0, report(2, *[1] * 2, is_measured=True, punctuality=due))
    assert sums.backlog == 3


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
            real_time_ns=1_000 * MS_NS * worker,
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
    assert health.real_time_pct == 50


def test_a_closed_loop_has_no_schedule() -> None:
    sums = ledger()
    sums.enter(0, report(1, 1))
    assert sums.timekeeping.schedule is None
    health = sums.timekeeping.health(cores=2, machine_cpu_pct=70, lost=0)
    assert health.real_time_pct is None


@pytest.mark.parametrize(("whole", "parts"), [(1, 1), (8, 2), (9, 4), (10_000, 7)])
def test_connections_are_shared_out_fairly(whole: int, parts: int) -> None:
    shares = parted(whole, parts)
    assert (len(shares), sum(shares)) == (parts, whole)
    assert max(shares) - min(shares) <= 1


def test_the_mean_service_time_is_that_of_all_operations() -> None:
    sums = Ledger(workers=1, source=TableType.POSTGRES)
    sums.enter(0, report(1, kinds=(counts(LOOKUP, [10] * 3), counts(INSERT, [50]))))
    assert sums.measured.mean_service_s == pytest.approx(0.02, rel=1e-3)
    assert Ledger(workers=1, source=TableType.POSTGRES).measured.mean_service_s == 0
