"""What the parameters that a template itself gives mean on a table. Pure; draws no value."""

from benchgate.backend.drivers.layouts import Layout
from benchgate.domain.parameters import Known, OfColumn, OfKey, Unknown
from benchgate.domain.templates import QueryShare
from benchgate.domain.text import one_line
from benchgate.errors import InvalidInput

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


def counted(parameters: int) -> str:
    """How many parameters there are, in words."""
    return f"{parameters} parameter{'' if parameters == 1 else 's'}"
