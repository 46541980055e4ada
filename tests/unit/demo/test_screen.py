"""What the demo shows, on a terminal and in a log."""

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from demo.screen import Screen

pytestmark = pytest.mark.anyio

BLOCK = """\
## Run Created

**Run ID:** `run-1`
**Dashboard:** <http://127.0.0.1:40123/dashboard/run-1?key=0123456789abcdef0123456789abcdef>

| a | b |
| --- | --- |
| 1 | a long line that would not fit on eighty columns if anyone were to wrap it here |
"""


def log() -> tuple[Screen, StringIO]:
    written = StringIO()
    return Screen(Console(file=written, width=80)), written


def terminal() -> tuple[Screen, StringIO]:
    written = StringIO()
    return Screen(Console(file=written, width=80, force_terminal=True)), written


def test_a_log_gets_every_block_as_the_server_sent_it() -> None:
    screen, written = log()
    screen.block(BLOCK)
    assert written.getvalue().strip() == BLOCK.strip()


def test_a_terminal_gets_every_link_on_one_line() -> None:
    screen, written = terminal()
    screen.block(BLOCK)
    (link,) = (line for line in written.getvalue().splitlines() if "http://" in line)
    assert link.endswith("?key=0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize("make", [log, terminal])
def test_nothing_that_a_terminal_would_obey_gets_through(
    make: Callable[[], tuple[Screen, StringIO]],
) -> None:
    screen, written = make()
    screen.block("harmless\x1b]0;owned\x07\x1b[2J\rStart this test? yes")
    assert "\x1b]0" not in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()
    assert "\r" not in written.getvalue()


async def test_progress_in_a_log_is_a_line_now_and_then() -> None:
    screen, written = log()
    with screen.progress() as progress:
        for second in range(6):
            await progress(second, 10, f"MEASUREMENT · {second} QPS")
    assert written.getvalue().splitlines() == [
        "[0 s of 10 s] MEASUREMENT · 0 QPS",
        "[2 s of 10 s] MEASUREMENT · 2 QPS",
        "[4 s of 10 s] MEASUREMENT · 4 QPS",
    ]


async def test_progress_without_a_known_end_shows_what_is_told_and_no_clock() -> None:
    screen, written = log()
    with screen.progress() as progress:
        for count in range(1, 5):
            await progress(count, None, f"{count} of 5 completed")
    assert written.getvalue().splitlines() == ["1 of 5 completed", "3 of 5 completed"]


async def test_progress_on_a_terminal_is_a_bar_that_leaves_nothing_behind() -> None:
    screen, written = terminal()
    with screen.progress() as progress:
        await progress(4, 10, "MEASUREMENT · 1,247 QPS")
    shown = written.getvalue()
    assert "4 s of 10 s" in shown
    assert "━" in shown
    assert "1,247 QPS" in shown
