"""A backend's stream of text frames: opened, read one by one and closed, each within a limit.

Sends nothing but what the protocol asks for, because a backend may take any message of ours as a
reason to hold its own back. There is no task in the background: what nobody asks for stays in the
socket, so that a slow reader fills no memory. Knows no path and no payload.
"""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpcore
import httpx
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import ProtocolError, generate_accept_token, generate_nonce

from benchgate.domain.text import one_line
from benchgate.errors import BackendError, BackendUnavailable
from benchgate.gate.transport.responses import our_errors

FRAME_BYTES_MAX = 1_000_000
READ_BYTES_MAX = 65_536
HANDSHAKE_SECONDS_MAX = 6
CLOSE_SECONDS_MAX = 1
REASON_CHARACTERS_MAX = 120

SWITCHING_PROTOCOLS = 101
CAN_CLOSE = frozenset({ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING})
# What a connection raises that is no more, over a socket or in process.
LOST = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    ProtocolError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)
REFUSED_HINT = "Read the run's state instead, which tells the same less often."


class SocketFrames:
    """The text frames of one WebSocket, in the order in which they came."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        """Read from *stream*, on which the handshake is done and which the caller closes."""
        self._stream = stream
        self._protocol = Connection(ConnectionType.CLIENT)
        self._ready: deque[str] = deque()
        self._parts: list[str] = []
        self._size_bytes = 0
        self._end: BackendError | None = None

    async def next(self, *, seconds_max: float) -> str:
        """The next text frame, waited for at most *seconds_max*; binary ones are passed over.

        Raises:
            BackendUnavailable: the stream has ended, or told nothing in that time. Only after
                the latter is there a reason to ask again.
            BackendError: the frame is larger than `FRAME_BYTES_MAX`; the stream is of no more use.
        """
        try:
            with anyio.fail_after(seconds_max):
                while not self._ready and self._end is None:
                    await self._read()
        except TimeoutError as exc:
            silence = f"The backend's stream told nothing within {seconds_max:g} s."
            raise BackendUnavailable(silence) from exc
        if self._ready:
            return self._ready.popleft()
        assert self._end is not None
        raise self._end

    async def close(self) -> None:
        """Tell the other side that nobody reads any more; its answer is not waited for."""
        if self._protocol.state in CAN_CLOSE:
            farewell = self._protocol.send(CloseConnection(1000))
            try:
                await self._stream.write(farewell)
            except LOST:
                return

    async def _read(self) -> None:
        """Take what comes next over the connection, and answer what the protocol wants answered."""
        try:
            data = await self._stream.read(READ_BYTES_MAX)
            answers = self._taken(data)
            if answers and self._end is None:
                await self._stream.write(answers)
        except LOST as exc:
            self._end = BackendUnavailable("The backend dropped its stream.")
            self._end.__cause__ = exc

    def _taken(self, data: bytes) -> bytes:
        """Sort *data* into frames; what the protocol wants sent in answer to it."""
        if not data:
            self._end = BackendUnavailable("The backend dropped its stream.")
            return b""
        answers = b""
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            if isinstance(event, Ping):
                answers += self._protocol.send(event.response())
            self._sort(event)
            if self._end is not None:
                break
        return answers

    def _sort(self, event: Event) -> None:
        if isinstance(event, CloseConnection):
            self._end = BackendUnavailable(self._ending(event))
        elif isinstance(event, TextMessage):
            self._gather(event)

    def _ending(self, event: CloseConnection) -> str:
        """Why there is no more, in a sentence: garbage comes as an event of the same kind."""
        told = one_line(event.reason or "", REASON_CHARACTERS_MAX).rstrip(".")
        if self._protocol.state is ConnectionState.OPEN:
            return f"The backend's stream cannot be read: {told}."
        words = f"{event.code}: {told}" if told else f"{event.code}"
        return f"The backend closed its stream with code {words}."

    def _gather(self, event: TextMessage) -> None:
        """Put a frame together from the parts in which it comes."""
        self._size_bytes += len(event.data.encode())
        if self._size_bytes > FRAME_BYTES_MAX:
            self._end = BackendError(
                f"The backend sent a frame of more than {FRAME_BYTES_MAX} bytes.",
                hint=REFUSED_HINT,
            )
            return
        self._parts.append(event.data)
        if event.message_finished:
            self._ready.append("".join(self._parts))
            self._parts, self._size_bytes = [], 0


@asynccontextmanager
async def opened(http: httpx.AsyncClient, request: httpx.Request) -> AsyncGenerator[SocketFrames]:
    """The stream that *request*, a GET that *http* built, opens; closed at the end in any case.

    Raises:
        BackendUnavailable: the backend cannot be reached, or does not answer in time.
        BackendError: it refuses, redirects, or does not speak WebSocket.
    """
    response = await _shaken(http, request)
    frames = SocketFrames(response.extensions["network_stream"])
    try:
        yield frames
    finally:
        with anyio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
            await frames.close()
        await _hang_up(response)


async def _shaken(http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """The answer by which the backend agrees to a stream."""
    nonce = generate_nonce()
    request.headers.update(
        {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": nonce.decode(),
        }
    )
    with our_errors(), anyio.fail_after(HANDSHAKE_SECONDS_MAX):
        response = await http.send(request, stream=True, follow_redirects=False)
    accepted = response.headers.get("Sec-WebSocket-Accept", "")
    if (
        response.status_code == SWITCHING_PROTOCOLS
        and accepted == generate_accept_token(nonce).decode()
    ):
        return response
    await _hang_up(response)
    raise BackendError(
        f"The backend opened no stream: it answered {response.status_code}.", hint=REFUSED_HINT
    )


async def _hang_up(response: httpx.Response) -> None:
    with anyio.move_on_after(CLOSE_SECONDS_MAX, shield=True):
        stream: httpcore.AsyncNetworkStream | None = response.extensions.get("network_stream")
        try:
            if stream is not None and response.status_code == SWITCHING_PROTOCOLS:
                await stream.aclose()
        except LOST:
            pass
        finally:
            await response.aclose()
