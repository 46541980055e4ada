"""Schemas made small without a change of meaning."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from benchgate.gate.tools.schemas import DROPPED_OF_ANSWERS, slim


class Inner(BaseModel):
    """Nobody needs to read this in a schema."""

    title: str
    size: int | None = Field(default=None, ge=1, description="In bytes")


class Outer(BaseModel):
    first: Inner
    rest: list[Inner] = []
    either: int | str | None = None
    named: dict[str, Inner] = {}
    kind: str = "other"


INNER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "size": {"type": "integer", "minimum": 1, "description": "In bytes"},
    },
    "required": ["title"],
}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("first", INNER),
        ("rest", {"type": "array", "items": INNER}),
        ("either", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("named", {"type": "object", "additionalProperties": INNER}),
        ("kind", {"type": "string", "default": "other"}),
    ],
)
def test_titles_references_nulls_and_empty_defaults_go_and_everything_else_stays(
    field: str, expected: dict[str, Any]
) -> None:
    assert slim(Outer.model_json_schema())["properties"][field] == expected


def test_a_field_that_is_called_like_a_keyword_stays() -> None:
    assert "title" in slim(Inner.model_json_schema())["properties"]


def test_no_definitions_are_left() -> None:
    assert "$defs" not in slim(Outer.model_json_schema())


def test_an_answer_needs_no_limits() -> None:
    size = slim(Inner.model_json_schema(), dropped=DROPPED_OF_ANSWERS)["properties"]["size"]
    assert size == {"type": "integer", "description": "In bytes"}
