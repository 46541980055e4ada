"""How the end of a load's sessions is hastened from outside of its workers, by what stands by.

Knows no worker: whoever leads them tells when they have stopped.
"""

from collections.abc import Awaitable, Callable

import anyio

from benchgate.backend.drivers.port import FINISH_LIMIT_S, Standby

READY_LIMIT_S = 1.0


class Hastening:
    """The use of one load's standby; without one all is left to the workers."""

    def __init__(self, standby: Standby | None) -> None:
        self._standby = standby
        self._wanted = anyio.Event()
        self._serving = anyio.CancelScope()

    async def serve(self) -> None:
        """Hold the standby, from when it is wanted on until it is let go."""
        await self._wanted.wait()
        with self._serving:
            if self._standby is not None:
                await self._standby.serve()

    async def prepare(self, stop: anyio.Event) -> None:
        """Have it stand by, now that the load has its connections.

        No load waits long for it, and none that shall stop.
        """
        self._wanted.set()
        if self._standby is None:
            return
        with anyio.move_on_after(READY_LIMIT_S):
            async with anyio.create_task_group() as tasks:

                async def heed_stop() -> None:
                    await stop.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(heed_stop)
                await self._standby.settled.wait()
                tasks.cancel_scope.cancel()

    async def hasten(self, all_stopped: Callable[[], Awaitable[bool]]) -> None:
        """End what the workers cannot end as soon, once *all_stopped* says that they have stopped.

        A worker that does not know of the end yet would count its sessions as lost.
        """
        if self._standby is not None and await all_stopped():
            self._standby.end(in_flight_s=FINISH_LIMIT_S)
            await anyio.sleep(FINISH_LIMIT_S)
            self._standby.end(in_flight_s=0)

    def let_go(self) -> None:
        """Give its connection back: the load is over."""
        self._serving.cancel()
