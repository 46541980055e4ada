"""What holds for every request, whatever its path: pure ASGI, knows no route.

One spelling of each path, a limit to each body, and headers that keep a browser from making more
of an answer than it is.
"""

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX = 1_000_000

STRICT_POLICY = "default-src 'none'; frame-ancestors 'none'"
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": STRICT_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class OnePath:
    """Lets every path answer with and without a trailing slash, and without a redirect."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of *app*, whose routes are written without the slash."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one slash off the end."""
        path = scope.get("path", "")
        if len(path) > 1 and path.endswith("/"):
            raw: bytes | None = scope.get("raw_path")
            scope = {**scope, "path": path[:-1], "raw_path": raw and raw.removesuffix(b"/")}
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body that is longer than any that means something."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of *app*, which turns an `HTTPException` into an answer."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what is received; what is declared is not believed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES_MAX:
                raise HTTPException(413, f"The body is longer than {BODY_BYTES_MAX} bytes.")
            return message

        await self._app(scope, counted, send)


class SafeHeaders:
    """Adds to every answer what it does not say itself."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an answer's own header win."""

        async def completed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, completed)
