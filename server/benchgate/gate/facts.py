"""Gathers what is true of a run now: what a person is asked about, or why nobody need be asked."""

import anyio

from benchgate.domain import cost
from benchgate.domain.contract import Readiness, RunDetail
from benchgate.domain.facts import StartFacts, start_facts
from benchgate.domain.preflight import PreflightReport
from benchgate.domain.runs import RunSnapshot, RunStatus, is_active, is_terminal
from benchgate.domain.values import Value
from benchgate.errors import BackendError, BenchgateError, InvalidInput, NotFound
from benchgate.gate.backend import Backend
from benchgate.gate.figures import clock
from benchgate.gate.lane import Lane
from benchgate.gate.names import ToolName
from benchgate.gate.transport.wire import within

FACTS_SECONDS_MAX = 25


class Obstacle(Value):
    """Why something cannot start whatever anyone says; `active_run_id` is what is in its way."""

    subject_id: str
    name: str
    reason: str
    active_run_id: str | None = None


class FactsReader:
    """Reads the facts of a run from its backend."""

    def __init__(self, backend: Backend, lane: Lane) -> None:
        """Ask *backend*, and where it does not say what is active, look into its *lane*."""
        self._backend = backend
        self._lane = lane

    async def read(self, run_id: str) -> StartFacts | Obstacle:
        """What is true of *run_id* now, or why it cannot start.

        Raises:
            BenchgateError: the run does not exist, or the backend cannot be asked about it.
        """
        with within(FACTS_SECONDS_MAX):
            ready = await self._backend.readiness(run_id) or await self._gathered(run_id)
        if ready.run.run_id != run_id:
            raise BackendError("The backend answered about another run than the one asked for.")
        if reason := _not_startable(ready.run):
            return _obstacle(ready.run, reason)
        if ready.active_run_id is not None:
            obstacle = _obstacle(ready.run, await self.in_the_way(ready.active_run_id))
            return obstacle.model_copy(update={"active_run_id": ready.active_run_id})
        if ready.preflight is None:
            raise BackendError("The backend has no preflight for a run that could start.")
        estimated = cost.estimate(ready.run.config)
        return start_facts(ready.run, preflight=ready.preflight, cost=estimated)

    async def in_the_way(self, active_run_id: str) -> str:
        """Why no test can start while another run is active, and what can be done about it."""
        told = RunSnapshot(run_id=active_run_id, status=RunStatus.RUNNING)
        left_seconds = _left_seconds(await self._backend.snapshot_or(told))
        left = "" if left_seconds is None else f", about {clock(left_seconds)} left"
        return (
            f"Run {active_run_id} is active on this backend{left}, and tests run one at a time: "
            f"wait for it with {ToolName.GET_STATUS} on it, or stop it with {ToolName.STOP_RUN}."
        )

    async def active_run_id(self, run_id: str | None = None) -> str | None:
        """The run that loads the backend now, as far as it is known; *run_id* does not count.

        A backend that starts one run at a time says which; of another one is known what was
        started through us.
        """
        activity = await self._backend.activity()
        if activity.active_run_id is not None or activity.is_exclusive:
            return activity.active_run_id
        last = await self._lane.occupant()
        if last is None or last == run_id:
            return None
        try:
            snapshot = await self._backend.snapshot(last)
        except NotFound:
            return None
        return last if is_active(snapshot.status) else None

    async def _gathered(self, run_id: str) -> Readiness:
        """The same from a backend that has to be asked for each part of it."""
        # First, because the preflight looks into the database, which a test may be loading.
        active_run_id = await self.active_run_id(run_id)
        if active_run_id is not None:
            return Readiness(run=await self._backend.run(run_id), active_run_id=active_run_id)
        detail, report = await self._look(run_id)
        if isinstance(report, PreflightReport):
            return Readiness(run=detail, preflight=report)
        if _not_startable(detail) is None:
            raise report
        return Readiness(run=detail)

    async def _look(self, run_id: str) -> tuple[RunDetail, PreflightReport | BenchgateError]:
        """The run, and beside it its preflight or why there is none; what has no run has none."""
        report: PreflightReport | BenchgateError = InvalidInput()
        error: BenchgateError | None = None
        detail: RunDetail | None = None

        async def inspect() -> None:
            nonlocal report
            try:
                report = await self._backend.preflight(run_id)
            except BenchgateError as exc:
                report = exc

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inspect)
            try:
                detail = await self._backend.run(run_id)
            except BenchgateError as exc:
                error = exc
                tasks.cancel_scope.cancel()
        if detail is None:
            assert error is not None, "a run is read or it is not"
            raise error
        return detail, report


def _left_seconds(active: RunSnapshot) -> float | None:
    """The time that a run has still to go; None where nobody knows, or where it is over."""
    if active.is_terminal or active.expected_seconds is None:
        return None
    left_seconds = active.expected_seconds - active.elapsed_seconds
    return left_seconds if left_seconds >= 1 else None


def _obstacle(run: RunDetail, reason: str) -> Obstacle:
    return Obstacle(subject_id=run.run_id, name=run.template_name, reason=reason)


def _not_startable(run: RunDetail) -> str | None:
    if run.status == RunStatus.PREPARED:
        return None
    if is_terminal(run.status):
        return (
            f"The run has ended as {run.status}, and a run starts once: create_run makes a new one."
        )
    return f"The run is {run.status} already; only a PREPARED run can start."
