"""JSON schemas as small as they can be: every token of them is read by a model at every turn."""

from collections.abc import Mapping
from typing import Any

# What says nothing that the name and the rest do not say.
DROPPED = frozenset({"title", "$defs"})
# Nor do limits and defaults say anything to whoever reads an answer: they bind whoever writes it.
DROPPED_OF_ANSWERS = DROPPED | {"minimum", "maximum", "default"}


def slim(schema: Mapping[str, Any], *, dropped: frozenset[str] = DROPPED) -> dict[str, Any]:
    """*schema* without titles, references, null alternatives and empty defaults.

    Null alternatives can go because results leave out what is None, and arguments have defaults.
    """
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    slimmed = _slim(dict(schema), definitions, dropped)
    assert isinstance(slimmed, dict)
    return slimmed  # pyright: ignore[reportUnknownVariableType]


def _slim(node: Any, definitions: Mapping[str, Any], dropped: frozenset[str]) -> Any:
    if isinstance(node, list):
        return [_slim(item, definitions, dropped) for item in node]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(node, dict):
        return node
    fields: dict[str, Any] = _resolved(node, definitions)  # pyright: ignore[reportUnknownArgumentType]
    return {
        key: _properties(value, definitions, dropped)
        if key == "properties"
        else _slim(value, definitions, dropped)
        for key, value in fields.items()
        if key not in dropped and not (key == "default" and not value)
    }


def _properties(
    properties: Mapping[str, Any], definitions: Mapping[str, Any], dropped: frozenset[str]
) -> dict[str, Any]:
    # Names of properties are not keywords: one that is called `title` stays.
    return {name: _slim(value, definitions, dropped) for name, value in properties.items()}


def _resolved(node: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """*node* with its reference looked up and its null alternative taken away."""
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rpartition("/")[2]]
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        # A definition's description is its docstring, written for whoever reads the code.
        inlined = {key: value for key, value in target.items() if key != "description"}
        return _resolved(inlined | siblings, definitions)
    alternatives = [a for a in node.get("anyOf", []) if a != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(alternatives) == 1:
        return _resolved(alternatives[0] | rest, definitions)
    return {"anyOf": alternatives} | rest if alternatives else node
