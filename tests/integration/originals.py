"""The table that a run is told to load over REST, on each kind of database, and what it has left.

What a run that writes must not change is the table's content; what it must not leave is anything
beside it.
"""

from hashlib import sha256
from typing import Any

import httpx

from benchgate.backend.drivers.port import ConnectionReference
from benchgate.domain.templates import TableType
from tests.integration.databases import NUMBERS, Database, DuckdbDatabase, SqliteDatabase
from tests.unit.backend.scripted import draft

CHECKSUM = "SELECT count(*), md5(string_agg(o::text, ',' ORDER BY id)) FROM orders AS o"
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'benchgate%' ORDER BY 1"
# Anybody may use it, so that a test can use it as somebody.
OPEN_TO_ALL = "GRANT ALL ON orders TO PUBLIC"


def make_orders(database: Database) -> None:
    """A table of orders, in the place of one that another test has left."""
    database.sql(
        "DROP TABLE IF EXISTS orders",
        "CREATE TABLE orders (id integer PRIMARY KEY, customer text)",
        f"{NUMBERS} INSERT INTO orders SELECT i, 'customer ' || i FROM n",
    )


def left(database: Database) -> tuple[str, list[str]]:
    """The content of the orders, byte for byte where that can be seen, and what lies beside them.

    Of a file, no run may have it open.
    """
    if isinstance(database, SqliteDatabase | DuckdbDatabase):
        content = sha256(database.path.read_bytes()).hexdigest()
        return content, sorted(entry.name for entry in database.path.parent.iterdir())
    return database.sql(CHECKSUM), database.sql(SCHEMAS).splitlines()


async def orders_draft(
    http: httpx.AsyncClient, database: Database, *, username: str | None = None, **config: Any
) -> dict[str, Any]:
    """The body that saves a template on the orders, whose server is saved as a connection."""
    target = database.target("orders")
    place: dict[str, Any] = {"table_type": target.table_type, "schema": target.schema_name}
    if target.connection is not None:
        place["connection_id"] = await _saved(http, target.connection, username)
    if target.table_type is TableType.POSTGRES and username is not None:
        database.sql(OPEN_TO_ALL)
    calm: dict[str, Any] = {
        "think_time": 5,
        "scaling": {"max_workers": 1},
        "duration": 1,
        "warmup": 0,
    }
    return draft(target.database, **(place | calm | config))


async def _saved(
    http: httpx.AsyncClient, reference: ConnectionReference, username: str | None
) -> str:
    place = reference.model_dump(include={"host", "username"})
    body = {"connection_name": "local", "connection_type": "POSTGRES", **place}
    body["username"] = username or reference.username
    saved = await http.post("/api/connections/", json=body)
    assert saved.status_code == 201, saved.text
    return saved.json()["connection_id"]
