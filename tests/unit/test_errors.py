"""The tree of errors: closed, drawn in its docstring, each with a hint for its reader."""

from collections.abc import Iterator

import pytest

from benchgate import errors
from benchgate.errors import BenchgateError


def tree(of: type[BenchgateError]) -> Iterator[type[BenchgateError]]:
    yield of
    for child in of.__subclasses__():
        yield from tree(child)


EVERY = sorted(tree(BenchgateError), key=lambda error: error.__name__)


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_an_error_says_what_happened_and_what_can_be_done(error: type[BenchgateError]) -> None:
    bare = error()
    assert str(bare) == (error.__doc__ or "").strip()
    assert bare.hint.endswith(".")
    assert bare.advice == f"{bare} {bare.hint}"
    assert 400 <= error.status < 600


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_an_error_is_drawn_in_the_docstring_of_its_module(error: type[BenchgateError]) -> None:
    assert f" {error.__name__} " in (errors.__doc__ or "").replace("\n", " \n ")
    assert error.__module__ == errors.__name__


def test_codes_are_names_of_one_error_each() -> None:
    codes = [error.code for error in EVERY]
    assert len(set(codes)) == len(codes)


def test_a_message_and_a_hint_of_the_moment_take_the_place_of_the_usual_ones() -> None:
    error = errors.NotFound("Run not found: r1", hint="Look again.")
    assert error.advice == "Run not found: r1. Look again."
    assert errors.NotFound().hint != "Look again."
