"""The tables of the gate's own record, and the numbered changes that make them.

Knows columns, and not what they mean. Importing this module costs SQLAlchemy: it is imported at
the first question, not at start-up.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from benchgate.database import Change, UtcDateTime, open_database

METADATA = sa.MetaData()
APPROVALS = sa.Table(
    "approvals",
    METADATA,
    sa.Column("approval_id", sa.String(64), primary_key=True),
    # The ledger's entry that introduced it: the order of insertion, which no clock can turn round.
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("subject_kind", sa.String(20), nullable=False),
    sa.Column("subject_id", sa.String(64), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("question_digest", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("asked", sa.Text, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("answered_through", sa.String(20)),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("used_at", UtcDateTime),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("mode", sa.String(20)),
    sa.Column("result", sa.Text),
    sa.Column("dialog_by", sa.String(64)),
    sa.Column("dialog_until", UtcDateTime),
    sa.Column("code_digest", sa.String(64)),
)
LEDGER = sa.Table(
    "ledger",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)

COMPARISONS = sa.Table(
    "comparisons",
    METADATA,
    sa.Column("comparison_id", sa.String(64), primary_key=True),
    sa.Column("backend", sa.String(64), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("driver", sa.String(64)),
    sa.Column("driver_until", UtcDateTime),
)
COMPARISON_RUNS = sa.Table(
    "comparison_runs",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("comparison_id", sa.String(64), nullable=False),
)
LANES = sa.Table(
    "lanes",
    METADATA,
    sa.Column("backend", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("entered_at", UtcDateTime, nullable=False),
    # None once the start is known to have happened: from then on the run's own end counts.
    sa.Column("until", UtcDateTime),
)

SIGHTINGS = sa.Table(
    "sightings",
    METADATA,
    sa.Column("backend", sa.String(64), primary_key=True),
    sa.Column("run_id", sa.String(200), primary_key=True),
    sa.Column("snapshot", sa.Text),
    sa.Column("own_stop", sa.Text),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)

# A change is never edited once it is released, so it says in SQL what it does, and does not take
# the tables above, which are those of the newest change. Both databases read this SQL.
FIRST_TABLES = (
    """
    CREATE TABLE approvals (
        approval_id VARCHAR(64) NOT NULL PRIMARY KEY,
        seq INTEGER NOT NULL,
        subject_kind VARCHAR(20) NOT NULL,
        subject_id VARCHAR(64) NOT NULL,
        name TEXT NOT NULL,
        facts TEXT NOT NULL,
        digest VARCHAR(64) NOT NULL,
        question TEXT NOT NULL,
        question_digest VARCHAR(64) NOT NULL,
        state VARCHAR(20) NOT NULL,
        asked TEXT NOT NULL,
        asked_at {moment} NOT NULL,
        answered_through VARCHAR(20),
        answered_at {moment},
        used_at {moment},
        note TEXT NOT NULL,
        result TEXT,
        dialog_by VARCHAR(64),
        dialog_until {moment},
        code_digest VARCHAR(64)
    )
    """,
    # The database itself keeps a subject from having two questions or two yeses.
    """
    CREATE UNIQUE INDEX one_live_approval_per_subject ON approvals (subject_id)
    WHERE state IN ('asked', 'approved')
    """,
    "CREATE INDEX approvals_by_subject ON approvals (subject_id, seq)",
    """
    CREATE TABLE ledger (
        seq INTEGER NOT NULL PRIMARY KEY,
        body TEXT NOT NULL,
        hash VARCHAR(64) NOT NULL
    )
    """,
)
COMPARISON_TABLES = (
    "ALTER TABLE approvals ADD COLUMN mode VARCHAR(20)",
    """
    CREATE TABLE comparisons (
        comparison_id VARCHAR(64) NOT NULL PRIMARY KEY,
        backend VARCHAR(64) NOT NULL,
        state VARCHAR(20) NOT NULL,
        body TEXT NOT NULL,
        driver VARCHAR(64),
        driver_until {moment}
    )
    """,
    "CREATE INDEX comparisons_by_state ON comparisons (backend, state)",
    """
    CREATE TABLE comparison_runs (
        run_id VARCHAR(64) NOT NULL PRIMARY KEY,
        comparison_id VARCHAR(64) NOT NULL
    )
    """,
    """
    CREATE TABLE lanes (
        backend VARCHAR(64) NOT NULL PRIMARY KEY,
        run_id VARCHAR(64) NOT NULL,
        owner VARCHAR(64) NOT NULL,
        entered_at {moment} NOT NULL,
        until {moment}
    )
    """,
)
SIGHTING_TABLES = (
    """
    CREATE TABLE sightings (
        backend VARCHAR(64) NOT NULL,
        run_id VARCHAR(200) NOT NULL,
        snapshot TEXT,
        own_stop TEXT,
        seen_at {moment} NOT NULL,
        PRIMARY KEY (backend, run_id)
    )
    """,
)
MOMENTS = {"sqlite": "DATETIME", "postgresql": "TIMESTAMP WITH TIME ZONE"}


def _first_tables(connection: sa.Connection) -> None:
    _execute(connection, FIRST_TABLES)


def _comparison_tables(connection: sa.Connection) -> None:
    _execute(connection, COMPARISON_TABLES)


def _sighting_tables(connection: sa.Connection) -> None:
    _execute(connection, SIGHTING_TABLES)


def _execute(connection: sa.Connection, statements: Sequence[str]) -> None:
    moment = MOMENTS[connection.dialect.name]
    for statement in statements:
        connection.execute(sa.text(statement.format(moment=moment)))


CHANGES: Sequence[Change] = (_first_tables, _comparison_tables, _sighting_tables)


def open_store(url: str) -> sa.Engine:
    """The record at *url*, its schema up to date.

    Raises:
        StoreError: it cannot be opened, or a newer version has written it.
    """
    return open_database(url, CHANGES)
