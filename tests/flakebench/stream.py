"""The WebSocket of a run: one update a second, until the client or a completed run ends it."""

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.flakebench import frames
from tests.flakebench.frames import Told
from tests.flakebench.runs import SETTLED, Run
from tests.flakebench.world import World

UPDATE_SECONDS = 1
# A status that has been read is told for that long before it is read again.
STATUS_SECONDS = 2
LAST_FRAME_SECONDS = 0.5
BACKEND_TROUBLE = 1000


class Stream:
    """One client's connection."""

    def __init__(self, websocket: WebSocket, world: World) -> None:
        self._websocket = websocket
        self._world = world
        self._run_id: str = websocket.path_params["test_id"]
        self._told = Told("RUNNING", "RUNNING")
        self._read_at_s: float | None = None
        self._has_processed = False
        self._is_gone = False

    async def serve(self) -> None:
        """Send until the end. A completed run ends without a close frame: the server drops it."""
        await self._websocket.accept()
        await self._websocket.send_json(frames.connected(self._run_id, self._now_s))
        while not self._is_gone and self._told.phase != "COMPLETED":
            # Whatever the client sends restarts the second, and so suppresses the update.
            if not await self._is_quiet_for(UPDATE_SECONDS):
                continue
            if self._world.metrics_query_fails:
                await self._websocket.close(BACKEND_TROUBLE)
                return
            await self._websocket.send_json(frames.update(self._data()))
        if not self._is_gone:
            await self._world.clock.sleep(LAST_FRAME_SECONDS)

    @property
    def _now_s(self) -> float:
        return self._world.clock.now()

    async def _is_quiet_for(self, seconds: float) -> bool:
        is_quiet = False
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                nonlocal is_quiet
                await self._world.clock.sleep(seconds)
                is_quiet = True
                tasks.cancel_scope.cancel()

            tasks.start_soon(wait)
            message = await self._websocket.receive()
            self._is_gone = message["type"] == "websocket.disconnect"
            self._world.counts.client_frames[self._run_id] += not self._is_gone
            tasks.cancel_scope.cancel()
        return is_quiet

    def _data(self) -> frames.Json:
        run = self._world.current(self._run_id)
        self._read_status()
        if run is None:
            return frames.unknown(self._run_id, self._told, self._now_s)
        return frames.known(run, self._told, self._now_s)

    def _read_status(self) -> None:
        run = self._world.find(self._run_id)
        is_fresh = self._read_at_s is not None and self._now_s - self._read_at_s < STATUS_SECONDS
        if run is not None and (not is_fresh or self._told.status == "COMPLETED"):
            self._read_at_s = self._now_s
            self._told = Told(run.status, self._phase(run), run.reason)

    def _phase(self, run: Run) -> str:
        if run.status == "COMPLETED":
            is_settled = run.enrichment in SETTLED
            is_over, self._has_processed = is_settled and self._has_processed, True
            return "COMPLETED" if is_over else "PROCESSING"
        if run.status == "STOPPING":
            return "PROCESSING"
        if run.is_terminal:
            return run.status
        return run.phase or run.status


async def follow(websocket: WebSocket) -> None:
    """Serve `/ws/test/{test_id}`."""
    world: World = websocket.app.state.world
    stream = Stream(websocket, world)
    run_id: str = websocket.path_params["test_id"]
    world.counts.streams[run_id] += 1
    world.counts.open_streams[run_id] += 1
    try:
        await stream.serve()
    except WebSocketDisconnect:
        return
    finally:
        world.counts.open_streams[run_id] -= 1
