"""The sample data: a table of orders, the same in SQLite and PostgreSQL and on every machine.

Knows what the rows look like and how each database takes them in bulk; starts no server.
"""

import csv
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROWS = 100_000
SEED = 20_261
CUSTOMERS = 12_000
MEAN_SECONDS_BETWEEN_ORDERS = 300
FIRST_ORDER = datetime(2025, 1, 1, tzinfo=UTC)
STATUSES, STATUS_WEIGHTS = ("delivered", "shipped", "paid", "new", "returned"), (70, 12, 9, 6, 3)
COUNTRIES, COUNTRY_WEIGHTS = ("DE", "FR", "US", "GB", "NL", "PL"), (30, 20, 20, 14, 9, 7)

TABLE = "orders"
SCHEMA = """
CREATE TABLE orders (
  order_id     {integer} PRIMARY KEY,
  customer_id  INTEGER NOT NULL,
  status       VARCHAR(12) NOT NULL,
  country      CHAR(2) NOT NULL,
  items        INTEGER NOT NULL,
  total_amount NUMERIC(10, 2) NOT NULL,
  ordered_at   TIMESTAMP NOT NULL
)
"""
# In SQLite only the very word INTEGER makes the key the row's own id.
SQLITE_SCHEMA = SCHEMA.format(integer="INTEGER")
POSTGRES_SCHEMA = SCHEMA.format(integer="BIGINT")

Row = tuple[int, int, str, str, int, str, str]


def rows(count: int = ROWS) -> Iterator[Row]:
    """The first *count* orders, oldest first."""
    dice = random.Random(SEED)  # noqa: S311 - sample data, not a secret
    at = FIRST_ORDER
    for number in range(1, count + 1):
        (status,) = dice.choices(STATUSES, STATUS_WEIGHTS)
        (country,) = dice.choices(COUNTRIES, COUNTRY_WEIGHTS)
        at += timedelta(seconds=int(dice.expovariate(1 / MEAN_SECONDS_BETWEEN_ORDERS)) + 1)
        items = 1 + int(dice.expovariate(0.7))
        amount = f"{items * dice.lognormvariate(3.2, 0.6):.2f}"
        customer = int(CUSTOMERS * dice.random() ** 2) + 1
        yield number, customer, status, country, items, amount, f"{at:%Y-%m-%d %H:%M:%S}"


def write_csv(path: Path, count: int = ROWS) -> None:
    """Put the orders into *path*, as both databases can read them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows(count))


def fill_sqlite(database: Path, orders: Path) -> None:
    """Make *database* anew from the CSV file *orders*, with a write-ahead log."""
    for leftover in (database, *(Path(f"{database}{end}") for end in ("-wal", "-shm"))):
        leftover.unlink(missing_ok=True)
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection, orders.open(encoding="utf-8", newline="") as file:
            connection.execute(SQLITE_SCHEMA)
            connection.executemany(
                f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own name
                csv.reader(file),
            )
        connection.execute("ANALYZE")
    finally:
        connection.close()


def postgres_commands() -> tuple[str, ...]:
    """What `psql` runs, one after the other, with the CSV file as its input."""
    return (POSTGRES_SCHEMA, f"COPY {TABLE} FROM STDIN (FORMAT csv)", f"VACUUM ANALYZE {TABLE}")
