"""Gathers what is true of the tests of a comparison now: before it is made, and before a yes."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from benchgate.domain import cost
from benchgate.domain.comparisons import Comparison, PlannedTest, StepState
from benchgate.domain.contract import TemplateReadiness
from benchgate.domain.facts import ComparisonFacts, ListedTest
from benchgate.domain.likeness import cautions
from benchgate.domain.templates import Template
from benchgate.errors import BenchgateError, Conflict, InvalidInput, NotFound
from benchgate.gate.backend import Backend
from benchgate.gate.facts import FACTS_SECONDS_MAX, FactsReader, Obstacle
from benchgate.gate.transport.wire import within

LOOKS_AT_A_TIME = 4

Found = TypeVar("Found")


class Listing:
    """Reads tests from their backend."""

    def __init__(self, backend: Backend, facts: FactsReader) -> None:
        """Ask *backend*; *facts* words what is in the way."""
        self._backend = backend
        self._facts = facts

    async def facts(self, comparison: Comparison) -> ComparisonFacts | Obstacle:
        """What is true of the tests that are left, or why none can start now.

        Raises:
            NotFound: one of the templates does not exist any more.
            BenchgateError: the backend cannot be asked about them.
        """
        left = comparison.steps[comparison.position :]
        numbers = sorted({step.test for step in left})
        planned = [comparison.tests[number] for number in numbers]
        ready = await self.readiness([test.template_id for test in planned])
        ready[0] = await self._next(comparison, ready[0])
        active = next((one.active_run_id for one in ready if one.active_run_id), None)
        active = active or await self._facts.active_run_id()
        if active is not None:
            return Obstacle(
                subject_id=comparison.comparison_id,
                name=comparison.comparison_type,
                reason=await self._facts.in_the_way(active),
                active_run_id=active,
            )
        return ComparisonFacts(
            comparison_id=comparison.comparison_id,
            comparison_type=comparison.comparison_type,
            tests=tuple(map(_listed, planned, ready)),
            order=tuple(numbers.index(step.test) for step in left),
            done=comparison.position,
            cautions=cautions([one.template.config for one in ready]),
        )

    async def _next(self, comparison: Comparison, ready: TemplateReadiness) -> TemplateReadiness:
        """*ready* with what is true of the run that is there for the next test already.

        A backend may know more of a run than of its template.
        """
        step = comparison.step
        if step is None or step.state is not StepState.PREPARED or step.run_id is None:
            return ready
        try:
            facts = await self._facts.read(step.run_id)
        except (NotFound, InvalidInput, Conflict):
            return ready
        if isinstance(facts, Obstacle) or facts.config != ready.template.config:
            return ready
        return ready.model_copy(
            update={
                "connection": facts.connection,
                "bound": facts.bound,
                "warnings": facts.warnings,
                "can_proceed": facts.can_proceed,
            }
        )

    async def templates(self, template_ids: Sequence[str]) -> list[Template]:
        """These templates, in their order.

        Raises:
            BenchgateError: of the first one that cannot be read.
        """
        return await _each(template_ids, self._backend.template)

    async def readiness(self, template_ids: Sequence[str]) -> list[TemplateReadiness]:
        """What speaks for or against each of these templates, in their order.

        Raises:
            BenchgateError: of the first one that cannot be read.
        """
        return await _each(template_ids, self._backend.template_readiness)


async def _each(
    template_ids: Sequence[str], read: Callable[[str], Awaitable[Found]]
) -> list[Found]:
    """What *read* finds for each, some at a time; the first error, if there is one."""
    found: dict[str, Found] = {}
    errors: dict[str, BenchgateError] = {}
    looks = anyio.CapacityLimiter(LOOKS_AT_A_TIME)

    async def look(template_id: str) -> None:
        async with looks:
            try:
                found[template_id] = await read(template_id)
            except BenchgateError as exc:
                errors[template_id] = exc

    with within(FACTS_SECONDS_MAX):
        async with anyio.create_task_group() as tasks:
            for template_id in dict.fromkeys(template_ids):
                tasks.start_soon(look, template_id)
    for template_id in template_ids:
        if template_id in errors:
            raise errors[template_id]
    return [found[template_id] for template_id in template_ids]


def _listed(test: PlannedTest, ready: TemplateReadiness) -> ListedTest:
    template = ready.template
    return ListedTest(
        variant=test.variant,
        template_id=test.template_id,
        template_name=template.template_name,
        config=template.config,
        connection=ready.connection,
        copies_writes=ready.copies_writes,
        bound=ready.bound,
        estimated_cost=cost.estimate(template.config),
        warnings=ready.warnings,
        can_proceed=ready.can_proceed,
    )
