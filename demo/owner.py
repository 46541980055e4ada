"""What the person, not the agent, does with the backend: saves a connection and two templates.

Speaks to the embedded backend's REST API with the token of its record, as its owner may. Starts
nothing and ends nothing.
"""

from pathlib import Path

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from benchgate.domain.rendezvous import RECORD_FILE, BackendRecord
from demo.errors import DemoError
from demo.orders import TABLE
from demo.postgres import LOOPBACK, USERNAME, PostgresServer

CONNECTION_NAME = "Demo PostgreSQL"
NAME_PREFIX = "Orders on "
CONNECTIONS = 8
WARMUP_SECONDS_MAX = 2
REQUEST_TIMEOUT_SECONDS = 10

Json = dict[str, object]


class Databases(BaseModel, frozen=True):
    """Where the sample data lies."""

    sqlite: Path
    postgres: PostgresServer
    postgres_database: str


class SavedTemplate(BaseModel, frozen=True):
    """A template as the backend has saved it."""

    template_id: str
    template_name: str

    @property
    def variant(self) -> str:
        """What it is compared as: the database."""
        return self.template_name.removeprefix(NAME_PREFIX)


class SavedConnection(BaseModel, frozen=True):
    """A connection as the backend has saved it."""

    connection_id: str
    connection_name: str


class SavedConnections(BaseModel, frozen=True):
    """The backend's list of connections."""

    connections: tuple[SavedConnection, ...]


def templates(databases: Databases, connection_id: str, seconds: int) -> tuple[Json, Json]:
    """The same load for both databases: lookups, scans and writes on eight connections."""
    load: Json = {
        "table_name": TABLE,
        "custom_point_lookup_pct": 70,
        "custom_range_scan_pct": 20,
        "custom_insert_pct": 5,
        "custom_update_pct": 5,
        "load_mode": "CONCURRENCY",
        "concurrent_connections": CONNECTIONS,
        "warmup": min(WARMUP_SECONDS_MAX, seconds),
        "duration": seconds,
    }
    sqlite: Json = {"table_type": "SQLITE", "database": str(databases.sqlite)}
    postgres: Json = {
        "table_type": "POSTGRES",
        "database": databases.postgres_database,
        "schema": "public",
        "connection_id": connection_id,
    }
    return (
        {"template_name": f"{NAME_PREFIX}SQLite", "config": load | sqlite},
        {"template_name": f"{NAME_PREFIX}PostgreSQL", "config": load | postgres},
    )


async def save_templates(
    data_dir: Path, databases: Databases, *, seconds: int
) -> tuple[SavedTemplate, ...]:
    """Save both templates as new, with their connection; those of earlier demos are replaced.

    Raises:
        DemoError: the backend does not take them; the message is its own.
    """
    record = _record(data_dir)
    token = record.token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=record.url, headers=headers, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False
    ) as http:
        await _remove_earlier(http)
        connection_id = await _save_connection(http, databases.postgres)
        drafts = templates(databases, connection_id, seconds)
        answers = [await _ask(http, "POST", "/api/templates/", draft) for draft in drafts]
    return tuple(SavedTemplate.model_validate_json(answer) for answer in answers)


async def _remove_earlier(http: httpx.AsyncClient) -> None:
    answer = await _ask(http, "GET", "/api/templates/")
    for template in TypeAdapter(list[SavedTemplate]).validate_json(answer):
        await _ask(http, "DELETE", f"/api/templates/{template.template_id}")
    answer = await _ask(http, "GET", "/api/connections/")
    for connection in SavedConnections.model_validate_json(answer).connections:
        await _ask(http, "DELETE", f"/api/connections/{connection.connection_id}")


async def _save_connection(http: httpx.AsyncClient, server: PostgresServer) -> str:
    draft: Json = {
        "connection_name": CONNECTION_NAME,
        "connection_type": "POSTGRES",
        "host": LOOPBACK,
        "port": server.port,
        "username": USERNAME,
        "passfile": str(server.passfile),
    }
    answer = await _ask(http, "POST", "/api/connections/", draft)
    return SavedConnection.model_validate_json(answer).connection_id


async def _ask(http: httpx.AsyncClient, method: str, path: str, body: Json | None = None) -> bytes:
    try:
        response = await http.request(method, path, json=body)
    except httpx.HTTPError as exc:
        raise DemoError(f"The backend did not answer {method} {path}: {exc!r}") from exc
    if response.is_error:
        raise DemoError(f"The backend refused {method} {path}: {response.text}")
    return response.content


def _record(data_dir: Path) -> BackendRecord:
    try:
        text = (data_dir / RECORD_FILE).read_text(encoding="utf-8")
        return BackendRecord.model_validate_json(text)
    except (OSError, ValidationError) as exc:
        raise DemoError(f"There is no usable record of the backend in {data_dir}.") from exc
