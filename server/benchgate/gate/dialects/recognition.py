"""Finds out from a server's answers which dialect it speaks."""

from collections.abc import Callable

from pydantic import Field, TypeAdapter, ValidationError

from benchgate.domain.values import Value
from benchgate.errors import BackendError, BackendUnavailable, BenchgateError, Unauthorized
from benchgate.gate.dialects.flakebench.dialect import FlakeBench
from benchgate.gate.dialects.port import Dialect, Memory
from benchgate.gate.dialects.specification import Specification
from benchgate.gate.transport.wire import Wire


class Features(Value):
    """What a server says that it can do, as far as servers are told apart by it."""

    max_comparisons: int | None = None


class Info(Value):
    """What `GET /api/info` tells, as far as servers are told apart by it."""

    features: Features = Field(default_factory=Features)


# Tried in this order; who shows none of these signs is taken at the specification's word.
SIGNS: tuple[tuple[Callable[[Info], bool], Callable[[Wire, Memory], Dialect]], ...] = (
    (lambda info: info.features.max_comparisons is not None, FlakeBench),
)


async def recognised(wire: Wire, memory: Memory, *, present: Dialect | None = None) -> Dialect:
    """The dialect of the server at the other end of *wire*; *memory* is for one that forgets.

    *present* is what it spoke so far, which counts where it cannot say by itself.

    Raises:
        BackendError: it cannot be reached, or something before it answers in its place.
        Unauthorized: it does not let us in.
    """
    if not SIGNS or (await wire.address()).is_embedded:
        return Specification(wire)
    info = await _info(wire)
    if info is None:
        return present or Specification(wire)
    speaks = next((speaks for sign, speaks in SIGNS if sign(info)), None)
    return speaks(wire, memory) if speaks else Specification(wire)


async def _info(wire: Wire) -> Info | None:
    """What the server tells of itself; None where it fails at that."""
    try:
        return await wire.get("/api/info", TypeAdapter(Info))
    except (BackendUnavailable, Unauthorized):
        raise
    except BenchgateError as exc:
        if not isinstance(exc, BackendError) or isinstance(exc.__cause__, ValidationError):
            # The specification has no such route, and whoever has one may fill it as they like.
            return Info()
        if exc.may_be_on_its_way:
            raise
        return None
