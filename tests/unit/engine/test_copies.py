"""Scratch copies on record: what counts as gone, what stays, and whose turn it is."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from benchgate.backend import runs as runs_module
from benchgate.backend.clock import utc_now
from benchgate.backend.drivers.port import ConnectionReference, Driver, Removal, Target
from benchgate.backend.engine.copies import Copies, Making, making_of
from benchgate.backend.engine.record import Record
from benchgate.backend.runs import Ending, Leftover, RunTable, Scratch
from benchgate.backend.series import SeriesTable
from benchgate.backend.store import RUNS, open_store
from benchgate.backend.templates import TemplateTable
from benchgate.domain.findings import Findings
from benchgate.domain.runs import RunEvent
from benchgate.domain.templates import TableType, Template, TemplateDraft
from benchgate.errors import DatabaseError, MissingExtra, NameTaken
from tests.unit.examples import config_of

pytestmark = pytest.mark.anyio

HERE, ELSEWHERE = "7301/16384", "9999/16384"
SERVER = ConnectionReference(host="db.example", port=5432, username="bench")


class ScriptedDriver:
    """A server with scratch copies on it, as far as their removal goes."""

    def __init__(self) -> None:
        self.place: str | None = HERE
        self.removal: Removal | Exception = Removal.REMOVED
        self.asked: list[str] = []

    async def identity(self, target: Target) -> str | None:
        return self.place

    def scratch(self, target: Target, run_id: str) -> Target:
        return target.model_copy(
            update={"schema_name": f"benchgate_scratch_{run_id}", "copy_of": "s"}
        )

    async def end_sessions(self, target: Target, application_name: str) -> None:
        raise DatabaseError("nobody may end them")

    async def drop_scratch(self, scratch: Target) -> Removal:
        self.asked.append(scratch.schema_name.removeprefix("benchgate_scratch_"))
        if isinstance(self.removal, Exception):
            raise self.removal
        return self.removal


class Place:
    """A record of runs, with the copies that are on it."""

    def __init__(self, folder: Path) -> None:
        self._engine = open_store(folder)
        self.driver = ScriptedDriver()
        self.missing: MissingExtra | None = None
        self.runs = RunTable(self._engine)
        record = Record(self.runs, SeriesTable(self._engine), utc_now)
        self.copies = Copies(record, self._driver)
        draft = TemplateDraft(template_name="Orders", config=config_of())
        self._template: Template = TemplateTable(self._engine).add(
            draft, template_id="tpl-1", at=utc_now()
        )

    def _driver(self, _: TableType) -> Driver:
        if self.missing is not None:
            raise self.missing
        return cast("Driver", self.driver)

    def target(self, table_type: TableType = TableType.POSTGRES) -> Target:
        return Target(
            table_type=table_type,
            database="bench",
            schema_name="public",
            table_name="orders",
            connection=SERVER,
        )

    def add(self, run_id: str) -> None:
        self.runs.add(self._template, run_id=run_id, seed=1, at=utc_now())

    async def remember(self, run_id: str, **about: Any) -> Scratch:
        """A copy on record of a run that has failed."""
        self.add(run_id)
        driver = cast("Driver", self.driver)
        scratch = await self.copies.remember(run_id, self.target(**about), driver)
        self.runs.begin(run_id, at=utc_now())
        self.runs.end(run_id, Ending(failed=True, reason="It crashed."), at=utc_now())
        return scratch

    def write(self, run_id: str, text: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(scratch=text))

    @property
    def left(self) -> list[Leftover]:
        return self.runs.leftovers()

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture
def place(tmp_path: Path) -> Generator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


async def test_a_copy_is_on_record_with_its_place_until_it_is_removed(place: Place) -> None:
    scratch = await place.remember("run-1")
    assert (scratch.place, scratch.copy_at.schema_name) == (HERE, "benchgate_scratch_run-1")
    assert [one.scratch for one in place.left] == [scratch]
    assert await place.copies.remove("run-1", scratch, making=Making.MADE) is None
    assert place.left == []


@pytest.mark.parametrize(
    ("made_at", "asked_at", "removal", "stays"),
    [
        (HERE, HERE, Removal.REMOVED, False),
        (HERE, HERE, Removal.ABSENT, False),
        (HERE, ELSEWHERE, Removal.ABSENT, True),
        (HERE, None, Removal.ABSENT, True),
        (None, None, Removal.ABSENT, True),
        (None, HERE, Removal.ABSENT, True),
        (HERE, HERE, Removal.UNMARKED, True),
        (HERE, ELSEWHERE, Removal.REMOVED, False),
        (HERE, HERE, DatabaseError("it does not answer"), True),
        (HERE, HERE, TimeoutError(), True),
    ],
)
async def test_a_copy_is_forgotten_only_where_the_place_of_its_making_has_none(
    place: Place,
    made_at: str | None,
    asked_at: str | None,
    removal: Removal | Exception,
    stays: bool,
) -> None:
    place.driver.place = made_at
    await place.remember("run-1")
    place.driver.place, place.driver.removal = asked_at, removal
    await place.copies.remove_leftovers()
    assert bool(place.left) is stays
    told = place.runs.get("run-1").reason
    assert told is not None
    assert told.startswith("It crashed.")
    assert ("The scratch copy" in told) is stays


async def test_a_copy_that_may_be_left_is_told_with_its_place_and_what_to_do(
    place: Place,
) -> None:
    await place.remember("run-1")
    place.driver.place, place.driver.removal = ELSEWHERE, Removal.ABSENT
    for _ in range(3):
        await place.copies.remove_leftovers()
    assert place.runs.get("run-1").reason == (
        "It crashed. The scratch copy bench.benchgate_scratch_run-1.orders was not removed: it is "
        "not there, and whether that is where it was made cannot be told; it was made on "
        "db.example:5432. The backend tries again at a later start. By hand: DROP TABLE IF EXISTS "
        '"benchgate_scratch_run-1"."orders"; DROP SCHEMA "benchgate_scratch_run-1";'
    )
    assert [one.scratch.tries for one in place.left] == [3]


@pytest.mark.parametrize(
    ("table_type", "connection", "where", "by_hand"),
    [
        (TableType.SQLITE, None, "made beside its original. ", "remove that file and the files"),
        (
            TableType.HYBRID,
            ConnectionReference(account="acme"),
            "made in the account acme. ",
            'DROP TABLE "bench"."benchgate_scratch_run-1"."orders";',
        ),
        (TableType.POSTGRES, None, "made on the default host of the environment. ", "DROP SCHEMA"),
    ],
)
async def test_what_to_do_depends_on_the_database(
    place: Place,
    table_type: TableType,
    connection: ConnectionReference | None,
    where: str,
    by_hand: str,
) -> None:
    scratch = await place.remember("run-1", table_type=table_type)
    there = scratch.copy_at.model_copy(update={"connection": connection})
    place.driver.removal = Removal.UNMARKED
    told = await place.copies.remove(
        "run-1", scratch.model_copy(update={"copy_at": there}), making=Making.MADE
    )
    assert told is not None
    assert where in told
    assert by_hand in told


async def test_a_run_with_findings_is_told_in_their_remarks(place: Place) -> None:
    place.add("run-1")
    await place.copies.remember("run-1", place.target(), cast("Driver", place.driver))
    place.runs.begin("run-1", at=utc_now())
    place.runs.move("run-1", RunEvent.READY, at=utc_now())
    place.runs.end("run-1", Ending(findings=Findings(remarks=("It rained.",))), at=utc_now())
    place.driver.removal = Removal.UNMARKED
    for _ in range(2):
        await place.copies.remove_leftovers()
    run = place.runs.get("run-1")
    assert run.reason is None
    assert run.findings is not None
    rained, told = run.findings.remarks
    assert rained == "It rained."
    assert "what bears its name lacks the mark of a copy of ours" in told


@pytest.mark.parametrize(
    ("place_told", "removal", "making", "stays"),
    [
        (None, Removal.ABSENT, Making.MADE, False),
        (HERE, Removal.ABSENT, Making.MADE, False),
        (HERE, Removal.UNMARKED, Making.MADE, True),
        (HERE, Removal.ABSENT, Making.FAILED, False),
        (HERE, Removal.UNMARKED, Making.FAILED, True),
        (HERE, Removal.UNMARKED, Making.TAKEN, False),
        (HERE, DatabaseError("it does not answer"), Making.TAKEN, True),
    ],
)
async def test_what_was_never_made_is_not_looked_for_again(
    place: Place,
    place_told: str | None,
    removal: Removal | Exception,
    making: Making,
    stays: bool,
) -> None:
    place.driver.place = place_told
    scratch = await place.remember("run-1")
    place.driver.removal = removal
    told = await place.copies.remove("run-1", scratch, making=making)
    assert (told is not None, bool(place.left)) == (stays, stays)


def test_only_a_name_that_was_taken_shows_that_what_bears_it_is_not_ours() -> None:
    assert making_of(NameTaken()) is Making.TAKEN
    assert making_of(DatabaseError('schema "b" already exists')) is Making.FAILED


async def test_a_driver_that_is_not_installed_any_more_leaves_the_copy_on_record(
    place: Place,
) -> None:
    await place.remember("run-1")
    place.missing = MissingExtra("POSTGRES needs psycopg.")
    await place.copies.remove_leftovers()
    assert len(place.left) == 1
    assert "POSTGRES needs psycopg." in (place.runs.get("run-1").reason or "")


async def test_old_copies_that_cannot_be_removed_do_not_block_newer_ones(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "SCRATCH_MAX", 2)
    for number in range(1, 6):
        await place.remember(f"run-{number}")
    place.driver.removal = DatabaseError("it does not answer")
    for _ in range(5):
        await place.copies.remove_leftovers()
    asked = place.driver.asked
    assert asked[:4] == ["run-5", "run-4", "run-3", "run-2"]
    assert set(asked) == {f"run-{number}" for number in range(1, 6)}
    assert {asked.count(run_id) for run_id in set(asked)} == {2}
    await place.remember("run-6")
    await place.copies.remove_leftovers()
    assert asked[10] == "run-6"


async def test_no_more_copies_are_remembered_than_can_be_looked_through(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runs_module, "SCRATCH_KEPT_MAX", 2)
    for number in range(1, 4):
        await place.remember(f"run-{number}")
    place.driver.removal = DatabaseError("it does not answer")
    await place.copies.remove_leftovers()
    assert {one.run_id for one in place.left} == {"run-2", "run-3"}
    assert "benchgate_scratch_run-1.orders was not removed: too many are on record" in caplog.text
    assert "It is given up. By hand: DROP TABLE" in caplog.text


async def test_the_copy_of_a_run_that_goes_on_is_nobodys_leftover(place: Place) -> None:
    place.add("run-1")
    await place.copies.remember("run-1", place.target(), cast("Driver", place.driver))
    place.runs.begin("run-1", at=utc_now())
    assert place.left == []
    place.runs.fail_active("It crashed.", at=utc_now())
    assert [one.run_id for one in place.left] == ["run-1"]


async def test_a_copy_that_an_earlier_version_wrote_down_is_read(place: Place) -> None:
    await place.remember("run-1")
    place.write("run-1", place.target().model_dump_json())
    (left,) = place.left
    assert left.scratch == Scratch(copy_at=place.target())
