"""What the backend and its bridge to a Ray cluster tell each other: JSON, one line each.

The bridge is told to bring a worker, to hand it a line and to dismiss it. It says whether it has
reached the cluster, and of each worker where it is, what it says and that it is gone. The lines
inside are `messages`; the bridge does not read them.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from benchgate.domain.values import Value


class Bring(Value):
    """Start worker *number* somewhere on the cluster."""

    type: Literal["bring"] = "bring"
    number: int


class Hand(Value):
    """Hand a line to a worker."""

    type: Literal["hand"] = "hand"
    number: int
    line: str


class Dismiss(Value):
    """End a worker at once."""

    type: Literal["dismiss"] = "dismiss"
    number: int


class Reached(Value):
    """The bridge is connected: what the cluster has."""

    type: Literal["reached"] = "reached"
    cores: int
    cores_free: int


class Refused(Value):
    """The bridge cannot be used."""

    type: Literal["refused"] = "refused"
    reason: str


class Placed(Value):
    """A worker has started."""

    type: Literal["placed"] = "placed"
    number: int
    node: str  # its address
    pid: int


class Said(Value):
    """A line of a worker."""

    type: Literal["said"] = "said"
    number: int
    line: str


class Gone(Value):
    """A worker has ended: with a reason where it should not have."""

    type: Literal["gone"] = "gone"
    number: int
    reason: str | None = None


ToBridge = Annotated[Bring | Hand | Dismiss, Field(discriminator="type")]
FromBridge = Annotated[Reached | Refused | Placed | Said | Gone, Field(discriminator="type")]

TO_BRIDGE: TypeAdapter[Bring | Hand | Dismiss] = TypeAdapter(ToBridge)
FROM_BRIDGE: TypeAdapter[Reached | Refused | Placed | Said | Gone] = TypeAdapter(FromBridge)
