"""Opens the databases that hold our own state, and brings their schema up to date.

Knows no table: its two users (the gate's record and the embedded backend's) hand theirs in.
Every open is late and costs an import of SQLAlchemy; nobody imports this module at start-up.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from benchgate.errors import StoreError

BUSY_TIMEOUT_MS = 10_000

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
        cause = getattr(exc, "orig", None) or exc
        raise StoreError(f"The record could not be used: {cause}") from exc


def open_database(url: str, changes: Sequence[Change]) -> sa.Engine:
    """An engine on *url* whose schema has had all of *changes*, in order, each once.

    Raises:
        StoreError: it cannot be opened, or a newer version has written it.
    """
    with store_errors():
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "begin", _begin_immediate)
        with engine.begin() as connection:
            _upgrade(connection, changes)
    return engine


def _upgrade(connection: sa.Connection, changes: Sequence[Change]) -> None:
    """Apply what is missing, under one transaction that keeps other processes out."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('benchgate.schema'))"))
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
    # The driver's own transaction handling is switched off: `_begin_immediate` is explicit.
    connection.isolation_level = None  # pyright: ignore[reportAttributeAccessIssue]
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    # Taking the write lock at once makes "read, then write" one step, and a deadlock a wait.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
