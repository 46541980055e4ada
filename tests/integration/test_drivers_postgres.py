"""What only the PostgreSQL driver has to prove: sessions, credentials, types, lost servers."""

from pathlib import Path

import pytest

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.drivers.postgres.driver import PostgresDriver
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import Operation, QueryKind
from benchgate.errors import DatabaseError, InvalidInput
from tests.integration.databases import (
    ALL_KINDS,
    NUMBERS,
    Notes,
    PostgresDatabase,
    assignment,
    driven,
    only,
    own,
    until,
)
from tests.integration.servers import PostgresServer

pytestmark = pytest.mark.anyio

LOOKUP, INSERT = QueryKind.POINT_LOOKUP, QueryKind.INSERT


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    postgres.sql(
        "DROP TABLE IF EXISTS items",
        "CREATE TABLE items (id integer PRIMARY KEY, label text)",
        f"{NUMBERS} INSERT INTO items SELECT i, 'item ' || i FROM n",
    )
    return postgres.target("items")


def reached_by(target: Target, **reference: object) -> Target:
    """*target* over another connection."""
    assert target.connection is not None
    return target.model_copy(update={"connection": target.connection.model_copy(update=reference)})


async def message_of_failure(target: Target) -> str:
    with pytest.raises(DatabaseError) as caught:
        await PostgresDriver().describe(target)
    return str(caught.value)


@pytest.mark.parametrize("sql", [None, PostgresDatabase.forever, "SELECT count(*) FROM {busy}"])
async def test_a_stop_leaves_no_session_behind(
    postgres: PostgresServer, items: Target, sql: str | None
) -> None:
    busy = "generate_series(1, 1e12::bigint)"
    given = assignment(items, only(LOOKUP, sql and sql.replace("{busy}", busy)), connections=8)
    notes = Notes()
    async with driven(given, notes):
        await until(lambda: notes.connections == 8)
        assert postgres.sessions(given.application_name) == 8
    await until(lambda: postgres.sessions(given.application_name) == 0, limit_s=2)


async def test_a_statement_that_waits_for_a_lock_does_not_hold_up_a_stop(
    postgres: PostgresServer, items: Target
) -> None:
    # Two sessions ask for one lock and never give it back: the second one waits.
    given = assignment(items, only(LOOKUP, "SELECT pg_advisory_lock(1), pg_sleep(600)"))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with driven(given, Notes()):
        await until(lambda: postgres.sql(waiting) == "1")
    await until(lambda: postgres.sessions(given.application_name) == 0, limit_s=2)


async def test_sessions_that_are_cut_off_are_counted_and_made_again(
    postgres: PostgresServer, items: Target
) -> None:
    given, notes = assignment(items, ALL_KINDS, connections=4), Notes()
    async with driven(given, notes):
        await until(lambda: len(notes.answered) > 50)
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = '{given.application_name}'"
        )
        await until(lambda: len(notes.failures) >= 4)
        answered = len(notes.answered)
        await until(lambda: notes.connections == 4 and len(notes.answered) > answered + 50)
    assert {failure for _, failure, _ in notes.failures} == {FailureKind.CONNECTION}


async def test_a_server_that_comes_back_is_loaded_again(mortal_postgres: PostgresServer) -> None:
    mortal_postgres.sql(
        "CREATE TABLE items (id integer PRIMARY KEY)", "INSERT INTO items VALUES (1)"
    )
    notes = Notes()
    async with driven(assignment(mortal_postgres.target("items"), only(LOOKUP)), notes):
        await until(lambda: len(notes.answered) > 50)
        mortal_postgres.stop()
        await until(lambda: (None, FailureKind.CONNECTION) in {n[:2] for n in notes.failures})
        assert notes.connections == 0
        mortal_postgres.start()
        answered = len(notes.answered)
        await until(lambda: notes.connections == 2 and len(notes.answered) > answered)


async def test_a_workload_that_only_reads_cannot_write(
    postgres: PostgresServer, items: Target
) -> None:
    postgres.sql("CREATE SEQUENCE IF NOT EXISTS counter")
    notes = Notes()
    async with driven(assignment(items, only(LOOKUP, "SELECT nextval('counter')")), notes):
        await until(lambda: bool(notes.failures))
    assert "read-only" in notes.failures[0][2]
    assert notes.answered == []


async def test_keys_that_the_database_makes_are_left_to_it(postgres: PostgresServer) -> None:
    postgres.sql(
        "DROP TABLE IF EXISTS made",
        """CREATE TABLE made (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
             token uuid NOT NULL UNIQUE,
             at timestamptz NOT NULL DEFAULT now(),
             doc jsonb, tags text[], price numeric(10, 2),
             double_price numeric GENERATED ALWAYS AS (price * 2) STORED)""",
        f"""{NUMBERS} INSERT INTO made (token, doc, tags, price)
            SELECT gen_random_uuid(), '{{"a": 1}}', ARRAY['x'], i FROM n""",
    )
    notes = Notes()
    async with driven(assignment(postgres.target("made"), ALL_KINDS), notes):
        await until(lambda: len(notes.answered) > 200)
    assert notes.failures == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uuid", "gen_random_uuid()"),
        ("text", "'key ' || i"),
        ("numeric", "i"),
        ("timestamptz", "now() + i * interval '1 second'"),
        ("timestamptz", "CASE i WHEN 1 THEN 'infinity' ELSE now() + i * interval '1 second' END"),
        ("interval", "i * interval '1 second'"),
        ("double precision", "i"),
        ("smallint", "i"),
        ("bytea", "int4send(i)"),
        ("date", "current_date + i"),
        ("char(30)", "i"),
        ("counted", "i"),
    ],
)
async def test_a_key_of_any_usual_type_serves_every_kind(
    postgres: PostgresServer, key: str, value: str
) -> None:
    postgres.sql(
        "DROP TABLE IF EXISTS keyed",
        "DROP DOMAIN IF EXISTS counted",
        "CREATE DOMAIN counted AS integer NOT NULL",
        f"CREATE TABLE keyed (id {key} PRIMARY KEY, label text)",
        f"{NUMBERS} INSERT INTO keyed SELECT {value}, 'label ' || i FROM n",
    )
    notes = Notes()
    await PostgresDriver().check(postgres.target("keyed"), ALL_KINDS)
    async with driven(assignment(postgres.target("keyed"), ALL_KINDS), notes):
        await until(lambda: len(set(notes.answered)) == 4 and len(notes.answered) > 100)
    assert notes.failures == []


async def test_keys_that_run_out_are_errors_and_hold_nothing_up(postgres: PostgresServer) -> None:
    postgres.sql(
        "DROP TABLE IF EXISTS full_up",
        "CREATE TABLE full_up (id smallint PRIMARY KEY)",
        "INSERT INTO full_up VALUES (32766)",
    )
    notes = Notes()
    async with driven(assignment(postgres.target("full_up"), only(INSERT)), notes):
        await until(lambda: len(notes.failures) > 10)
    assert notes.answered == [INSERT]


async def test_a_server_that_is_not_there_is_named(tmp_path: Path, items: Target) -> None:
    nowhere = reached_by(items, host=str(tmp_path))
    assert str(tmp_path) in await message_of_failure(nowhere)
    with pytest.raises(DatabaseError):
        await PostgresDriver().check(nowhere, only(LOOKUP))


async def test_a_missing_database_is_named(items: Target) -> None:
    lost = items.model_copy(update={"database": "nowhere"})
    assert 'database "nowhere" does not exist' in await message_of_failure(lost)


async def test_more_connections_than_the_server_allows_are_a_refusal(
    mortal_postgres: PostgresServer,
) -> None:
    mortal_postgres.sql(
        "CREATE TABLE items (id integer PRIMARY KEY)",
        "INSERT INTO items VALUES (1)",
        "CREATE ROLE few LOGIN CONNECTION LIMIT 3",
        "GRANT ALL ON items TO few",
    )
    target = reached_by(mortal_postgres.target("items"), username="few")
    given = assignment(target, only(LOOKUP), connections=8)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with driven(given, Notes()):
            pass
    refusal = caught.value.exceptions[0]
    assert isinstance(refusal, DatabaseError)
    assert "of a worker's 8 connections could be opened: too many connections" in str(refusal)
    await until(lambda: mortal_postgres.sessions(given.application_name) == 0)


async def test_a_password_comes_from_where_the_connection_says(
    postgres: PostgresServer, items: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = "it's a secret"
    reference = postgres.demand_password("careful", password.replace("'", "''"))
    monkeypatch.setenv("ITEMS_PASSWORD", password)
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:careful:{password}\n")
    passfile.chmod(0o600)
    services = tmp_path / "services"
    services.write_text(f"[items]\nhost={reference.host}\nuser=careful\npassword={password}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    for way in (
        reference.model_copy(update={"password_env": "ITEMS_PASSWORD"}),
        reference.model_copy(update={"passfile": str(passfile)}),
        ConnectionReference(service="items"),
    ):
        target = items.model_copy(update={"connection": way})
        assert (await PostgresDriver().describe(target)).key == ("id",)


async def test_an_address_in_the_environment_leads_away_from_no_host_that_is_named(
    items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    driver = PostgresDriver()
    assert (await driver.describe(items)).key == ("id",)
    assert (await driver.describe(driver.resolved(items))).key == ("id",)


async def test_a_password_that_cannot_be_found_or_is_wrong_is_told(
    postgres: PostgresServer, items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = postgres.demand_password("careful", "right")
    monkeypatch.setenv("ITEMS_PASSWORD", "wrong")
    target = items.model_copy(update={"connection": reference})
    wrong = await message_of_failure(reached_by(target, password_env="ITEMS_PASSWORD"))
    assert 'password authentication failed for user "careful"' in wrong
    assert "ITEMS_NONE" in await message_of_failure(reached_by(target, password_env="ITEMS_NONE"))
    assert "nobody" in await message_of_failure(reached_by(target, service="nobody"))


async def test_an_operator_with_a_question_mark_is_told_apart_or_refused(
    postgres: PostgresServer,
) -> None:
    postgres.sql(
        "DROP TABLE IF EXISTS docs",
        "CREATE TABLE docs (id integer PRIMARY KEY, doc jsonb)",
        f"{NUMBERS} INSERT INTO docs SELECT i, '{{}}' FROM n",
    )
    target = postgres.target("docs")
    driver = PostgresDriver()
    await driver.check(target, only(LOOKUP, "SELECT doc ? 'a' FROM {table} WHERE id = $1"))
    with pytest.raises(InvalidInput):
        await driver.check(target, only(LOOKUP, "SELECT doc ? 'a' FROM {table} WHERE id = ?"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT E'a'\n'\\' || ' INTO aside FROM {table} --'",
        "SELECT FROM {table}",
    ],
)
async def test_a_read_that_returns_no_columns_is_refused(items: Target, sql: str) -> None:
    with pytest.raises(InvalidInput, match="GENERIC_SQL cannot be used: it returns no columns"):
        await PostgresDriver().check(items, (own(Operation.READ, sql),))
