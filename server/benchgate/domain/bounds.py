"""When a search that nothing else ends is stopped: after how long, and after how many steps."""

from benchgate.domain.runs import OwnStop, RunSnapshot, RunStatus
from benchgate.domain.templates import LoadMode, TemplateConfig
from benchgate.domain.values import Value

# With fewer, a search could not tell where it has become worse.
SEARCH_STEPS_MIN = 3
# Before its first step a search gets ready, and a backend may count that time as the search's own.
READY_SECONDS_MAX = 120
# Beyond the way up a search goes back once, and up again once: what then follows is repetition.
RETRIED_STEPS = 2
# What a backend without a bound of its own fills in for a worker without a limit.
WORKER_CONNECTIONS_DEFAULT = 200


class Bound(Value):
    """The most that a search may take, from its start on, and what it may try."""

    seconds_max: int
    steps_max: int
    concurrency_max: int | None = None  # None where nobody limits it beforehand

    def broken_by(self, snapshot: RunSnapshot) -> OwnStop | None:
        """The stop that *snapshot* gives reason for; None while the search keeps within."""
        late_seconds = snapshot.elapsed_seconds - self.seconds_max
        has_searched = (snapshot.current_step or 0) > SEARCH_STEPS_MIN
        if late_seconds >= (0 if has_searched else READY_SECONDS_MAX):
            return _stop(f"{self.seconds_max} s", snapshot)
        if (snapshot.current_step or 0) > self.steps_max:
            return _stop(f"{self.steps_max} steps", snapshot)
        return None


def bound_of(config: TemplateConfig) -> Bound | None:
    """The bound of a search: the time that its template names, warm-up added.

    It takes as many steps as fit into that time, and where scaling limits the connections no more
    than lead up to that limit. None for a load that ends by its time.
    """
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return None
    seconds = max(config.duration, SEARCH_STEPS_MIN * config.step_duration_seconds)
    fitting = -(-seconds // config.step_duration_seconds)
    leading_up = _steps_to_limit(config)
    steps = fitting if leading_up is None else min(fitting, leading_up)
    return Bound(seconds_max=config.warmup + seconds, steps_max=max(SEARCH_STEPS_MIN, steps))


def _steps_to_limit(config: TemplateConfig) -> int | None:
    """The steps to the most connections that scaling allows, retries included; None without."""
    workers = config.scaling.max_workers
    if workers is None:
        return None
    limit = workers * (config.scaling.max_connections or WORKER_CONNECTIONS_DEFAULT)
    way = max(0, limit - config.start_concurrency)
    return 1 + -(-way // config.concurrency_increment) + RETRIED_STEPS


def _stop(reached: str, snapshot: RunSnapshot) -> OwnStop:
    reason = f"Stopped by benchgate: its bound of {reached} was reached"
    if snapshot.best_concurrency:
        qps = f" at {snapshot.best_qps:.0f} QPS" if snapshot.best_qps else ""
        reason += f"; best so far {snapshot.best_concurrency} threads{qps}"
    return OwnStop(status=RunStatus.STOPPED, reason=reason)
