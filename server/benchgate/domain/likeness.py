"""Whether tests are like with like: what differs between them besides what is compared.

A difference is a caution and no refusal: it may be the very thing that somebody wants to compare.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from benchgate.domain.templates import LoadMode, QueryShare, TemplateConfig
from benchgate.domain.values import Value


class CautionKind(StrEnum):
    """In what tests differ."""

    MODE = "mode"
    DURATION = "duration"
    LOAD = "load"
    WORKLOAD = "workload"
    STATEMENTS = "statements"


class Caution(Value):
    """One respect in which tests differ; `values` has what each of them has, in their order."""

    kind: CautionKind
    values: tuple[str, ...]


def cautions(configs: Sequence[TemplateConfig]) -> tuple[Caution, ...]:
    """What differs between *configs* so that their figures are not like with like."""
    told = [(kind, tuple(tell(config) for config in configs)) for kind, tell in TELLERS.items()]
    return tuple(Caution(kind=kind, values=values) for kind, values in told if len({*values}) > 1)


def _mode(config: TemplateConfig) -> str:
    return config.load_mode.value


def _duration(config: TemplateConfig) -> str:
    if config.expected_seconds is None:
        return f"open, in steps of {config.step_duration_seconds}s"
    return f"{config.duration}s after {config.warmup}s of warm-up"


def _load(config: TemplateConfig) -> str:
    think = f", {config.think_time} ms between operations" if config.think_time else ""
    connections = f"{config.connections} connections{think}"
    if config.load_mode is LoadMode.QPS:
        first = config.starting_threads
        start = "" if first is None else f", {first:g} to begin with"
        return f"{config.target_qps:g} QPS on {connections}{start}"
    if config.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
        return f"{connections}, +{config.concurrency_increment} each step; {_limits(config)}"
    return connections


def _limits(config: TemplateConfig) -> str:
    """At what a search ends."""
    return (
        f"ends at QPS -{config.qps_stability_pct:g}%, "
        f"p95 +{config.latency_stability_pct:g}%, errors {config.max_error_rate_pct:g}%"
    )


def _workload(config: TemplateConfig) -> str:
    shares = (f"{share.share_pct:g}% {share.kind.lower()}" for share in config.workload)
    return ", ".join(shares).replace("_", " ")


def _statements(config: TemplateConfig) -> str:
    own = [_statement(share) for share in config.workload if share.sql]
    return "; ".join(own) or "the built-in ones"


def _statement(share: QueryShare) -> str:
    given = ", ".join(one.told for one in share.parameters)
    return f"{share.sql} with {given}" if given else share.sql or ""


TELLERS: dict[CautionKind, Callable[[TemplateConfig], str]] = {
    CautionKind.MODE: _mode,
    CautionKind.DURATION: _duration,
    CautionKind.LOAD: _load,
    CautionKind.WORKLOAD: _workload,
    CautionKind.STATEMENTS: _statements,
}
