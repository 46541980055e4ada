"""Requests to a backend: where it is, what opens it, and how long it may take to answer.

Every way in which a request can fail becomes one of our errors here, so that no caller knows
httpx. What changes something is never sent twice: whether a start that got no answer happened is
found out by reading the state. Knows no path and no payload.
"""

import math
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar

import anyio
import httpx
from pydantic import SecretStr, TypeAdapter

from benchgate.domain.values import Value
from benchgate.errors import BackendError, BackendUnavailable, Unauthorized
from benchgate.gate.transport.responses import (
    PACKING,
    REDIRECT_HINT,
    content_of,
    destination,
    our_errors,
    parsed,
)

REQUEST_TIMEOUT_SECONDS = 20
CONNECT_SECONDS_MAX = 3
# So lately has a backend answered that it can be taken to be there still.
ALIVE_SECONDS = 0.5
REDIRECTS_MAX = 2
# The redirects after which method and body stay what they were.
FAITHFUL_REDIRECTS = frozenset({307, 308})

Shape = TypeVar("Shape")


class Address(Value):
    """Where a backend is, and what opens it."""

    url: str
    token: SecretStr | None = None
    dashboard_url: str
    is_embedded: bool = False


class Whereabouts(Protocol):
    """Knows where the backend is, and may have to start it first."""

    @property
    def identity(self) -> str:
        """What tells this backend from others, whether it is alive or not, as 64 hex digits."""
        ...

    async def ensure(self) -> Address:
        """The backend's address; it is alive, or ought to be."""
        ...

    async def find(self) -> Address | None:
        """The address, if that is known without starting anything."""
        ...


class Frames(Protocol):
    """What a backend tells by itself, as text frames, one after the other."""

    async def next(self, *, seconds_max: float) -> str:
        """The next text frame, waited for at most *seconds_max*.

        Raises:
            BackendUnavailable: the stream has ended, or told nothing in that time.
            BackendError: the frame is too large; the stream is of no more use.
        """
        ...


class Wire:
    """One backend, as it is reached by HTTP."""

    def __init__(self, whereabouts: Whereabouts, http: httpx.AsyncClient) -> None:
        """Speak through *http*, which the caller owns, to wherever *whereabouts* says."""
        self._whereabouts = whereabouts
        self._http = http
        self._address: Address | None = None
        self._heard_at = -math.inf

    @property
    def identity(self) -> str:
        """The backend within which tests run one at a time, without asking or starting it."""
        return self._whereabouts.identity

    async def is_known_alive(self) -> bool:
        """Whether there is a backend to ask without starting one."""
        return await self._whereabouts.find() is not None

    async def address(self) -> Address:
        """Where it is; it is started if need be and if it is ours to start."""
        address = self._address = self._address or await self._whereabouts.ensure()
        return address

    def link(self, path: str | None) -> str | None:
        """A dashboard link that a browser can open, made from what the backend answered."""
        if not path or self._address is None:
            return None
        base = self._address.dashboard_url.rstrip("/")
        return f"{base}{path}" if path.startswith("/") and not path.startswith("//") else None

    async def get(self, path: str, shape: TypeAdapter[Shape]) -> Shape:
        """What *path* answers, in *shape*; asked twice where the first answer did not come.

        Raises:
            BenchgateError: it refuses, or cannot be reached or understood.
        """
        try:
            return await self._ask("GET", path, shape)
        except (BackendUnavailable, Unauthorized):
            if self._address is None:
                raise
        # The backend may have ended since it was last found, and the next one may answer at the
        # same address with a token of its own; reading again is harmless.
        self._address = None
        return await self._ask("GET", path, shape)

    async def post(
        self,
        path: str,
        shape: TypeAdapter[Shape],
        *,
        body: Mapping[str, Any] | None = None,
        seconds_max: float | None = None,
    ) -> Shape:
        """What *path* answers to *body* within *seconds_max*, in *shape*; sent once.

        Raises:
            BenchgateError: it refuses, or cannot be reached or understood.
        """
        # What changes something is sent only once: so first make sure that it can arrive.
        await self._sure_address()
        return await self._ask("POST", path, shape, body=body, seconds_max=seconds_max)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncGenerator[Frames]:
        """The frames that the WebSocket at *path* tells; nothing is sent to it.

        Raises:
            BackendUnavailable: the backend cannot be reached, or does not answer in time.
            BackendError: it refuses, redirects, or does not speak WebSocket.
        """
        from benchgate.gate.transport.frames import opened  # noqa: PLC0415 - start-up imports little

        address = await self._sure_address()
        with our_errors():
            request = self._http.build_request(
                "GET",
                address.url + path,
                headers=_headers(address),
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS_MAX),
            )
        async with opened(self._http, request) as frames:
            yield frames

    async def _sure_address(self) -> Address:
        """Where it is now, looked up anew unless it has answered at this moment."""
        if self._address is None or anyio.current_time() - self._heard_at > ALIVE_SECONDS:
            self._address = await self._whereabouts.find() or await self._whereabouts.ensure()
        return self._address

    async def _ask(
        self,
        method: str,
        path: str,
        shape: TypeAdapter[Shape],
        *,
        body: Mapping[str, Any] | None = None,
        seconds_max: float | None = None,
    ) -> Shape:
        address = await self.address()
        timeout = httpx.Timeout(seconds_max or REQUEST_TIMEOUT_SECONDS, connect=CONNECT_SECONDS_MAX)
        with our_errors():
            request = self._http.build_request(
                method, address.url + path, headers=_headers(address), json=body, timeout=timeout
            )
            with anyio.fail_after(seconds_max or REQUEST_TIMEOUT_SECONDS):
                response, content = await self._answer(request)
        self._heard_at = anyio.current_time()
        return parsed(response, content, shape)

    async def _answer(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """The answer to *request*, or to the same one where the server says that it belongs.

        A redirect names a path, and never a server: whatever it says, the request and its token
        go where the request was meant to go.
        """
        for _ in range(REDIRECTS_MAX):
            response, content = await self._sent(request)
            moved = _moved(response)
            if moved is None:
                return response, content
            request = httpx.Request(
                request.method,
                moved,
                headers=request.headers,
                content=request.content,
                extensions=request.extensions,
            )
        response, content = await self._sent(request)
        if _moved(response) is not None:
            raise BackendError(
                f"The backend redirects again and again, at last to {destination(response)}.",
                hint=REDIRECT_HINT,
            )
        return response, content

    async def _sent(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            return response, await content_of(response)
        finally:
            await response.aclose()


def _headers(address: Address) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": PACKING}
    if address.token:
        headers["Authorization"] = f"Bearer {address.token.get_secret_value()}"
    return headers


def _moved(response: httpx.Response) -> httpx.URL | None:
    """Where on the same server a redirect leads, if it does; its scheme is not taken over.

    A server behind one that ends TLS does not know by which scheme it is reached, and so names
    another one, with that one's usual port.
    """
    if response.status_code not in FAITHFUL_REDIRECTS or not response.has_redirect_location:
        return None
    asked = response.request.url
    try:
        named = asked.join(response.headers["Location"])
    except (httpx.InvalidURL, ValueError):
        return None
    if (named.host, named.port) != (asked.host, asked.port):
        return None
    return asked.copy_with(raw_path=named.raw_path)


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Bound everything that is asked of a backend in here, however many requests it takes.

    Raises:
        BackendUnavailable: it took longer.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as exc:
        raise BackendUnavailable(f"The backend did not answer within {seconds:g} s.") from exc
