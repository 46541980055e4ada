"""The tables that hold the embedded backend's state, and how they come to be.

Knows columns and nothing of what may happen to a row: that is `templates`, `connections`, `runs`
and `series`.
"""

from functools import partial
from importlib import resources
from pathlib import Path

import sqlalchemy as sa

from benchgate.database import Change, UtcDateTime, open_database, sqlite_url
from benchgate.domain.rendezvous import DATABASE_FILE

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
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

CONNECTIONS = sa.Table(
    "connections",
    METADATA,
    sa.Column("connection_id", sa.String(64), primary_key=True),
    sa.Column("connection_type", sa.String(20), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("draft", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
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
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("elapsed_seconds", sa.Float, nullable=False, default=0),
    sa.Column("measured_seconds", sa.Float),
    sa.Column("cost_credits", sa.Float),
    sa.Column("summary", sa.Text),
    sa.Column("errors", sa.Text),
    sa.Column("findings", sa.Text),
    sa.Column("scratch", sa.Text),
)

SERIES = sa.Table(
    "series",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("timestamp", UtcDateTime, nullable=False),
    sa.Column("elapsed_seconds", sa.Float, nullable=False),
    sa.Column("warmup", sa.Boolean, nullable=False),
    sa.Column("ops_per_sec", sa.Float, nullable=False),
    sa.Column("p50_latency", sa.Float),
    sa.Column("p95_latency", sa.Float),
    sa.Column("p99_latency", sa.Float),
    sa.Column("error_rate", sa.Float, nullable=False),
    sa.Column("active_connections", sa.Integer, nullable=False),
)


# Each is a file of its own, so that a change to the tables above cannot alter what a released
# change did: whoever changes a table adds the next file.
CHANGE_FILES = ("001_first_tables.sql", "002_findings_and_scratch.sql")


def _apply(connection: sa.Connection, *, file: str) -> None:
    """Run the statements of *file*, each of which ends with the `;` at the end of a line."""
    text = (resources.files("benchgate.backend") / "schema" / file).read_text(encoding="utf-8")
    for statement in text.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)


CHANGES: tuple[Change, ...] = tuple(partial(_apply, file=file) for file in CHANGE_FILES)


def open_store(data_dir: Path) -> sa.Engine:
    """The backend's database in *data_dir*, with every table in its present shape."""
    return open_database(sqlite_url(data_dir / DATABASE_FILE), CHANGES)
