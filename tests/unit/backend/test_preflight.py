"""Preflight on real SQLite files: it says what is wrong, and a start refuses in its words."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from benchgate.backend.drivers.port import Driver
from benchgate.backend.drivers.sqlite import SqliteDriver
from benchgate.backend.engine import preflight
from benchgate.domain.templates import TableType
from benchgate.errors import MissingExtra
from tests.unit.backend.scripted import draft, new_run, orders, scripted_app, served

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
    (warning,) = await warnings(http, draft(orders(tmp_path), **mix))
    assert (warning["severity"], warning["title"]) == ("medium", "Concurrent Writers on SQLite")


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


async def test_sql_that_cannot_be_prepared_is_said(http: httpx.AsyncClient, tmp_path: Path) -> None:
    sql = "SELECT nothing_like_it FROM {table} WHERE id = ?"
    (warning,) = await warnings(http, draft(orders(tmp_path), custom_point_lookup_query=sql))
    assert warning["title"] == "Statement Cannot Be Used"
    assert "nothing_like_it" in warning["message"]


NOT_DRIVEN: list[tuple[dict[str, Any], str]] = [
    ({"load_mode": "QPS", "target_qps": 100}, "Load Mode Not Available Here"),
    ({"load_mode": "FIND_MAX_CONCURRENCY"}, "Load Mode Not Available Here"),
    ({"table_type": "HYBRID"}, "Table Type Not Available Here"),
    ({"table_type": "INTERACTIVE"}, "Table Type Not Available Here"),
    ({"concurrent_connections": 1_001}, "Too Many Connections"),
]


@pytest.mark.parametrize(("config", "title"), NOT_DRIVEN)
async def test_what_this_backend_cannot_drive_is_said(
    http: httpx.AsyncClient, tmp_path: Path, config: dict[str, Any], title: str
) -> None:
    (warning,) = await warnings(http, draft(orders(tmp_path), **config))
    assert (warning["severity"], warning["title"]) == ("high", title)


async def test_a_driver_that_is_not_installed_says_how_to_install_it(tmp_path: Path) -> None:
    def none(_: TableType) -> Driver:
        raise MissingExtra("asyncpg is not installed.", hint="Run pip install.")

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
        return Silent()

    async with served(scripted_app(tmp_path, drivers=silent)) as http:
        (warning,) = await warnings(http, draft(orders(tmp_path)))
        assert "did not answer within" in warning["message"]


async def start(http: httpx.AsyncClient, run_id: str, body: object) -> httpx.Response:
    return await http.post(f"/api/runs/{run_id}/start", json=body)


async def status_of(http: httpx.AsyncClient, run_id: str) -> str:
    return (await http.get(f"/api/tests/{run_id}")).json()["status"]


@pytest.mark.parametrize(("config", "title"), NOT_DRIVEN)
async def test_what_this_backend_cannot_drive_is_refused_to_whoever_wants_it(
    http: httpx.AsyncClient, tmp_path: Path, config: dict[str, Any], title: str
) -> None:
    run_id = await new_run(http, draft(orders(tmp_path), **config))
    refused = await start(http, run_id, ACKNOWLEDGED)
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(f"{title}: ")
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
