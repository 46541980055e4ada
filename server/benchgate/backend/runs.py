"""The runs: what each was told to do, where it stands, and what it came to.

A status changes only here, in one transaction that reads it, asks the table of `domain.runs`
and writes the answer; so two callers can never both win.
"""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import model_validator

from benchgate.backend.drivers.port import Target
from benchgate.backend.store import RUNS, SERIES, TEMPLATES
from benchgate.backend.templates import config_text
from benchgate.database import store_errors
from benchgate.domain.contract import ErrorRow, RunRow
from benchgate.domain.cost import spent
from benchgate.domain.findings import Findings
from benchgate.domain.runs import (
    ACTIVE,
    TERMINAL,
    RunEvent,
    RunStatus,
    Summary,
    next_status,
)
from benchgate.domain.templates import Template, TemplateConfig
from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import Conflict, NotFound

SCRATCH_MAX = 100  # tried at a start; what is beyond has its turn at a later one
SCRATCH_KEPT_MAX = 1_000  # remembered; older ones are given up
NEVER_BEGAN = "The load ended before it began."


class Scratch(Value):
    """A scratch copy as it is remembered from before it is made until it is known to be gone."""

    copy_at: Target
    place: str | None = None  # the identity of the server or folder on which it was made
    tries: int = 0  # of later backends to remove it

    @model_validator(mode="before")
    @classmethod
    def _was_a_target(cls, data: Any) -> Any:
        # Before there was more to remember, it was the target alone.
        return data if "copy_at" in data else {"copy_at": data}


class Leftover(Value):
    """A scratch copy that was not removed with its run."""

    run_id: str
    scratch: Scratch


class Run(Value):
    """A run as it is recorded. Its configuration is the one it was created with."""

    run_id: str
    template_id: str
    template_name: str
    config: TemplateConfig
    seed: int
    status: RunStatus
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    updated_at: datetime
    elapsed_seconds: float
    measured_seconds: float | None
    cost_credits: float | None
    summary: Summary | None
    findings: Findings | None


class Ending(Value):
    """What is written when a run ends.

    *failed* says that it did not end as it should have, *limited* that a guardrail ended it.
    """

    failed: bool = False
    limited: bool = False
    reason: str | None = None
    summary: Summary | None = None
    elapsed_seconds: float = 0
    measured_seconds: float | None = None
    cost_credits: float | None = None
    errors: tuple[ErrorRow, ...] = ()
    findings: Findings | None = None


class RunTable:
    """Runs as rows. Every method is one transaction and blocks: call it from a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Keep them in *engine*, whose schema is up to date."""
        self._engine = engine

    def add(self, template: Template, *, run_id: str, seed: int, at: datetime) -> Run:
        """Create a prepared run of *template* as it is now."""
        new = RUNS.insert().values(
            run_id=run_id,
            template_id=template.template_id,
            template_name=template.template_name,
            config=config_text(template.config),
            seed=seed,
            status=RunStatus.PREPARED,
            elapsed_seconds=0,
            created_at=at,
            updated_at=at,
        )
        with store_errors(), self._engine.begin() as connection:
            connection.execute(new)
            return _run(_existing(connection, run_id))

    def get(self, run_id: str) -> Run:
        """The run of that id."""
        with store_errors(), self._engine.begin() as connection:
            return _run(_existing(connection, run_id))

    def newest(self, *, limit: int, status: RunStatus | None = None) -> list[RunRow]:
        """At most *limit* runs, the newest first, all or those of one status."""
        query = RUNS.select().order_by(RUNS.c.number.desc()).limit(limit)
        if status is not None:
            query = query.where(RUNS.c.status == status)
        with store_errors(), self._engine.begin() as connection:
            rows = connection.execute(query).mappings().all()
        return [RunRow.model_validate(dict(row)) for row in rows]

    def errors_of(self, run_id: str) -> tuple[ErrorRow, ...]:
        """The errors that the run ended with."""
        with store_errors(), self._engine.begin() as connection:
            text = _existing(connection, run_id).errors
        return tuple(ErrorRow.model_validate(row) for row in json.loads(text or "[]"))

    def begin(self, run_id: str, *, at: datetime) -> Run:
        """Start a prepared run, and count the use of its template.

        Raises:
            Conflict: it is not prepared, or another run is active.
        """
        with store_errors(), self._engine.begin() as connection:
            run = _run(_existing(connection, run_id))
            refuse_unless_prepared(run)
            _refuse_beside_another(connection)
            moved = _moved(connection, run_id, RunEvent.START, at=at, values={"started_at": at})
            used = TEMPLATES.update().where(TEMPLATES.c.template_id == run.template_id)
            connection.execute(
                used.values(usage_count=TEMPLATES.c.usage_count + 1, last_used_at=at)
            )
            return moved

    def move(self, run_id: str, event: RunEvent, *, at: datetime) -> Run:
        """Tell the run that *event* happened.

        Raises:
            Conflict: a run in its status cannot take the event.
        """
        with store_errors(), self._engine.begin() as connection:
            return _moved(connection, run_id, event, at=at, values={})

    def end(self, run_id: str, ending: Ending, *, at: datetime) -> Run:
        """End an active run: FAILED, or what its status leads to when its load has settled.

        A run that has ended stays as it is: a backend that shuts down does not wait for ever for
        its load, and writes an end itself.
        """
        with store_errors(), self._engine.begin() as connection:
            run = _run(_existing(connection, run_id))
            if run.status in TERMINAL:
                return run
            if run.status is RunStatus.STARTING and not ending.failed:
                ending = ending.model_copy(update={"failed": True, "reason": NEVER_BEGAN})
            for event in _events_to_the_end(run.status, ending):
                run = _moved(connection, run_id, event, at=at, values=_columns(ending))
            return run

    def note_scratch(self, run_id: str, scratch: Scratch | None) -> None:
        """Keep where the run's scratch copy lies, before it is made and until it is removed."""
        text = None if scratch is None else scratch.model_dump_json()
        mine = RUNS.update().where(RUNS.c.run_id == run_id)
        with store_errors(), self._engine.begin() as connection:
            connection.execute(mine.values(scratch=text))

    def leftovers(self) -> list[Leftover]:
        """The scratch copies of runs that have ended: those that were tried least come first.

        So one that cannot be removed does not keep others, and newer ones, from their turn.
        """
        with store_errors(), self._engine.begin() as connection:
            found = connection.execute(_remembered().limit(SCRATCH_KEPT_MAX)).all()
        # What is equal stays in its order, the newest first.
        return sorted(map(_leftover, found), key=lambda one: one.scratch.tries)[:SCRATCH_MAX]

    def give_up_scratch(self) -> list[Leftover]:
        """Forget the scratch copies beyond those that are remembered, and say which they were."""
        with store_errors(), self._engine.begin() as connection:
            # SQLite knows no offset without a limit.
            beyond = _remembered().offset(SCRATCH_KEPT_MAX).limit(SCRATCH_KEPT_MAX)
            given_up = [_leftover(row) for row in connection.execute(beyond).all()]
            for one in given_up:
                mine = RUNS.update().where(RUNS.c.run_id == one.run_id)
                connection.execute(mine.values(scratch=None))
        return given_up

    def remark(self, run_id: str, text: str) -> None:
        """Add *text* to what is told of a run that has ended, unless its like is told already.

        The like begins with the same words, up to a colon.
        """
        with store_errors(), self._engine.begin() as connection:
            run = _run(_existing(connection, run_id))
            told = run.findings.remarks if run.findings else (run.reason or "",)
            if any(text.partition(":")[0] in one for one in told):
                return
            mine = RUNS.update().where(RUNS.c.run_id == run_id)
            if run.findings is None:
                connection.execute(mine.values(reason=f"{run.reason or ''} {text}".strip()))
            else:
                findings = run.findings.model_copy(update={"remarks": (*told, text)})
                connection.execute(mine.values(findings=findings.model_dump_json()))

    def fail_active(self, reason: str, *, at: datetime) -> list[str]:
        """End every run that is recorded as active although nobody drives it; answers their ids."""
        active = sa.select(RUNS.c.run_id).where(RUNS.c.status.in_(ACTIVE))
        with store_errors(), self._engine.begin() as connection:
            run_ids = [str(run_id) for run_id in connection.scalars(active).all()]
            for run_id in run_ids:
                elapsed = _last_second(connection, run_id)
                config = _run(_existing(connection, run_id)).config
                lost: dict[str, object] = {
                    "reason": reason,
                    "elapsed_seconds": elapsed,
                    "cost_credits": spent(config, elapsed).credits,
                }
                _moved(connection, run_id, RunEvent.FAIL, at=at, values=lost)
        return run_ids


def refuse_unless_prepared(run: Run) -> None:
    """Say why *run* cannot be started, if it cannot."""
    if run.status in ACTIVE:
        raise Conflict(
            f"Run {run.run_id} is already {run.status}.",
            hint="Nothing was started again; read its status.",
        )
    if run.status in TERMINAL:
        raise Conflict(
            f"Run {run.run_id} has ended as {run.status}; a run is started once.",
            hint="Create another run of the same template.",
        )


def active_elsewhere(run_id: str) -> Conflict:
    """The refusal to start anything while *run_id* is active."""
    return Conflict(
        f"Run {run_id} is active, and one test runs at a time.",
        hint="Wait for its end or stop it, then start again.",
    )


def _refuse_beside_another(connection: sa.Connection) -> None:
    active = connection.scalar(sa.select(RUNS.c.run_id).where(RUNS.c.status.in_(ACTIVE)))
    if active is not None:
        raise active_elsewhere(active)


def _moved(
    connection: sa.Connection,
    run_id: str,
    event: RunEvent,
    *,
    at: datetime,
    values: dict[str, object],
) -> Run:
    """Write the run after *event*; the caller's transaction holds off every other writer."""
    status = next_status(RunStatus(_existing(connection, run_id).status), event)
    changed = values | {"status": status, "updated_at": at}
    if status in TERMINAL:
        changed["ended_at"] = at
    connection.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(changed))
    return _run(_existing(connection, run_id))


def _events_to_the_end(status: RunStatus, ending: Ending) -> tuple[RunEvent, ...]:
    if ending.failed:
        return (RunEvent.FAIL,)
    # A person who stopped it was faster than any limit.
    is_cancelled = status is RunStatus.CANCELLING
    last = RunEvent.LIMIT if ending.limited and not is_cancelled else RunEvent.SETTLED
    return (RunEvent.TIME_ELAPSED, last) if status is RunStatus.RUNNING else (last,)


def _last_second(connection: sa.Connection, run_id: str) -> float:
    """How far the series of the run has come."""
    furthest = sa.select(sa.func.max(SERIES.c.elapsed_seconds)).where(SERIES.c.run_id == run_id)
    return connection.scalar(furthest) or 0


def _remembered() -> sa.Select[str, str]:
    """The scratch copies that are remembered of runs that nobody drives, the newest first."""
    wanted = RUNS.c.scratch.is_not(None), RUNS.c.status.not_in(ACTIVE)
    return sa.select(RUNS.c.run_id, RUNS.c.scratch).where(*wanted).order_by(RUNS.c.number.desc())


def _leftover(row: sa.Row[Any, Any]) -> Leftover:
    return Leftover(run_id=row.run_id, scratch=Scratch.model_validate_json(row.scratch))


def _columns(ending: Ending) -> dict[str, object]:
    summary = ending.summary
    return {
        "reason": ending.reason,
        "summary": None if summary is None else summary.model_dump_json(),
        "elapsed_seconds": ending.elapsed_seconds,
        "measured_seconds": ending.measured_seconds,
        "cost_credits": ending.cost_credits,
        "errors": json.dumps([row.model_dump(mode="json") for row in ending.errors]),
        "findings": None if ending.findings is None else ending.findings.model_dump_json(),
    }


def _existing(connection: sa.Connection, run_id: str) -> sa.Row[Any]:
    row = connection.execute(RUNS.select().where(RUNS.c.run_id == run_id)).first()
    if row is None:
        raise NotFound(f"Run not found: {one_line(run_id, 80)}")
    return row


def _run(row: sa.Row[Any]) -> Run:
    return Run(
        run_id=row.run_id,
        template_id=row.template_id,
        template_name=row.template_name,
        config=TemplateConfig.model_validate_json(row.config),
        seed=row.seed,
        status=RunStatus(row.status),
        reason=row.reason,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        updated_at=row.updated_at,
        elapsed_seconds=row.elapsed_seconds,
        measured_seconds=row.measured_seconds,
        cost_credits=row.cost_credits,
        summary=None if row.summary is None else Summary.model_validate_json(row.summary),
        findings=None if row.findings is None else Findings.model_validate_json(row.findings),
    )
