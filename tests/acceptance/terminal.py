"""A terminal with a program in it, and somebody who reads and types."""

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from select import select
from struct import pack

ROOT = Path(__file__).parents[2]
LINES, COLUMNS = 24, 80
# The program becomes the leader of a session whose terminal is the one given as its input: so
# Ctrl-C reaches it as it does in a shell.
IN_TERMINAL = """\
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
STYLING = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\))")
CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """What the program has written, and the keyboard."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self.process = process
        self.raw = ""
        self._seen = 0

    @property
    def text(self) -> str:
        """Everything written so far, without colours and movements of the cursor."""
        return STYLING.sub("", self.raw)

    def wait_for(self, words: str, *, seconds: float = 40) -> None:
        """Read until *words* appear behind those that were waited for before."""
        deadline = time.monotonic() + seconds
        while (found := self.text.find(words, self._seen)) < 0:
            assert time.monotonic() < deadline, f"{words!r} did not come. There was:\n{self.text}"
            assert self._read(), f"{words!r} did not come before the end. There was:\n{self.text}"
        self._seen = found + len(words)

    def type(self, keys: str) -> None:
        """Press *keys*; a line ends with a newline."""
        os.write(self._master, keys.encode())

    def exit_code(self, *, seconds: float = 60) -> int:
        """Read until the program has ended."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, f"It does not end. There was:\n{self.text}"
        return self.process.wait(timeout=10)

    def _read(self) -> bool:
        """Take what there is, within a moment; False once nobody can write any more."""
        if not select([self._master], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            got = os.read(self._master, 65_536)
        except OSError:  # Linux says so when the last writer is gone
            return False
        self.raw += got.decode(errors="replace").replace("\r\n", "\n")
        return bool(got)


@contextmanager
def terminal(arguments: Sequence[str], *, environment: dict[str, str]) -> Generator[Terminal]:
    """A terminal in which this Python runs with *arguments*; it is killed if it does not end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, pack("HHHH", LINES, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, sys.executable, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env=environment,
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
