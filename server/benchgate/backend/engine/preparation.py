"""What has to be there before a run can load, and is taken away after it.

A workload that writes gets a scratch copy of its table, unless its template says otherwise. Where
the copy will lie is recorded before it is made and until it is gone, so that a killed backend
leaves nothing for ever: the next one removes what is recorded, and nothing else.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from benchgate.backend.drivers.port import Driver, Target
from benchgate.backend.engine.capacity import search_limit
from benchgate.backend.engine.copies import Copies, Making, making_of
from benchgate.backend.engine.load import Load
from benchgate.backend.engine.target import load_of
from benchgate.backend.engine.targets import Targets
from benchgate.backend.runs import Run
from benchgate.domain.templates import LoadMode, QueryShare, TableType, TemplateConfig
from benchgate.errors import BenchgateError

T = TypeVar("T")


class Prepared:
    """A load that can begin, or None where a stop came first.

    `remark` says what could not be taken away after it.
    """

    def __init__(self, load: Load | None) -> None:
        self.load = load
        self.remark: str | None = None


class Preparation:
    """Turns runs into loads."""

    def __init__(
        self,
        targets: Targets,
        copies: Copies,
        *,
        drivers: Callable[[TableType], Driver],
    ) -> None:
        """Find *targets*, and make by *drivers* what *copies* keeps on record and removes."""
        self._targets = targets
        self._copies = copies
        self._drivers = drivers

    @asynccontextmanager
    async def prepared(self, run: Run, stop: anyio.Event) -> AsyncGenerator[Prepared]:
        """The load of *run*, whose target is there as long as this lasts.

        What it takes is given up as soon as *stop* is set.

        Raises:
            BenchgateError: there is no target to load, or no copy of it can be made.
        """
        target = await anyio.to_thread.run_sync(self._targets.of, run.config)
        load = await _unless(stop, partial(self._load, run, target))
        if load is None or not run.config.copies_writes:
            yield Prepared(load)
            return
        driver = self._drivers(run.config.table_type)
        scratch = await self._copies.remember(run.run_id, target, driver)
        prepared = Prepared(load.model_copy(update={"target": scratch.copy_at}))
        making = Making.MADE
        try:
            copy = partial(_copy, driver, target, scratch.copy_at, workload=run.config.workload)
            try:
                if await _unless(stop, copy) is None:
                    prepared.load = None
            except BenchgateError as exc:
                making = making_of(exc)
                raise
            yield prepared
        finally:
            with anyio.CancelScope(shield=True):
                prepared.remark = await self._copies.remove(run.run_id, scratch, making=making)

    async def _load(self, run: Run, target: Target) -> Load:
        limit = await self._search_limit(run.config, target)
        return load_of(run, target, search_limit=limit)

    async def _search_limit(self, config: TemplateConfig, target: Target) -> int | None:
        """How far a search may go on the server of *target*; None for any other load."""
        if config.load_mode is not LoadMode.FIND_MAX_CONCURRENCY:
            return None
        return search_limit(config, await self._drivers(config.table_type).survey(target))


async def _copy(
    driver: Driver, target: Target, scratch: Target, *, workload: tuple[QueryShare, ...]
) -> Target:
    await driver.make_scratch(target, scratch)
    # What writes past the copy shows only when the copy is there.
    await driver.check(scratch, workload)
    return scratch


async def _unless(stop: anyio.Event, work: Callable[[], Awaitable[T]]) -> T | None:
    """What *work* comes to; None where *stop* was set before, and the work was given up."""
    found: T | None = None
    refusal: BenchgateError | None = None
    async with anyio.create_task_group() as tasks:

        async def heed_stop() -> None:
            await stop.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(heed_stop)
        try:
            found = await work()
        except BenchgateError as exc:
            refusal = exc  # A task group would wrap it.
        tasks.cancel_scope.cancel()
    if refusal is not None:
        raise refusal
    return found
