"""A run's updates as FlakeBench streams them, one a second; nothing is ever sent there.

Any message of ours would suppress its next update.
"""

from datetime import UTC, datetime

from pydantic import TypeAdapter

from benchgate.domain.runs import RunSnapshot
from benchgate.gate.dialects.flakebench import payloads, snapshots
from benchgate.gate.dialects.messages import Messages
from benchgate.gate.dialects.port import Memory
from benchgate.gate.transport.wire import Frames

MESSAGE: TypeAdapter[payloads.Message] = TypeAdapter(payloads.Message)


class Updates:
    """One connection's updates."""

    def __init__(self, frames: Frames, memory: Memory) -> None:
        """Read *frames*; whether an end was our wish is in *memory*."""
        self._messages = Messages(frames, MESSAGE)
        self._memory = memory

    async def next(self, last: RunSnapshot, *, seconds_max: float) -> RunSnapshot:
        """What the next update adds to *last*; *last* itself where it adds nothing.

        Raises:
            BackendError: nothing came in time, nothing more will come, or none can be read.
        """
        message = await self._messages.next(seconds_max=seconds_max)
        if not isinstance(message, payloads.RunUpdate):
            return last
        frame = message.data
        if frame.test_id != last.run_id or self._messages.is_old(frame.timestamp):
            return last
        read_at, sighting = datetime.now(UTC), await self._memory.recall(last.run_id)
        if sighting.own_stop is None and frame.status.upper() in snapshots.STOPPED_AS:
            sighting = await self._memory.recall(last.run_id, anew=True)
        return snapshots.snapshot_of_frame(frame, last, own_stop=sighting.own_stop, read_at=read_at)
