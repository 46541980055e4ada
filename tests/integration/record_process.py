"""A process that shares the gate's record: run as `python -m`, told what to do line by line.

It says "ready", waits for a line on its standard input, and does what its arguments say.
"""

import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchgate.errors import Conflict
from benchgate.gate.store import open_store
from tests.integration.records import approved, draft_of, opened
from tests.unit.examples import NOON, facts_of

ROOT = Path(__file__).parents[2]
END_SECONDS_MAX = 30


def say(line: str) -> None:
    """One line for the test, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def start_together() -> None:
    """Wait for the test's word."""
    say("ready")
    sys.stdin.readline()


def open_it(url: str) -> None:
    """Open the record, which may be new."""
    start_together()
    open_store(url).dispose()
    say("opened")


def take(url: str, approval_id: str) -> None:
    """Try to use a yes."""
    record = opened(url)
    start_together()
    try:
        record.take(approval_id, at=NOON)
    except Conflict:
        say("conflict")
    else:
        say("taken")
    record.close()


def live(url: str, name: str) -> None:
    """Ask, answer and take one question for each line that comes, until somebody ends it."""
    record = opened(url)
    facts = facts_of()
    say("ready")
    for number, _ in enumerate(sys.stdin):
        subject = facts.model_copy(update={"run_id": f"{name}-{number}"})
        approval_id = f"{name}-{number}"
        approved(record, draft_of(approval_id, subject))
        say(f"approved {approval_id}")
        record.take(approval_id, at=NOON)
        say(f"taken {approval_id}")
        record.settle(approval_id, "RUNNING", run_id=approval_id, at=NOON)


ACTS: dict[str, Callable[..., None]] = {"open": open_it, "take": take, "live": live}


class Sharer:
    """Such a process, as a test sees it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.record_process", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def begin(self, times: int = 1) -> None:
        """Give the word, or that many words."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n" * times)
        self.process.stdin.flush()

    def line(self) -> str:
        """The next thing it says; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> list[str]:
        """End it as a crash would; what it had said and nobody had read."""
        self.process.kill()
        rest, _ = self.process.communicate(timeout=END_SECONDS_MAX)
        return rest.splitlines()


@contextmanager
def sharers(calls: Sequence[Sequence[str]]) -> Generator[list[Sharer]]:
    """A process for each of *calls*, all of them ready and waiting for the word."""
    started = [Sharer(*arguments) for arguments in calls]
    try:
        for sharer in started:
            assert sharer.line() == "ready"
        yield started
    finally:
        for sharer in started:
            sharer.kill()


if __name__ == "__main__":
    ACTS[sys.argv[1]](*sys.argv[2:])
