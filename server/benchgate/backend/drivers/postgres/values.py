"""Parameters as libpq sends them: bytes in the server's text format, or None.

What was sampled is in that form already; what is made fresh while the load runs is turned into
it at the places where a statement binds it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast
from uuid import UUID

import psycopg
from psycopg import abc, pq
from psycopg.adapt import PyFormat, Transformer

from benchgate.backend.drivers.layouts import Layout
from benchgate.backend.drivers.operations import Bind
from benchgate.backend.drivers.statements import Binding, Statement
from benchgate.domain.parameters import Scalar

Sent = bytes | None
BindSent = Callable[[], Sequence[Sent]]

# Fresh values are made from these; what has an order is made from its maximum.
MODELS = str | bytes | UUID


class Verbatim:
    """A value that nothing fresh can be made from: it goes back to the server as it came."""

    def __init__(self, text: bytes) -> None:
        self.text = text


def model(text: Sent, type_oid: int) -> object:
    """The value that *text* of that type is, where a fresh one can be made from it."""
    if text is None:
        return None
    with suppress(psycopg.Error):
        value = Transformer().get_loader(type_oid, pq.Format.TEXT).load(text)
        if isinstance(value, MODELS):
            return value
    return Verbatim(text)


def sent(value: object, transformer: abc.Transformer) -> Sent:
    """How *value* is sent."""
    if isinstance(value, Verbatim):
        return value.text
    if value is None:
        return None
    if isinstance(value, bytes):  # libpq would escape it for a literal
        return rb"\x" + value.hex().encode()
    dumped = transformer.get_dumper(value, PyFormat.TEXT).dump(value)
    return None if dumped is None else bytes(dumped)


def as_text(value: Scalar) -> Sent:
    """How *value*, which a template gives, is sent."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, str):
        return value.encode()
    return None if value is None else repr(value).encode()


def sending(statement: Statement, layout: Layout, bind: Bind) -> BindSent:
    """How the parameters of *statement*, which *bind* draws, are made ready to be sent."""
    fresh = [statement.columns.index(name) for name in layout.fresh if name in statement.columns]
    if statement.binding is not Binding.ROW or not fresh:
        return cast("BindSent", bind)
    transformer = Transformer()  # it remembers how each type is sent

    def bind_row() -> Sequence[Sent]:
        row = list(bind())
        for place in fresh:
            row[place] = sent(row[place], transformer)
        return cast("list[Sent]", row)

    return bind_row
