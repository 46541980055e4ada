"""Statements of a person's own: what they may say, and what their parameters are bound to."""

import pytest

from benchgate.backend.drivers.layouts import Dialect, Field, Layout
from benchgate.backend.drivers.operations import (
    Bind,
    Place,
    Pool,
    Written,
    as_it_is,
    check_rows,
    columns_drawn,
    mix,
    needs_keys,
    needs_rows,
    seeded,
)
from benchgate.backend.drivers.statements import (
    Binding,
    Deed,
    Statement,
    refuse_idle,
    refuse_misnamed,
    statements_of,
)
from benchgate.backend.drivers.wording import deletes, writes_by_name
from benchgate.domain.parameters import OfColumn, OfKey, parameters_of
from benchgate.domain.templates import QueryKind, QueryShare
from benchgate.errors import InvalidInput

LINES = Layout(
    dialect=Dialect.SQLITE,
    name='"lines"',
    fields=tuple(Field(name=name, type_name="any") for name in ("order_id", "line_no", "Sku")),
    key=("order_id", "line_no"),
    has_rows=True,
    server_version="1",
)
BARE = LINES.model_copy(update={"key": (), "has_rows": False})
POOL = Pool(
    keys=[(order, line) for order in range(10) for line in range(3)],
    values=[(number, f"sku {number}") for number in range(20)],  # of the columns in their order
)
ONE = "SELECT ?"
TWO = "SELECT ?, ?"
THREE = "SELECT ?, ?, ?"


def own(sql: str, *parameters: object, writes: bool = False, label: str = "") -> QueryShare:
    return QueryShare(
        kind=QueryKind.GENERIC_SQL,
        share_pct=100,
        writes=writes,
        sql=sql,
        label=label,
        parameters=parameters_of(parameters),
    )


def statement(sql: str, *parameters: object, writes: bool = False, on: Layout = LINES) -> Statement:
    return statements_of((own(sql, *parameters, writes=writes),), on)[0]


def binder(
    sql: str, *parameters: object, pool: Pool = POOL, seed: int = 7, written: Written = as_it_is
) -> Bind:
    place = Place(ordinal=0, among=1, generator=seeded(seed))
    made = [statement(sql, *parameters)]
    (operation,) = mix(made, LINES, pool=pool, place=place, written=written)
    return operation.bind


def drawn(sql: str, *parameters: object) -> list[tuple[object, ...]]:
    """Two hundred draws."""
    bind = binder(sql, *parameters)
    return [tuple(bind()) for _ in range(200)]


@pytest.mark.parametrize("sql", ["SELECT 1", "WITH a AS (SELECT 1) SELECT 1", "VALUES (1)"])
def test_a_read_reads_as_a_lookup_does(sql: str) -> None:
    assert statement(sql).binding is Binding.NOTHING
    with pytest.raises(InvalidInput, match="begins with"):
        statement(f"EXPLAIN {sql}")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} SELECT 1",
        "UPDATE {table} SET a = 1",
        "DELETE FROM {table}",
        "MERGE INTO {table} USING x ON 1 = 1 WHEN MATCHED THEN DELETE",
        "REPLACE INTO {table} VALUES (1)",
        "with gone as (delete from {table} returning 1) select 1",
    ],
)
def test_a_write_may_change_rows_in_any_way_and_a_read_in_none(sql: str) -> None:
    assert statement(sql, writes=True).writes
    with pytest.raises(InvalidInput, match=r"GENERIC_SQL (begins with|holds)") as refusal:
        statement(sql)
    assert "operation_type WRITE" in refusal.value.hint


@pytest.mark.parametrize("word", ["DROP", "TRUNCATE", "ALTER", "COMMIT", "COPY", "SELECT", "CALL"])
def test_a_write_begins_with_what_changes_rows(word: str) -> None:
    with pytest.raises(InvalidInput, match=f"begins with {word}; .*DELETE, INSERT") as refusal:
        statement(f"{word} something", writes=True)
    assert "tables are neither made nor dropped" in refusal.value.hint


def test_a_statement_without_words_is_refused() -> None:
    with pytest.raises(InvalidInput, match="begins with nothing"):
        statement("")


def test_only_what_is_called_a_write_may_delete() -> None:
    refuse_misnamed(statement("DELETE FROM {table}", writes=True), set(Deed))
    refuse_misnamed(statement(ONE, 1), [])
    with pytest.raises(InvalidInput, match="GENERIC_SQL would merge rows"):
        refuse_misnamed(statement(ONE, 1), {Deed.MERGE})


@pytest.mark.parametrize(
    ("sql", "is_by_name"),
    [
        ("DELETE FROM {table} WHERE id = 1", False),
        ("DELETE FROM orders WHERE id = 1", True),
        ('DELETE FROM "orders"', True),
        ("MERGE INTO orders USING {table} ON 1 = 1 WHEN MATCHED THEN DELETE", True),
        ("MERGE INTO {table} USING s ON 1 = 1 WHEN MATCHED THEN UPDATE SET a = 1", False),
        ("INSERT INTO {table} VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", False),
        ("DELETE FROM {table} WHERE id = (SELECT id FROM {table} FOR UPDATE)", False),
        ("UPDATE {table} SET a = (SELECT b FROM x FOR NO KEY UPDATE)", False),
        ("WITH d AS (DELETE FROM orders RETURNING 1) INSERT INTO {table} SELECT 1", True),
        ("UPDATE set SET a = 1", True),
    ],
)
def test_a_write_that_names_its_table_is_told(sql: str, *, is_by_name: bool) -> None:
    assert writes_by_name(own(sql, writes=True)) is is_by_name
    assert not writes_by_name(own(sql))


@pytest.mark.parametrize(
    ("sql", "may_delete"),
    [
        ("DELETE FROM {table}", True),
        ("MERGE INTO {table} USING s ON 1 = 1 WHEN MATCHED THEN delete", True),
        ("UPDATE {table} SET note = 'DELETE' -- DELETE", False),
    ],
)
def test_a_write_that_may_delete_is_told(sql: str, *, may_delete: bool) -> None:
    assert deletes(own(sql, writes=True)) is may_delete
    assert not deletes(own(sql))


def test_a_template_that_gives_nothing_binds_the_key() -> None:
    found = statement(TWO)
    assert (found.binding, found.draws) == (Binding.GIVEN, (OfKey(key=True),))
    with pytest.raises(
        InvalidInput, match=r"does not say .* the key of .* has 2 columns"
    ) as refusal:
        statement(ONE)
    assert '{"column": "name"}' in refusal.value.hint


@pytest.mark.parametrize(
    ("sql", "parameters", "words"),
    [
        ("SELECT 1", (1,), "has 0 parameters; the template gives values for 1"),
        (TWO, ({"key": True}, 1), "has 2 parameters; the template gives values for 3"),
        (ONE, ({"modulo": 3},), 'Parameter 1 of GENERIC_SQL is {"modulo": 3}, which is no form'),
        (ONE, ({"column": "price"},), "the column price, which"),
    ],
)
def test_what_cannot_be_bound_is_refused(
    sql: str, parameters: tuple[object, ...], words: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        statement(sql, *parameters)
    assert words in str(refusal.value)
    assert "column" in refusal.value.hint


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"min": 0, "max": 10**400}, "within what 8 bytes can hold"),
        ({"min": -1e308, "max": 1e308}, "within what 8 bytes can hold"),
        ({"min": 0, "max": 2**63}, "within what 8 bytes can hold"),
        ({"min": 0, "max": 2.0**63}, "within what 8 bytes can hold"),
        ({"min": 0.5, "max": 0.7, "integer": True}, "no whole number between"),
        ("a\0b", "holds a NUL"),
        ({"choice": ["a", "b\0"]}, "holds a NUL"),
        (-(2**63) - 1, "more than 8 bytes"),
        ({"choice": [1, 10**400]}, "more than 8 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_value_that_no_database_can_take_is_refused(given: object, fault: str) -> None:
    with pytest.raises(
        InvalidInput, match=f"Parameter 2 of GENERIC_SQL cannot be bound: .*{fault}"
    ):
        statement(TWO, {"choice": [None, True, 0.5, "x", -(2**63)]}, given)


def test_the_widest_range_is_drawn_from() -> None:
    ends = {"min": -(2**63), "max": 2**63 - 1}
    for (one,) in drawn(ONE, ends):
        assert isinstance(one, int)
        assert ends["min"] <= one <= ends["max"]
    assert statement(ONE, {"min": -1e18, "max": 1e18}).draws


def test_a_table_without_a_key_has_none_to_draw() -> None:
    with pytest.raises(InvalidInput, match=r"is the key: .* has no primary key"):
        statement(ONE, {"key": True}, on=BARE)


def test_a_column_is_found_in_any_case_where_that_is_clear() -> None:
    assert statement(ONE, {"column": "SKU"}).draws == (OfColumn(column="Sku"),)
    twins = LINES.model_copy(update={"fields": (*LINES.fields, Field(name="SKU", type_name="x"))})
    assert statement(ONE, {"column": "SKU"}, on=twins).draws == (OfColumn(column="SKU"),)
    with pytest.raises(InvalidInput, match="the column sku"):
        statement(ONE, {"column": "sku"}, on=twins)


def test_only_what_is_drawn_from_rows_needs_rows() -> None:
    check_rows([statement(THREE, 1, {"min": 1, "max": 2}, {"choice": [1]}, on=BARE)], BARE)
    for given in ({"column": "Sku"}, {"key": True}):
        empty = LINES.model_copy(update={"has_rows": False})
        rest = (1, 2) if "column" in given else (1,)
        with pytest.raises(InvalidInput, match="is empty"):
            check_rows([statement(THREE, given, *rest)], empty)


def test_what_has_to_be_sampled_is_known_from_the_draws() -> None:
    made = [
        statement(TWO, {"column": "Sku"}, {"column": "line_no"}),
        statement(TWO, {"column": "line_no"}, 1),
    ]
    assert columns_drawn(made) == ("Sku", "line_no")
    assert not needs_keys(made)
    assert not needs_rows(made)
    assert needs_keys([statement(TWO)])


@pytest.mark.parametrize("given", [{"column": "Sku"}, {"key": True}], ids=str)
def test_a_table_that_was_emptied_meanwhile_is_refused(given: object) -> None:
    sql = TWO if given == {"key": True} else ONE
    with pytest.raises(InvalidInput, match="is empty"):
        binder(sql, given, pool=Pool())


def test_values_of_columns_are_those_of_one_row() -> None:
    sampled = {(number, f"sku {number}") for number in range(20)}
    rows = drawn(THREE, {"column": "line_no"}, "x", {"column": "Sku"})
    assert {(row[0], row[2]) for row in rows} <= sampled
    assert len(set(rows)) > 10
    assert {row[1] for row in rows} == {"x"}


def test_a_key_is_that_of_one_row_and_two_keys_are_of_two() -> None:
    rows = drawn("SELECT ?, ?, ?, ?, ?", {"key": True}, 5, {"key": True})
    assert {row[:2] for row in rows} <= set(POOL.keys)
    assert {row[3:] for row in rows} <= set(POOL.keys)
    assert any(row[:2] != row[3:] for row in rows)


def test_numbers_lie_between_their_ends_and_reach_them() -> None:
    rows = drawn(TWO, {"min": -1, "max": 2}, {"min": 0.5, "max": 0.75})
    assert {row[0] for row in rows} == {-1, 0, 1, 2}
    fractions = [row[1] for row in rows]
    assert all(isinstance(one, float) and 0.5 <= one <= 0.75 for one in fractions)
    assert len(set(fractions)) > 100
    whole = drawn(ONE, {"min": 1.5, "max": 3.5, "integer": True})
    assert {row[0] for row in whole} == {2, 3}
    below = drawn(ONE, {"min": -1.5, "max": -0.5, "integer": True})
    assert {row[0] for row in below} == {-1}


def test_each_choice_is_drawn() -> None:
    assert {row[0] for row in drawn(ONE, {"choice": ["a", None, 3]})} == {"a", None, 3}
    assert set(drawn(ONE, {"choice": ["a"]})) == {("a",)}


def test_parameters_stand_in_their_order_whatever_they_are() -> None:
    bind = binder(
        "SELECT ?, ?, ?, ?, ?, ?",
        1,
        {"column": "line_no"},
        {"choice": ["c"]},
        {"key": True},
        {"min": 4, "max": 4},
    )
    one, line, choice, order_id, line_no, number = bind()
    assert (one, choice, number) == (1, "c", 4)
    assert line in range(20)
    assert (order_id, line_no) in POOL.keys


def test_what_a_template_gives_is_written_as_the_client_takes_it() -> None:
    bind = binder(
        "SELECT ?, ?, ?, ?, ?",
        1,
        {"choice": [True]},
        {"min": 2, "max": 2},
        {"min": 0.5, "max": 0.5},
        {"column": "line_no"},
        written=lambda value: f"<{value}>",
    )
    *written, sampled = bind()
    assert written == ["<1>", "<True>", "<2>", "<0.5>"]
    assert sampled in range(20)


def test_the_same_seed_draws_the_same_values() -> None:
    given = ({"column": "Sku"}, {"min": 0, "max": 10**6}, {"choice": [1, 2, 3]})
    first, again, other = (binder(THREE, *given, seed=seed) for seed in (7, 7, 8))
    values = [first() for _ in range(50)]
    assert values == [again() for _ in range(50)]
    assert values != [other() for _ in range(50)]


def test_own_statements_of_both_natures_keep_theirs_in_the_mix() -> None:
    shares = (own("SELECT 1"), own("DELETE FROM {table}", writes=True))
    place = Place(ordinal=0, among=1, generator=seeded(1))
    mixed = mix(statements_of(shares, LINES), LINES, pool=POOL, place=place)
    assert [(one.kind, one.writes) for one in mixed] == [
        (QueryKind.GENERIC_SQL, False),
        (QueryKind.GENERIC_SQL, True),
    ]


def test_a_write_that_changes_nothing_is_told() -> None:
    with pytest.raises(InvalidInput, match="GENERIC_SQL changes no rows"):
        refuse_idle(statement("WITH x AS (SELECT 1) SELECT 1", writes=True))
