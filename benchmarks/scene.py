"""A server with its embedded backend, a small table and a template: what is measured upon.

Everything lies in a temporary folder and is ended and removed afterwards.
"""

import os
import sqlite3
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import httpx
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult

from benchgate.domain.rendezvous import RECORD_FILE, BackendRecord
from demo import backend

ROOT = Path(__file__).parents[1]
BENCHGATE = ("-m", "benchgate")
ROWS = 1_000
WARMUP_SECONDS = 1
MEASURED_SECONDS = 6


class Scene:
    """What a measurement needs."""

    def __init__(self, client: Client, record: BackendRecord, *, template_id: str) -> None:
        self.client = client
        self.record = record
        self.template_id = template_id

    async def prepared_run(self) -> str:
        """The id of a new run."""
        result = await self.client.call_tool("create_run", {"template_id": self.template_id})
        return str(structured(result)["run_id"])


def structured(result: CallToolResult) -> dict[str, Any]:
    """What a call that succeeded has for programs."""
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


def spawned(
    arguments: Sequence[str], environment: dict[str, str] | None = None
) -> AbstractAsyncContextManager[Client]:
    """A client of the server that this Python starts with *arguments*; it says yes to questions."""
    parameters = StdioServerParameters(
        command=sys.executable, args=list(arguments), env=environment, cwd=ROOT
    )
    return _client(parameters)


@asynccontextmanager
async def scene() -> AsyncGenerator[Scene]:
    """benchgate over a backend that is up, with a template saved."""
    with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as name:
        data = Path(name, "data")
        async with (
            backend.ended_afterwards(data),
            spawned(BENCHGATE, {"BENCHGATE_DATA_DIR": str(data)}) as client,
        ):
            structured(await client.call_tool("list_templates", {}))
            record = BackendRecord.model_validate_json((data / RECORD_FILE).read_bytes())
            template_id = await _save_template(record, _table(Path(name)))
            yield Scene(client, record, template_id=template_id)


@asynccontextmanager
async def _client(parameters: StdioServerParameters) -> AsyncGenerator[Client]:
    with _nowhere() as nowhere:
        transport = stdio_client(parameters, errlog=nowhere)
        async with Client(transport, elicitation_callback=_yes) as client:
            yield client


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


async def _yes(
    context: ClientRequestContext,  # noqa: ARG001 - the SDK's protocol names it
    params: ElicitRequestParams,  # noqa: ARG001
) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": "yes"})


def _table(folder: Path) -> Path:
    path = folder / "numbers.sqlite3"
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
            rows = ((number, f"number {number}") for number in range(1, ROWS + 1))
            connection.executemany("INSERT INTO numbers VALUES (?, ?)", rows)
    finally:
        connection.close()
    return path


async def _save_template(record: BackendRecord, database: Path) -> str:
    draft = {
        "template_name": "Numbers on SQLite",
        "config": {
            "table_type": "SQLITE",
            "database": str(database),
            "table_name": "numbers",
            "custom_point_lookup_pct": 80,
            "custom_range_scan_pct": 20,
            "concurrent_connections": 2,
            "warmup": WARMUP_SECONDS,
            "duration": MEASURED_SECONDS,
        },
    }
    headers = {"Authorization": f"Bearer {record.token.get_secret_value()}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
        response = await http.post(f"{record.url}/api/templates/", json=draft)
    return str(response.raise_for_status().json()["template_id"])
