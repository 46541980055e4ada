"""Long lists page by page, newest first; knows nothing of what is listed.

A cursor holds the place of the last entry shown, and no count: what is added while somebody reads
comes before it, and what is deleted, that very entry included, moves nothing. It is sealed with
what the list was asked for, so that it leads nowhere in another list.
"""

import json
import struct
from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from benchgate.domain.text import digest_of
from benchgate.domain.values import Value
from benchgate.errors import InvalidInput

PAGE_ENTRIES_MAX = 25
# Time, mark and seal: 21 bytes, which are written as 28 characters without padding.
LAYOUT = struct.Struct(">q8s5s")
CURSOR_CHARACTERS = 28
CURSOR_HINT = (
    "Call again without cursor to read from the start. A cursor serves only the list that gave "
    "it, with the same filters."
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Before every moment that there is.
NO_MOMENT_US = -(2**63)

T = TypeVar("T")


class Place(Value):
    """Where an entry stands: by its time in microseconds, and within one by what its id hashes to.

    The hash keeps a cursor short however long the id is.
    """

    moment_us: int
    mark: bytes

    @property
    def order(self) -> tuple[int, bytes]:
        """Smaller the further in front: the newest first."""
        return -self.moment_us, self.mark


class Page(Value, Generic[T]):
    """Some entries of a list; `first` is the number of the first, from 1, `total` counts all.

    There is no `next_cursor` after the last entry.
    """

    entries: tuple[T, ...]
    first: int
    total: int
    next_cursor: str | None = None


def place_of(entry_id: str, *, moment: datetime | None) -> Place:
    """The place of the entry of that id; one without a time stands last."""
    mark = bytes.fromhex(digest_of(entry_id))[:8]
    if moment is None:
        return Place(moment_us=NO_MOMENT_US, mark=mark)
    since = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Place(moment_us=(since - EPOCH) // MICROSECOND, mark=mark)


def page_of(
    entries: Sequence[T],
    *,
    place: Callable[[T], Place],
    scope: Sequence[str],
    cursor: str | None,
) -> Page[T]:
    """The entries after *cursor*, which was given for the same *scope*; without one the first.

    Raises:
        InvalidInput: no list of that scope has given *cursor*.
    """
    ordered = sorted(entries, key=lambda entry: place(entry).order)
    orders = [place(entry).order for entry in ordered]
    start = bisect_right(orders, _opened(cursor, scope).order) if cursor else 0
    shown = tuple(ordered[start : start + PAGE_ENTRIES_MAX])
    is_last = start + len(shown) >= len(ordered)
    return Page(
        entries=shown,
        first=start + 1,
        total=len(ordered),
        next_cursor=None if is_last else _sealed(place(shown[-1]), scope),
    )


def _sealed(place: Place, scope: Sequence[str]) -> str:
    packed = LAYOUT.pack(place.moment_us, place.mark, _seal(place, scope))
    return urlsafe_b64encode(packed).decode()


def _opened(cursor: str, scope: Sequence[str]) -> Place:
    try:
        moment_us, mark, seal = LAYOUT.unpack(b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, struct.error) as exc:
        raise _unknown() from exc
    place = Place(moment_us=moment_us, mark=mark)
    if seal != _seal(place, scope):
        raise _unknown()
    return place


def _seal(place: Place, scope: Sequence[str]) -> bytes:
    return bytes.fromhex(digest_of(json.dumps([place.moment_us, place.mark.hex(), *scope])))[:5]


def _unknown() -> InvalidInput:
    return InvalidInput("This list has not given that cursor.", hint=CURSOR_HINT)
