"""Tells clients which resources have changed, in both eras of the protocol.

Whoever hears of a run says so here, and this module tells those who listen: in the 2025 era the
sessions that subscribed, in the 2026 era the streams that listen. To subscribe to a run keeps it
watched. Nothing here knows how a run is watched, or what stands in a resource.

The SDK's server has no place for `resources/subscribe`, and does not tell who listens to what:
so three handlers are registered behind it, in `register`, and nowhere else.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import anyio
from anyio.abc import TaskGroup
from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
)
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from benchgate.domain.runs import RunSnapshot
from benchgate.domain.values import Value
from benchgate.gate.resources.news import ANNOUNCE_SECONDS, News, is_announced, run_of
from benchgate.gate.resources.watches import WATCH_SECONDS_MAX, Watches, Watching

logger = logging.getLogger(__name__)

SUBSCRIBERS_MAX = 64
URIS_PER_SUBSCRIBER_MAX = 100
# More than one client can have waiting at once, so that only who takes nothing gets this far.
BUFFERED_EVENTS_MAX = 256
TOO_MANY_URIS = f"At most {URIS_PER_SUBSCRIBER_MAX} resources may be subscribed to at once."

Request = ServerRequestContext[Any, Any]


class Tempo(Value):
    """How often is told, and how long is waited for whom; all in seconds."""

    announce_seconds: float = ANNOUNCE_SECONDS
    round_seconds: float = 0.1
    idle_seconds_max: float = 60
    send_seconds_max: float = 5
    watch_seconds_max: float = WATCH_SECONDS_MAX


class Subscriber:
    """One session of the 2025 era: what it wants to hear of, and what it has not heard yet."""

    def __init__(self, session: ServerSession) -> None:
        """Nothing is subscribed to yet."""
        self.uris: set[str] = set()
        self.scope = anyio.CancelScope()
        self._session = session
        # A resource that changed twice is told once, so that its uris bound this, too.
        self._pending: dict[str, None] = {}
        self._wake = anyio.Event()

    @property
    def run_ids(self) -> set[str]:
        """The runs that it wants to hear of."""
        return _runs_of(self.uris)

    def tell(self, uri: str) -> None:
        """*uri* has changed."""
        if uri in self.uris:
            self._pending[uri] = None
            self._wake.set()

    async def deliver(self, *, tempo: Tempo) -> None:
        """Send what there is to tell, until a message is not taken in time."""
        while True:
            with anyio.move_on_after(tempo.idle_seconds_max):
                await self._wake.wait()
            self._wake = anyio.Event()
            while self._pending:
                uri = next(iter(self._pending))
                del self._pending[uri]
                if not await self._sent(uri, tempo.send_seconds_max):
                    return

    async def _sent(self, uri: str, seconds_max: float) -> bool:
        # The SDK drops what cannot be sent to a session that has ended, which is told otherwise.
        with anyio.move_on_after(seconds_max) as waiting:
            await self._session.send_resource_updated(uri)
        return not waiting.cancelled_caught


class Announcements:
    """Announces for as long as it is entered."""

    def __init__(
        self,
        watching: Watching,
        *,
        is_known_alive: Callable[[], Awaitable[bool]],
        tempo: Tempo | None = None,
    ) -> None:
        """Keep a run watched by entering *watching*, where a backend *is_known_alive*."""
        self._tempo = tempo or Tempo()
        self._news = News(announce_seconds=self._tempo.announce_seconds)
        self._watches = Watches(
            watching,
            is_known_alive=is_known_alive,
            watch_seconds_max=self._tempo.watch_seconds_max,
        )
        self.bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(
            self.bus, max_subscriptions=SUBSCRIBERS_MAX, max_buffered_events=BUFFERED_EVENTS_MAX
        )
        self._subscribers: dict[Connection, Subscriber] = {}
        self._met: WeakSet[Connection] = WeakSet()
        self._wake = anyio.Event()
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Ready to announce; nobody is asked anything."""
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._announce)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of every run and every subscriber."""
        tasks, self._tasks = self._tasks, None
        assert tasks is not None, "it is left once, after it was entered"
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)

    def register(self, server: MCPServer[Any]) -> None:
        """Take subscriptions to the resources of *server*, and say so to its clients."""
        handlers = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # the only door
        handlers.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        handlers.add_request_handler(
            "resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe
        )
        handlers.add_request_handler(
            "subscriptions/listen", SubscriptionsListenRequestParams, self._listen
        )

    def heard(self, snapshot: RunSnapshot) -> None:
        """There is news of a run: returns at once, whoever listens."""
        self._news.hear(snapshot, at=anyio.current_time())
        if snapshot.is_terminal:
            self._watches.end(snapshot.run_id)
        self._wake.set()

    async def _announce(self) -> None:
        while True:
            left_seconds = self._news.seconds_left(at=anyio.current_time())
            longest_seconds = self._tempo.idle_seconds_max
            with anyio.move_on_after(longest_seconds if left_seconds is None else left_seconds):
                await self._wake.wait()
            self._wake = anyio.Event()
            await self._tell()

    async def _tell(self) -> None:
        announcement = self._news.take(at=anyio.current_time())
        if announcement.has_new_run:
            await self.bus.publish(ResourcesListChanged())
        for uri in announcement.uris:
            await self.bus.publish(ResourceUpdated(uri))
            for subscriber in self._subscribers.values():
                subscriber.tell(uri)
            self._resume(uri)
        if announcement.uris:
            # A backend that changes its mind all the time is told of in rounds.
            await anyio.sleep(self._tempo.round_seconds)

    def _resume(self, uri: str) -> None:
        """The run of *uri* is heard of: then there is a backend, and it can be watched."""
        run_id = run_of(uri)
        if run_id is not None and self._tasks is not None and not self._news.has_ended(run_id):
            self._watches.resume(run_id, tasks=self._tasks)

    def _hold(self, uris: Iterable[str], holder: object) -> None:
        for run_id in _runs_of(uris):
            if self._tasks is not None and not self._news.has_ended(run_id):
                self._watches.hold(run_id, holder, tasks=self._tasks)

    def _release(self, run_ids: Iterable[str], holder: object) -> None:
        for run_id in run_ids:
            self._watches.release(run_id, holder)

    async def _subscribe(self, request: Request, params: SubscribeRequestParams) -> EmptyResult:
        """`resources/subscribe`; what is never announced is taken and never told."""
        if not is_announced(params.uri):
            return EmptyResult()
        subscriber = self._subscriber(request.session)
        if len(subscriber.uris | {params.uri}) > URIS_PER_SUBSCRIBER_MAX:
            raise MCPError(INVALID_PARAMS, TOO_MANY_URIS)
        subscriber.uris.add(params.uri)
        self._hold({params.uri}, subscriber)
        return EmptyResult()

    async def _unsubscribe(self, request: Request, params: UnsubscribeRequestParams) -> EmptyResult:
        """`resources/unsubscribe`."""
        subscriber = self._subscribers.get(_connection_of(request.session))
        if subscriber is not None:
            before = subscriber.run_ids
            subscriber.uris.discard(params.uri)
            self._release(before - subscriber.run_ids, subscriber)
        return EmptyResult()

    async def _listen(
        self, request: Request, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """`subscriptions/listen`: the runs that are listened to stay watched meanwhile."""
        uris = params.notifications.resource_subscriptions or []
        if len(uris) > URIS_PER_SUBSCRIBER_MAX:
            raise MCPError(INVALID_PARAMS, TOO_MANY_URIS)
        holder = object()
        try:
            self._hold(uris, holder)
            return await self._listening(request, params)
        finally:
            self._release(_runs_of(uris), holder)

    def _subscriber(self, session: ServerSession) -> Subscriber:
        """The session's subscriber, from its first subscription on."""
        connection = _connection_of(session)
        known = self._subscribers.pop(connection, None)
        if known is not None:
            # The last to ask for something is the last to give way.
            self._subscribers[connection] = known
            return known
        assert self._tasks is not None, "it is entered before a server takes requests"
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            # A client over HTTP that has gone says nothing, and would keep its place for long.
            logger.info("The client that subscribed longest ago gives way to another")
            self._drop(next(iter(self._subscribers)))
        subscriber = self._subscribers[connection] = Subscriber(session)
        if connection not in self._met:
            self._met.add(connection)
            connection.exit_stack.callback(self._drop, connection)
        self._tasks.start_soon(self._serve, connection, subscriber)
        return subscriber

    async def _serve(self, connection: Connection, subscriber: Subscriber) -> None:
        try:
            with subscriber.scope:
                await subscriber.deliver(tempo=self._tempo)
                logger.info("A client that took no news in time is not told any more")
        finally:
            if self._subscribers.get(connection) is subscriber:
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        """The session has ended, or takes nothing any more."""
        subscriber = self._subscribers.pop(connection, None)
        if subscriber is not None:
            subscriber.scope.cancel()
            self._release(subscriber.run_ids, subscriber)


def _runs_of(uris: Iterable[str]) -> set[str]:
    return {run_id for uri in uris if (run_id := run_of(uri)) is not None}


def _connection_of(session: ServerSession) -> Connection:
    """What the sessions of one client's requests have in common, and what ends with the client."""
    return session._connection  # pyright: ignore[reportPrivateUsage]  # a session is per request
