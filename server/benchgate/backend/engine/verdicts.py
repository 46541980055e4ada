"""From the sums of a run to its findings: every figure, and what the template wanted of it."""

from collections.abc import Sequence

from benchgate.backend.engine.ledger import Ledger
from benchgate.backend.engine.load import Load
from benchgate.domain.findings import Findings, SearchFindings
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.objectives import RateVerdict, judge


def findings_of(
    load: Load,
    ledger: Ledger,
    *,
    found: SearchFindings | None,
    health: GeneratorHealth,
    lost: Sequence[str],
) -> Findings:
    """Everything that *ledger* tells of *load*."""
    seconds = ledger.measured_seconds
    measured = ledger.measured
    kinds = measured.kinds(seconds) if seconds else ()
    silence = ledger.silence(think_time_ms=load.think_time_ms)
    rate = None
    if load.schedule is not None and seconds:
        rate = RateVerdict(
            target_qps=load.schedule.rate_per_s, qps=round(measured.answered / seconds, 1)
        )
        health = health.model_copy(update={"response_p99_ms": measured.latency().percentile_ms(99)})
    return Findings(
        kinds=kinds,
        schedule=ledger.timekeeping.schedule,
        rate=rate,
        verdicts=judge(load.objectives, kinds) if seconds else (),
        search=found,
        generator=health,
        remarks=(*lost, *([] if silence is None else [silence])),
    )
