"""Workers on a Ray cluster, as their crew sees them; the bridge is a process, and Ray is in it."""

import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import ValidationError

from benchgate.backend.engine.cluster.envelopes import (
    FROM_BRIDGE,
    Bring,
    Dismiss,
    Gone,
    Hand,
    Placed,
    Reached,
    Refused,
    Said,
)
from benchgate.backend.engine.messages import (
    FROM_WORKER,
    LINE_BYTES_MAX,
    FromWorker,
    line_of,
)
from benchgate.backend.engine.process import lines_of
from benchgate.backend.engine.worker import DRIVERS
from benchgate.domain.values import Value
from benchgate.errors import ClusterError, MissingExtra

BRIDGE = (sys.executable, "-P", "-m", "benchgate.backend.engine.cluster.bridge")
# A line is a string in another one, in which every quotation mark is written as two characters.
ENVELOPE_BYTES_MAX = 2 * LINE_BYTES_MAX
OPEN_LIMIT_S = 20.0
CLOSE_LIMIT_S = 2.0
END_LIMIT_S = 5.0
QUEUED_MAX = 1_000
# How it shows that a process has closed its end of a pipe.
ENDS = (
    anyio.IncompleteRead,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)

log = logging.getLogger(__name__)


class ClusterMember:
    """A worker on the cluster and what is known of it."""

    def __init__(self, number: int, orders: MemoryObjectSendStream[Value]) -> None:
        """Know worker *number*, and have it treated as *orders* say."""
        self.number = number
        self.is_ready = False
        self.has_stopped = False
        self.is_done = False
        self.has_exited = False
        self.node: str | None = None
        self.pid: int | None = None
        self._orders = orders
        self._reason: str | None = None
        self._gone = anyio.Event()
        self._saying, self._heard = anyio.create_memory_object_stream[FromWorker](QUEUED_MAX)

    async def hear(self) -> FromWorker | None:
        """The next thing that the worker says; None when it is gone."""
        try:
            return await self._heard.receive()
        except anyio.EndOfStream:
            self.has_exited = True
            return None

    async def take(self, envelope: Placed | Said | Gone) -> None:
        """Take in what the bridge reports of it."""
        match envelope:
            case Placed():
                self.node, self.pid = envelope.node, envelope.pid
            case Said():
                try:
                    message = FROM_WORKER.validate_json(envelope.line)
                except ValidationError:
                    log.warning("worker %d said something that is not a message", self.number)
                else:
                    with suppress(*ENDS):  # nobody wants to hear it any more
                        await self._saying.send(message)
            case Gone():
                self.lose(envelope.reason)

    def lose(self, reason: str | None) -> None:
        """It is gone: for *reason*, where it should not be."""
        self._reason = self._reason or reason
        self._gone.set()
        self._saying.close()

    async def tell(self, message: Value) -> None:
        """Say *message*; a worker that has gone hears nothing, and is met when it is heard."""
        line = line_of(message).decode()
        with suppress(*ENDS):
            await self._orders.send(Hand(number=self.number, line=line))

    async def log_errors(self) -> None:
        """Nothing: it complains in the logs of its machine, which Ray keeps there."""

    def fate(self) -> str:
        """How it ended, in words."""
        where = f"process {self.pid} on {self.node}" if self.node else "on the cluster"
        return f"Worker {self.number + 1} ({where}) is gone: {self._reason or 'it ended'}."

    def kill(self) -> None:
        """End it at once; where the bridge is stuck, that is by the end of the bridge."""
        with suppress(*ENDS, anyio.WouldBlock):
            self._orders.send_nowait(Dismiss(number=self.number))

    async def close(self) -> None:
        """Let go of it, and see it gone."""
        self.kill()
        with anyio.move_on_after(CLOSE_LIMIT_S):
            await self._gone.wait()
        self._saying.close()
        self._heard.close()


class RayCluster:
    """The place where workers are actors on the machines of a Ray cluster."""

    is_here = False

    def __init__(self, reached: Reached, orders: MemoryObjectSendStream[Value]) -> None:
        """Place workers on what was *reached* through the bridge that obeys *orders*."""
        self._reached = reached
        self._orders = orders
        self._members: dict[int, ClusterMember] = {}

    @property
    def cores(self) -> int:
        """The cores of all its machines, as Ray counts them."""
        return max(1, self._reached.cores)

    @property
    def workers(self) -> int:
        """As many as there are cores that nobody else has taken."""
        return max(1, self._reached.cores_free)

    async def start(self, number: int) -> ClusterMember:
        """A new worker, which waits for its first line as soon as the cluster has placed it."""
        member = ClusterMember(number, self._orders)
        self._members[number] = member
        await self._orders.send(Bring(number=number))
        return member

    async def close(self) -> None:
        """Nothing: whoever has connected to the cluster lets go of it."""

    async def take(self, envelope: Placed | Said | Gone) -> None:
        """Take in what the bridge reports of a worker."""
        await self._members[envelope.number].take(envelope)

    def lose(self, reason: str) -> None:
        """The bridge is gone, and every worker with it."""
        for member in self._members.values():
            member.lose(reason)


@asynccontextmanager
async def connected(address: str, *, drivers: str = DRIVERS) -> AsyncGenerator[RayCluster]:
    """The cluster at *address* as a place for workers; on leaving, none of them is left.

    Raises:
        MissingExtra: Ray is not installed.
        ClusterError: the cluster cannot be used.
    """
    if find_spec("ray") is None:
        raise MissingExtra(
            "RAY_ADDRESS names a Ray cluster, and Ray is not installed.",
            hint="Run `pip install 'benchgate[ray]'`, or unset RAY_ADDRESS; then start the "
            "backend again.",
        )
    async with _started(address, drivers) as process:
        bridge = _Bridge(process, address)
        reached = await bridge.reached()
        sending, orders = anyio.create_memory_object_stream[Value](QUEUED_MAX)
        place = RayCluster(reached, sending)
        async with sending, orders, anyio.create_task_group() as tasks:
            tasks.start_soon(bridge.pass_on, orders)
            tasks.start_soon(bridge.listen, place)
            tasks.start_soon(bridge.log_errors)
            yield place
            tasks.cancel_scope.cancel()


class _Bridge:
    """The process between the backend and the cluster at some address."""

    def __init__(self, process: Process, address: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._input, self._errors = process.stdin, process.stderr
        self._output = BufferedByteReceiveStream(process.stdout)
        self._address = address
        self._last_words = ""

    async def reached(self) -> Reached:
        """Its first line, which says that it is connected."""
        told = "the connection to it broke"
        try:
            with anyio.fail_after(OPEN_LIMIT_S), suppress(*ENDS):
                answer = await self._hear()
                if isinstance(answer, Reached):
                    return answer
                assert isinstance(answer, Refused), "no worker has been asked for"
                told = answer.reason
        except TimeoutError:
            told = f"it did not let us in within {OPEN_LIMIT_S:g} s"
        raise ClusterError(f"The Ray cluster at {self._address} cannot be used: {told}.")

    async def pass_on(self, orders: MemoryObjectReceiveStream[Value]) -> None:
        """Have everything done that there are *orders* for."""
        with suppress(*ENDS):
            async for order in orders:
                await self._input.send(line_of(order))

    async def listen(self, place: RayCluster) -> None:
        """Let *place* know what it reports, until it ends."""
        with suppress(*ENDS):
            while True:
                envelope = await self._hear()
                if not isinstance(envelope, Reached | Refused):
                    await place.take(envelope)
        words = f" ({self._last_words})" if self._last_words else ""
        place.lose(f"the connection to the cluster at {self._address} was lost{words}")

    async def log_errors(self) -> None:
        """Keep what it complains of for those who look for a defect: Ray talks much."""
        async for line in lines_of(self._errors):
            log.debug("bridge: %s", line)
            self._last_words = line or self._last_words

    async def _hear(self) -> Reached | Refused | Placed | Said | Gone:
        return FROM_BRIDGE.validate_json(
            await self._output.receive_until(b"\n", ENVELOPE_BYTES_MAX)
        )


@asynccontextmanager
async def _started(address: str, drivers: str) -> AsyncGenerator[Process]:
    bridge = await anyio.open_process([*BRIDGE, address, drivers])
    assert bridge.stdin is not None
    try:
        yield bridge
    finally:
        with anyio.CancelScope(shield=True):
            # By the end of its input it hears that the run is over.
            await bridge.stdin.aclose()
            with anyio.move_on_after(END_LIMIT_S):
                await bridge.wait()
            if bridge.returncode is None:
                bridge.kill()
            await bridge.aclose()
