"""Whether a load generator was itself the limit of what it measured; knows no process.

A generator that has no time left sends less than the database could answer, and what it measures
is late for reasons of its own. Such figures are a lower bound of the database, and say so.
"""

from benchgate.domain.values import Value

WORKER_CPU_LIMIT_PCT = 90.0
MACHINE_CPU_LIMIT_PCT = 95.0
# Below that, whoever keeps the machine busy, it is not the generator.
SHARE_OF_MACHINE_MIN_PCT = 20.0
OVERSLEEP_LIMIT_MS = 0.5
OVERSLEEP_SHARE_PCT = 10.0

LIMITED_BY_IT = "Limited by the load generator"
LIMITED = f"{LIMITED_BY_IT}: treat QPS as a lower bound"
LATE = "The load generator was late: treat latencies as an upper bound"


class GeneratorHealth(Value):
    """How the generator itself was doing while it measured.

    CPU of a worker is in percent of one core, that of the machine in percent of all its cores.
    """

    # The database lives in the workers: their CPU is its own as well, and tells nothing.
    is_in_process: bool = False
    workers: int = 0
    workers_lost: int = 0
    cores: int = 0
    busiest_worker_cpu_pct: float | None = None
    workers_cpu_pct: float | None = None  # of all of them, of one core
    machine_cpu_pct: float | None = None
    loop_lag_max_ms: float | None = None
    oversleep_p99_ms: float | None = None  # open loop: late although a connection was free
    response_p99_ms: float | None = None
    real_time_pct: float | None = (
        None  # open loop: of the time, that its threads went before others
    )

    @property
    def is_limit(self) -> bool:
        """Whether what was measured is the generator's limit instead of the database's."""
        return self.is_out_of_time or self.is_late

    @property
    def is_out_of_time(self) -> bool:
        """Whether a worker, or the machine with them, had nothing left to give."""
        if self.is_in_process:
            return False
        if (self.busiest_worker_cpu_pct or 0) >= WORKER_CPU_LIMIT_PCT:
            return True
        if not self.cores or (self.machine_cpu_pct or 0) < MACHINE_CPU_LIMIT_PCT:
            return False
        return (self.workers_cpu_pct or 0) / self.cores >= SHARE_OF_MACHINE_MIN_PCT

    @property
    def is_late(self) -> bool:
        """Whether an open loop started late by a share of the latency that counts."""
        late_ms = self.oversleep_p99_ms or 0
        share_ms = (self.response_p99_ms or 0) * OVERSLEEP_SHARE_PCT / 100
        return late_ms > max(OVERSLEEP_LIMIT_MS, share_ms)

    @property
    def sentence(self) -> str:
        """What a reader has to know of it."""
        if self.is_out_of_time:
            return f"{LIMITED} ({self._load})."
        return f"{LATE} (p99 of its own delay {self.oversleep_p99_ms or 0:.2f} ms)."

    @property
    def _load(self) -> str:
        busiest = self.busiest_worker_cpu_pct or 0
        told = f"its busiest worker used {busiest:.0f}% of a core"
        if self.machine_cpu_pct is None:
            return told
        return f"{told}, the machine was {self.machine_cpu_pct:.0f}% busy"
