"""Opens the databases that hold our own state, and brings their schema up to date.

Knows no table: its two users (the gate's record and the embedded backend's) hand theirs in.
Every open is late and costs an import of SQLAlchemy; nobody imports this module at start-up.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from benchgate.errors import StoreError

BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_SECONDS = 10
ONLY_READS = "benchgate_only_reads"
POSTGRES_DRIVER = "postgresql+psycopg"
LOCK_TIMEOUT = sa.text(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
SCHEMA_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('benchgate.schema'))")
WRITERS_LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtext('benchgate.record'))")

Change = Callable[[sa.Connection], None]

VERSIONS = sa.Table(
    "schema_version", sa.MetaData(), sa.Column("version", sa.Integer, primary_key=True)
)


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite database at *path*."""
    return f"sqlite:///{path.as_posix()}"


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets the zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    @override
    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


@contextmanager
def store_errors() -> Generator[None]:
    """Let no caller meet an exception of SQLAlchemy's."""
    try:
        yield
    except SQLAlchemyError as exc:
        cause = str(getattr(exc, "orig", None) or exc)
        # Drivers answer in several lines.
        raise StoreError(f"The record could not be used: {' '.join(cause.split())}") from exc


@contextmanager
def reading(engine: sa.Engine) -> Generator[sa.Connection]:
    """A transaction that writes nothing, and waits for nobody who does.

    Raises:
        StoreError: the database cannot be used.
    """
    with store_errors(), engine.execution_options(**{ONLY_READS: True}).begin() as connection:
        yield connection


@contextmanager
def writing_alone(engine: sa.Engine) -> Generator[sa.Connection]:
    """A transaction beside which nobody else writes, on either kind of database.

    Raises:
        StoreError: the database cannot be used, or the lock did not come in time.
    """
    with store_errors(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(LOCK_TIMEOUT)
            connection.execute(WRITERS_LOCK)
        yield connection


def open_database(url: str, changes: Sequence[Change]) -> sa.Engine:
    """An engine on *url* whose schema has had all of *changes*, in order, each once.

    A `postgresql://` URL that names no driver gets psycopg.

    Raises:
        StoreError: it cannot be opened, or a newer version has written it.
    """
    with store_errors(), ExitStack() as undo:
        engine = _engine(sa.make_url(url))
        undo.callback(engine.dispose)
        with engine.begin() as connection:
            _upgrade(connection, changes)
        undo.pop_all()
    return engine


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(url)
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin)
        return engine
    if url.drivername == "postgresql":
        url = url.set(drivername=POSTGRES_DRIVER)
    takes_limit = url.get_driver_name() in {"psycopg", "psycopg2"}
    limit = {"connect_timeout": CONNECT_TIMEOUT_SECONDS} if takes_limit else {}
    # READ COMMITTED whatever the database's default: under a stricter level, a transaction that
    # waited for the writers' lock would go on to read what was true before it waited. A server
    # that was started anew has closed the connections that lie in the pool: each is tried first.
    return sa.create_engine(
        url, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=limit
    )


def _upgrade(connection: sa.Connection, changes: Sequence[Change]) -> None:
    """Apply what is missing, under one transaction that keeps other processes out."""
    if connection.dialect.name == "postgresql":
        connection.execute(LOCK_TIMEOUT)
        connection.execute(SCHEMA_LOCK)
    VERSIONS.create(connection, checkfirst=True)
    done = connection.scalar(sa.select(sa.func.max(VERSIONS.c.version))) or 0
    if done > len(changes):
        raise StoreError(
            f"The record has schema version {done}; this benchgate knows {len(changes)}.",
            hint="Upgrade benchgate, or point BENCHGATE_DATA_DIR at another folder.",
        )
    for number, change in enumerate(changes[done:], start=done + 1):
        change(connection)
        connection.execute(VERSIONS.insert().values(version=number))


def _tune_sqlite(connection: DBAPIConnection, _: object) -> None:
    # The driver's own transaction handling is switched off: `_begin` is explicit.
    connection.isolation_level = None  # pyright: ignore[reportAttributeAccessIssue]
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    # Taking the write lock at once makes "read, then write" one step, and a deadlock a wait.
    reads = connection.get_execution_options().get(ONLY_READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
