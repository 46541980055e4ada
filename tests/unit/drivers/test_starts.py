import threading
from itertools import pairwise
from time import perf_counter_ns

from benchgate.backend.drivers.starts import WATCHERS, Line
from benchgate.domain.arrivals import Arrivals, Spacing

HOUR_NS = 3_600 * 1_000_000_000
PROMPT_S = 5.0


class Waiter:
    """An idler that takes one start in a thread of its own."""

    def __init__(self, line: Line) -> None:
        self.idle_since_ns = perf_counter_ns()
        self.taken: tuple[int, bool] | None = None
        self.waits = threading.Event()
        self._roused = threading.Event()
        self._may_load = True
        self._thread = threading.Thread(target=self._take, args=(line,), daemon=True)
        self._thread.start()

    def _take(self, line: Line) -> None:
        self.taken = line.take(self)

    def may_load(self) -> bool:
        return self._may_load

    def wait(self, limit_s: float | None) -> None:
        self.waits.set()
        self._roused.wait(limit_s)
        self._roused.clear()

    def rouse(self) -> None:
        self._roused.set()

    def settled(self) -> "Waiter":
        assert self.waits.wait(PROMPT_S)
        return self

    def leave(self) -> None:
        self._may_load = False
        self.rouse()
        self.end()

    def end(self) -> None:
        self._thread.join(PROMPT_S)
        assert not self._thread.is_alive()


def line_of(rate_per_s: float, *, begin_in_ns: int = 0) -> Line:
    arrivals = Arrivals(rate_per_s=rate_per_s, spacing=Spacing.CONSTANT, seed=1)
    return Line(arrivals, perf_counter_ns() + begin_in_ns)


def starts_taken(waiters: list[Waiter]) -> list[int]:
    for waiter in waiters:
        waiter.end()
    return [waiter.taken[0] for waiter in waiters if waiter.taken]


def test_starts_that_are_due_are_given_out_in_order_and_none_twice() -> None:
    line = line_of(1_000, begin_in_ns=-HOUR_NS)
    starts: list[int] = []
    for _ in range(20):
        starts += starts_taken([Waiter(line)])
    assert starts == list(range(starts[0], starts[0] + 20 * 1_000_000, 1_000_000))


def test_nobody_was_idle_for_what_was_due_before_somebody_came() -> None:
    waiter = Waiter(line_of(1_000, begin_in_ns=-HOUR_NS))
    waiter.end()
    assert waiter.taken
    assert not waiter.taken[1]


def test_whoever_waits_until_a_start_is_due_has_been_idle_for_it() -> None:
    waiter = Waiter(line_of(10, begin_in_ns=30_000_000))
    waiter.end()
    assert waiter.taken
    start_ns, was_foreseen = waiter.taken
    assert start_ns <= perf_counter_ns()
    assert was_foreseen


def test_who_rests_is_roused_when_nobody_is_left_to_watch() -> None:
    line = line_of(20, begin_in_ns=100_000_000)
    waiters = [Waiter(line).settled() for _ in range(WATCHERS + 3)]
    starts = sorted(starts_taken(waiters))
    assert [later - earlier for earlier, later in pairwise(starts)] == [50_000_000] * (WATCHERS + 2)


def test_the_start_of_one_who_leaves_goes_to_one_who_rests() -> None:
    line = line_of(5, begin_in_ns=150_000_000)
    first, second, third = (Waiter(line).settled() for _ in range(3))
    first.leave()
    assert first.taken is None
    second.end()
    third.end()
    assert second.taken
    assert third.taken
    assert abs(second.taken[0] - third.taken[0]) == 200_000_000


def test_one_who_watches_for_a_later_start_takes_the_one_that_was_returned() -> None:
    line = line_of(1, begin_in_ns=150_000_000)
    first, second = (Waiter(line).settled() for _ in range(2))
    first.leave()
    second.end()
    assert second.taken
    # Not the second start, which is due a second later.
    assert perf_counter_ns() - second.taken[0] < 900_000_000


def test_idlers_are_lacking_only_when_a_start_is_due_and_nobody_waits_for_it() -> None:
    ahead = line_of(100, begin_in_ns=HOUR_NS)
    assert not ahead.lacks_idlers(0)
    behind = line_of(10, begin_in_ns=-1_000_000_000)
    assert not behind.lacks_idlers(0)
    assert behind.lacks_idlers(0)
    assert behind.lacks_idlers(9)
    assert not behind.lacks_idlers(1_000)
    waiter = Waiter(ahead).settled()
    assert not ahead.lacks_idlers(0)
    waiter.leave()


def test_starts_that_a_hiccup_of_the_generator_held_up_ask_for_nobody() -> None:
    # A second's starts have come due at once, and are sent before it is asked again.
    line = line_of(10, begin_in_ns=-1_000_000_000)
    assert not line.lacks_idlers(0)
    starts_taken([Waiter(line) for _ in range(11)])
    assert not line.lacks_idlers(0)


def test_a_start_that_was_returned_and_waits_lacks_somebody() -> None:
    line = line_of(10, begin_in_ns=50_000_000)
    first = Waiter(line).settled()
    first.leave()
    deadline_ns = perf_counter_ns() + int(PROMPT_S * 1_000_000_000)
    assert not line.lacks_idlers(0)
    while not line.lacks_idlers(0):
        assert perf_counter_ns() < deadline_ns
    assert line.lacks_idlers(0)
    assert not line.lacks_idlers(1_000)
