"""From the sums of a run to its findings: every figure, and what the template wanted of it."""

from collections.abc import Sequence

from benchgate.backend.engine.ledger import Ledger
from benchgate.backend.engine.load import Load
from benchgate.backend.engine.pilot import Pilot, Standing
from benchgate.domain.findings import Findings
from benchgate.domain.generator import GeneratorHealth
from benchgate.domain.objectives import RateVerdict, judge
from benchgate.domain.templates import FILE_TABLES


def findings_of(
    load: Load,
    ledger: Ledger,
    *,
    pilot: Pilot,
    health: GeneratorHealth,
    remarks: Sequence[str],
) -> Findings:
    """Everything that *ledger* and *pilot* tell of *load*; *health* is that of the whole of it."""
    measured, seconds, made, unanswered_s = pilot.standing or Standing(
        ledger.measured, ledger.measured_seconds, health, ledger.unanswered_seconds
    )
    kinds = measured.kinds(seconds) if seconds else ()
    seen = (ledger.refusal(), ledger.silence())
    rate = None
    own: dict[str, object] = {"is_in_process": load.target.table_type in FILE_TABLES}
    if load.schedule is not None and seconds:
        schedule = ledger.timekeeping.schedule
        rate = RateVerdict(
            target_qps=load.schedule.rate_per_s,
            qps=measured.answered / seconds,
            scheduled=schedule.scheduled if schedule else 0,
            answered=measured.answered,
            backlog=ledger.backlog,
            # Little's law.
            under_way=int(load.schedule.rate_per_s * measured.mean_service_s),
        )
        own["response_p99_ms"] = measured.latency().percentile_ms(99)
    return Findings(
        kinds=kinds,
        schedule=ledger.timekeeping.schedule,
        rate=rate,
        unanswered_seconds=unanswered_s,
        verdicts=judge(load.objectives, kinds, unanswered_s=unanswered_s) if seconds else (),
        search=pilot.found,
        generator=made.model_copy(update=own | {"workers_lost": health.workers_lost}),
        remarks=(*remarks, *(remark for remark in seen if remark is not None)),
    )
