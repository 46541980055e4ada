"""A small HTTP server on a free port of loopback, within a process that is about something else.

It leaves that process's signals, its log and its standard streams alone.
"""

import contextlib
import logging
import socket
from collections.abc import Generator

import anyio
import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 64
KEEP_ALIVE_SECONDS = 5
# What is under way gets this long to end; then it is cut off.
GRACE_SECONDS = 1
STOP_SECONDS_MAX = 3

logger = logging.getLogger(__name__)


class QuietServer(uvicorn.Server):
    """Does not touch the process's signal handlers: they are its owner's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


class Port:
    """A port that is listened on, and the server behind it."""

    def __init__(self) -> None:
        """Listen on a free port.

        Raises:
            OSError: there is none to be had.
        """
        self._listener = socket.create_server((LOOPBACK, 0))
        self._server: QuietServer | None = None
        self._scope = anyio.CancelScope(shield=True)
        self._stopped = anyio.Event()
        self.address = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    @property
    def is_serving(self) -> bool:
        """Whether a browser can be sent there."""
        return not self._stopped.is_set()

    async def serve(self, app: ASGIApp) -> None:
        """Serve *app* until `stop`; also while what runs this is being cancelled."""
        self._server = QuietServer(_config(app))
        try:
            with self._scope:
                await self._server.serve([self._listener])
        except Exception:  # this is a seam: the page may fail, and its owner goes on
            logger.exception("The approvals page at %s has ended", self.address)
        finally:
            self._listener.close()
            self._stopped.set()

    async def stop(self) -> None:
        """Let go of the port, within bounds, also while being cancelled."""
        if self._server is not None:
            self._server.should_exit = True
            with anyio.move_on_after(STOP_SECONDS_MAX, shield=True):
                await self._stopped.wait()
        self._scope.cancel()
        self._listener.close()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
