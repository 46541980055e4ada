"""How the emulated database answers a load, and the controllers that search in it.

A thread does 50 operations a second; from the eleventh on the threads only wait for each other.
Seconds are counted from the beginning of the measurement.
"""

from typing import Protocol

from tests.flakebench.clock import moment
from tests.flakebench.plans import CEILING_THREADS, FIND_MAX, Plan
from tests.flakebench.samples import Json, sample

QPS_PER_THREAD = 50.0
CAPACITY_THREADS = 11
LATENCY_MS = {"p50": 20.0, "p95": 40.0, "p99": 60.0, "avg": 22.0}
# The load needs that long to get going, so that an average is below the last second's rate.
RAMP_SECONDS = 0.5
EVALUATION_SECONDS = 10
# The controller looks about once a second, so a step begins that much after the last one's end.
LOOK_SECONDS = 1
# By how much of the gap the QPS controller moves, from this error in percent on.
GAP_SHARES = ((50, 0.25), (30, 0.20), (15, 0.15), (5, 0.10))
GAP_SHARE_LEAST = 0.06


def qps_of(threads: int) -> float:
    """Operations per second that *threads* get done."""
    return QPS_PER_THREAD * min(threads, CAPACITY_THREADS)


def latencies_ms(threads: int) -> dict[str, float]:
    """The percentiles and the mean that *threads* see."""
    stretch = max(1.0, threads / CAPACITY_THREADS)
    return {name: value * stretch for name, value in LATENCY_MS.items()}


class Load(Protocol):
    """What loads the database while a run measures."""

    def threads(self, measured_s: float) -> int:
        """How many threads there are."""
        ...

    def operations(self, measured_s: float) -> float:
        """How many operations are done."""
        ...


class SteadyLoad:
    """As many threads from the first second to the last."""

    def __init__(self, plan: Plan) -> None:
        self._threads = plan.threads

    def threads(self, measured_s: float) -> int:
        """The threads that were asked for."""
        return self._threads

    def operations(self, measured_s: float) -> float:
        """Grows evenly once the load has got going."""
        return qps_of(self._threads) * max(0.0, measured_s - RAMP_SECONDS)


class QpsLoad:
    """Adds threads until a rate is reached, and gives up where rounding leaves nothing to add."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def threads(self, measured_s: float) -> int:
        """What the evaluations so far have led to."""
        steps = self.steps(measured_s)
        return steps[-1]["to_threads"] if steps else self._plan.starting_threads

    def operations(self, measured_s: float) -> float:
        """Grows faster with every evaluation."""
        whole_s = int(measured_s)
        return sum(qps_of(self.threads(second)) for second in range(whole_s))

    def steps(self, measured_s: float) -> list[Json]:
        """The changes so far, as the live state lists them but for their timestamps."""
        steps: list[Json] = []
        threads, target_qps = self._plan.starting_threads, self._plan.target_qps
        for _ in range(int(measured_s // EVALUATION_SECONDS) + 1):
            qps = qps_of(threads)
            error_pct = 100 * (qps - target_qps) / target_qps
            wanted = threads + self._change(threads, qps, abs(error_pct))
            if wanted <= threads:
                break
            steps.append(
                {
                    "step": len(steps) + 1,
                    "from_threads": threads,
                    "to_threads": wanted,
                    "direction": "up",
                    "current_qps": qps,
                    "target_qps": target_qps,
                    "qps_error_pct": error_pct,
                    "reason": "under_target",
                }
            )
            threads = wanted
        return steps

    def _change(self, threads: int, qps: float, error_pct: float) -> int:
        gap = self._plan.target_qps / (qps / threads) - threads
        shares = (share for limit_pct, share in GAP_SHARES if error_pct > limit_pct)
        return round(gap * next(shares, GAP_SHARE_LEAST))


class FindMaxLoad:
    """Step by step more threads, until a step is worse; it knows neither time nor step limit."""

    def __init__(self, plan: Plan, *, error_share: float) -> None:
        self._plan = plan
        self._error_pct = 100 * error_share
        self._failed_once = False
        self._is_backoff = False
        self.target = min(plan.start_concurrency, plan.ceiling_threads)
        self.history: list[Json] = []
        self.best_concurrency = 0
        self.best_qps = 0.0
        self.is_over = False
        self.ceiling_reached = False

    @property
    def period_s(self) -> float:
        """From the beginning of one step to the beginning of the next."""
        return self._plan.step_s + LOOK_SECONDS

    def threads(self, measured_s: float) -> int:
        """The current step's level."""
        return self.target

    def operations(self, measured_s: float) -> float:
        """What the steps so far have done, and the current one's part."""
        done = sum(step["qps"] * self._plan.step_s for step in self.history)
        current_s = measured_s - len(self.history) * self.period_s
        return done + max(0.0, current_s - RAMP_SECONDS) * qps_of(self.target)

    def judge(self) -> None:
        """End the current step and decide what follows."""
        reason = self._stop_reason()
        self.history.append(
            {
                "step": len(self.history) + 1,
                "concurrency": self.target,
                "qps": qps_of(self.target),
                "p95_latency_ms": latencies_ms(self.target)["p95"],
                "p99_latency_ms": latencies_ms(self.target)["p99"],
                "error_rate_pct": self._error_pct,
                "stable": reason is None,
                "stop_reason": reason,
                "is_backoff": False,
            }
        )
        if reason is None:
            self._go_on()
        else:
            self._go_back()

    def _go_on(self) -> None:
        self.best_concurrency = max(self.best_concurrency, self.target)
        self.best_qps = max(self.best_qps, qps_of(self.target))
        self._is_backoff = False
        self.ceiling_reached = self.is_over = self.target >= CEILING_THREADS
        # Clamped, the same level comes again and again.
        raised = self.target + self._plan.concurrency_increment
        self.target = min(raised, self._plan.ceiling_threads)

    def _go_back(self) -> None:
        self.is_over = self._failed_once or not 0 < self.best_concurrency < self.target
        self._failed_once = self._is_backoff = True
        if not self.is_over:
            self.target = self.best_concurrency

    def _stop_reason(self) -> str | None:
        plan = self._plan
        if self._error_pct > plan.max_error_rate_pct:
            return (
                f"Error rate {self._error_pct:.1f}% > "
                f"max_error_rate_pct {plan.max_error_rate_pct:.1f}%"
            )
        rise_pct = self._rise_pct() or 0
        if rise_pct > plan.latency_stability_pct and not self._is_backoff:
            limit = f"(limit {plan.latency_stability_pct:.1f}%)"
            return f"P95 latency increased {rise_pct:.1f}% vs baseline {limit}"
        drop_pct = -(self._change_pct() or 0)
        if drop_pct > plan.qps_stability_pct:
            return f"QPS dropped {drop_pct:.1f}% vs prior (limit {plan.qps_stability_pct:.1f}%)"
        return None

    def _rise_pct(self) -> float | None:
        if not self.history:
            return None
        return 100 * (latencies_ms(self.target)["p95"] / self.history[0]["p95_latency_ms"] - 1)

    def _change_pct(self) -> float | None:
        if not self.history:
            return None
        return 100 * (qps_of(self.target) / self.history[-1]["qps"] - 1)

    def state(self, measured_s: float, *, since_s: float) -> Json:
        """`find_max_result` as of now; *since_s* is when the measurement began."""
        number = len(self.history)
        began_s = number * self.period_s
        state = sample("rest_findmax_running")["find_max_result"]
        state |= self._configured() | self._measured()
        state |= {
            "status": "STEP_RUNNING",
            "current_step": number + 1,
            "step_started_at_epoch_ms": _epoch_ms(since_s + began_s),
            "step_end_at_epoch_ms": _epoch_ms(since_s + began_s + self._plan.step_s),
            "last_updated": moment(since_s + measured_s).isoformat(),
        }
        if self.is_over:
            return state | self._verdict()
        if measured_s < began_s:
            return _without(state | {"status": "TRANSITIONING"}, TRANSITIONING_LACKS)
        if measured_s < began_s + LOOK_SECONDS:
            return _without(state | {"status": "STEP_STARTING"}, STEP_STARTING_LACKS)
        return state

    def _configured(self) -> Json:
        plan = self._plan
        return {
            "mode": FIND_MAX,
            "start_concurrency": plan.start_concurrency,
            "concurrency_increment": plan.concurrency_increment,
            "step_duration_seconds": plan.step_s,
            "max_concurrency": CEILING_THREADS,
            "qps_stability_pct": plan.qps_stability_pct,
            "latency_stability_pct": plan.latency_stability_pct,
            "max_error_rate_pct": plan.max_error_rate_pct,
        }

    def _measured(self) -> Json:
        first = self.history[0] if self.history else {}
        qps, at_ms = qps_of(self.target), latencies_ms(self.target)
        return {
            "current_concurrency": self.target,
            "target_workers": self.target,
            "current_qps": qps,
            "qps": qps,
            "current_p95_latency_ms": at_ms["p95"],
            "current_p99_latency_ms": at_ms["p99"],
            "current_error_rate_pct": self._error_pct,
            "error_rate": self._error_pct / 100,
            "qps_vs_prior_pct": self._change_pct(),
            "p95_vs_baseline_pct": self._rise_pct(),
            "baseline_p95_ms": first.get("p95_latency_ms"),
            "baseline_p95_latency_ms": first.get("p95_latency_ms"),
            "baseline_p99_latency_ms": first.get("p99_latency_ms"),
            # Unclamped, unlike the level that the next step then has.
            "next_planned_concurrency": self.target + self._plan.concurrency_increment,
            "best_concurrency": self.best_concurrency,
            "best_qps": self.best_qps,
            "step_history": list(self.history),
        }

    def _verdict(self) -> Json:
        reasons = (step["stop_reason"] for step in self.history if step["stop_reason"])
        return {
            "status": "COMPLETED",
            "current_step": len(self.history),
            "completed": True,
            "bounded": False,
            "ceiling_reached": self.ceiling_reached,
            "max_type": "TRUE_MAX" if self.ceiling_reached else None,
            "final_best_concurrency": self.best_concurrency,
            "final_best_qps": self.best_qps,
            "final_reason": next(reasons, "Reached max workers"),
        }


STEP_STARTING_LACKS = (
    "current_qps",
    "current_p95_latency_ms",
    "current_p99_latency_ms",
    "current_error_rate_pct",
    "qps",
    "qps_vs_prior_pct",
    "p95_vs_baseline_pct",
    "error_rate",
    "queue_detected",
)
TRANSITIONING_LACKS = ("step_started_at_epoch_ms", "next_planned_concurrency")


def _without(state: Json, keys: tuple[str, ...]) -> Json:
    return {key: value for key, value in state.items() if key not in keys}


def _epoch_ms(at_s: float) -> int:
    return int(moment(at_s).timestamp() * 1_000)


def load_of(plan: Plan, *, error_share: float) -> Load:
    """What loads the database under *plan*; of its operations the *error_share* (0-1) fail."""
    if plan.load_mode == FIND_MAX:
        return FindMaxLoad(plan, error_share=error_share)
    return QpsLoad(plan) if plan.load_mode == "QPS" else SteadyLoad(plan)
