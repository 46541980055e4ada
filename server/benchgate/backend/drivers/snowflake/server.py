"""What Snowflake tells of its warehouses and of the statements that sessions of a run have there.

Snowflake lists no sessions to their user, only statements; an idle session holds nothing, because
every statement commits by itself, and ends without its client.
"""

import time
from contextlib import suppress
from typing import Any

from benchgate.backend.drivers.layouts import quoted
from benchgate.backend.drivers.port import SessionsEnded, Survey, Target, Warehouse
from benchgate.backend.drivers.snowflake.client import (
    CLIENT_ERRORS,
    Connection,
    failure_of,
    rows_of,
)
from benchgate.backend.drivers.snowflake.table import enter, literal
from benchgate.domain.failures import FailureKind

END_LIMIT_S = 2.0
LOOK_AGAIN_S = 0.2

# Of the most that Snowflake lists, those under way first.
UNDER_WAY = (
    "SELECT DISTINCT SESSION_ID FROM TABLE({database}.INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER("
    "RESULT_LIMIT => 10000)) WHERE QUERY_TAG = :1 AND EXECUTION_STATUS IN "
    "('RUNNING', 'QUEUED', 'BLOCKED', 'RESUMING_WAREHOUSE')"
)


def survey(connection: Connection, target: Target) -> Survey:
    """What the server and the warehouse of *target* tell of themselves."""
    place = enter(connection, target)
    warehouse = _warehouse(connection, target)
    busy = None
    if warehouse is not None:
        busy = warehouse.statements_running + warehouse.statements_queued
    return Survey(
        is_on_this_machine=False,
        active_sessions=busy,
        table_bytes=place.bytes,
        warehouse=warehouse,
    )


def _warehouse(connection: Connection, target: Target) -> Warehouse | None:
    wanted = target.warehouse_name
    if wanted is None:
        return None
    rows = rows_of(connection, f"SHOW WAREHOUSES LIKE {literal(wanted)}")
    names = (wanted, wanted.upper())
    row = next((row for name in names for row in rows if row["name"] == name), None)
    if row is None:
        return None
    return Warehouse(
        name=row["name"],
        state=row["state"],
        size=row["size"] or "",
        resumes_by_itself=str(row["auto_resume"]).lower() == "true",
        statements_running=row["running"],
        statements_queued=row["queued"],
        # Only editions with warehouses of several clusters have the column.
        clusters_max=row.get("max_cluster_count") or 1,
        statements_at_once=_at_once(connection, str(row["name"])),
    )


def _at_once(connection: Connection, warehouse: str) -> int | None:
    sql = f"SHOW PARAMETERS LIKE 'MAX_CONCURRENCY_LEVEL' IN WAREHOUSE {quoted(warehouse)}"
    try:
        rows = rows_of(connection, sql)
    except CLIENT_ERRORS as exc:
        # Who may use a warehouse need not be allowed to look at its parameters.
        if failure_of(exc) is FailureKind.CONNECTION:
            raise
        return None
    return int(rows[0]["value"]) if rows else None


def identity(connection: Connection) -> str | None:
    """The account and the role of the session, which are all that tells what it can see."""
    rows = rows_of(connection, "SELECT CURRENT_REGION(), CURRENT_ACCOUNT(), CURRENT_ROLE()")
    parts = list(rows[0].values())
    return None if None in parts else "/".join(map(str, parts))


def end_sessions(connection: Connection, target: Target, name: str) -> SessionsEnded:
    """Cancel every statement that sessions tagged *name* have under way, and see them end."""
    database = quoted(enter(connection, target).database)
    found = left = _under_way(connection, database, name)
    deadline = time.monotonic() + END_LIMIT_S
    while left and time.monotonic() < deadline:
        for session_id in left:
            # What ended by itself in between cannot be cancelled.
            with suppress(*CLIENT_ERRORS):
                rows_of(connection, f"SELECT SYSTEM$CANCEL_ALL_QUERIES({session_id})")
        time.sleep(LOOK_AGAIN_S)
        left = _under_way(connection, database, name)
    return SessionsEnded(found=len(found), left=len(left))


def _under_way(connection: Connection, database: str, name: str) -> list[int]:
    rows: list[dict[str, Any]] = rows_of(connection, UNDER_WAY.format(database=database), (name,))
    return [int(row["SESSION_ID"]) for row in rows]
