"""The backend as a process: one for each data folder, from its lock to its orderly end.

It serves until it is told to end (a signal, `POST /api/shutdown`) or has been idle for long
enough. It knows sockets and signals; what it serves is made in `app`.
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex, token_urlsafe

import anyio
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from benchgate.backend.app import Identity, create_app
from benchgate.backend.auth import WILDCARDS
from benchgate.backend.engine import places
from benchgate.backend.engine.conductor import Drive
from benchgate.backend.engine.surroundings import Surroundings, look_around
from benchgate.backend.lifetime import IDLE_SECONDS, Lifetime
from benchgate.backend.presence import Presence
from benchgate.domain.production import PRODUCTION_PATTERNS
from benchgate.domain.rendezvous import CONTRACT_VERSION, EXIT_ALREADY_RUNNING, BackendRecord
from benchgate.errors import Conflict, StoreError

TOKEN_BYTES = 32
INSTANCE_BYTES = 8
PRIVATE_UMASK = 0o077
# Whoever looks whether the lock is held takes it for a moment.
LOCK_WAIT_SECONDS = 0.3
REQUESTS_END_SECONDS = 1
# Longer than clients keep a connection: one that the server closes first may lose a request.
KEEP_ALIVE_SECONDS = 75
MESSAGE_BYTES_MAX = 65_536
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = logging.getLogger(__name__)


def run_backend(
    data_dir: Path,
    *,
    host: str,
    port: int,
    idle_seconds: float = IDLE_SECONDS,
    production_patterns: tuple[str, ...] = PRODUCTION_PATTERNS,
    ray_address: str | None = None,
) -> int:
    """Serve the backend of *data_dir* until its end; answers the process's exit code.

    With port 0 it listens where it listened last, or else anywhere. Targets whose names
    fit one of *production_patterns* are warned of. Runs load from the Ray cluster at
    *ray_address*, or from this machine.

    Raises:
        StoreError: the data folder cannot be used.
        Conflict: the port that was asked for is taken.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT)
    os.umask(PRIVATE_UMASK)
    presence = Presence(data_dir)
    with presence.held(wait_seconds=LOCK_WAIT_SECONDS) as is_ours:
        if not is_ours:
            log.info("A backend runs already in %s; this one ends.", data_dir)
            return EXIT_ALREADY_RUNNING
        # A template's relative path means the same, whoever has started the backend.
        os.chdir(data_dir)
        with listening(host, port, last=presence.last_port()) as listener:
            live = partial(
                _live,
                host=host,
                listener=listener,
                idle_seconds=idle_seconds,
                surroundings=look_around(production_patterns, ray_address=ray_address),
                drive=partial(places.drive, ray_address=ray_address),
            )
            anyio.run(live, data_dir)
    return 0


async def _live(
    data_dir: Path,
    *,
    host: str,
    listener: socket.socket,
    idle_seconds: float,
    surroundings: Surroundings,
    drive: Drive,
) -> None:
    """One life: a new token, a server, and a record of both for as long as it serves."""
    presence, lifetime = Presence(data_dir), Lifetime(idle_seconds)
    identity = Identity(
        instance_id=token_hex(INSTANCE_BYTES),
        token=SecretStr(token_urlsafe(TOKEN_BYTES)),
        bound_host=host,
    )
    port: int = listener.getsockname()[1]
    record = BackendRecord(
        contract_version=CONTRACT_VERSION,
        instance_id=identity.instance_id,
        url=f"http://{_reachable(host)}:{port}",
        token=identity.token,
    )

    def announce() -> None:
        presence.announce(record, port=port)
        log.info("The backend listens on %s; its data lies in %s", record.url, data_dir)

    app = create_app(data_dir, identity, drive=drive, lifetime=lifetime, surroundings=surroundings)
    server = _Server(_config(app), lifetime=lifetime, on_started=announce)
    try:
        await server.serve(sockets=[listener])
    finally:
        presence.withdraw(identity.instance_id)
        log.info("The backend on %s has ended", record.url)


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="wsproto",
        ws_max_size=MESSAGE_BYTES_MAX,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=REQUESTS_END_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


class _Server(uvicorn.Server):
    """uvicorn's server: it says when it has started, ends with its lifetime and spends signals."""

    def __init__(
        self, config: uvicorn.Config, *, lifetime: Lifetime, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._lifetime = lifetime
        self._on_started = on_started

    async def on_tick(self, counter: int) -> bool:
        return self._lifetime.is_over or await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as exc:  # uvicorn's way to say that the app did not come up
            raise StoreError("The backend could not start; its log says why.") from exc
        self._on_started()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        # uvicorn would raise the signal again after the end, and so kill the process before it
        # has taken its record away and released its lock.
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def listening(host: str, port: int, *, last: int | None) -> Generator[socket.socket]:
    """A socket bound to *port* of *host*, or with port 0 to *last* or any free one.

    Raises:
        Conflict: it cannot be bound.
    """
    wanted = [port] if port else [last or 0, 0]
    for number in wanted:
        try:
            bound = _bind(host, number)
        except OSError as exc:
            if number != wanted[-1]:
                continue
            raise Conflict(
                f"Port {number} of {host} cannot be listened on: {exc.strerror or exc}.",
                hint="Choose another --host or --port; port 0 takes any free one.",
            ) from exc
        with bound:
            yield bound
        return


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two programs share the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _reachable(host: str) -> str:
    """*host* as a client writes it in a URL; a wildcard is reached by its loopback address."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host) if host in WILDCARDS else host  # noqa: S104
    return f"[{name}]" if ":" in name else name
