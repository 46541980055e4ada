"""How the sessions of a load are ended from outside of its workers, over what stands by for it.

Knows no worker: whoever leads them tells when they have stopped.
"""

from collections.abc import Awaitable, Callable

import anyio

from benchgate.backend.drivers.port import FINISH_LIMIT_S, Standby

READY_LIMIT_S = 1.0


class Ending:
    """The end of one load's sessions; without a standby it is all left to the workers."""

    def __init__(self, standby: Standby | None) -> None:
        self._standby = standby
        self._wanted = anyio.Event()

    async def serve(self) -> None:
        """Hold the standby until cancelled, from when it is wanted on."""
        await self._wanted.wait()
        if self._standby is not None:
            await self._standby.serve()

    async def prepare(self) -> None:
        """Have it stand by, now that the load has its connections; no load waits long for it."""
        self._wanted.set()
        if self._standby is not None:
            with anyio.move_on_after(READY_LIMIT_S):
                await self._standby.settled.wait()

    async def hasten(self, all_stopped: Callable[[], Awaitable[bool]]) -> None:
        """End what the workers cannot end as soon, once *all_stopped* says that they have stopped.

        A worker that does not know of the end yet would count its sessions as lost.
        """
        if self._standby is not None and await all_stopped():
            self._standby.end(in_flight_s=FINISH_LIMIT_S)
            await anyio.sleep(FINISH_LIMIT_S)
            self._standby.end(in_flight_s=0)
