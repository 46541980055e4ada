"""What the parameters that a template itself gives mean on a table. Pure; draws no value."""

from math import ceil, floor

from benchgate.backend.drivers.layouts import Layout
from benchgate.domain.parameters import (
    Between,
    FixedValue,
    Known,
    OfColumn,
    OfKey,
    OneOf,
    Scalar,
    Unknown,
)
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

# What every database can take for a whole number, in 8 bytes.
WHOLE_MIN, WHOLE_MAX = -(2**63), 2**63 - 1

FORMS = (
    "Each of parameters is a plain value, or one of "
    '{"column": "name"}, {"key": true}, {"min": 1, "max": 9}, {"choice": ["a", "b"]}.'
)


def draws_of(share: QueryShare, layout: Layout, *, parameters: int) -> tuple[Known, ...]:
    """What the SQL of *share* binds its *parameters* to, in their order.

    Raises:
        InvalidInput: the template gives too few or too many, or what *layout* does not have.
    """
    if not share.parameters and parameters:
        return _key_alone(share, layout, parameters=parameters)
    found = tuple(
        _draw(share, layout, number=number) for number in range(1, len(share.parameters) + 1)
    )
    places = sum(len(layout.key) if isinstance(one, OfKey) else 1 for one in found)
    if places != parameters:
        raise InvalidInput(
            f"The SQL of {share.name} has {counted(parameters)}; "
            f"the template gives values for {places}.",
            hint=FORMS,
        )
    return found


def _key_alone(share: QueryShare, layout: Layout, *, parameters: int) -> tuple[Known, ...]:
    if parameters != len(layout.key):
        raise InvalidInput(
            f"The SQL of {share.name} has {counted(parameters)}, and the template does not say "
            f"what they are bound to; the key of {layout.name} has {len(layout.key)} columns.",
            hint=FORMS,
        )
    return (OfKey(key=True),)


def _draw(share: QueryShare, layout: Layout, *, number: int) -> Known:
    given = share.parameters[number - 1]
    match given:
        case Unknown():
            raise InvalidInput(
                f"Parameter {number} of {share.name} is {given.shown}, "
                "which is no form that this backend knows.",
                hint=FORMS,
            )
        case OfKey() if not layout.key:
            raise InvalidInput(
                f"Parameter {number} of {share.name} is the key: {layout.name} has no primary key.",
                hint=FORMS,
            )
        case OfColumn():
            return _of_column(share, layout, given=given)
        case _ if (fault := _fault(given)) is not None:
            raise InvalidInput(
                f"Parameter {number} of {share.name} cannot be bound: {fault}.", hint=FORMS
            )
        case _:
            return given


def _of_column(share: QueryShare, layout: Layout, *, given: OfColumn) -> OfColumn:
    """*given* with the column's real name: exactly as it is written, or else in any case."""
    if given.column in layout.names:
        return given
    alike = [name for name in layout.names if name.casefold() == given.column.casefold()]
    if len(alike) != 1:
        raise InvalidInput(
            f"A parameter of {share.name} is of the column {one_line(given.column)}, "
            f"which {layout.name} does not have.",
            hint=f"Its columns are {one_line(', '.join(layout.names))}.",
        )
    return given.model_copy(update={"column": alike[0]})


def _fault(given: Known) -> str | None:
    """What is wrong with the values of *given*, which no database would take; None: nothing."""
    match given:
        case FixedValue():
            return _fault_of_value(given.value)
        case OneOf():
            return next(filter(None, map(_fault_of_value, given.choice)), None)
        case Between():
            return _fault_of_range(given)
        case _:
            return None


def _fault_of_value(value: Scalar) -> str | None:
    if isinstance(value, str):
        return "its text holds a NUL" if "\0" in value else None
    is_beyond = isinstance(value, int) and not WHOLE_MIN <= value <= WHOLE_MAX
    return "its number takes more than 8 bytes" if is_beyond else None


def _fault_of_range(given: Between) -> str | None:
    if not all(WHOLE_MIN <= end <= WHOLE_MAX for end in (given.min, given.max)):
        return "min and max have to lie within what 8 bytes can hold"
    if given.is_whole and ceil(given.min) > floor(given.max):
        return "there is no whole number between min and max"
    return None


def counted(parameters: int) -> str:
    """How many parameters there are, in words."""
    return f"{parameters} parameter{'' if parameters == 1 else 's'}"
