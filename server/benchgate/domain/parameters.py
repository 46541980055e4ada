"""What a template gives for the parameters of a statement of one's own; draws nothing itself.

An entry of the list is a plain value, an object in one of our forms, or one that names a strategy
of the real product. What is none of these is kept as unknown, because another backend may know it.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AliasChoices,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from benchgate.domain.text import one_line
from benchgate.domain.values import Value

PARAMETERS_MAX = 100  # of a statement, in what is saved anew
CHOICES_MAX = 1_000
SHOWN_CHARACTERS_MAX = 80
LAST = float("inf")

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr | None
Number = StrictInt | StrictFloat
# Whatever it is, what is stored with it stays readable; a draft is held to the form.
AsGiven = Annotated[
    tuple[Any, ...] | object,
    Field(union_mode="left_to_right"),
    WithJsonSchema({"type": "array", "items": {}, "maxItems": PARAMETERS_MAX}),
]


class Strategy(StrEnum):
    """Those of the real product's strategies that mean the same as a form of ours."""

    LITERAL = "literal"
    CHOICE = "choice"
    NUMBER = "random_numeric"
    COLUMN = "sample_from_table"


class Given(Value):
    """What every form may say besides: which parameter it is for, instead of the next one."""

    position: Number | None = None

    @property
    def told(self) -> str:
        """The form in our own words, as a person would write it in a template."""
        return self.model_dump_json(exclude_defaults=True, exclude={"position"})


class FixedValue(Given):
    """The same value every time."""

    form: Literal["value"] = "value"
    value: Scalar


class OneOf(Given):
    """One of these values, each as likely as the others."""

    form: Literal["choice"] = "choice"
    choice: Annotated[
        tuple[Scalar, ...],
        Field(
            min_length=1, max_length=CHOICES_MAX, validation_alias=AliasChoices("choice", "values")
        ),
    ]


class Between(Given):
    """A number from `min` to `max`, both included, each as likely as the others."""

    form: Literal["range"] = "range"
    min: Number
    max: Number
    integer: bool | None = None  # None: where both ends are whole numbers

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        ends_are_whole = isinstance(self.min, int) and isinstance(self.max, int)
        return ends_are_whole if self.integer is None else self.integer

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.max < self.min:
            raise ValueError("max is less than min")
        return self


class OfColumn(Given):
    """A value that the table has in that column."""

    form: Literal["column"] = "column"
    column: Annotated[str, Field(min_length=1, max_length=255)]


class OfKey(Given):
    """The primary key of a row that the table has: as many parameters as the key has columns."""

    form: Literal["key"] = "key"
    key: Literal[True]


class Unknown(Given):
    """An entry in a form that is not known here, as it is shown to a person."""

    form: Literal["unknown"] = "unknown"
    shown: str

    @property
    def told(self) -> str:
        """The entry as it was given."""
        return self.shown


Known = FixedValue | OneOf | Between | OfColumn | OfKey
Parameter = Annotated[Known | Unknown, Field(discriminator="form")]

# By which key an entry without a strategy is known, and what may stand beside it.
BY_KEY: Mapping[str, type[Known]] = {
    "value": FixedValue,
    "choice": OneOf,
    "values": OneOf,
    "min": Between,
    "max": Between,
    "column": OfColumn,
    "key": OfKey,
}
BESIDE = frozenset({"position", "name", "integer"})
# An entry that names a strategy may say more, which is of no use here.
BY_STRATEGY: Mapping[str, type[Known]] = {
    Strategy.LITERAL: FixedValue,
    Strategy.CHOICE: OneOf,
    Strategy.NUMBER: Between,
    Strategy.COLUMN: OfColumn,
}


def parameters_of(given: object) -> tuple[Known | Unknown, ...]:
    """The entries of a template's list, in the order of the parameters that they are for.

    What is no list is one entry that is not known.

    Raises:
        ValueError: they are nested too deeply to be shown.
    """
    if not isinstance(given, list | tuple):
        return (_unknown(given),)
    given = cast("Sequence[object]", given)
    read = [_parameter(entry) for entry in given]
    return tuple(sorted(read, key=lambda one: LAST if one.position is None else one.position))


def _parameter(given: object) -> Known | Unknown:
    entry = cast("Mapping[str, Any]", given if isinstance(given, dict) else {"value": given})
    form = _form(entry)
    if form is not None:
        # How a form is called here is no key of the template's.
        said = {key: value for key, value in entry.items() if key != "form"}
        try:
            return form.model_validate(_as_meant(said))
        except ValidationError:
            pass
    return _unknown(cast("object", given))


def _unknown(given: object) -> Unknown:
    try:
        shown = json.dumps(given, default=str)
    except RecursionError as exc:
        raise ValueError("parameters are nested too deeply") from exc
    return Unknown(shown=one_line(shown, SHOWN_CHARACTERS_MAX))


def _form(entry: Mapping[str, Any]) -> type[Known] | None:
    if "strategy" in entry:
        return BY_STRATEGY.get(str(entry["strategy"]).strip().lower())
    forms = {BY_KEY[key] for key in entry if key in BY_KEY}
    is_clear = len(forms) == 1 and entry.keys() <= BY_KEY.keys() | BESIDE
    return forms.pop() if is_clear else None


def _as_meant(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """*said* with what the real product takes for granted: fractions, unless told otherwise."""
    return {"integer": False, **said} if "strategy" in said else said
