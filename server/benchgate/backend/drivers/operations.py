"""What a connection does next, and with which values: the weighted mix of a workload.

Pure and seeded: the same seed, table and connection give the same values in the same order.
Values come from a pool that the driver sampled from the table once, so that drawing them costs a
fraction of a microsecond while the load runs.
"""

import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial, reduce
from math import ceil, floor, gcd, sqrt
from operator import itemgetter

from benchgate.backend.drivers.layouts import Layout
from benchgate.backend.drivers.port import Assignment
from benchgate.backend.drivers.statements import SCAN_ROWS, Binding, Statement
from benchgate.domain.parameters import (
    Between,
    FixedValue,
    Known,
    OfColumn,
    OfKey,
    OneOf,
    Scalar,
)
from benchgate.domain.templates import QueryKind
from benchgate.errors import InvalidInput

KEYS_MAX = 20_000
ROWS_MAX = 200  # whole rows can be large; keys are not
VALUES_MAX = 2_000  # of the columns that a template names
SHARE_STEPS = 100  # shares are percentages with two decimals
SUFFIX_BITS = 80
GOLDEN_RATIO = (sqrt(5) - 1) / 2
SUFFIX = re.compile(rf"-[0-9a-f]{{{SUFFIX_BITS // 4}}}\Z")

Row = Sequence[object]
Bind = Callable[[], Row]
# How a value that a template gives is handed to the database's client.
Written = Callable[[Scalar], object]


@dataclass(frozen=True, slots=True)
class Pool:
    """Values sampled from the table."""

    keys: Sequence[Row] = ()
    rows: Sequence[Row] = ()  # in table order
    values: Sequence[Row] = ()  # of the columns that `columns_drawn` names, in its order
    maxima: Mapping[str, object] = field(
        default_factory=dict[str, object]
    )  # of the columns that need fresh values


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of operation: which statement, and how to get the values of its parameters."""

    kind: QueryKind
    writes: bool
    number: int  # of the statement in the workload
    bind: Bind


@dataclass(frozen=True, slots=True)
class Place:
    """Which connection among all of a run's draws the values, and from which generator.

    Its phase is the part of its time to think that passes before its first operation.
    """

    ordinal: int
    among: int
    generator: random.Random
    phase: float = 0.0  # below 1


def seeded(*parts: object) -> random.Random:
    """A generator of its own for *parts*."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - repeatable on purpose


def place_of(assignment: Assignment, connection: int) -> Place:
    """The place of a worker's connection number *connection*.

    The application name takes part, because the texts and UUIDs that a second run with the same
    seed inserts must differ from those of the first.
    """
    ordinal = assignment.first_connection + connection
    return Place(
        ordinal=ordinal,
        among=assignment.connections_in_all,
        generator=seeded(assignment.seed, assignment.application_name, ordinal),
        # By turns, because workers may have numbers apart that they do not all use.
        phase=phase_of(assignment.seed, connection * assignment.workers + assignment.worker),
    )


def phase_of(seed: int, ordinal: int) -> float:
    """The phase of the connection number *ordinal*, by a run's *seed* and nothing else.

    Steps of the golden ratio lie evenly however many there are, so that connections which are
    added later come into the widest gaps. Connections that began together would go on together.
    """
    return (seeded(seed, "phase").random() + ordinal * GOLDEN_RATIO) % 1


def needs_keys(statements: Sequence[Statement]) -> bool:
    """Whether any of *statements* binds a key."""
    keyed = {Binding.KEY, Binding.KEY_AND_UPPER, Binding.VALUE_AND_KEY}
    return any(s.binding in keyed or any(_is_key(draw) for draw in s.draws) for s in statements)


def _is_key(draw: Known) -> bool:
    return isinstance(draw, OfKey)


def needs_rows(statements: Sequence[Statement]) -> bool:
    """Whether any of *statements* binds values of whole rows."""
    return any(s.binding in {Binding.ROW, Binding.VALUE_AND_KEY} for s in statements)


def columns_drawn(statements: Sequence[Statement]) -> tuple[str, ...]:
    """The columns whose values *statements* draw because the template says so."""
    draws = (draw for statement in statements for draw in statement.draws)
    return tuple(dict.fromkeys(draw.column for draw in draws if isinstance(draw, OfColumn)))


def _needs_pool(statement: Statement) -> bool:
    alone = [statement]
    return needs_keys(alone) or needs_rows(alone) or bool(columns_drawn(alone))


def check_rows(statements: Sequence[Statement], layout: Layout) -> None:
    """Refuse statements whose values have to come from a table without rows.

    Raises:
        InvalidInput: the table is empty and a statement draws from it.
    """
    for statement in statements:
        if _needs_pool(statement) and not layout.has_rows:
            raise _empty(statement, layout)


def as_it_is(value: Scalar) -> object:
    """*value*, for clients that take Python's own objects."""
    return value


def mix(
    statements: Sequence[Statement],
    layout: Layout,
    *,
    pool: Pool,
    place: Place,
    written: Written = as_it_is,
) -> list[Operation]:
    """The operations in exactly their shares: drawing from the list uniformly is the workload."""
    given = GivenValues(
        pool=pool,
        columns=columns_drawn(statements),
        draw=place.generator.random,
        written=written,
    )
    weights = [round(statement.share_pct * SHARE_STEPS) for statement in statements]
    unit = gcd(*weights) or 1
    mixed: list[Operation] = []
    for number, (statement, weight) in enumerate(zip(statements, weights, strict=True)):
        _check_pool(statement, layout, pool=pool)
        if statement.binding is Binding.GIVEN:
            bind = given.binder(statement.draws)
        else:
            bind = _binder(statement, layout, pool=pool, place=place)
        operation = Operation(
            kind=statement.kind, writes=statement.writes, number=number, bind=bind
        )
        mixed += [operation] * (weight // unit)
    return mixed


def _binder(statement: Statement, layout: Layout, *, pool: Pool, place: Place) -> Bind:
    draw = place.generator.random
    keys, key_count = pool.keys, len(pool.keys)
    if statement.binding is Binding.NOTHING:
        return tuple
    if statement.binding is Binding.ROW:
        return _row_binder(statement, layout, pool=pool, place=place)
    if statement.binding is Binding.KEY_AND_UPPER:
        bounds = [(key[0], _upper(key[0])) for key in keys]
        return lambda: bounds[int(draw() * key_count)]
    if statement.binding is Binding.VALUE_AND_KEY:
        column = layout.names.index(layout.value_column or "")
        values = [row[column] for row in pool.rows]
        value_count = len(values)
        return lambda: (values[int(draw() * value_count)], *keys[int(draw() * key_count)])
    return lambda: keys[int(draw() * key_count)]


def _check_pool(statement: Statement, layout: Layout, *, pool: Pool) -> None:
    # The table may have been emptied since it was looked at.
    alone = [statement]
    wanted = (
        (needs_keys(alone), pool.keys),
        (needs_rows(alone), pool.rows),
        (bool(columns_drawn(alone)), pool.values),
    )
    if any(is_needed and not there for is_needed, there in wanted):
        raise _empty(statement, layout)


def _empty(statement: Statement, layout: Layout) -> InvalidInput:
    return InvalidInput(
        f"{statement.name} is not possible: {layout.name} is empty, and the values are drawn from "
        "the rows that are there.",
        hint="Load rows into the table first.",
    )


@dataclass(frozen=True, slots=True)
class GivenValues:
    """Where the values come from that a template says its statements are bound to."""

    pool: Pool
    columns: Sequence[str]  # of the pool's values
    draw: Callable[[], float]
    written: Written

    def binder(self, draws: Sequence[Known]) -> Bind:
        """What draws the values of a statement: of columns those of one row, of each key another.

        So that two conditions on columns can hold together, and two keys are two rows.
        """
        named = [draw.column for draw in draws if isinstance(draw, OfColumn)]
        sources = [self._of_columns(named)] if named else []
        places: list[int] = []  # of each parameter among what all sources give
        of_columns, count = 0, len(named)
        for draw in draws:
            if isinstance(draw, OfColumn):
                places.append(of_columns)
                of_columns += 1
                continue
            sources.append(self._source(draw))
            width = len(self.pool.keys[0]) if isinstance(draw, OfKey) else 1
            places += range(count, count + width)
            count += width
        return _joined(sources, places)

    def _of_columns(self, named: Sequence[str]) -> Bind:
        # What is drawn is taken from rows that all connections share, because there may be many.
        row = self._one_of(self.pool.values)
        first, *others = (self.columns.index(name) for name in named)
        if not others:
            return lambda: (row()[first],)
        pick = itemgetter(first, *others)
        return lambda: pick(row())

    def _source(self, draw: FixedValue | OneOf | Between | OfKey) -> Bind:
        match draw:
            case FixedValue():
                return self._one_of([(self.written(draw.value),)])
            case OneOf():
                return self._choice(draw.choice)
            case OfKey():
                return self._one_of(self.pool.keys)
            case _:
                return self._between(draw)

    def _choice(self, choices: Sequence[Scalar]) -> Bind:
        draw, written, count = self.draw, self.written, len(choices)
        return lambda: (written(choices[int(draw() * count)]),)

    def _between(self, given: Between) -> Bind:
        draw, written = self.draw, self.written
        if given.is_whole:
            low = ceil(given.min)
            count = floor(given.max) - low + 1
            return lambda: (written(low + int(draw() * count)),)
        low, width = given.min, given.max - given.min
        return lambda: (written(low + draw() * width),)

    def _one_of(self, rows: Sequence[Row]) -> Bind:
        draw, count = self.draw, len(rows)
        if count == 1:
            return partial(rows.__getitem__, 0)
        return lambda: rows[int(draw() * count)]


def _joined(sources: Sequence[Bind], places: Sequence[int]) -> Bind:
    """What *sources* give, put into the order of *places*."""
    joined = reduce(_both, sources)
    in_order = list(range(len(places)))
    if places == in_order:
        return joined
    pick = itemgetter(*places)
    return lambda: pick(joined())


def _both(one: Bind, other: Bind) -> Bind:
    return lambda: (*one(), *other())


def _upper(key: object) -> object:
    if isinstance(key, bytes):  # as PostgreSQL sends a number
        return b"%d" % (int(key) + SCAN_ROWS)
    assert isinstance(key, int)
    return key + SCAN_ROWS


def _row_binder(statement: Statement, layout: Layout, *, pool: Pool, place: Place) -> Bind:
    """Copies of sampled rows, each with values of its own where the table wants them unique."""
    columns = [layout.names.index(name) for name in statement.columns]
    templates = [[row[column] for column in columns] for row in pool.rows]
    fresh = [
        (statement.columns.index(name), layout.field(name).characters_max, pool.maxima.get(name))
        for name in layout.fresh
        if name in statement.columns
    ]
    steps = place.ordinal

    def bind() -> Row:
        nonlocal steps
        row = list(templates[int(place.generator.random() * len(templates))])
        for position, characters_max, maximum in fresh:
            known = row[position] if maximum is None else maximum
            row[position] = _fresh(known, steps, generator=place.generator, limit=characters_max)
        steps += place.among
        return row

    return bind


def _fresh(known: object, steps: int, *, generator: random.Random, limit: int | None) -> object:
    """A value that is not in the table: past the maximum, or random where there is no order.

    *steps* is different for every new row of every connection of the run.
    """
    if isinstance(known, str):
        return _fresh_text(known, generator, limit=limit)
    if isinstance(known, uuid.UUID):
        return uuid.UUID(int=generator.getrandbits(128), version=4)
    if isinstance(known, bytes):
        return generator.randbytes(16)
    return _past(known, 1 + steps)


def _past(maximum: object, steps: int) -> object:
    """The value *steps* after *maximum*; what has no such order stays as it is.

    So does what is at the end of its type, such as an infinite date: the database refuses it as a
    duplicate, and that is counted.
    """
    try:
        match maximum:
            case int() | float() | Decimal() if not isinstance(maximum, bool):
                return maximum // 1 + steps
            case datetime():
                return maximum + timedelta(microseconds=steps)
            case date():
                return maximum + timedelta(days=steps)
            case timedelta():
                return maximum + timedelta(seconds=steps)
            case _:
                return maximum
    except ArithmeticError:
        return maximum


def _fresh_text(text: str, generator: random.Random, *, limit: int | None) -> str:
    suffix = f"-{generator.getrandbits(SUFFIX_BITS):0{SUFFIX_BITS // 4}x}"
    # A row of an earlier run is a model too, and texts must not grow from run to run.
    text = SUFFIX.sub("", text)
    if limit is None:
        return text + suffix
    suffix = suffix[-limit:]
    return text[: limit - len(suffix)] + suffix
