"""A server that plays by a script, alone or before another app."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.adversary.connection import drop
from tests.adversary.script import (
    WEBSOCKET,
    Altered,
    Answer,
    Cut,
    Drip,
    Flood,
    Late,
    Meddled,
    Mischief,
    Silence,
    Slashed,
    Step,
    Told,
    redirect,
)
from tests.adversary.streams import flood, meddle, tell, until_gone


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    method: str
    path: str
    query: str
    authorization: str | None


class Adversary:
    """An ASGI app that does the mischief of its script, and is *behind* for everything else."""

    def __init__(self, *steps: Step, behind: ASGIApp | None = None) -> None:
        self._steps = steps
        self._behind = behind or Starlette()
        self._done: Counter[Step] = Counter()
        self._met: Counter[tuple[Step, str]] = Counter()
        self._moved: set[str] = set()
        self.seen: list[Seen] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._behind(scope, receive, send)
            return
        method = scope.get("method", WEBSOCKET)
        self._note(method, scope)
        mischief = self._mischief(method, scope["path"])
        if mischief is None:
            await self._behind(scope, receive, send)
        elif isinstance(mischief, Slashed):
            await self._slash(scope, receive=receive, send=send)
        elif isinstance(mischief, Altered | Meddled | Late):
            await self._between(mischief, scope, receive=receive, send=send)
        elif method == WEBSOCKET:
            await _stream(mischief, receive, send)
        else:
            await _answer(mischief, receive, send)

    def requests(self, path: str) -> int:
        """How many requests for *path* arrived, whatever became of them."""
        return sum(seen.path == path for seen in self.seen)

    def _note(self, method: str, scope: Scope) -> None:
        shown = dict(scope["headers"]).get(b"authorization")
        query = scope["query_string"].decode()
        self.seen.append(Seen(method, scope["path"], query, shown.decode() if shown else None))

    def _mischief(self, method: str, path: str) -> Mischief | None:
        for step in self._steps:
            if not step.is_for(method, path) or self._done[step] == step.times:
                continue
            self._met[step, path] += 1
            if self._met[step, path] % step.every == 0:
                self._done[step] += 1
                return step.mischief
        return None

    async def _slash(self, scope: Scope, *, receive: Receive, send: Send) -> None:
        path = scope["path"]
        other = path.removesuffix("/") if path.endswith("/") else f"{path}/"
        if path in self._moved:
            await self._behind({**scope, "path": other, "raw_path": other.encode()}, receive, send)
            return
        self._moved.add(other)
        query = scope["query_string"].decode()
        await _answer(redirect(f"{other}?{query}" if query else other), receive, send)

    async def _between(
        self, mischief: Altered | Meddled | Late, scope: Scope, *, receive: Receive, send: Send
    ) -> None:
        if isinstance(mischief, Late):
            await self._behind(scope, receive, _late(mischief, send))
        elif isinstance(mischief, Altered) and scope["type"] == "http":
            await self._behind(scope, receive, _Altering(mischief, send))
        else:
            await meddle(mischief, self._behind, scope=scope, receive=receive, send=send)


class _Altering:
    """Sends an answer on when it is complete, changed if it is JSON."""

    def __init__(self, altered: Altered, send: Send) -> None:
        self._altered = altered
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = json.dumps(self._altered.change(json.loads(self._body))).encode()
        headers = [(b"content-type", b"application/json"), *_length(len(body))]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _late(late: Late, send: Send) -> Send:
    async def sending(message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        await anyio.sleep(late.headers_seconds if is_start else late.body_seconds)
        await send(message)

    return sending


async def _answer(mischief: Mischief, receive: Receive, send: Send) -> None:
    match mischief:
        case Answer():
            headers = [(k.encode(), v.encode()) for k, v in mischief.headers]
            headers += _length(len(mischief.body))
            await _begin(send, mischief.status, headers)
            await send({"type": "http.response.body", "body": mischief.body})
        case Silence():
            if mischief.body is not None:
                await _begin(send, 200, _length(len(mischief.body) + 1))
                await send(_part(mischief.body))
            await until_gone(receive)
        case Drip():
            await _begin(send, 200, [])
            async with anyio.create_task_group() as tasks:

                async def drip() -> None:
                    while True:
                        await send(_part(b" "))
                        await anyio.sleep(mischief.interval_seconds)

                tasks.start_soon(drip)
                await until_gone(receive)
                tasks.cancel_scope.cancel()
        case Cut():
            await _begin(send, 200, _length(len(mischief.body) + 1))
            await send(_part(mischief.body))
            drop(send, is_reset=mischief.is_reset)
        case _:
            raise AssertionError(mischief)


async def _stream(mischief: Mischief, receive: Receive, send: Send) -> None:
    match mischief:
        case Answer():
            headers = [(k.encode(), v.encode()) for k, v in mischief.headers]
            start = {"type": "websocket.http.response.start", "status": mischief.status}
            await send(start | {"headers": headers})
            await send({"type": "websocket.http.response.body", "body": mischief.body})
        case Silence():
            await until_gone(receive)
        case Told():
            await tell(mischief, receive, send)
        case Flood():
            await flood(mischief, receive, send)
        case _:
            raise AssertionError(mischief)


async def _begin(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _length(size_bytes: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", str(size_bytes).encode())]
