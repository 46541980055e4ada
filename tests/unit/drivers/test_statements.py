import pytest

from benchgate.backend.drivers.layouts import Dialect, Field, Layout, qualified
from benchgate.backend.drivers.statements import Binding, Statement, statements_of
from benchgate.domain.templates import WRITES, QueryKind, QueryShare
from benchgate.errors import InvalidInput

LOOKUP, SCAN = QueryKind.POINT_LOOKUP, QueryKind.RANGE_SCAN
INSERT, UPDATE = QueryKind.INSERT, QueryKind.UPDATE


def layout(
    *,
    dialect: Dialect = Dialect.POSTGRES,
    key: tuple[str, ...] = ("id",),
    columns: tuple[Field, ...] | None = None,
) -> Layout:
    plain = (Field(name="id", type_name="int"), Field(name='a"b', type_name="text"))
    return Layout(
        dialect=dialect,
        name=qualified("public", "t"),
        fields=columns or plain,
        key=key,
        integer_key=key == ("id",),
        has_rows=True,
        server_version="1",
    )


def statement(kind: QueryKind, sql: str | None = None, *, on: Layout | None = None) -> Statement:
    share = QueryShare(kind=kind, share_pct=100, writes=kind in WRITES, sql=sql)
    return statements_of((share,), on or layout())[0]


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        (LOOKUP, 'SELECT * FROM "public"."t" WHERE "id" = $1'),
        (SCAN, 'SELECT * FROM "public"."t" WHERE ("id") >= ($1) ORDER BY "id" LIMIT 100'),
        (INSERT, 'INSERT INTO "public"."t" ("id", "a""b") VALUES ($1, $2)'),
        (UPDATE, 'UPDATE "public"."t" SET "a""b" = $1 WHERE "id" = $2'),
    ],
)
def test_a_kind_without_sql_gets_a_default_of_quoted_names(kind: QueryKind, sql: str) -> None:
    assert statement(kind).sql == sql


def test_a_composite_key_is_compared_as_a_whole() -> None:
    both = layout(key=("id", 'a"b'), dialect=Dialect.SQLITE)
    assert statement(LOOKUP, on=both).sql.endswith('WHERE "id" = ?1 AND "a""b" = ?2')
    assert '("id", "a""b") >= (?1, ?2)' in statement(SCAN, on=both).sql


def test_columns_that_the_database_fills_in_are_left_out_of_an_insert() -> None:
    columns = (
        Field(name="id", type_name="int", generated=True),
        Field(name="a", type_name="int"),
        Field(name="b", type_name="int", computed=True),
    )
    insert = statement(INSERT, on=layout(columns=columns))
    assert insert.sql == 'INSERT INTO "public"."t" ("a") VALUES ($1)'
    assert insert.columns == ("a",)


def test_an_insert_into_a_table_that_fills_itself_binds_nothing() -> None:
    columns = (Field(name="id", type_name="int", generated=True),)
    insert = statement(INSERT, on=layout(columns=columns))
    assert insert.sql == 'INSERT INTO "public"."t" DEFAULT VALUES'
    assert insert.binding is Binding.NOTHING


def test_an_update_needs_a_column_that_it_may_set() -> None:
    bare = layout(columns=(Field(name="id", type_name="int"),))
    with pytest.raises(InvalidInput, match="every column belongs to a key"):
        statement(UPDATE, on=bare)


@pytest.mark.parametrize(
    ("dialect", "given", "parsed"),
    [
        (Dialect.POSTGRES, "SELECT ? ", "SELECT $1 "),
        (Dialect.SQLITE, "SELECT $1", "SELECT ?1"),
        (Dialect.SQLITE, "SELECT ?1 + ?1", "SELECT ?1 + ?1"),
        (Dialect.POSTGRES, "SELECT '?', \"?\", ?", "SELECT '?', \"?\", $1"),
        (Dialect.POSTGRES, "SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1"),
        (Dialect.POSTGRES, r"SELECT E'\'?', ?", r"SELECT E'\'?', $1"),
        (Dialect.POSTGRES, "SELECT $$?$$, $q$ ? $1 $q$, ?", "SELECT $$?$$, $q$ ? $1 $q$, $1"),
        (Dialect.POSTGRES, "SELECT /* ? */ ? -- ?", "SELECT /* ? */ $1 -- ?"),
        (Dialect.POSTGRES, "SELECT a$1, $1", "SELECT a$1, $1"),
        (Dialect.POSTGRES, "SELECT doc ? 'a', $1", "SELECT doc ? 'a', $1"),
    ],
)
def test_parameters_are_found_where_they_are_parameters(
    dialect: Dialect, given: str, parsed: str
) -> None:
    found = statement(LOOKUP, given, on=layout(dialect=dialect))
    assert (found.sql, found.parameters) == (parsed, 1)


def test_numbered_parameters_and_marks_do_not_mix() -> None:
    with pytest.raises(InvalidInput, match="mixes"):
        statement(SCAN, "SELECT $1, ?", on=layout(dialect=Dialect.SQLITE))


@pytest.mark.parametrize(
    ("kind", "sql", "binding"),
    [
        (LOOKUP, "SELECT 1", Binding.NOTHING),
        (LOOKUP, "SELECT ?", Binding.KEY),
        (SCAN, "SELECT ?", Binding.KEY),
        (SCAN, "SELECT ?, ?", Binding.KEY_AND_UPPER),
        (INSERT, "INSERT INTO t SELECT ?, ?", Binding.ROW),
        (UPDATE, "UPDATE t SET a = ? WHERE id = ?", Binding.VALUE_AND_KEY),
        (UPDATE, "UPDATE t SET a = a + 1 WHERE id = ?", Binding.KEY),
    ],
)
def test_the_number_of_parameters_says_what_they_are_bound_to(
    kind: QueryKind, sql: str, binding: Binding
) -> None:
    assert statement(kind, sql).binding is binding


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        (LOOKUP, "UPDATE t SET a = 1"),
        (LOOKUP, "/* SELECT */ DROP TABLE t"),
        (LOOKUP, "WITH x AS (UPDATE t SET a = 1 RETURNING 1) SELECT * FROM x"),
        (SCAN, "SELECT * INTO other FROM t"),
        (INSERT, "DELETE FROM t"),
        (INSERT, "TRUNCATE t"),
        (UPDATE, "WITH x AS (SELECT 1) DELETE FROM t"),
        (UPDATE, ""),
    ],
)
def test_a_statement_cannot_do_more_than_its_kind_says(kind: QueryKind, sql: str) -> None:
    with pytest.raises(InvalidInput, match=f"The SQL of {kind}"):
        statement(kind, sql or "--")


def test_a_read_may_lock_the_rows_that_it_reads() -> None:
    assert statement(LOOKUP, "SELECT * FROM t WHERE id = ? FOR UPDATE").binding is Binding.KEY


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        qualified("a\0b")
