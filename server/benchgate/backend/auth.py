"""Who may speak to the backend: the holder of its token, from this machine's own names.

Pure ASGI, in front of everything. Three doors are left to what lies behind them: `/health`, which
answers strangers with its name alone; `/dashboard/…`, which has keys of its own; and `/assets/…`,
which holds no secret. A page in a browser can name this server by a name of its own (DNS
rebinding) or open a WebSocket from a foreign page, so the names are checked at every door.
"""

import hmac
import ipaddress
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from benchgate.backend.api.problems import deny, problem_response
from benchgate.errors import BenchgateError, Forbidden, Unauthorized

AUTHENTICATED = "benchgate.authenticated"
OPEN_PATHS = frozenset({"/health"})
OPEN_PREFIXES = ("/dashboard/", "/assets/")
LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain"})
WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


class Guard:
    """Lets a request in, or answers it itself."""

    def __init__(self, app: ASGIApp, *, token: SecretStr, bound_host: str) -> None:
        """Guard *app*, which is reached under loopback names and under *bound_host*."""
        self._app = app
        self._token = token.get_secret_value().encode()
        self._names = LOOPBACK_NAMES | {bound_host.lower()}
        self._any_address = bound_host in WILDCARDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers alone; a body is never read here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        authenticated = self._shows_token(headers)
        refusal = self._refusal(scope, headers, authenticated=authenticated)
        if refusal is not None:
            await refuse(refusal, scope, receive, send)
            return
        scope.setdefault("state", {})[AUTHENTICATED] = authenticated
        await self._app(scope, receive, send)

    def _refusal(
        self, scope: Scope, headers: Headers, *, authenticated: bool
    ) -> BenchgateError | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return Forbidden("The Host header names a server that this backend is not.")
        origin = headers.get("origin")
        if scope["type"] == "websocket" and origin and urlsplit(origin).netloc != host:
            return Forbidden("A page of another origin may not open this WebSocket.")
        if authenticated or _is_open(scope["path"]):
            return None
        return Unauthorized()

    def _shows_token(self, headers: Headers) -> bool:
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        given = credential.strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    def _is_ours(self, host: str) -> bool:
        if "@" in host:
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or self._is_own_address(name)

    def _is_own_address(self, name: str) -> bool:
        # An address cannot be rebound; only a name can.
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


async def refuse(error: BenchgateError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with *error*; a WebSocket is denied at its handshake."""
    if scope["type"] == "websocket":
        await deny(WebSocket(scope, receive, send), error)
    else:
        await problem_response(error)(scope, receive, send)
