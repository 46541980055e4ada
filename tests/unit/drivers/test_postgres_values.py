import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.adapt import Transformer
from psycopg.postgres import types

from benchgate.backend.drivers.layouts import Dialect, Field, Layout
from benchgate.backend.drivers.operations import Place, Pool, mix, seeded
from benchgate.backend.drivers.postgres.values import Sent, Verbatim, as_text, model, sending, sent
from benchgate.backend.drivers.statements import statements_of
from benchgate.domain.parameters import Scalar, parameters_of
from benchgate.domain.templates import QueryKind, QueryShare

LAYOUT = Layout(
    dialect=Dialect.POSTGRES,
    name='"t"',
    fields=(
        Field(name="id", type_name="integer", has_maximum=True),
        Field(name="code", type_name="text"),
        Field(name="note", type_name="jsonb"),
    ),
    key=("id",),
    uniques=(("code",),),
    integer_key=True,
    has_rows=True,
    server_version="1",
)
POOL = Pool(keys=[(b"17",)], rows=[[Verbatim(b"17"), "code", b'{"a": null}']], maxima={"id": 99})


def drawn(kind: QueryKind, sql: str | None = None, pool: Pool = POOL) -> Sequence[Sent]:
    share = QueryShare(kind=kind, share_pct=100, writes=True, sql=sql)
    (statement,) = statements_of((share,), LAYOUT)
    place = Place(ordinal=0, among=1, generator=seeded(1))
    (operation,) = mix([statement], LAYOUT, pool=pool, place=place)
    return sending(statement, LAYOUT, operation.bind)()


def test_what_was_sampled_is_sent_back_as_it_came() -> None:
    assert drawn(QueryKind.POINT_LOOKUP) == (b"17",)
    assert drawn(QueryKind.UPDATE, "UPDATE {table} SET note = $1 WHERE id = $2") == (
        b'{"a": null}',
        b"17",
    )


def test_the_upper_bound_of_a_scan_is_made_from_the_text_of_the_key() -> None:
    sql = "SELECT 1 FROM {table} WHERE id BETWEEN $1 AND $2"
    assert drawn(QueryKind.RANGE_SCAN, sql) == (b"17", b"117")


def test_only_the_fresh_values_of_a_row_are_made_anew() -> None:
    number, code, note = drawn(QueryKind.INSERT)
    assert number == b"100"
    assert code is not None
    assert code.startswith(b"code-")
    assert note == b'{"a": null}'


def test_where_nothing_fresh_can_be_made_the_old_value_is_sent() -> None:
    without_maximum = Pool(keys=POOL.keys, rows=POOL.rows)
    assert drawn(QueryKind.INSERT, pool=without_maximum)[0] == b"17"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (5, b"5"),
        (2**70, str(2**70).encode()),
        (5.5, b"5.5"),
        (Decimal("5.50"), b"5.50"),
        ("it's", b"it's"),
        (b"\x00\xff", rb"\x00ff"),
        (uuid.UUID(int=5), b"00000000000000000000000000000005"),
        (date(2024, 5, 6), b"2024-05-06"),
        (datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC), b"2024-05-06 07:08:09.000010+00:00"),
        (timedelta(days=1, seconds=2), b"1 day 0:00:02"),
        (Verbatim(b"(1,2)"), b"(1,2)"),
    ],
)
def test_a_fresh_value_is_sent_as_the_server_reads_it(value: object, text: Sent) -> None:
    assert sent(value, Transformer()) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (True, b"true"),
        (False, b"false"),
        (-5, b"-5"),
        (2**70, str(2**70).encode()),
        (0.1, b"0.1"),
        (1e300, b"1e+300"),
        ("it's ä", "it's ä".encode()),
    ],
)
def test_what_a_template_gives_is_sent_as_text(value: Scalar, text: Sent) -> None:
    assert as_text(value) == text


def test_what_a_template_says_is_sent_beside_what_was_sampled() -> None:
    share = QueryShare(
        kind=QueryKind.GENERIC_SQL,
        share_pct=100,
        writes=True,
        sql="UPDATE {table} SET note = $1, code = $2 WHERE id = $3",
        parameters=parameters_of([{"column": "note"}, {"min": 5, "max": 5}, {"key": True}]),
    )
    (statement,) = statements_of((share,), LAYOUT)
    place = Place(ordinal=0, among=1, generator=seeded(1))
    pool = Pool(keys=[(b"17",)], values=[(b"{}",)])
    (operation,) = mix([statement], LAYOUT, pool=pool, place=place, written=as_text)
    assert sending(statement, LAYOUT, operation.bind)() == (b"{}", b"5", b"17")


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("text", b"a", "a"),
        ("bpchar", b"a ", "a "),
        ("uuid", b"00000000-0000-0000-0000-000000000005", uuid.UUID(int=5)),
        ("bytea", rb"\x00ff", b"\x00\xff"),
    ],
)
def test_a_model_is_read_from_its_text(type_name: str, text: bytes, value: object) -> None:
    assert model(text, types[type_name].oid) == value
    assert model(None, types[type_name].oid) is None


@pytest.mark.parametrize(
    ("type_name", "text"),
    [("timestamptz", b"infinity"), ("jsonb", b"{}"), ("int4", b"5"), ("inet", b"::1")],
)
def test_what_is_no_model_stays_as_it_is(type_name: str, text: bytes) -> None:
    kept = model(text, types[type_name].oid)
    assert isinstance(kept, Verbatim)
    assert kept.text == text
