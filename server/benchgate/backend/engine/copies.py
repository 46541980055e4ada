"""The removal of scratch copies: after their run, or at the start of the next backend.

A copy that is not found counts as gone only where it was made: the environment may lead to another
server by then. What is not known to be gone stays on record, and is told with what a person can do.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum

import anyio

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import ConnectionReference, Driver, Removal, Target
from benchgate.backend.engine.assignments import application_name
from benchgate.backend.engine.record import Record
from benchgate.backend.runs import Scratch
from benchgate.domain.templates import FILE_TABLES, TableType
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, NameTaken

DROP_SECONDS_MAX = 15
LATER = "The backend tries again at a later start."
ELSEWHERE = "it is not there, and whether that is where it was made cannot be told"
UNMARKED = "what bears its name lacks the mark of a copy of ours"


class Making(StrEnum):
    """What came of the making of a copy."""

    MADE = "MADE"
    FAILED = "FAILED"
    TAKEN = "TAKEN"


# What may be found in the place of a copy that is nobody's concern here. In Snowflake a copy is
# there before its mark is, so that one without it is somebody else's only where the making met it.
NOT_OURS: Mapping[Making, frozenset[str]] = {
    Making.MADE: frozenset(),
    Making.FAILED: frozenset({ELSEWHERE}),
    Making.TAKEN: frozenset({ELSEWHERE, UNMARKED}),
}

log = logging.getLogger(__name__)


class Copies:
    """The scratch copies that are on record."""

    def __init__(self, record: Record, drivers: Callable[[TableType], Driver]) -> None:
        """Keep *record*, and remove by *drivers*."""
        self._record = record
        self._drivers = drivers

    async def remember(self, run_id: str, target: Target, driver: Driver) -> Scratch:
        """Write down where the copy of *target* for the run will lie, before it is made.

        Raises:
            DatabaseError: the server does not answer.
        """
        place = await driver.identity(target)
        scratch = Scratch(copy_at=driver.scratch(target, run_id), place=place)
        await self._record.note_scratch(run_id, scratch)
        return scratch

    async def remove(self, run_id: str, scratch: Scratch, *, making: Making) -> str | None:
        """Remove what this process has made; why it may still be there, if it may."""
        left = await self._removed(scratch, is_fresh=True)
        if left is None or left in NOT_OURS[making]:
            await self._record.note_scratch(run_id, None)
            return None
        return self._told(run_id, scratch, left)

    async def remove_leftovers(self) -> None:
        """Remove the copies of runs that nobody drives any more."""
        for leftover in await self._record.give_up_scratch():
            log.warning("%s", _told(leftover.scratch, "too many are on record", "It is given up."))
        for leftover in await self._record.leftovers():
            run_id, scratch = leftover.run_id, leftover.scratch
            tried = scratch.model_copy(update={"tries": scratch.tries + 1})
            # Before it is tried: what kills a backend must not be the first again.
            await self._record.note_scratch(run_id, tried)
            left = await self._removed_after_all(run_id, scratch)
            if left is None:
                await self._record.note_scratch(run_id, None)
            else:
                await self._record.remark(run_id, self._told(run_id, scratch, left))

    async def _removed_after_all(self, run_id: str, scratch: Scratch) -> str | None:
        try:
            driver = self._drivers(scratch.copy_at.table_type)
        except BenchgateError as exc:
            return one_line(str(exc))
        # A worker of the backend that is gone may still hang on it.
        with suppress(BenchgateError):
            await driver.end_sessions(scratch.copy_at, application_name(run_id))
        return await self._removed(scratch, is_fresh=False)

    async def _removed(self, scratch: Scratch, *, is_fresh: bool) -> str | None:
        """Remove *scratch*; why it may still be there, if it may."""
        driver = self._drivers(scratch.copy_at.table_type)
        try:
            with anyio.fail_after(DROP_SECONDS_MAX):
                removal = await driver.drop_scratch(scratch.copy_at)
                if removal is Removal.UNMARKED:
                    return UNMARKED
                if removal is Removal.ABSENT and not await _is_where_it_was_made(
                    scratch, driver, is_fresh=is_fresh
                ):
                    return ELSEWHERE
        except (BenchgateError, TimeoutError) as exc:
            return one_line(str(exc)) or f"no answer within {DROP_SECONDS_MAX} s"
        return None

    def _told(self, run_id: str, scratch: Scratch, why: str) -> str:
        log.warning("The scratch copy of run %s stays: %s", run_id, why)
        return _told(scratch, why, LATER)


def making_of(failure: BenchgateError) -> Making:
    """What came of a making that ended in *failure*."""
    return Making.TAKEN if isinstance(failure, NameTaken) else Making.FAILED


async def _is_where_it_was_made(scratch: Scratch, driver: Driver, *, is_fresh: bool) -> bool:
    """Whether the place that was asked is the one on which the copy was made.

    One that tells nobody what it is counts as the same for the process that has made the copy:
    its environment has not changed since.
    """
    if scratch.place is None:
        return is_fresh
    return await driver.identity(scratch.copy_at) == scratch.place


def _told(scratch: Scratch, why: str, prospect: str) -> str:
    copy = scratch.copy_at
    return (
        f"The scratch copy {one_line(shown(copy))} was not removed: {why}; it was made "
        f"{_where(copy)}. {prospect} By hand: {_by_hand(copy)}"
    )


def _where(copy: Target) -> str:
    """Where the copy was made, as far as it was known when that was written down."""
    server = copy.connection or ConnectionReference()
    if copy.table_type in FILE_TABLES:
        return "beside its original"
    if copy.table_type is not TableType.POSTGRES:
        return f"in the account {one_line(server.account or server.host or 'of the environment')}"
    host = server.host or server.hostaddr or "the default host of the environment"
    port = f":{server.port}" if server.port else ""
    return f"on {one_line(host)}{port}"


def _by_hand(copy: Target) -> str:
    """What a person does who finds it."""
    if copy.table_type in FILE_TABLES:
        return "remove that file and the files beside it that begin with its name."
    if copy.table_type is TableType.POSTGRES:
        schema = qualified(copy.schema_name)
        table = qualified(copy.schema_name, copy.table_name)
        return one_line(f"DROP TABLE IF EXISTS {table}; DROP SCHEMA {schema};")
    return one_line(f"DROP TABLE {qualified(copy.database, copy.schema_name, copy.table_name)};")


def shown(target: Target) -> str:
    """*target* as a person would write it."""
    return ".".join(
        part for part in (target.database, target.schema_name, target.table_name) if part
    )
