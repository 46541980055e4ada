"""An adversary's WebSockets: its own streams, and those of another app, meddled with."""

import json
import socket

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.adversary.connection import connection_of, drop
from tests.adversary.script import Altered, Flood, Meddled, Told

FLOOD_BYTES_MAX = 1_000_000
FLOOD_INTERVAL_SECONDS = 0.001
UNREAD_BYTES_MAX = 4_096


async def until_gone(receive: Receive) -> None:
    """Wait for the client to go, whatever it says until then."""
    while not (await receive())["type"].endswith(".disconnect"):
        pass


async def tell(told: Told, receive: Receive, send: Send) -> None:
    """Accept, and send what is to be told."""
    await _accept(receive, send)
    try:
        for frame in told.frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            await send({"type": "websocket.send", kind: frame})
    except OSError:
        return  # nobody listens any more
    if told.raw:
        connection_of(send).write(told.raw)
    if told.code is not None:
        await send({"type": "websocket.close", "code": told.code, "reason": "as the script says"})
    elif told.is_silent:
        await until_gone(receive)
    else:
        drop(send)


async def flood(flood: Flood, receive: Receive, send: Send) -> None:
    """Accept, and send the same again and again; what comes back is never read."""
    await _accept(receive, send)
    connection = connection_of(send)
    connection.pause_reading()
    little = (socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES_MAX)
    connection.get_extra_info("socket").setsockopt(*little)
    while not connection.is_closing():
        if connection.get_write_buffer_size() < FLOOD_BYTES_MAX:
            connection.write(flood.raw)
        await anyio.sleep(FLOOD_INTERVAL_SECONDS)


async def meddle(
    mischief: Altered | Meddled, behind: ASGIApp, *, scope: Scope, receive: Receive, send: Send
) -> None:
    """Let *behind* stream, with its frames changed, for as long as it may."""
    sent = 0

    async def meddling(message: Message) -> None:
        nonlocal sent
        if message["type"] != "websocket.send":
            await send(message)
            return
        for text in _instead(mischief, sent, message["text"]):
            await send({"type": "websocket.send", "text": text})
        sent += 1
        if isinstance(mischief, Meddled) and sent == mischief.frames_max:
            running.cancel()
        await anyio.lowlevel.checkpoint()

    seconds = mischief.seconds_max if isinstance(mischief, Meddled) else None
    with anyio.move_on_after(seconds) as running:
        await behind(scope, receive, meddling)
    if running.cancelled_caught:
        drop(send)


def _instead(mischief: Altered | Meddled, number: int, text: str) -> list[str]:
    if isinstance(mischief, Altered):
        return [json.dumps(mischief.change(json.loads(text)))]
    return [*mischief.change(number, text)]


async def _accept(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
