"""Which runs are kept watched, and until when."""

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import TaskGroup

from benchgate.errors import BackendUnavailable, NotFound
from benchgate.gate.resources.watches import WATCHED_MAX, Watches
from tests.unit.ears import HEARD_WITHIN_SECONDS, Watching

pytestmark = pytest.mark.anyio


async def alive() -> bool:
    return True


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


@pytest.fixture
def watching() -> Watching:
    return Watching()


async def test_a_run_is_watched_once_until_the_last_who_wants_it_leaves(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive)
    watches.hold("run-1", "a", tasks=tasks)
    watches.hold("run-1", "b", tasks=tasks)
    watches.hold("run-2", "b", tasks=tasks)
    await watching.until("run-1", "run-2")
    watches.release("run-1", "a")
    watches.release("run-2", "b")
    await watching.until("run-1")
    watches.release("run-1", "b")
    await watching.until()
    assert watching.entries == 2


async def test_a_run_that_has_ended_is_not_watched_for_anybody(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive)
    watches.hold("run-1", "a", tasks=tasks)
    watches.hold("run-1", "b", tasks=tasks)
    await watching.until("run-1")
    watches.end("run-1")
    await watching.until()
    watches.resume("run-1", tasks=tasks)
    watches.release("run-1", "a")
    assert not watching.now


async def test_who_wants_a_run_again_while_it_is_being_let_go_of_gets_it(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive)
    watches.hold("run-1", "a", tasks=tasks)
    await watching.until("run-1")
    watches.release("run-1", "a")
    watches.hold("run-1", "b", tasks=tasks)
    await watching.until("run-1", entries=2)
    watches.release("run-1", "b")
    await watching.until()


async def test_what_was_let_go_of_makes_room(tasks: TaskGroup, watching: Watching) -> None:
    watches = Watches(watching, is_known_alive=alive)
    for number in range(2 * WATCHED_MAX):
        watches.hold(f"run-{number}", "a", tasks=tasks)
        await watching.until(f"run-{number}")
        watches.release(f"run-{number}", "a")
        await watching.until()


async def test_a_run_that_found_no_room_is_watched_once_there_is_some(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive)
    for number in range(WATCHED_MAX + 1):
        watches.hold(f"run-{number}", "a", tasks=tasks)
    await anyio.wait_all_tasks_blocked()
    assert f"run-{WATCHED_MAX}" not in watching.now
    watches.end("run-0")
    with anyio.fail_after(HEARD_WITHIN_SECONDS):
        while f"run-{WATCHED_MAX}" not in watching.now:  # noqa: ASYNC110 - it sends no word
            await anyio.sleep(0.01)


async def test_a_watch_has_an_end_of_its_own_and_begins_anew_with_who_comes_then(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive, watch_seconds_max=0.05)
    watches.hold("run-1", "a", tasks=tasks)
    await watching.until(entries=1)
    watches.resume("run-1", tasks=tasks)
    await anyio.wait_all_tasks_blocked()
    assert watching.entries == 1
    watches.hold("run-1", "b", tasks=tasks)
    await watching.until(entries=2)


async def test_a_watch_that_ends_by_itself_is_renewed(tasks: TaskGroup) -> None:
    watching = Watching()
    watches = Watches(watching, is_known_alive=alive, renew_seconds=0)
    watches.hold("run-1", "a", tasks=tasks)
    await watching.until("run-1", entries=5)


async def test_only_so_many_are_watched_whatever_a_client_wants(
    tasks: TaskGroup, watching: Watching
) -> None:
    watches = Watches(watching, is_known_alive=alive)
    for number in range(WATCHED_MAX + 5):
        watches.hold(f"run-{number}", "a", tasks=tasks)
        watches.hold("churned", "a", tasks=tasks)
        watches.release("churned", "a")
    await anyio.wait_all_tasks_blocked()
    assert 0 < len(watching.now) <= WATCHED_MAX
    assert watching.entries <= WATCHED_MAX


async def test_a_backend_that_is_not_alive_is_not_asked_until_it_is(
    tasks: TaskGroup, watching: Watching
) -> None:
    answers = iter([False, False])
    asked_often = anyio.Event()

    async def is_known_alive() -> bool:
        is_alive = next(answers, True)
        if is_alive:
            asked_often.set()
        else:
            assert watching.entries == 0
        return is_alive

    watches = Watches(watching, is_known_alive=is_known_alive, retry_seconds=0)
    watches.hold("run-1", "a", tasks=tasks)
    with anyio.fail_after(HEARD_WITHIN_SECONDS):
        await asked_often.wait()
    await watching.until("run-1")


async def test_a_backend_that_fails_is_tried_again(tasks: TaskGroup) -> None:
    failures = iter([BackendUnavailable(), BackendUnavailable()])

    def fail(run_id: str) -> None:
        for failure in failures:
            raise failure

    watching = Watching(on_entry=fail)
    watches = Watches(watching, is_known_alive=alive, retry_seconds=0)
    watches.hold("run-1", "a", tasks=tasks)
    await watching.until("run-1", entries=3)


async def test_a_run_that_there_is_not_is_not_asked_for_again(tasks: TaskGroup) -> None:
    def refuse(run_id: str) -> None:
        if run_id == "unknown":
            raise NotFound

    watching = Watching(on_entry=refuse)
    watches = Watches(watching, is_known_alive=alive, retry_seconds=0)
    watches.hold("unknown", "a", tasks=tasks)
    await watching.until(entries=1)
    watches.hold("run-1", "a", tasks=tasks)
    await watching.until("run-1")
    with anyio.fail_after(HEARD_WITHIN_SECONDS):
        await anyio.wait_all_tasks_blocked()
    assert watching.entries == 2
