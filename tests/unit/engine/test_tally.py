import pytest

from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.tally import Tally
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from tests.unit.engine.reports import INSERT, LOOKUP, MS_NS, NOON

OWN = QueryKind.GENERIC_SQL


def answered(tally: Tally, *service_ms: float, response_ms: float | None = None) -> None:
    meter = tally.meter(LOOKUP)
    for latency_ms in service_ms:
        meter.rows.append(2)
        if response_ms is not None:
            meter.response_ns.append(int(response_ms * MS_NS))
        meter.service_ns.append(int(latency_ms * MS_NS))


def test_a_tally_reports_everything_once() -> None:
    tally = Tally(clock=lambda: NOON)
    tally.connections_changed(+2)
    answered(tally, 0.1, 0.1, 0.3)
    tally.failed(INSERT, FailureKind.LOCK, "first\nline")
    tally.failed(INSERT, FailureKind.LOCK, "second")
    taken = tally.take()
    (lookups,) = taken.kinds
    assert (lookups.kind, lookups.rows, lookups.response) == (LOOKUP, 6, None)
    assert LatencyHistogram(lookups.service).count == 3
    (failure,) = taken.failures
    assert (failure.count, failure.message, failure.at) == (2, "first line", NOON)
    assert (taken.last_message, taken.connections, taken.punctuality) == ("second", 2, None)
    empty = tally.take()
    assert (empty.kinds, empty.failures, empty.last_message) == ((), (), None)


def test_a_persons_own_statements_are_one_kind_whose_writes_are_told_apart() -> None:
    tally = Tally()
    for writes, rows in ((False, 3), (True, 5)):
        meter = tally.meter(OWN, writes=writes)
        meter.rows.append(rows)
        meter.service_ns.append(MS_NS)
    assert [(one.kind, one.writes, one.rows) for one in tally.take().kinds] == [
        (OWN, False, 3),
        (OWN, True, 5),
    ]
    assert tally.meter(INSERT) is tally.meter(INSERT, writes=True)


def test_folding_often_changes_nothing() -> None:
    once, often = Tally(), Tally()
    for latency_ms in (0.1, 0.25, 7, 7, 900):
        for tally in (once, often):
            answered(tally, latency_ms)
        often.fold()
    assert once.take().kinds == often.take().kinds


def test_service_and_response_times_stay_apart_and_together() -> None:
    tally = Tally()
    answered(tally, 1, 1, response_ms=800)
    # The next one is being noted at this moment: what belongs together comes together.
    tally.meter(LOOKUP).rows.append(2)
    tally.meter(LOOKUP).response_ns.append(5 * MS_NS)
    (lookups,) = tally.take().kinds
    assert LatencyHistogram(lookups.service).percentile_ms(100) == pytest.approx(1, rel=1e-3)
    assert lookups.response is not None
    assert LatencyHistogram(lookups.response).count == 2
    assert LatencyHistogram(lookups.response).percentile_ms(1) == pytest.approx(800, rel=1e-3)
    tally.meter(LOOKUP).service_ns.append(MS_NS)
    (late,) = tally.take().kinds
    assert late.response is not None
    assert LatencyHistogram(late.response).percentile_ms(100) == pytest.approx(5, rel=1e-3)


def test_an_open_loop_reports_how_punctual_it_was() -> None:
    tally = Tally()
    tally.lag_ns += [MS_NS, 4 * MS_NS]
    tally.oversleep_ns.append(MS_NS)
    tally.real_time_ns += [3, 4]
    punctuality = tally.take(lambda: 7).punctuality
    assert punctuality is not None
    assert punctuality.scheduled == 7
    assert LatencyHistogram(punctuality.lag).count == 2
    assert LatencyHistogram(punctuality.oversleep).count == 1
    assert punctuality.real_time_ns == 7
    nothing = tally.take(lambda: 0).punctuality
    assert nothing is not None
    assert LatencyHistogram(nothing.lag).count == 0
    assert nothing.real_time_ns == 0
