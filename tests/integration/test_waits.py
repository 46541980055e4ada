"""Waiting for sockets and instants, with the timer of the system and without one."""

import select
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Generator
from statistics import median
from time import perf_counter_ns

import pytest

from benchgate.backend.drivers.postgres import waits as waits_module
from benchgate.backend.drivers.postgres.waits import (
    LOOK_EVERY_S,
    NEVER,
    PlainWaits,
    PreciseWaits,
    Waits,
    new_waits,
)

NS_PER_MS = 1_000_000
LOOK_EVERY_NS = int(LOOK_EVERY_S * 1_000_000_000)
LATE_NS_MAX = 5_000_000_000  # on a machine that does other things as well

WAYS: dict[str, Callable[[], Waits]] = {
    "default": PlainWaits,
    "select": lambda: PlainWaits(selectors.SelectSelector()),
}
if sys.platform == "linux":
    WAYS["precise"] = PreciseWaits


@pytest.fixture(params=WAYS)
def waits(request: pytest.FixtureRequest) -> Generator[Waits]:
    """Every way to wait that this system has."""
    made = WAYS[request.param]()
    yield made
    made.close()


@pytest.fixture
def pair() -> Generator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


def is_up(waits: Waits, number: int) -> bool:
    """Whether anything is up with the socket of *number* at this moment."""
    return number in {found for found, _ in waits.wait(perf_counter_ns())}


def until_it_is_up(waits: Waits, number: int) -> int:
    """What is up with the socket of *number*, which it has to be within the limit."""
    latest_ns = perf_counter_ns() + LATE_NS_MAX
    while perf_counter_ns() < latest_ns:
        for found, what in waits.wait(NEVER):
            if found == number:
                return what
    raise AssertionError("nothing came up")


def test_what_can_be_read_ends_a_wait(
    waits: Waits, pair: tuple[socket.socket, socket.socket]
) -> None:
    here, there = pair
    waits.add(here.fileno())
    there.send(b"!")
    assert until_it_is_up(waits, here.fileno())
    here.recv(1)
    assert not is_up(waits, here.fileno())


def test_room_to_write_is_waited_for_only_where_it_is_wanted(
    waits: Waits, pair: tuple[socket.socket, socket.socket]
) -> None:
    here, _ = pair
    waits.add(here.fileno())
    assert not is_up(waits, here.fileno())
    waits.watch_writing(here.fileno(), wanted=True)
    assert until_it_is_up(waits, here.fileno())
    waits.watch_writing(here.fileno(), wanted=False)
    assert not is_up(waits, here.fileno())


def test_what_was_removed_is_not_heard_of_again(
    waits: Waits, pair: tuple[socket.socket, socket.socket]
) -> None:
    here, there = pair
    waits.add(here.fileno())
    waits.remove(here.fileno())
    there.send(b"!")
    assert not is_up(waits, here.fileno())


def test_a_socket_that_was_closed_before_can_be_removed(waits: Waits) -> None:
    here, there = socket.socketpair()
    number = here.fileno()
    waits.add(number)
    here.close()
    there.close()
    waits.remove(number)
    assert not is_up(waits, number)


def test_no_wait_ends_before_its_instant(waits: Waits) -> None:
    for ahead_ms in (3, 1, 4, 1, 5):
        until_ns = perf_counter_ns() + ahead_ms * NS_PER_MS
        while perf_counter_ns() < until_ns - 1_000:  # to go to sleep takes a moment as well
            waits.wait(until_ns)
        assert perf_counter_ns() - until_ns < LATE_NS_MAX


def test_an_instant_that_has_passed_is_not_waited_for(waits: Waits) -> None:
    for _ in range(1_000):
        waits.wait(perf_counter_ns() - 1)


def test_without_an_instant_a_wait_ends_in_time_to_look_around(waits: Waits) -> None:
    before_ns = perf_counter_ns()
    waits.wait(perf_counter_ns() + 2 * LOOK_EVERY_NS)
    waits.wait(NEVER)
    assert perf_counter_ns() - before_ns >= LOOK_EVERY_NS


def test_another_thread_ends_a_wait(waits: Waits) -> None:
    ringing = threading.Thread(target=waits.wake)
    ringing.start()
    latest_ns = perf_counter_ns() + LATE_NS_MAX
    woken: set[bool] = set()
    while True not in woken and perf_counter_ns() < latest_ns:
        woken |= {waits.is_woken_by(number) for number, _ in waits.wait(NEVER)}
    ringing.join()
    assert True in woken
    assert not any(waits.is_woken_by(number) for number, _ in waits.wait(perf_counter_ns()))


@pytest.mark.parametrize("way", WAYS.values())
def test_waking_is_harmless_often_and_after_the_end(way: Callable[[], Waits]) -> None:
    waits = way()
    for _ in range(100_000):
        waits.wake()
    assert any(waits.is_woken_by(number) for number, _ in waits.wait(NEVER))
    waits.close()
    waits.wake()


@pytest.mark.skipif(sys.platform != "linux", reason="there are no timer files")
def test_the_timer_is_set_by_ctypes_where_python_has_no_name_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waits_module, "_timer", waits_module._timer_by_ctypes)  # pyright: ignore[reportPrivateUsage]
    waits = PreciseWaits()
    late_ns: list[int] = []
    for _ in range(50):
        until_ns = perf_counter_ns() + 2 * NS_PER_MS
        waits.wait(until_ns)
        late_ns.append(perf_counter_ns() - until_ns)
    waits.close()
    assert min(late_ns) > -10_000
    # A timeout of epoll's would be rounded up to a millisecond.
    assert median(late_ns) < LATE_NS_MAX


def test_a_system_without_epoll_gets_by_with_selectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll", raising=False)
    waits = new_waits()
    assert isinstance(waits, PlainWaits)
    waits.close()
