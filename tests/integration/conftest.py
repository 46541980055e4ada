from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
import sqlalchemy as sa

from benchgate.database import sqlite_url
from benchgate.gate.approvals.record import Record
from benchgate.gate.store import open_store
from tests.integration.databases import (
    Database,
    DuckdbDatabase,
    PostgresDatabase,
    SnowflakeDatabase,
    SqliteDatabase,
)
from tests.integration.records import opened
from tests.integration.servers import PostgresServer
from tests.integration.snowflakes import PASSWORD, SnowflakeServer


@contextmanager
def running_server() -> Generator[PostgresServer]:
    # Not in pytest's own folder: the server runs as another user where the tests run as root, and
    # every session of pytest closes that folder to other users anew.
    with TemporaryDirectory(prefix="benchgate-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "data")
        try:
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server that the whole session shares; make tables of your own in it."""
    with running_server() as server:
        yield server


@pytest.fixture
def mortal_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, which it may stop."""
    with running_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def record_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a record of the test's own lies, on each kind of database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "record.sqlite3")
    server: PostgresServer = request.getfixturevalue("postgres")
    schema = f"record_{uuid4().hex}"
    server.sql(f"CREATE SCHEMA {schema}")
    return server.url(search_path=schema)


@pytest.fixture
def record(record_url: str) -> Iterator[Record]:
    """A record with nothing in it."""
    record = opened(record_url)
    yield record
    record.close()


@pytest.fixture
def engine(record_url: str) -> Iterator[sa.Engine]:
    """A record with nothing in it, for those who write into it themselves."""
    engine = open_store(record_url)
    yield engine
    engine.dispose()


@pytest.fixture
def other_engine(record_url: str) -> Iterator[sa.Engine]:
    """The same record as another process has it open."""
    engine = open_store(record_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "duckdb", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each database that a driver exists for."""
    if request.param == "sqlite":
        return SqliteDatabase(tmp_path / "test.db")
    if request.param == "duckdb":
        return DuckdbDatabase(tmp_path / "test.duckdb")
    return PostgresDatabase(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def snowflake() -> Iterator[SnowflakeServer]:
    """A stand-in for Snowflake that the whole session shares."""
    server = SnowflakeServer()
    yield server
    server.stop()


@pytest.fixture
def snowflake_database(
    snowflake: SnowflakeServer, monkeypatch: pytest.MonkeyPatch
) -> SnowflakeDatabase:
    """A schema of the test's own on it, and its password in the environment."""
    monkeypatch.setenv(SnowflakeDatabase.password_env, PASSWORD)
    return SnowflakeDatabase(snowflake, schema_name=f"s{uuid4().hex[:12]}")
