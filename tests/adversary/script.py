"""What an adversary does: values that say on which requests, how often, and which mischief."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Json = Any
WEBSOCKET = "WEBSOCKET"


@dataclass(frozen=True)
class Answer:
    """Another answer than the right one, or the right one unusually large."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


@dataclass(frozen=True)
class Silence:
    """Nothing at all, until the client goes; after `body` of an answer, where one is named."""

    body: bytes | None = None


@dataclass(frozen=True)
class Drip:
    """One byte after the other, as long as the client listens."""

    interval_seconds: float = 0.01


@dataclass(frozen=True)
class Cut:
    """An answer that ends in the middle, by a reset or as if that were all."""

    body: bytes = b'{"run_id": "r1", '
    is_reset: bool = True


@dataclass(frozen=True)
class Late:
    """The answers of the app behind it: late, and then their bodies later still."""

    headers_seconds: float
    body_seconds: float


@dataclass(frozen=True)
class Slashed:
    """A redirect to the same path with a slash more, or less; there the app behind it answers."""


@dataclass(frozen=True)
class Altered:
    """The answers, or the text frames, of the app behind it, changed."""

    change: Callable[[Json], Json]


@dataclass(frozen=True)
class Meddled:
    """The text frames of the app behind it: of each, which ones come in its place.

    The connection is dropped after `frames_max` of the app's frames, or `seconds_max`.
    """

    change: Callable[[int, str], Sequence[str]] = lambda _, text: [text]
    frames_max: int | None = None
    seconds_max: float | None = None


@dataclass(frozen=True)
class Told:
    """A stream of its own: frames, bytes as binary ones, then raw bytes, then an end.

    `code` closes it; without one the connection is dropped, or stays silent if it is to.
    """

    frames: tuple[str | bytes, ...] = ()
    raw: bytes = b""
    code: int | None = None
    is_silent: bool = False


@dataclass(frozen=True)
class Flood:
    """The same raw bytes again and again, without ever listening."""

    raw: bytes


Mischief = Answer | Silence | Drip | Cut | Late | Slashed | Altered | Meddled | Told | Flood


@dataclass(frozen=True)
class Step:
    """One mischief, on requests whose path is *path* as a whole, a regular expression.

    `times` is how often it is done before such requests are answered as if there were no step;
    `every` leaves all but every so-manieth request for the same path alone.
    """

    path: str
    mischief: Mischief
    method: str = "GET"
    times: int | None = None
    every: int = 1

    def is_for(self, method: str, path: str) -> bool:
        """Whether such a request is meant."""
        return method == self.method and re.fullmatch(self.path, path) is not None


def redirect(location: str, status: int = 307) -> Answer:
    """A redirect to *location*."""
    return Answer(status, headers=(("location", location),))


def html(status: int = 500) -> Answer:
    """A page where JSON is expected, with a traceback that nobody may see."""
    page = b"<html><h1>Traceback (most recent call last)</h1><p>password=hunter2</p></html>"
    return Answer(status, page, headers=(("content-type", "text/html"),))


def with_field(name: str, value: Json) -> Altered:
    """Objects with *value* in the field called *name*, a path of keys with dots."""

    def change(body: Json) -> Json:
        *parents, last = name.split(".")
        place = body
        for parent in parents:
            place = place[parent]
        place[last] = value
        return body

    return Altered(change)


def in_pairs_reversed() -> Callable[[int, str], Sequence[str]]:
    """Every second frame before the one that it follows."""
    held: list[str] = []

    def change(number: int, text: str) -> Sequence[str]:
        if number % 2 == 0:
            held.append(text)
            return []
        return [text, held.pop()]

    return change
