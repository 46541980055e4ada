"""How the workers themselves were doing: their CPU, their lateness, and an open loop's schedule.

Sums over the measurement; what they say of the figures is for `domain.generator`.
"""

from benchgate.backend.engine.histograms import LatencyHistogram
from benchgate.backend.engine.messages import Report
from benchgate.domain.findings import ScheduleFigures
from benchgate.domain.generator import GeneratorHealth

NS_PER_MS = 1_000_000
PERCENT = 100.0
# Far more than any pacing of ours: such a start found no connection, or no generator.
LATE_AFTER_MS = 10.0


class Timekeeping:
    """What the reports of the measurement tell of the generator."""

    def __init__(self, workers: int) -> None:
        self._cpu_ns = [0] * workers
        self._interval_ns = [0] * workers
        self._loop_lag_ns = self._real_time_ns = 0
        self._due = self._sent = 0  # since the load began
        self._scheduled = 0
        self._has_schedule = False
        self._lag, self._oversleep = LatencyHistogram(), LatencyHistogram()

    def count(self, report: Report) -> None:
        """Add the starts of one second, measured or not: one may be due in the one, sent later."""
        if report.punctuality is not None:
            self._due += report.punctuality.scheduled
            self._sent += LatencyHistogram(report.punctuality.lag).count

    def enter(self, worker: int, report: Report) -> None:
        """Add one worker's report of one measured second."""
        self._cpu_ns[worker] += report.cpu_ns
        self._interval_ns[worker] += report.interval_ns
        self._loop_lag_ns = max(self._loop_lag_ns, report.loop_lag_ns)
        if report.punctuality is not None:
            self._has_schedule = True
            self._scheduled += report.punctuality.scheduled
            self._lag.enter(report.punctuality.lag)
            self._oversleep.enter(report.punctuality.oversleep)
            self._real_time_ns += report.punctuality.real_time_ns

    @property
    def schedule(self) -> ScheduleFigures | None:
        """How the schedule was kept; None for a closed loop.

        What was due at the end of the warm-up may be sent in the measurement, so that more can be
        sent than was scheduled; missed is what was due since the load began, and never sent.
        """
        if not self._has_schedule:
            return None
        p50_ms, p99_ms, max_ms = self._lag.percentiles_ms((50, 99, 100))
        return ScheduleFigures(
            scheduled=self._scheduled,
            sent=self._lag.count,
            late=self._lag.count_above(LATE_AFTER_MS),
            missed=max(0, self._due - self._sent),
            lag_p50_ms=p50_ms,
            lag_p99_ms=p99_ms,
            lag_max_ms=max_ms,
        )

    def health(self, *, cores: int, machine_cpu_pct: float | None, lost: int) -> GeneratorHealth:
        """How the generator was doing while it measured."""
        shares = [
            PERCENT * cpu_ns / interval_ns
            for cpu_ns, interval_ns in zip(self._cpu_ns, self._interval_ns, strict=True)
            if interval_ns
        ]
        return GeneratorHealth(
            workers=len(self._cpu_ns),
            workers_lost=lost,
            cores=cores,
            busiest_worker_cpu_pct=round(max(shares), 1) if shares else None,
            workers_cpu_pct=round(sum(shares), 1) if shares else None,
            machine_cpu_pct=machine_cpu_pct,
            loop_lag_max_ms=round(self._loop_lag_ns / NS_PER_MS, 3),
            oversleep_p99_ms=self._oversleep.percentile_ms(99),
            real_time_pct=self._real_time_pct,
        )

    @property
    def _real_time_pct(self) -> float | None:
        """For how much of the measurement the threads of a schedule had such a priority."""
        measured_ns = sum(self._interval_ns)
        if not self._has_schedule or not measured_ns:
            return None
        return round(min(PERCENT, PERCENT * self._real_time_ns / measured_ns), 1)
