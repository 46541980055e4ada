"""What the workers are told of a run: its load, out of the configuration that it has.

It knows neither connections nor what is around the backend.
"""

from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.capacity import needed_at_once
from benchgate.backend.engine.load import Load, Ramp, Schedule
from benchgate.backend.runs import Run
from benchgate.domain.bounds import bound_of
from benchgate.domain.objectives import objectives_of
from benchgate.domain.search import plan_of
from benchgate.domain.templates import LoadMode, ScalingMode, TemplateConfig


def load_of(run: Run, target: Target, *, search_limit: int | None = None) -> Load:
    """What the workers are told when *run* starts; a search keeps within *search_limit*."""
    config = run.config
    ramp = _ramp(config, search_limit)
    at_most = config.connections if ramp is None else ramp.plan.concurrency_max
    return Load(
        run_id=run.run_id,
        target=target,
        workload=config.workload,
        connections=at_most,
        connections_at_start=_at_start(config, ramp),
        workers_min=config.scaling.min_workers,
        workers_max=_workers_max(config),
        think_time_ms=config.think_time,
        schedule=_schedule(config),
        ramp=ramp,
        decode_rows=config.decode_rows,
        use_cached_result=config.use_cached_result,
        warmup_seconds=config.warmup,
        duration_seconds=load_seconds_max(config),
        seed=run.seed,
        worker_loss=config.worker_loss,
        guardrails=config.guardrails,
        objectives=objectives_of(config),
    )


def load_seconds_max(config: TemplateConfig) -> int:
    """How long the load of *config* may take after its warm-up."""
    bound = bound_of(config)
    return config.duration if bound is None else bound.seconds_max - config.warmup


def _ramp(config: TemplateConfig, search_limit: int | None) -> Ramp | None:
    if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
        return None
    plan = plan_of(config, server_max=search_limit)
    return Ramp(plan=plan, step_seconds=config.step_duration_seconds)


def _schedule(config: TemplateConfig) -> Schedule | None:
    if config.load_mode is not LoadMode.QPS:
        return None
    assert config.target_qps is not None, "a template with a rate names it"
    return Schedule(rate_per_s=config.target_qps, spacing=config.arrivals)


def _at_start(config: TemplateConfig, ramp: Ramp | None) -> int:
    if ramp is not None:
        return ramp.plan.start_concurrency
    return needed_at_once(config)


def _workers_max(config: TemplateConfig) -> int | None:
    """The most worker processes that the template allows; None where it leaves that open."""
    scaling = config.scaling
    return scaling.min_workers if scaling.mode is ScalingMode.FIXED else scaling.max_workers
