"""The demo's sample data."""

import sqlite3
from pathlib import Path

from demo import orders


def test_the_orders_are_the_same_on_every_machine() -> None:
    first = list(orders.rows(500))
    assert first == list(orders.rows(600))[:500]
    assert first[0] == (1, 6802, "delivered", "DE", 1, "36.55", "2025-01-01 00:24:22")


def test_every_order_has_a_key_of_its_own_and_comes_after_the_one_before() -> None:
    made = list(orders.rows(2_000))
    assert [row[0] for row in made] == list(range(1, 2_001))
    times = [row[-1] for row in made]
    assert times == sorted(set(times))


def test_sqlite_gets_every_order_with_its_types_and_a_write_ahead_log(tmp_path: Path) -> None:
    csv, database = tmp_path / "orders.csv", tmp_path / "shop.sqlite3"
    orders.write_csv(csv, 300)
    orders.fill_sqlite(database, csv)
    connection = sqlite3.connect(database)
    try:
        count, keys, amounts = connection.execute(
            "SELECT count(*), group_concat(DISTINCT typeof(order_id)), min(total_amount) "
            "FROM orders"
        ).fetchone()
        mode = connection.execute("PRAGMA journal_mode").fetchone()
    finally:
        connection.close()
    assert (count, keys, mode) == (300, "integer", ("wal",))
    assert amounts > 0


def test_filling_again_leaves_nothing_of_the_last_time(tmp_path: Path) -> None:
    csv, database = tmp_path / "orders.csv", tmp_path / "shop.sqlite3"
    for count in (300, 200):
        orders.write_csv(csv, count)
        orders.fill_sqlite(database, csv)
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (200,)
    finally:
        connection.close()
