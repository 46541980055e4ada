"""`/api/connections`: references in, never a secret out."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from benchgate.backend.drivers.port import Column, Driver, Survey, TableShape, Target, Warehouse
from benchgate.backend.drivers.postgres.whereabouts import resolved
from benchgate.domain.templates import SNOWFLAKE_TABLES, QueryShare, TableType
from benchgate.errors import DatabaseError
from tests.unit.backend.scripted import draft, new_run, new_template, scripted_app, served

pytestmark = pytest.mark.anyio

SERVER: dict[str, Any] = {
    "connection_name": "staging",
    "connection_type": "POSTGRES",
    "host": "db.internal",
    "username": "bench",
}
SECRET = "hunter2-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that leads somewhere, and the service file that it names."""
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    services = tmp_path / "services"
    services.write_text("[nightly]\nhost=db.night\nhostaddr=10.0.0.9\nport=7000\nuser=owl\n")
    for name, value in {
        "PGHOST": "db.default",
        "PGUSER": "me",
        "PGSERVICEFILE": str(services),
    }.items():
        monkeypatch.setenv(name, value)


ASLEEP = Warehouse(
    name="BENCH_WH",
    state="SUSPENDED",
    size="X-Small",
    resumes_by_itself=False,
    statements_running=0,
    statements_queued=0,
)


class ScriptedDriver:
    """A PostgreSQL server that is not there, or answers like one that is."""

    def __init__(self) -> None:
        self.failure: DatabaseError | None = None
        self.seen: Target | None = None

    def resolved(self, target: Target) -> Target:
        return resolved(target)

    async def greet(self, target: Target) -> str:
        self.seen = target
        if self.failure:
            raise self.failure
        return "PostgreSQL 18.1"

    async def describe(self, target: Target) -> TableShape:
        self.seen = target
        if self.failure:
            raise self.failure
        column = Column(name="id", type_name="integer")
        return TableShape(server_version="18.1", columns=(column,), key=("id",), has_rows=True)

    async def check(self, target: Target, workload: tuple[QueryShare, ...]) -> None:
        """Every statement is fine."""

    async def survey(self, target: Target) -> Survey:
        # Whoever looks into the table first finds the warehouse awake.
        is_asleep = target.table_type in SNOWFLAKE_TABLES and self.seen is None
        return Survey(warehouse=ASLEEP if is_asleep else None)

    async def drive(self, *_: Any, **__: Any) -> None:
        raise AssertionError("nothing is loaded here")


@pytest.fixture
def driver() -> ScriptedDriver:
    return ScriptedDriver()


@pytest.fixture
async def http(tmp_path: Path, driver: ScriptedDriver) -> AsyncIterator[httpx.AsyncClient]:
    def drivers(_: TableType) -> Driver:
        return cast("Driver", driver)

    async with served(scripted_app(tmp_path, drivers=drivers)) as http:
        yield http


async def save(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await http.post("/api/connections/", json=SERVER | changes)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_connection_is_listed_with_the_contracts_fields(http: httpx.AsyncClient) -> None:
    saved = await save(http, port=5433, is_default=True)
    listed = (await http.get("/api/connections/")).json()
    assert listed == {"connections": [saved], "total": 1}
    assert saved["connection_name"] == "staging"
    assert saved["port"] == 5433
    assert saved["is_default"]
    assert saved["is_active"]
    assert "password" not in saved


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"password": SECRET}, "never stored"),
        ({"host": f"postgres://bench:{SECRET}@db.internal"}, "not a URL"),
    ],
)
async def test_a_password_itself_is_refused(
    http: httpx.AsyncClient, change: dict[str, str], rule: str
) -> None:
    answer = await http.post("/api/connections/", json=SERVER | change)
    assert answer.status_code == 422
    assert rule in answer.json()["detail"][0]["rule"]
    assert SECRET not in answer.text
    assert (await http.get("/api/connections/")).json()["total"] == 0


async def test_whether_the_password_can_be_found_is_seen_anew_each_time(
    http: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passfile = tmp_path / "pgpass"
    services = tmp_path / "services"
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    await save(http, password_env="BENCH_PASSWORD")
    await save(http, passfile=str(passfile))
    await save(http, service="staging")
    await save(http)

    async def found() -> list[bool]:
        rows = (await http.get("/api/connections/")).json()["connections"]
        return [row["has_password"] for row in rows][::-1]

    assert await found() == [False, False, False, False]
    monkeypatch.setenv("BENCH_PASSWORD", SECRET)
    passfile.write_text(f"# staging\nelsewhere:*:*:*:x\ndb.internal:*:*:bench:{SECRET}\n")
    services.write_text(f"[staging]\nhost=db.internal\npassword={SECRET}\n")
    assert await found() == [True, True, True, False]
    assert SECRET not in (await http.get("/api/connections/")).text


async def test_a_default_takes_the_place_of_the_one_before(http: httpx.AsyncClient) -> None:
    await save(http, connection_name="old", is_default=True)
    await save(http, connection_name="new", is_default=True)
    rows = (await http.get("/api/connections/")).json()["connections"]
    assert {row["connection_name"]: row["is_default"] for row in rows} == {
        "old": False,
        "new": True,
    }


async def test_a_connection_that_a_template_uses_stays(http: httpx.AsyncClient) -> None:
    saved = await save(http)
    path = f"/api/connections/{saved['connection_id']}/"
    config = {"table_type": "POSTGRES", "connection_id": saved["connection_id"]}
    template_id = await new_template(http, draft("bench", name="Nightly", **config))
    refused = await http.delete(path)
    assert refused.status_code == 409
    assert "Nightly" in refused.json()["detail"]
    await http.delete(f"/api/templates/{template_id}")
    assert (await http.delete(path)).status_code == 204
    assert (await http.delete(path)).status_code == 404


async def test_a_test_says_what_the_server_is(
    http: httpx.AsyncClient, driver: ScriptedDriver
) -> None:
    saved = await save(http, port=5433)
    answer = await http.post(f"/api/connections/{saved['connection_id']}/test")
    assert answer.status_code == 200
    assert answer.json()["success"]
    assert answer.json()["server_version"] == "PostgreSQL 18.1"
    assert answer.json()["latency_ms"] >= 0
    assert driver.seen is not None
    assert driver.seen.connection is not None
    assert (driver.seen.connection.host, driver.seen.connection.port) == ("db.internal", 5433)


async def test_a_test_that_fails_is_an_answer(
    http: httpx.AsyncClient, driver: ScriptedDriver
) -> None:
    driver.failure = DatabaseError("connection refused\nby the server")
    plain = await save(http)
    unset = await save(http, password_env="BENCH_NOT_SET")
    flake = await save(http, connection_type="SNOWFLAKE", account="ab12345")
    for saved, message in [
        (plain, "connection refused by the server"),
        (unset, "The environment variable BENCH_NOT_SET is not set in the backend."),
        (flake, "connection refused by the server"),
    ]:
        answer = await http.post(f"/api/connections/{saved['connection_id']}/test/")
        assert answer.status_code == 200
        assert answer.json()["success"] is False
        assert answer.json()["message"] == message


async def preflight(http: httpx.AsyncClient, **config: Any) -> list[dict[str, Any]]:
    run_id = await new_run(http, draft("bench", **({"table_type": "POSTGRES"} | config)))
    report = (await http.get(f"/api/runs/{run_id}/preflight/")).json()
    assert report["can_proceed"] is not bool(report["warnings"])
    return report["warnings"]


async def test_preflight_names_the_variable_that_is_missing(http: httpx.AsyncClient) -> None:
    saved = await save(http, password_env="BENCH_NOT_SET")
    (warning,) = await preflight(http, connection_id=saved["connection_id"])
    assert warning["severity"] == "high"
    assert "BENCH_NOT_SET" in warning["message"]
    assert "--restart" in warning["recommendations"][0]


async def test_preflight_names_a_connection_that_does_not_exist(http: httpx.AsyncClient) -> None:
    (warning,) = await preflight(http, connection_id="con-gone")
    assert warning["title"] == "Connection Does Not Exist"
    assert "con-gone" in warning["message"]


async def test_preflight_refuses_a_connection_of_another_kind(http: httpx.AsyncClient) -> None:
    saved = await save(http, connection_type="SNOWFLAKE")
    (warning,) = await preflight(http, connection_id=saved["connection_id"])
    assert "SNOWFLAKE" in warning["message"]


async def test_a_template_without_a_connection_uses_the_default(
    http: httpx.AsyncClient, driver: ScriptedDriver
) -> None:
    await save(http, host="the-default", is_default=True)
    assert await preflight(http) == []
    assert driver.seen is not None
    assert driver.seen.connection is not None
    assert driver.seen.connection.host == "the-default"


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ({}, "db.internal:5432/shop as bench (staging)"),
        ({"port": 6432}, "db.internal:6432/shop as bench (staging)"),
        ({"username": None, "host": ""}, "db.default:5432/shop as me (staging)"),
        (
            {"host": "", "service": "nightly"},
            "db.night at 10.0.0.9:7000/shop as bench (staging, service nightly)",
        ),
        ({"service": "nightly"}, "db.internal:7000/shop as bench (staging, service nightly)"),
        (
            {"service": "nobody"},
            "staging (Where the connection leads cannot be told: definition of service "
            '"nobody" not found)',
        ),
        (
            {"connection_type": "SNOWFLAKE", "account": "acme", "role": "LOADER"},
            "acme as bench, role LOADER (staging)",
        ),
    ],
)
async def test_a_run_names_the_server_that_it_will_load(
    http: httpx.AsyncClient, saved: dict[str, Any], told: str
) -> None:
    connection_id = (await save(http, **saved))["connection_id"]
    table_type = "STANDARD" if saved.get("connection_type") == "SNOWFLAKE" else "POSTGRES"
    run_id = await new_run(http, draft("shop", table_type=table_type, connection_id=connection_id))
    assert (await http.get(f"/api/runs/{run_id}/")).json()["connection"] == told


async def test_a_run_is_not_started_on_another_server_than_the_one_that_was_shown(
    http: httpx.AsyncClient,
) -> None:
    await save(http, connection_name="first", is_default=True)
    run_id = await new_run(http, draft("shop", table_type="POSTGRES"))
    shown = (await http.get(f"/api/runs/{run_id}/")).json()["connection"]
    await save(http, connection_name="second", host="elsewhere", is_default=True)
    body = {"connection": shown}
    refused = await http.post(f"/api/runs/{run_id}/start", json=body)
    assert refused.status_code == 409
    assert "to elsewhere:5432/shop as bench (second), and not to db" in refused.json()["detail"]
    assert "question" in refused.json()["hint"]
    assert (await http.get(f"/api/runs/{run_id}/")).json()["status"] == "PREPARED"
    await save(http, connection_name="first", is_default=True)
    started = await http.post(f"/api/runs/{run_id}/start", json=body)
    assert started.status_code == 202


async def test_no_part_of_a_connection_pushes_its_server_out_of_sight(
    http: httpx.AsyncClient,
) -> None:
    host = "-".join(["db"] * 80)
    long = {"connection_name": "n" * 120, "username": "u" * 255, "host": host}
    connection_id = (await save(http, **long))["connection_id"]
    body = draft("d" * 300, table_type="POSTGRES", connection_id=connection_id)
    told = (await http.get(f"/api/runs/{await new_run(http, body)}/")).json()["connection"]
    assert told == f"{host}:5432/{'d' * 63}… as {'u' * 63}… ({'n' * 39}…)"


async def test_a_run_without_a_connection_of_its_own_names_the_default_of_the_moment(
    http: httpx.AsyncClient,
) -> None:
    run_id = await new_run(http, draft("shop", table_type="POSTGRES"))
    told = (await http.get(f"/api/runs/{run_id}/")).json()["connection"]
    assert told == "db.default:5432/shop as me, by the backend's environment"
    await save(http, connection_name="first", is_default=True)
    assert "first" in (await http.get(f"/api/runs/{run_id}/")).json()["connection"]
    await save(http, connection_name="second", is_default=True)
    assert "second" in (await http.get(f"/api/runs/{run_id}/")).json()["connection"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"PGPORT": "6000"}, "db.default:6000/shop as me, by the backend's environment"),
        ({"PGHOST": "other"}, "other:5432/shop as me, by the backend's environment"),
        (
            {"PGHOSTADDR": "10.0.0.1"},
            "db.default at 10.0.0.1:5432/shop as me, by the backend's environment",
        ),
        (
            {"PGHOST": "", "PGHOSTADDR": "10.0.0.1"},
            "10.0.0.1:5432/shop as me, by the backend's environment",
        ),
        (
            {"PGSERVICE": "nightly", "PGHOST": ""},
            "db.night at 10.0.0.9:7000/shop as owl, by the backend's environment (service nightly)",
        ),
        (
            {"PGSERVICE": "nobody"},
            "the default server of the backend's environment (Where the connection leads cannot "
            'be told: definition of service "nobody" not found)',
        ),
    ],
    ids=str,
)
async def test_a_run_names_the_server_to_which_the_environment_leads_at_that_moment(
    http: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    told: str,
) -> None:
    run_id = await new_run(http, draft("shop", table_type="POSTGRES"))
    before = (await http.get(f"/api/runs/{run_id}/")).json()["connection"]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    after = (await http.get(f"/api/runs/{run_id}/")).json()["connection"]
    assert (before == told, after) == (False, told)


async def test_without_a_connection_to_snowflake_no_account_is_named(
    http: httpx.AsyncClient,
) -> None:
    run_id = await new_run(http, draft("shop", table_type="STANDARD"))
    assert "default server" in (await http.get(f"/api/runs/{run_id}/")).json()["connection"]


async def test_the_load_goes_where_the_question_said(
    http: httpx.AsyncClient, driver: ScriptedDriver
) -> None:
    await preflight(http)
    assert driver.seen is not None
    assert driver.seen.connection is not None
    server = driver.seen.connection
    assert (server.host, server.port, server.username) == ("db.default", 5432, "me")


async def test_a_warehouse_that_sleeps_is_told_beside_what_cannot_be_looked_at_for_it(
    http: httpx.AsyncClient, driver: ScriptedDriver
) -> None:
    driver.failure = DatabaseError("Warehouse BENCH_WH is suspended.")
    warnings = await preflight(http, table_type="HYBRID")
    assert [one["title"] for one in warnings] == ["Target Cannot Be Used", "Warehouse Is Suspended"]


async def test_a_file_has_no_server(http: httpx.AsyncClient) -> None:
    run_id = await new_run(http, draft("shop.db"))
    assert (await http.get(f"/api/runs/{run_id}/")).json()["connection"] is None
