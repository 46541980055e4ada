"""Waiting for many sockets and for one instant at once, as precisely as the system can.

On Linux the instant is a timer file in the same epoll: a timeout would be rounded up to a
millisecond. Elsewhere the timeout of `selectors` has to do, which is as precise as its system.

An instant is one of `time.perf_counter_ns`.
"""

import ctypes
import os
import select
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter_ns
from typing import Any, Protocol

# Nothing is waited for any longer, so that whoever waits can look around.
LOOK_EVERY_S = 0.05
NS_PER_S = 1_000_000_000
NEVER = 0
WAKE_BYTES = 4096

Event = tuple[int, int]  # a socket's number, and what is up with it
WaitForSockets = Callable[[], Sequence[Event]]

# As Linux numbers them; Python has names for them from 3.13.
CLOCK_MONOTONIC = 1
TIMER_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0
ABSOLUTE = 1


class Waits(Protocol):
    """A set of sockets, an instant, and a way to be woken by another thread."""

    # The same as `wait` for `NEVER`, once an instant is not waited for any more.
    wait_for_sockets: WaitForSockets

    def add(self, number: int) -> None:
        """Wait for the socket of that *number* to have something to read."""
        ...

    def watch_writing(self, number: int, *, wanted: bool) -> None:
        """Wait also for room to write, or not any more."""
        ...

    def remove(self, number: int) -> None:
        """Forget the socket, which may have been closed."""
        ...

    def wait(self, until_ns: int) -> Sequence[Event]:
        """What is up when something is, at that instant, or after `LOOK_EVERY_S`.

        With `NEVER` there is no instant. Numbers that nobody has added mean nothing.
        """
        ...

    def wake(self) -> None:
        """End a wait, or the next one; from any thread."""
        ...

    def is_woken_by(self, number: int) -> bool:
        """Whether *number* among the events stands for `wake`, which has had its effect then."""
        ...

    def close(self) -> None:
        """Give everything back but the sockets, which belong to others."""
        ...


class Alarm:
    """What another thread rings to end a wait."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)
        self.number = self._heard.fileno()  # of the socket that can be read once it has been rung

    def ring(self) -> None:
        """Make it readable."""
        try:
            self._rung.send(b"!")
        except OSError:
            return  # it rings already, or nobody listens any longer

    def is_quieted(self, number: int) -> bool:
        """Whether *number* is its own; if it is, it can ring anew."""
        if number != self.number:
            return False
        with suppress(BlockingIOError):
            self._heard.recv(WAKE_BYTES)
        return True

    def close(self) -> None:
        """Give both sockets back."""
        self._heard.close()
        self._rung.close()


class PreciseWaits:
    """An epoll with a timer in it."""

    def __init__(self) -> None:
        self._alarm = Alarm()
        self._timer, self._set_timer = _timer()
        self._epoll = select.epoll()
        # Without a call of Python's between it and the system.
        self.wait_for_sockets: WaitForSockets = partial(self._epoll.poll, LOOK_EVERY_S)
        self._set_ns = NEVER
        self.add(self._alarm.number)
        self.add(self._timer)

    def add(self, number: int) -> None:
        """Wait for the socket of that *number* to have something to read."""
        self._epoll.register(number, select.EPOLLIN)

    def watch_writing(self, number: int, *, wanted: bool) -> None:
        """Wait also for room to write, or not any more."""
        self._epoll.modify(number, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def remove(self, number: int) -> None:
        """Forget the socket; one that has been closed is forgotten already."""
        with suppress(OSError):
            self._epoll.unregister(number)

    def wait(self, until_ns: int) -> Sequence[Event]:
        """What is up when something is, at that instant, or after `LOOK_EVERY_S`."""
        # To set the timer anew, or to none, also takes back that it has gone off.
        if until_ns != self._set_ns:
            self._set_timer(until_ns)
            self._set_ns = until_ns
        return self.wait_for_sockets()

    def wake(self) -> None:
        """End a wait, or the next one; from any thread."""
        self._alarm.ring()

    def is_woken_by(self, number: int) -> bool:
        """Whether *number* among the events stands for `wake`, which has had its effect then."""
        return self._alarm.is_quieted(number)

    def close(self) -> None:
        """Give everything back but the sockets, which belong to others."""
        self._epoll.close()
        os.close(self._timer)
        self._alarm.close()


class PlainWaits:
    """A selector and its timeout."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._alarm = Alarm()
        self._selector = selector or selectors.DefaultSelector()
        self.wait_for_sockets: WaitForSockets = partial(self.wait, NEVER)
        self.add(self._alarm.number)

    def add(self, number: int) -> None:
        """Wait for the socket of that *number* to have something to read."""
        self._selector.register(number, selectors.EVENT_READ)

    def watch_writing(self, number: int, *, wanted: bool) -> None:
        """Wait also for room to write, or not any more."""
        writing = selectors.EVENT_WRITE if wanted else 0
        self._selector.modify(number, selectors.EVENT_READ | writing)

    def remove(self, number: int) -> None:
        """Forget the socket; one that has been closed may still be remembered."""
        self._selector.unregister(number)

    def wait(self, until_ns: int) -> Sequence[Event]:
        """What is up when something is, at that instant, or after `LOOK_EVERY_S`."""
        timeout_s = LOOK_EVERY_S
        if until_ns != NEVER:
            left_s = (until_ns - perf_counter_ns()) / NS_PER_S
            timeout_s = max(0.0, min(LOOK_EVERY_S, left_s))
        return [(key.fd, what) for key, what in self._selector.select(timeout_s)]

    def wake(self) -> None:
        """End a wait, or the next one; from any thread."""
        self._alarm.ring()

    def is_woken_by(self, number: int) -> bool:
        """Whether *number* among the events stands for `wake`, which has had its effect then."""
        return self._alarm.is_quieted(number)

    def close(self) -> None:
        """Give everything back but the sockets, which belong to others."""
        self._selector.close()
        self._alarm.close()


def new_waits() -> Waits:
    """The most precise waits that this system has."""
    if hasattr(select, "epoll") and _has_timers():
        return PreciseWaits()
    # kqueue takes its timeout in nanoseconds; of the others, select is the most precise one.
    has_kqueue = hasattr(selectors, "KqueueSelector")
    return PlainWaits(selectors.DefaultSelector() if has_kqueue else selectors.SelectSelector())


def _has_timers() -> bool:
    """Whether there are timer files, and on the clock that instants are of."""
    clock = time.get_clock_info("perf_counter").implementation
    has_calls = hasattr(os, "timerfd_create") or hasattr(ctypes.PyDLL(None), "timerfd_create")
    return has_calls and clock == "clock_gettime(CLOCK_MONOTONIC)"


def _timer() -> tuple[int, Callable[[int], object]]:
    """The number of a new timer file, and how it is set to an instant."""
    system: Any = os
    if hasattr(system, "timerfd_create"):
        number: int = system.timerfd_create(CLOCK_MONOTONIC, flags=TIMER_FLAGS)
        set_ns = system.timerfd_settime_ns
        return number, lambda at_ns: set_ns(number, flags=ABSOLUTE, initial=at_ns)
    return _timer_by_ctypes()


def _timer_by_ctypes() -> tuple[int, Callable[[int], object]]:
    # With the interpreter's lock held: to give it away for half a microsecond would cost more.
    library = ctypes.PyDLL(None, use_errno=True)
    number: int = library.timerfd_create(CLOCK_MONOTONIC, TIMER_FLAGS)
    if number < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    setting = (ctypes.c_long * 4)()  # interval and instant, each in seconds and nanoseconds
    address = ctypes.byref(setting)
    call = library.timerfd_settime

    def set_timer(at_ns: int) -> None:
        setting[2], setting[3] = divmod(at_ns, NS_PER_S)
        call(number, ABSOLUTE, address, None)

    return number, set_timer
