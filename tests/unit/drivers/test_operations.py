import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice, pairwise

import pytest

from benchgate.backend.drivers.backoff import LONGEST_DELAY_S, delays_s
from benchgate.backend.drivers.layouts import Dialect, Field, Layout
from benchgate.backend.drivers.operations import Operation, Place, Pool, mix, phase_of, seeded
from benchgate.backend.drivers.statements import statements_of
from benchgate.domain.templates import WRITES, QueryKind, QueryShare
from benchgate.errors import InvalidInput

LAYOUT = Layout(
    dialect=Dialect.POSTGRES,
    name='"t"',
    fields=(
        Field(name="id", type_name="integer", has_maximum=True),
        Field(name="code", type_name="varchar(8)", characters_max=8),
        Field(name="note", type_name="text"),
    ),
    key=("id",),
    uniques=(("code",),),
    integer_key=True,
    has_rows=True,
    server_version="1",
)
POOL = Pool(
    keys=[(number,) for number in range(50)],
    rows=[(number, f"code {number}", f"note {number}") for number in range(5)],
    maxima={"id": 1_000},
)


def shares(**parts: float) -> tuple[QueryShare, ...]:
    return tuple(
        QueryShare(kind=QueryKind(kind), share_pct=pct, writes=kind in WRITES)
        for kind, pct in parts.items()
    )


def operations(
    parts: tuple[QueryShare, ...], *, ordinal: int = 0, pool: Pool = POOL, layout: Layout = LAYOUT
) -> list[Operation]:
    place = Place(ordinal=ordinal, among=3, generator=seeded(7, ordinal))
    return mix(statements_of(parts, layout), layout, pool=pool, place=place)


def test_a_mix_holds_exactly_the_shares() -> None:
    mixed = operations(shares(POINT_LOOKUP=62.5, RANGE_SCAN=25, INSERT=12.5))
    assert Counter(operation.kind.value for operation in mixed) == {
        "POINT_LOOKUP": 5,
        "RANGE_SCAN": 2,
        "INSERT": 1,
    }


def test_the_same_seed_draws_the_same_values() -> None:
    first, again = (operations(shares(UPDATE=100))[0] for _ in range(2))
    assert [first.bind() for _ in range(20)] == [again.bind() for _ in range(20)]


def test_no_two_connections_insert_the_same_key() -> None:
    ids: list[object] = []
    codes: list[object] = []
    for ordinal in range(3):
        insert = operations(shares(INSERT=100), ordinal=ordinal)[0]
        rows = [insert.bind() for _ in range(50)]
        ids += [row[0] for row in rows]
        codes += [row[1] for row in rows]
    assert sorted(ids, key=str) == sorted(range(1_001, 1_151), key=str)
    assert len(set(codes)) == 150
    assert all(len(str(code)) <= 8 for code in codes)


def test_an_update_sets_another_rows_value_for_a_sampled_key() -> None:
    note, key = operations(shares(UPDATE=100))[0].bind()
    assert str(note).startswith("note ")
    assert (key,) in POOL.keys


@pytest.mark.parametrize(
    ("value", "later"),
    [
        (Decimal("9.50"), Decimal(10)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
        (date(2026, 1, 1), date(2026, 1, 2)),
        (True, True),
        (None, None),
        (1.5, 2.0),
        (timedelta(minutes=1), timedelta(minutes=1, seconds=1)),
        (date.max, date.max),
    ],
)
def test_a_fresh_value_follows_the_greatest_where_there_is_an_order(
    value: object, later: object
) -> None:
    pool = Pool(rows=[(value, "x", "y")], maxima={"id": value})
    assert operations(shares(INSERT=100), pool=pool)[0].bind()[0] == later


@pytest.mark.parametrize("value", [uuid.uuid4(), b"bytes", "text"])
def test_a_fresh_value_without_an_order_is_random(value: object) -> None:
    bind = operations(shares(INSERT=100), pool=Pool(rows=[(value, "x", "y")]))[0].bind
    fresh = {bind()[0] for _ in range(20)}
    assert len(fresh) == 20
    assert value not in fresh
    assert {type(one) for one in fresh} == {type(value)}


def test_texts_do_not_grow_from_run_to_run() -> None:
    text = "key"
    for _ in range(3):
        pool = Pool(rows=[(text, "x", "y")], maxima={"id": text})
        text = str(operations(shares(INSERT=100), pool=pool)[0].bind()[0])
    assert len(text) == len("key-") + 20


def test_a_column_of_few_values_is_not_the_one_that_makes_a_row_new() -> None:
    flag = Field(name="flag", type_name="boolean", few_values=True)
    layout = LAYOUT.model_copy(
        update={"fields": (*LAYOUT.fields, flag), "key": ("id", "flag"), "uniques": (("flag",),)}
    )
    assert layout.fresh == ("id",)


@pytest.mark.parametrize("kind", ["POINT_LOOKUP", "INSERT", "UPDATE"])
def test_a_table_that_was_emptied_meanwhile_is_refused(kind: str) -> None:
    with pytest.raises(InvalidInput, match="is empty"):
        operations(shares(**{kind: 100}), pool=Pool())


def test_delays_double_up_to_a_limit_and_spread() -> None:
    delays = list(islice(delays_s(seeded(1)), 20))
    assert 0.05 <= delays[0] <= 0.1
    assert delays[1] > 0.1
    assert all(LONGEST_DELAY_S / 2 <= delay <= LONGEST_DELAY_S for delay in delays[6:])
    assert len(set(delays)) == 20


@pytest.mark.parametrize("seed", [1, 2, 99])
@pytest.mark.parametrize("count", [2, 3, 10, 64, 1_000])
@pytest.mark.parametrize("first", [0, 5_000])
def test_phases_lie_evenly_however_many_connections_think(
    seed: int, count: int, first: int
) -> None:
    phases = sorted(phase_of(seed, first + number) for number in range(count))
    assert all(0 <= phase < 1 for phase in phases)
    gaps = [later - earlier for earlier, later in pairwise([*phases, phases[0] + 1])]
    assert min(gaps) > 0.3 / count
    assert max(gaps) < 2 / count


def test_phases_are_those_of_a_run_and_the_same_again() -> None:
    assert phase_of(1, 7) == phase_of(1, 7)
    assert phase_of(1, 7) != phase_of(2, 7)
