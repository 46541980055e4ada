"""The command as somebody types it: by mistake, into a pipe that nobody reads, or at a terminal."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import CTRL_C, terminal

COMMAND = [sys.executable, "-m", "benchgate"]
SECONDS_MAX = 60


def typed(
    *words: str, stdout: int = subprocess.PIPE, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        env=environment,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=SECONDS_MAX,
        check=False,
    )


@pytest.mark.parametrize("port", ["abc", "-1", "65536", "1.5", ""])
def test_a_port_that_is_none_is_told_with_the_rule(port: str) -> None:
    done = typed("backend", f"--port={port}")
    assert done.returncode == 2
    assert f"argument --port: {port!r} is no port: 0 to 65535" in done.stderr


def test_an_empty_name_is_not_taken_for_the_current_folder() -> None:
    done = typed("backend", "--stop", "--data-dir", "")
    assert done.returncode == 2
    assert "argument --data-dir: the name of a folder is missing" in done.stderr


def test_what_is_asked_for_is_done_when_nobody_reads_the_answer(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = typed("backend", "--restart", "--data-dir", str(tmp_path), stdout=writer)
        ended = typed("backend", "--stop", "--data-dir", str(tmp_path))
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert ended.stdout == "The backend has ended.\n"


def test_at_a_terminal_the_server_says_what_it_waits_for(tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "BENCHGATE_DATA_DIR": str(tmp_path / "data")}
    with terminal(["-m", "benchgate"], environment=environment) as screen:
        screen.wait_for("waits here for an MCP host")
        screen.type(CTRL_C)
        screen.exit_code()
    assert "Traceback" not in screen.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "benchgate.example"])
def test_the_server_does_not_listen_where_others_could_answer_for_the_person(host: str) -> None:
    done = typed("serve", "--transport", "http", "--host", host, "--port", "0")
    assert done.returncode == 2
    assert f"{host} is no loopback address" in done.stderr


def test_a_port_that_nobody_could_know_is_refused() -> None:
    done = typed("serve", "--transport", "http", "--port", "0")
    assert done.returncode == 2
    assert "Port 0 would be another one at each start" in done.stderr
    assert "--port" in done.stderr


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = typed("serve", "--transport", "http", "--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port} cannot be listened on" in done.stderr
    assert "--port" in done.stderr


def test_a_setting_that_cannot_be_used_is_told_by_its_name() -> None:
    done = typed("serve", environment={"BENCHGATE_DATABASE_URL": "nonsense"})
    assert done.returncode == 2
    assert done.stderr.startswith("benchgate: BENCHGATE_DATABASE_URL cannot be used")
