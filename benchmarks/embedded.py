"""Point lookups on SQLite and DuckDB through the load engine, beside a bare loop of the client.

Both have one connection and one process, send the same statement with keys that are drawn from as
many, and fetch the row. The loop does nothing else; what the engine does beside it is to choose
the operation, to look at the clock and to record. They take turns of a few seconds.
"""

import random
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import duckdb
from anyio import to_thread

from benchgate.backend.drivers.operations import KEYS_MAX
from benchgate.backend.drivers.port import Target
from benchgate.backend.engine.load import Load
from benchgate.domain.templates import QueryKind, QueryShare, TableType
from benchmarks import ground
from benchmarks.ground import WARMUP_SECONDS
from benchmarks.table import Row

ROUNDS = 3
SECONDS = 2
ROWS = 100_000
TABLE = "numbers"
SCHEMA = f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"
FILL = {
    TableType.SQLITE: (
        f"INSERT INTO {TABLE} WITH RECURSIVE n(id) AS "  # noqa: S608 - our own words
        f"(SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {ROWS}) "
        "SELECT id, 'number ' || id FROM n"
    ),
    TableType.DUCKDB: (
        f"INSERT INTO {TABLE} SELECT range, 'number ' || range FROM range(1, {ROWS} + 1)"  # noqa: S608
    ),
}
STATEMENT = "SELECT name FROM {table} WHERE id = ?"
LOOKUP = QueryShare(kind=QueryKind.POINT_LOOKUP, share_pct=100, writes=False, sql=STATEMENT)
CONNECT: dict[TableType, Callable[[Path], Any]] = {
    TableType.SQLITE: lambda path: sqlite3.connect(path, isolation_level=None),
    TableType.DUCKDB: lambda path: duckdb.connect(str(path)),
}


async def rows() -> list[Row]:
    """The ratios to the bare loops."""
    found: list[Row] = []
    for table_type in CONNECT:
        with tempfile.TemporaryDirectory(prefix="benchgate-bench-") as folder:
            path = Path(folder, "numbers.database")
            await to_thread.run_sync(_fill, table_type, path)
            found += await _compared(table_type, path)
    return found


async def _compared(table_type: TableType, path: Path) -> list[Row]:
    bare: list[float] = []
    ours: list[float] = []
    for number in range(ROUNDS):
        bare.append(await to_thread.run_sync(_bare, table_type, path))
        measured = await ground.carried_out(_load(table_type, path, number))
        ours.append(measured.summary.average_qps)
    ratios = [our / loop for our, loop in zip(ours, bare, strict=True)]
    name = f"lookups/s on {table_type.value}, one connection"
    return [
        Row(name=f"{name}, bare loop", measured=median(bare), bar=None, unit="/s"),
        Row(name=f"{name}, to that", measured=median(ratios), bar=None, unit="x"),
    ]


def _load(table_type: TableType, path: Path, number: int) -> Load:
    return Load(
        run_id=f"embedded-{number}",
        target=Target(table_type=table_type, database=str(path), table_name=TABLE),
        workload=(LOOKUP,),
        connections=1,
        connections_at_start=1,
        workers_max=1,
        warmup_seconds=WARMUP_SECONDS,
        duration_seconds=SECONDS,
        seed=number,
    )


def _fill(table_type: TableType, path: Path) -> None:
    with closing(CONNECT[table_type](path)) as connection:
        connection.execute(SCHEMA)
        connection.execute(FILL[table_type])
        if table_type is TableType.SQLITE:
            connection.execute("PRAGMA journal_mode = WAL")


def _bare(table_type: TableType, path: Path) -> float:
    """Lookups per second of a loop that does nothing else."""
    keys = [random.randint(1, ROWS) for _ in range(KEYS_MAX)]  # noqa: S311 - no secret
    statement = STATEMENT.format(table=TABLE)
    with closing(CONNECT[table_type](path)) as connection:
        return _looped(lambda key: connection.execute(statement, (key,)).fetchall(), keys)


def _looped(look_up: Callable[[int], Any], keys: Sequence[int]) -> float:
    began, count = perf_counter(), 0
    while (seconds := perf_counter() - began) < SECONDS:
        for key in keys:
            look_up(key)
        count += len(keys)
    return count / seconds
