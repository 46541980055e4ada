"""The way to a Ray cluster, as a process: `python -m benchgate.backend.engine.cluster.bridge`.

It is the cluster's driver for one run, and apart from the backend for a reason: Ray ends the
process of a driver whose cluster breaks down, and prints where it likes. It reads and writes
`envelopes`; when its input ends, the run is over for it and for every actor that it has started.
"""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from typing import Any

import anyio
import anyio.from_thread
import ray as ray_module
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from ray.exceptions import ActorUnavailableError, RayError

from benchgate import __version__
from benchgate.backend.engine.cluster.actor import END, LoadActor
from benchgate.backend.engine.cluster.envelopes import (
    TO_BRIDGE,
    Bring,
    Dismiss,
    Gone,
    Hand,
    Placed,
    Reached,
    Refused,
    Said,
)
from benchgate.backend.engine.messages import line_of
from benchgate.domain.text import one_line
from benchgate.domain.values import Value

ray: Any = ray_module  # its types are partial

NAMESPACE = "benchgate"
CONNECT_LIMIT_S = 3.0
PLACE_LIMIT_S = 30.0
ASK_FOR_S = 0.5
# So long after a question without an answer a worker counts as lost, whatever Ray says: of a
# machine that lost its power Ray itself learns much later.
SILENCE_LIMIT_S = 3.0
REASON_CHARACTERS_MAX = 300
ORDERS_MAX = 1_000
# Started once and never again: a worker that starts anew in the middle of a load loads nothing.
ACTOR_OPTIONS = {
    "num_cpus": 1,
    "max_restarts": 0,
    "max_task_retries": 0,
    "max_concurrency": 4,
    "scheduling_strategy": "SPREAD",
}

Say = Callable[[Value], None]


class Post:
    """One worker on the cluster: it is handed lines in their order, and asked for its own."""

    def __init__(self, number: int, actor: Any, say: Say) -> None:  # Ray's handles have no types
        """Post worker *number*, which *actor* hosts, and report by *say*."""
        self._number = number
        self._actor = actor
        self._say = say
        self._node = "an unknown machine"
        send, receive = anyio.create_memory_object_stream[bytes](ORDERS_MAX)
        self._lines: MemoryObjectSendStream[bytes] = send
        self._waiting: MemoryObjectReceiveStream[bytes] = receive

    def hand(self, line: bytes) -> None:
        """Have *line* handed to the worker after those before it."""
        with suppress(anyio.WouldBlock):  # it takes nothing any more: that shows elsewhere
            self._lines.send_nowait(line)

    def dismiss(self) -> None:
        """End the worker at once."""
        with suppress(RayError, ValueError):
            ray.kill(self._actor, no_restart=True)

    async def follow(self) -> None:
        """Report where the worker is and what it says, until it is gone."""
        reason = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._deliver)
                reason = await self._listen()
                tasks.cancel_scope.cancel()
        finally:
            self.dismiss()
            self._say(Gone(number=self._number, reason=reason))

    async def _listen(self) -> str | None:
        """Report until the end; why it came, where it should not have."""
        try:
            with anyio.fail_after(PLACE_LIMIT_S):
                version, node, pid = await self._actor.about.remote()
        except TimeoutError:
            return f"the cluster had no room for it within {PLACE_LIMIT_S:g} s"
        except RayError as exc:
            return _told(exc)
        if version != __version__:
            return f"{node} has benchgate {version} and this machine {__version__}"
        self._node = node
        self._say(Placed(number=self._number, node=node, pid=pid))
        return await self._pass_on()

    async def _pass_on(self) -> str | None:
        try:
            while True:
                with anyio.fail_after(ASK_FOR_S + SILENCE_LIMIT_S):
                    lines = await self._actor.next_lines.remote(ASK_FOR_S)
                for line in lines:
                    if line == END:
                        return None
                    self._say(Said(number=self._number, line=line.decode()))
        except TimeoutError:
            return f"it has not answered for {SILENCE_LIMIT_S:g} s"
        except RayError as exc:
            return _told(exc)

    async def _deliver(self) -> None:
        async for line in self._waiting:
            try:
                await self._actor.tell.remote(line)
            except RayError:  # it is met when it is listened to
                return


class Bridge:
    """All workers of one run on the cluster."""

    def __init__(self, say: Say, *, drivers: str, tasks: TaskGroup) -> None:
        """Follow workers in *tasks*, and report by *say*."""
        self._say = say
        self._drivers = drivers
        self._tasks = tasks
        self._posts: dict[int, Post] = {}
        self._make = ray.remote(**ACTOR_OPTIONS)(LoadActor)

    def obey(self, order: Bring | Hand | Dismiss) -> None:
        """Do what the backend wants of a worker."""
        match order:
            case Bring():
                actor = self._make.remote(self._drivers)
                post = Post(order.number, actor, self._say)
                self._posts[order.number] = post
                self._tasks.start_soon(post.follow)
            case Hand():
                self._posts[order.number].hand(order.line.encode())
            case Dismiss():
                self._posts[order.number].dismiss()


def _told(exc: RayError) -> str:
    """Why a worker is gone; the last line of what Ray tells at length is the most exact one."""
    what = "its machine does not answer" if isinstance(exc, ActorUnavailableError) else "it died"
    last = (str(exc).strip().splitlines() or [""])[-1]
    return f"{what} ({one_line(last, REASON_CHARACTERS_MAX)})"


async def _serve(source: FileIO, say: Say, drivers: str) -> None:
    """Obey the orders of *source* until it ends."""
    async with anyio.create_task_group() as tasks, anyio.from_thread.BlockingPortal() as portal:
        bridge = Bridge(say, drivers=drivers, tasks=tasks)
        ended = anyio.Event()

        def listen() -> None:
            # The loop may have been closed since: then there is nobody left to obey.
            with suppress(RuntimeError):
                for line in iter(source.readline, b""):
                    portal.call(bridge.obey, TO_BRIDGE.validate_json(line))
                portal.call(ended.set)

        threading.Thread(target=listen, daemon=True).start()
        await ended.wait()
        tasks.cancel_scope.cancel()


def connect(address: str) -> Reached:
    """Become a driver of the cluster at *address*.

    Raises:
        ConnectionError: nothing answers there, or this machine is no part of the cluster.
    """
    if address == "local" or "://" in address:
        raise ConnectionError("a cluster is named by the host and the port of its head, or `auto`")
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        # Ray itself would try for a minute.
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_LIMIT_S).close()
    ray.init(
        address=address,
        namespace=NAMESPACE,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        include_dashboard=False,
    )
    all_of_it, free = ray.cluster_resources(), ray.available_resources()
    return Reached(cores=int(all_of_it.get("CPU", 0)), cores_free=int(free.get("CPU", 0)))


def _say(output: FileIO, lock: threading.Lock, envelope: Value) -> None:
    with lock, suppress(BrokenPipeError):
        output.write(line_of(envelope))


def _own_output() -> FileIO:
    """The pipe to the backend; whoever prints from here on, prints to the standard error."""
    sys.stdout.flush()
    output = FileIO(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def main() -> None:
    """Run one bridge."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("drivers")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A terminal sends the interrupt to the whole group; the backend decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say = partial(_say, _own_output(), threading.Lock())
    try:
        say(connect(options.address))
    # Ray raises whatever comes to its mind where a cluster is not as it should be.
    except Exception as exc:  # noqa: BLE001
        say(Refused(reason=one_line(str(exc) or repr(exc), REASON_CHARACTERS_MAX)))
        sys.exit(1)
    anyio.run(_serve, FileIO(sys.stdin.fileno(), closefd=False), say, options.drivers)
    ray.shutdown()


if __name__ == "__main__":
    main()
