"""The command line of the demo: reads it, makes sure that someone can answer, and begins."""

import argparse
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
from filelock import FileLock, Timeout

from demo.errors import DemoError
from demo.interrupts import Interrupts
from demo.person import InAdvance, Keyboard
from demo.screen import Output, Screen
from demo.session import Session

FOLDER = Path(__file__).parents[1] / ".demo"
LOCK_FILE = "demo.lock"
SECONDS = 8
SECONDS_MAX = 600
EXIT_NOBODY_TO_ASK = 2
EXIT_FOLDER = 3

NOBODY_TO_ASK = """\
Nothing was started: a load test starts only after a person's yes, and there is no terminal here
at which one could be asked. Run this in a terminal, or give your own yes in advance, to a pause
after each test and to each next test:

    make demo ARGS=--yes
"""
BUSY = """\
another demo is running in {folder},
and two loads at a time would spoil each other's figures. Wait for its end, then run this again.\
"""


def run() -> int:
    """Run the demo; the answer is the exit code."""
    options = _parser().parse_args()
    folder: Path = options.folder.absolute()
    if not options.yes and not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.stderr.write(NOBODY_TO_ASK)
        return EXIT_NOBODY_TO_ASK
    try:
        lock = _locked(folder)
    except (DemoError, OSError) as exc:
        sys.stderr.write(f"Nothing was started: {exc}\n")
        return EXIT_FOLDER
    with lock:
        return anyio.run(_hold, folder, options.seconds, options.yes)


def _locked(folder: Path) -> AbstractContextManager[object]:
    """Take *folder* for this demo alone.

    Raises:
        DemoError: it is another demo's now, or was never one's; the message says which.
        OSError: it cannot be used.
    """
    lock = folder / LOCK_FILE
    # What lies there is removed and made anew, so it has to be the demo's own.
    if folder.exists() and not lock.exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} holds what no demo has made. Name an empty or a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(lock, timeout=0).acquire()
    except Timeout as exc:
        raise DemoError(BUSY.format(folder=folder)) from exc


async def _hold(folder: Path, seconds: int, yes: bool) -> int:
    interrupts = Interrupts()
    screen = Screen(Output(interrupts.end))
    person = InAdvance(screen) if yes else Keyboard(screen, interrupts)
    session = Session(folder, seconds=seconds, screen=screen)
    return await session.hold(person, interrupts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="A comparison in conversation: SQLite with PostgreSQL, after your yes.",
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="your own yes, given in advance: B (a pause after each test), then yes to the next",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        help=f"how long each test measures (1 to {SECONDS_MAX}; default %(default)s)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=FOLDER,
        help="where all that the demo makes lies (default: .demo in the checkout)",
    )
    return parser


def _seconds(text: str) -> int:
    seconds = int(text) if text.isdecimal() else 0
    if not 1 <= seconds <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {SECONDS_MAX}")
    return seconds
