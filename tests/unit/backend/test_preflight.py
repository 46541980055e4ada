"""Preflight on real SQLite files: it says what is wrong, and a start refuses in its words."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest

from benchgate.backend.drivers.port import Driver, Survey, Target
from benchgate.backend.drivers.sqlite.driver import SqliteDriver
from benchgate.backend.engine import preflight
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.domain.preflight import Severity
from benchgate.domain.templates import LoadMode, TableType
from benchgate.errors import DatabaseError, MissingExtra
from tests.unit.backend.scripted import (
    Surveyed,
    draft,
    new_run,
    orders,
    scripted_app,
    served,
    surveyed,
)
from tests.unit.examples import config_of

pytestmark = pytest.mark.anyio

ACKNOWLEDGED = {"acknowledged": True}


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(scripted_app(tmp_path)) as http:
        yield http


async def warnings(http: httpx.AsyncClient, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What preflight says of a run of *body*; a start agrees with it."""
    run_id = await new_run(http, body)
    report = (await http.get(f"/api/runs/{run_id}/preflight/")).json()
    assert report["run_id"] == run_id
    high = [w for w in report["warnings"] if w["severity"] == "high"]
    assert report["can_proceed"] is not bool(high)
    started = await http.post(f"/api/runs/{run_id}/start")
    assert started.status_code == (409 if high else 202), started.text
    if high:
        assert started.json()["detail"] == f"{high[0]['title']}: {high[0]['message']}"
        assert started.json()["hint"]
        assert (await http.get(f"/api/tests/{run_id}")).json()["status"] == "PREPARED"
    return report["warnings"]


async def test_a_table_that_can_be_loaded_gives_no_warning(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert await warnings(http, draft(orders(tmp_path))) == []


async def test_concurrent_writers_are_a_warning_that_does_not_block(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    mix: dict[str, Any] = {"custom_point_lookup_pct": 70, "custom_update_pct": 30}
    writers, copy = await warnings(http, draft(orders(tmp_path), **mix))
    assert (writers["severity"], writers["title"]) == ("medium", "Concurrent Writers on SQLite")
    assert (copy["severity"], copy["title"]) == ("low", "Writes Go to a Scratch Copy")


async def test_a_file_that_is_not_there_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    (warning,) = await warnings(http, draft(tmp_path / "nowhere.db"))
    assert "nowhere.db" in warning["message"]
    assert warning["recommendations"]
    assert not (tmp_path / "nowhere.db").exists()


async def test_a_file_that_is_no_database_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes\n" * 1_000)
    (warning,) = await warnings(http, draft(tmp_path / "notes.txt"))
    assert "not a database" in warning["message"]


async def test_a_table_that_is_not_there_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    (warning,) = await warnings(http, draft(orders(tmp_path), table_name="invoices"))
    assert "invoices" in warning["message"]


async def test_an_empty_table_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    (warning,) = await warnings(http, draft(orders(tmp_path, rows=0)))
    assert warning["title"] == "Table Is Empty"


async def test_a_table_without_a_key_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    path = tmp_path / "keyless.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (customer TEXT)")
        database.execute("INSERT INTO orders VALUES ('somebody')")
    (warning,) = await warnings(http, draft(path))
    assert warning["title"] == "Table Has No Primary Key"


async def test_without_a_key_a_statement_of_ones_own_lies_at_itself(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "keyless.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE orders (customer TEXT)")
        database.execute("INSERT INTO orders VALUES ('somebody')")
    own = {"operation_type": "READ", "weight_pct": 100, "sql": "SELECT * FROM {table} WHERE a = ?"}
    body = draft(path, custom_point_lookup_pct=0, generic_queries=[own])
    (warning,) = await warnings(http, body)
    assert warning["title"] == "Statement Cannot Be Used"
    assert "does not say what they are bound to" in warning["message"]


async def test_sql_that_cannot_be_prepared_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    sql = "SELECT nothing_like_it FROM {table} WHERE id = ?"
    (warning,) = await warnings(http, draft(orders(tmp_path), custom_point_lookup_query=sql))
    assert warning["title"] == "Statement Cannot Be Used"
    assert "nothing_like_it" in warning["message"]


TOO_MANY: list[dict[str, Any]] = [
    {"concurrent_connections": 1_001},
    {"concurrent_connections": 1_001, "load_mode": "QPS", "target_qps": 100},
    {"scaling": {"mode": "FIXED", "min_workers": 7, "min_connections": 143}},
]


@pytest.mark.parametrize("config", TOO_MANY)
async def test_what_this_backend_cannot_drive_is_said(
    http: httpx.AsyncClient, tmp_path: Path, config: dict[str, Any]
) -> None:
    warning = (await warnings(http, draft(orders(tmp_path), **config)))[0]
    assert (warning["severity"], warning["title"]) == ("high", "Too Many Connections")
    assert warning["details"]["connections"] == 1_001


@pytest.mark.parametrize("table_type", [each.value for each in TableType])
@pytest.mark.parametrize("load_mode", [each.value for each in LoadMode])
def test_every_load_mode_is_driven_on_every_table(table_type: str, load_mode: str) -> None:
    config = config_of(table_type=table_type, load_mode=load_mode, target_qps=100)
    assert preflight.not_driven(config) == []


@pytest.mark.parametrize(
    ("table_type", "most"), [("DUCKDB", 1_000), ("HYBRID", 1_000), ("POSTGRES", 10_000)]
)
def test_connections_that_are_threads_are_fewer(table_type: str, most: int) -> None:
    enough = config_of(table_type=table_type, concurrent_connections=most)
    assert preflight.not_driven(enough) == []
    if most < 10_000:
        beyond = config_of(table_type=table_type, concurrent_connections=most + 1)
        assert [w.severity for w in preflight.not_driven(beyond)] == [Severity.HIGH]


async def test_what_the_server_can_bear_is_judged(tmp_path: Path) -> None:
    survey = Survey(connections_max=20, connections_used=19, active_sessions=1)
    async with served(scripted_app(tmp_path, drivers=surveyed(survey))) as http:
        full, busy = await warnings(http, draft(orders(tmp_path)))
    assert (full["severity"], full["title"]) == ("high", "Not Enough Connections Left")
    assert full["details"]["connections_free"] == 1
    assert (busy["severity"], busy["title"]) == ("low", "Others Are Using the Database")


async def test_a_load_is_held_against_the_cores_that_there_are(tmp_path: Path) -> None:
    async with served(scripted_app(tmp_path, surroundings=Surroundings(cores=1))) as http:
        (warning,) = await warnings(http, draft(orders(tmp_path), think_time=0))
    assert (warning["severity"], warning["title"]) == ("low", "More Connections Than Cores")


async def test_a_survey_that_fails_is_a_warning_and_the_rest_is_told_all_the_same(
    tmp_path: Path,
) -> None:
    failing = surveyed(DatabaseError("permission denied for pg_stat_activity"))
    mix: dict[str, Any] = {"custom_point_lookup_pct": 70, "custom_update_pct": 30}
    async with served(scripted_app(tmp_path, drivers=failing)) as http:
        _, unknown, copy = await warnings(http, draft(orders(tmp_path), **mix))
    assert (unknown["severity"], unknown["title"]) == ("medium", "Server Could Not Be Surveyed")
    assert "permission denied for pg_stat_activity" in unknown["message"]
    assert "whose size is not known" in copy["message"]


async def test_a_survey_that_never_ends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reticent(Surveyed):
        async def survey(self, target: Target) -> Survey:
            await anyio.sleep_forever()
            raise AssertionError("it woke up")

    monkeypatch.setattr(preflight, "SURVEY_SECONDS_MAX", 0.05)

    def reticent(_: TableType) -> Driver:
        return cast("Driver", Reticent(Survey()))

    async with served(scripted_app(tmp_path, drivers=reticent)) as http:
        (warning,) = await warnings(http, draft(orders(tmp_path)))
    assert warning["title"] == "Server Could Not Be Surveyed"
    assert "did not tell within" in warning["message"]


async def test_the_server_is_surveyed_also_where_a_statement_is_refused(tmp_path: Path) -> None:
    survey = Survey(is_replica=True)
    async with served(scripted_app(tmp_path, drivers=surveyed(survey))) as http:
        told = await warnings(http, draft(orders(tmp_path, rows=0)))
    assert [one["title"] for one in told] == ["Table Is Empty", "Target Is a Replica"]


async def test_writes_to_the_real_table_need_a_person_who_wants_them(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    mix: dict[str, Any] = {"custom_point_lookup_pct": 70, "custom_insert_pct": 30}
    body = draft(orders(tmp_path), write_target="in_place", concurrent_connections=1, **mix)
    (warning,) = await warnings(http, body)
    assert (warning["severity"], warning["title"]) == ("high", "Writes Go To The Real Table")
    assert "orders.db.main.orders" in warning["message"]
    assert (await start(http, await new_run(http, body), ACKNOWLEDGED)).status_code == 202


async def test_a_target_that_looks_like_production_is_told(tmp_path: Path) -> None:
    surroundings = Surroundings(cores=8, production_patterns=("orders",))
    async with served(scripted_app(tmp_path, surroundings=surroundings)) as http:
        (warning,) = await warnings(http, draft(orders(tmp_path)))
    assert (warning["severity"], warning["title"]) == ("medium", "This Looks Like Production")


async def test_a_driver_that_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    def none(_: TableType) -> Driver:
        raise MissingExtra("psycopg is not installed.", hint="Run pip install.")

    async with served(scripted_app(tmp_path, drivers=none)) as http:
        (warning,) = await warnings(http, draft("bench", table_type="POSTGRES"))
        assert warning["title"] == "Driver Is Not Installed"
        assert warning["recommendations"] == ["Run pip install."]


async def test_a_database_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(SqliteDriver):
        async def describe(self, target: Any) -> Any:
            await anyio.sleep_forever()

    monkeypatch.setattr(preflight, "LOOK_SECONDS_MAX", 0.05)

    def silent(_: TableType) -> Driver:
        return cast("Driver", Silent())

    async with served(scripted_app(tmp_path, drivers=silent)) as http:
        (warning,) = await warnings(http, draft(orders(tmp_path)))
        assert "did not answer within" in warning["message"]


async def start(http: httpx.AsyncClient, run_id: str, body: object) -> httpx.Response:
    return await http.post(f"/api/runs/{run_id}/start", json=body)


async def status_of(http: httpx.AsyncClient, run_id: str) -> str:
    return (await http.get(f"/api/tests/{run_id}")).json()["status"]


@pytest.mark.parametrize("config", TOO_MANY)
async def test_what_this_backend_cannot_drive_is_refused_to_whoever_wants_it(
    http: httpx.AsyncClient, tmp_path: Path, config: dict[str, Any]
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path), **config))
    refused = await start(http, run_id, ACKNOWLEDGED)
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("Too Many Connections: ")
    assert refused.json()["hint"]
    assert await status_of(http, run_id) == "PREPARED"


@pytest.mark.parametrize("rows", [0, 50])
@pytest.mark.parametrize("table", ["orders", "invoices"])
async def test_a_person_may_have_a_run_started_against_what_is_said_of_its_target(
    http: httpx.AsyncClient, tmp_path: Path, rows: int, table: str
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path, rows=rows), table_name=table))
    started = await start(http, run_id, ACKNOWLEDGED)
    assert (started.status_code, started.json()["status"]) == (202, "STARTING")
    again = await start(http, run_id, ACKNOWLEDGED)
    assert again.status_code == 409


@pytest.mark.parametrize("body", [{}, {"acknowledged": False}])
async def test_a_body_that_acknowledges_nothing_changes_nothing(
    http: httpx.AsyncClient, tmp_path: Path, body: dict[str, Any]
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path), table_name="invoices"))
    refused = await start(http, run_id, body)
    assert refused.status_code == 409
    assert "invoices" in refused.json()["detail"]
    assert await status_of(http, run_id) == "PREPARED"


@pytest.mark.parametrize("word", ["yes", "true", 1, None, [True]])
async def test_only_a_plain_true_acknowledges(
    http: httpx.AsyncClient, tmp_path: Path, word: object
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path)))
    refused = await start(http, run_id, {"acknowledged": word})
    assert refused.status_code == 422
    assert await status_of(http, run_id) == "PREPARED"


async def test_an_acknowledged_start_does_not_wait_for_a_look_that_decides_nothing(
    tmp_path: Path,
) -> None:
    def never(_: TableType) -> Driver:
        raise AssertionError("the target is looked at")

    async with served(scripted_app(tmp_path, drivers=never)) as http:
        run_id = await new_run(http, draft(orders(tmp_path)))
        assert (await start(http, run_id, ACKNOWLEDGED)).status_code == 202


async def test_the_reference_tells_what_a_start_may_say(http: httpx.AsyncClient) -> None:
    page = (await http.get("/api/docs")).text
    assert "#/components/schemas/StartRun" in page
    assert "unless the body says `acknowledged`" in page
