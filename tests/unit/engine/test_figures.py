from datetime import UTC, datetime, timedelta

import pytest

from benchgate.backend.engine.crew import application_name
from benchgate.backend.engine.histograms import HIGHEST_US, LatencyHistogram, decode, merged
from benchgate.backend.engine.ledger import DEAD_AFTER_S, Ledger, parted
from benchgate.backend.engine.messages import FailureCount, KindLatencies, Report
from benchgate.backend.engine.tally import Tally
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind, TableType

LOOKUP, INSERT = QueryKind.POINT_LOOKUP, QueryKind.INSERT
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def histogram_of(*latencies_us: int) -> LatencyHistogram:
    histogram = LatencyHistogram()
    histogram.record(latencies_us)
    return histogram


def report(
    second: int,
    *latencies_us: int,
    is_measured: bool = True,
    interval_ns: int = SECOND_NS,
    failures: tuple[FailureCount, ...] = (),
) -> Report:
    kinds = [KindLatencies(kind=LOOKUP, histogram=histogram_of(*latencies_us).encode())]
    return Report(
        second=second,
        is_measured=is_measured,
        interval_ns=interval_ns,
        latencies=tuple(kinds if latencies_us else ()),
        failures=failures,
        last_message=failures[-1].message if failures else None,
        connections=2,
    )


def refused(count: int, message: str = "refused", at: datetime = NOON) -> FailureCount:
    return FailureCount(
        failure=FailureKind.CONNECTION, kind=None, count=count, message=message, at=at
    )


def ledger(workers: int = 1, connections: int = 2) -> Ledger:
    return Ledger(workers=workers, connections=connections, source=TableType.POSTGRES)


def test_a_report_that_makes_up_for_a_late_one_is_no_peak() -> None:
    sums = ledger()
    sums.enter(0, report(1, 300, interval_ns=4 * SECOND_NS))
    sums.enter(0, report(2, 300, 300, interval_ns=20_000))
    assert sums.close(1).qps == pytest.approx(0.25, abs=0.1)
    assert sums.close(2).qps <= 4


def test_a_silence_longer_than_any_answer_is_told_beside_the_figures() -> None:
    sums = ledger()
    for second in range(1, 8):
        sums.enter(0, report(second, *([300] if second < 4 else [])))
        sums.close(second)
    notice = sums.notice(think_time_ms=0)
    assert notice is not None
    assert "in the last 4 s" in notice
    assert sums.notice(think_time_ms=5_000) is None


def test_a_slow_database_is_silent_between_its_answers() -> None:
    sums = ledger()
    for second in range(1, 8):
        sums.enter(0, report(second, *([3_000_000] if second == 3 else [])))
        sums.close(second)
    assert sums.notice(think_time_ms=0) is None


def test_merged_halves_are_the_whole() -> None:
    values = list(range(1, 20_001, 7))
    whole = histogram_of(*values)
    halves = merged([histogram_of(*values[::2]), histogram_of(*values[1::2])])
    assert halves.encode() == whole.encode()
    assert decode(whole.encode()).percentile_ms(95) == whole.percentile_ms(95)


def test_a_percentile_is_exact_to_three_figures() -> None:
    histogram = histogram_of(*range(1, 100_001))
    for percentile in (50, 95, 99):
        assert histogram.percentile_ms(percentile) == pytest.approx(percentile, rel=1e-3)


def test_latencies_beyond_the_range_count_at_its_ends() -> None:
    histogram = histogram_of(0, HIGHEST_US * 10)
    assert histogram.count == 2
    assert histogram.percentile_ms(1) == 0.001
    assert histogram.percentile_ms(99) == pytest.approx(HIGHEST_US / 1000, rel=1e-3)


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert LatencyHistogram().percentile_ms(50) is None


def test_a_tally_reports_everything_once() -> None:
    tally = Tally(clock=lambda: NOON)
    tally.connections_changed(+2)
    for latency_us in (100, 100, 300):
        tally.succeeded(LOOKUP, latency_us)
    tally.failed(INSERT, FailureKind.LOCK, "first\nline")
    tally.failed(INSERT, FailureKind.LOCK, "second")
    taken = tally.take(second=1, is_measured=True, interval_ns=SECOND_NS)
    (latencies,) = taken.latencies
    assert decode(latencies.histogram).count == 3
    (failure,) = taken.failures
    assert (failure.count, failure.message, failure.at) == (2, "first line", NOON)
    assert (taken.last_message, taken.connections) == ("second", 2)
    empty = tally.take(second=2, is_measured=True, interval_ns=SECOND_NS)
    assert (empty.latencies, empty.failures, empty.last_message) == ((), (), None)


def test_a_second_is_complete_when_every_worker_has_reported_it() -> None:
    sums = ledger(workers=2)
    sums.enter(0, report(1, 100))
    assert not sums.is_complete(1)
    sums.enter(1, report(1, 300, 300, interval_ns=SECOND_NS // 2))
    assert sums.is_complete(1)
    live = sums.close(1)
    # The rate of each worker is over its own interval.
    assert (live.qps, live.total_queries, live.active_connections) == (5.0, 3, 4)
    assert live.p50_latency_ms == pytest.approx(0.3)


def test_the_warmup_is_in_no_figure_of_the_summary() -> None:
    sums = ledger()
    sums.enter(0, report(1, *[9_000_000] * 50, is_measured=False, failures=(refused(3),)))
    assert sums.close(1).total_queries == 0
    assert sums.summary() is None
    sums.enter(0, report(2, *[100] * 30, failures=(refused(10),)))
    summary = sums.summary()
    assert summary is not None
    assert (summary.total_queries, summary.average_qps, summary.error_rate) == (30, 30.0, 25.0)
    assert summary.p99_latency_ms == pytest.approx(0.1)
    assert sums.errors()[0].count == 13


def test_errors_are_grouped_with_the_earliest_message() -> None:
    sums = ledger(workers=2)
    sums.enter(0, report(1, failures=(refused(2, "later", NOON + timedelta(seconds=1)),)))
    sums.enter(1, report(1, failures=(refused(3, "earlier"),)))
    (row,) = sums.errors()
    assert (row.summary, row.query_type, row.source) == ("connection", "OTHER", "POSTGRES")
    assert (row.count, row.message, row.earliest_occurrence) == (5, "earlier", NOON)


def test_a_load_is_dead_when_nothing_has_worked_for_ten_seconds() -> None:
    sums = ledger()
    for second in range(1, DEAD_AFTER_S + 1):
        assert not sums.is_dead()
        sums.enter(0, report(second, failures=(refused(1, f"refused {second}"),)))
        sums.close(second)
    assert sums.is_dead()
    assert sums.last_message == f"refused {DEAD_AFTER_S}"
    sums.enter(0, report(11, 100))
    sums.close(11)
    assert not sums.is_dead()


def test_a_slow_database_is_not_a_dead_one() -> None:
    sums = ledger(connections=8)
    for second in range(1, 60):
        sums.enter(0, report(second, failures=(refused(1),) if second % 10 == 0 else ()))
        sums.close(second)
    assert not sums.is_dead()


@pytest.mark.parametrize(("whole", "parts"), [(1, 1), (8, 2), (9, 4), (10_000, 7)])
def test_connections_are_shared_out_fairly(whole: int, parts: int) -> None:
    shares = parted(whole, parts)
    assert (len(shares), sum(shares)) == (parts, whole)
    assert max(shares) - min(shares) <= 1


def test_a_session_name_fits_what_a_server_keeps() -> None:
    assert application_name("run-1") == "benchgate run-1"
    assert len(application_name("r" * 64)) == 63
