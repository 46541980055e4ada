"""The WebSocket that tells of a run once a second, and how such a stream is held."""

from contextlib import suppress

import anyio
import anyio.to_thread
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchgate.backend.api.problems import deny
from benchgate.backend.watch import Watch
from benchgate.errors import BenchgateError, Conflict

WATCHERS_MAX = 100
CLOSE_NORMAL = 1000


class Streams:
    """Sends a run's frames to whoever watches, to so many at a time."""

    def __init__(self, watch: Watch) -> None:
        """Take the frames from *watch*."""
        self._watch = watch
        self._open = 0

    async def serve(self, socket: WebSocket, run_id: str) -> None:
        """Send frames until the run has ended (close code 1000) or the watcher has gone.

        An unknown run is denied at the handshake with 404.
        """
        try:
            await anyio.to_thread.run_sync(self._watch.frame, run_id)
            if self._open >= WATCHERS_MAX:
                raise Conflict(f"{WATCHERS_MAX} watchers are connected already.")
        except BenchgateError as exc:
            await deny(socket, exc)
            return
        self._open += 1
        try:
            await socket.accept()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, socket, tasks.cancel_scope)
                await self._send_frames(socket, run_id)
                tasks.cancel_scope.cancel()
        finally:
            self._open -= 1

    async def _send_frames(self, socket: WebSocket, run_id: str) -> None:
        # A watcher may leave at any moment, also in the middle of a frame.
        with suppress(WebSocketDisconnect):
            async for frame in self._watch.frames(run_id):
                await socket.send_text(frame.model_dump_json())
            await socket.close(CLOSE_NORMAL)


async def _until_gone(socket: WebSocket, scope: anyio.CancelScope) -> None:
    """Drop what the watcher sends; end the stream when it leaves."""
    with suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                break
    scope.cancel()


def routes(streams: Streams) -> APIRouter:
    """The specification's WebSocket."""
    router = APIRouter()

    @router.websocket("/ws/runs/{run_id}/metrics")
    async def watch_run(socket: WebSocket, run_id: str) -> None:
        """One `MetricsFrame` a second."""
        await streams.serve(socket, run_id)

    return router
