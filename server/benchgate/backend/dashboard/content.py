"""What the page of a run shows beside its lines: texts on one line, rows within bounds.

Pure: knows neither where a run is read nor how the page is drawn.
"""

from benchgate.domain.contract import RunDetail, TestStatus
from benchgate.domain.findings import Findings
from benchgate.domain.likeness import TELLERS, CautionKind
from benchgate.domain.runs import RunStatus
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

STEPS_SHOWN_MAX = 200
NOT_THE_LIMIT = "The load generator was not the limit."


class GeneratorVerdict(Value):
    """Whether the load generator was the limit, in a sentence."""

    is_limit: bool
    sentence: str


class PageData(Value):
    """What the page shows beside its lines; its texts hide nothing."""

    name: str
    target: str
    load: str
    workload: tuple[QueryShare, ...]
    notes: tuple[str, ...]
    generator: GeneratorVerdict | None = None
    steps_left_out: int = 0
    test: TestStatus


def content_of(detail: RunDetail, status: TestStatus) -> PageData:
    """The content of the page of the run that *detail* and *status* tell of."""
    config = detail.config
    findings = status.findings
    return PageData(
        name=one_line(detail.template_name),
        target=one_line(config.target),
        load=TELLERS[CautionKind.LOAD](config),
        workload=config.workload,
        notes=tuple(one_line(note) for note in _notes(status)),
        generator=_generator(findings) if findings else None,
        steps_left_out=_steps_left_out(findings),
        test=status.model_copy(update={"findings": _bounded(findings)}),
    )


def _notes(status: TestStatus) -> tuple[str, ...]:
    """What stands above the figures, without what the reason of an end has told already."""
    findings, reason = status.findings, status.reason or ""
    is_completed = status.status == RunStatus.COMPLETED
    if findings is None:
        return (reason,) if is_completed and reason else ()
    # Why a search ended stands at its steps.
    search = findings.search.sentence if findings.search else None
    told = "" if is_completed else reason
    return tuple(note for note in findings.notes if note != search and note not in told)


def _generator(findings: Findings) -> GeneratorVerdict | None:
    health = findings.generator
    if not health.workers:
        return None
    sentence = health.sentence if health.is_limit else NOT_THE_LIMIT
    return GeneratorVerdict(is_limit=health.is_limit, sentence=sentence)


def _steps_left_out(findings: Findings | None) -> int:
    steps = findings.search.steps if findings and findings.search else ()
    return max(0, len(steps) - STEPS_SHOWN_MAX)


def _bounded(findings: Findings | None) -> Findings | None:
    """*findings* with no more steps than the page has room for: the last ones tell the result."""
    if findings is None or findings.search is None:
        return findings
    steps = findings.search.steps[-STEPS_SHOWN_MAX:]
    search = findings.search.model_copy(update={"steps": steps})
    return findings.model_copy(update={"search": search})
