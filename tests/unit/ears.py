"""Clients of both eras that listen to resources, and what they hear."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Literal, Self

import anyio
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated
from mcp.types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

Era = Literal["auto", "legacy"]
ERAS: tuple[Era, Era] = ("auto", "legacy")
HEARD_WITHIN_SECONDS = 10
HEARD_MAX = 1_000


class Ear:
    """Hears which resources have changed, in the order in which it is told."""

    def __init__(self, era: Era) -> None:
        self._era = era
        self._send, self._receive = anyio.create_memory_object_stream[str](HEARD_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._send.close()
        self._receive.close()

    async def take_message(self, message: object) -> None:
        """What a client calls for every notification; what it listens to comes here once more."""
        if self._era == "legacy" and isinstance(message, ResourceUpdatedNotification):
            self.take(str(message.params.uri))

    def take(self, uri: str) -> None:
        self._send.send_nowait(uri)

    async def next(self) -> str:
        """The next resource that has changed."""
        with anyio.fail_after(HEARD_WITHIN_SECONDS):
            return await self._receive.receive()

    async def until(self, uri: str) -> list[str]:
        """All that has changed up to *uri*."""
        heard = [await self.next()]
        while heard[-1] != uri:
            heard.append(await self.next())
        return heard

    @property
    def waiting(self) -> int:
        """How much was heard that nobody has asked for."""
        return self._receive.statistics().current_buffer_used


@asynccontextmanager
async def subscribed(client: Client, ear: Ear, *uris: str) -> AsyncGenerator[None]:
    """*ear* hears of *uris* in here, by the means of the client's era."""
    if client.protocol_version >= "2026":
        async with client.listen(resource_subscriptions=uris) as events:

            async def forward() -> None:
                async for event in events:
                    if isinstance(event, ResourceUpdated):
                        ear.take(event.uri)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(forward)
                yield
                tasks.cancel_scope.cancel()
    else:
        for uri in uris:
            await subscribe(client, uri)
        yield
        for uri in uris:
            await unsubscribe(client, uri)


async def subscribe(client: Client, uri: str) -> None:
    request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    request = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


class Watching:
    """Which runs are being watched now; *on_entry* may refuse one."""

    def __init__(self, *, on_entry: Callable[[str], None] | None = None) -> None:
        self.now: list[str] = []
        self.entries = 0
        self._on_entry = on_entry
        self._changed = anyio.Event()

    @asynccontextmanager
    async def __call__(self, run_id: str) -> AsyncGenerator[None]:
        self.entries += 1
        if self._on_entry is not None:
            try:
                self._on_entry(run_id)
            finally:
                self._tell()
        self.now.append(run_id)
        self._tell()
        try:
            yield
        finally:
            self.now.remove(run_id)
            self._tell()

    async def until(self, *run_ids: str, entries: int = 0) -> None:
        """Wait until exactly these are watched, and that many were begun."""
        with anyio.fail_after(HEARD_WITHIN_SECONDS):
            while sorted(self.now) != sorted(run_ids) or self.entries < entries:
                await self._changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
