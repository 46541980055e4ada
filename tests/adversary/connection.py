"""The connection under an ASGI app that uvicorn serves, for what ASGI has no words for."""

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Send

# Closing such a socket resets the connection.
LINGER_NOT = struct.pack("ii", 1, 0)


def connection_of(send: Send) -> asyncio.Transport:
    """The connection on which *send*, uvicorn's own, sends; there is none in process."""
    owner: Any = getattr(send, "__self__", None)
    transport = getattr(owner, "transport", None)
    assert isinstance(transport, asyncio.Transport), "this mischief needs a real port"
    return transport


def drop(send: Send, *, is_reset: bool = False) -> None:
    """End the connection with no word of the protocol, as a broken network does it."""
    connection = connection_of(send)
    if not is_reset:
        connection.close()
        return
    connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    connection.abort()
