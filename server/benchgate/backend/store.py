"""The tables that hold the embedded backend's state, and how they come to be.

Knows columns and nothing of what may happen to a row: that is `templates`, `connections`, `runs`
and `series`.
"""

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from benchgate.database import Change, open_database, sqlite_url
from benchgate.domain.rendezvous import DATABASE_FILE


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. SQLite forgets zones, so they are taken off and put on here."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Strip the zone, which is always UTC in the table."""
        del dialect
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say the zone again."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


METADATA = sa.MetaData()

TEMPLATES = sa.Table(
    "templates",
    METADATA,
    sa.Column("template_id", sa.String(64), primary_key=True),
    sa.Column("template_name", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("connection_id", sa.String(64), index=True),
    sa.Column("tags", sa.JSON(none_as_null=True)),
    sa.Column("usage_count", sa.Integer, nullable=False, default=0),
    sa.Column("last_used_at", Instant),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

CONNECTIONS = sa.Table(
    "connections",
    METADATA,
    sa.Column("connection_id", sa.String(64), primary_key=True),
    sa.Column("connection_type", sa.String(20), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(64), nullable=False, unique=True),
    sa.Column("template_id", sa.String(64), nullable=False, index=True),
    sa.Column("template_name", sa.Text, nullable=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(20), nullable=False, index=True),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("elapsed_seconds", sa.Float, nullable=False, default=0),
    sa.Column("measured_seconds", sa.Float),
    sa.Column("cost_credits", sa.Float),
    sa.Column("summary", sa.Text),
    sa.Column("errors", sa.Text),
)

SERIES = sa.Table(
    "series",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("timestamp", Instant, nullable=False),
    sa.Column("elapsed_seconds", sa.Float, nullable=False),
    sa.Column("warmup", sa.Boolean, nullable=False),
    sa.Column("ops_per_sec", sa.Float, nullable=False),
    sa.Column("p50_latency", sa.Float),
    sa.Column("p95_latency", sa.Float),
    sa.Column("p99_latency", sa.Float),
    sa.Column("error_rate", sa.Float, nullable=False),
    sa.Column("active_connections", sa.Integer, nullable=False),
)


def _create_all(connection: sa.Connection) -> None:
    METADATA.create_all(connection)


# A released change is never edited: whoever changes a table above writes out this one as it was,
# and adds the next.
CHANGES: tuple[Change, ...] = (_create_all,)


def open_store(data_dir: Path) -> sa.Engine:
    """The backend's database in *data_dir*, with every table in its present shape."""
    return open_database(sqlite_url(data_dir / DATABASE_FILE), CHANGES)
