"""A person who answers with `benchgate approvals` at a terminal, and the record behind it."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

from benchgate.domain.approvals import Approval
from benchgate.gate.approvals.desk import utc_now
from benchgate.gate.home import GateHome
from tests.acceptance.terminal import Terminal, terminal
from tests.unit.asked import ask, entries_of, record_of

DECIDE = "Type yes, no or modify"


def environment_of(home: GateHome, **changes: str) -> dict[str, str]:
    folder = str(home.settings.data_dir)
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "BENCHGATE_DATA_DIR": folder,
        **{f"BENCHGATE_{name.upper()}": value for name, value in changes.items()},
    }


@contextmanager
def approvals(home: GateHome, *words: str, **changes: str) -> Generator[Terminal]:
    arguments = ["-m", "benchgate", "approvals", *words]
    with terminal(arguments, environment=environment_of(home, **changes)) as screen:
        yield screen
    assert "Traceback" not in screen.text


def asked(home: GateHome, run_id: str = "run-1", **changes: object) -> Approval:
    with record_of(home) as record:
        return ask(record, run_id, at=utc_now(), **changes)  # pyright: ignore[reportArgumentType]


def now(home: GateHome, approval: Approval) -> Approval:
    with record_of(home) as record:
        return record.get(approval.approval_id)


def moments(home: GateHome) -> list[str]:
    with record_of(home) as record:
        return [entry.event for entry in entries_of(record)]


def answer(screen: Terminal, decision: str, note: str = "") -> None:
    screen.wait_for(DECIDE)
    go_on(screen, decision, note)


def go_on(screen: Terminal, decision: str, note: str = "") -> None:
    screen.type(f"{decision}\n")
    screen.wait_for({"yes": "(optional): ", "no": "(optional): "}.get(decision, "changed: "))
    screen.type(f"{note}\n")


def leave(screen: Terminal, key: str) -> int:
    """Press *key* until the program ends: Python misses a signal just before it begins to read."""
    for _ in range(5):
        screen.type(key)
        with suppress(AssertionError):
            return screen.exit_code(seconds=5)
    return screen.exit_code()
