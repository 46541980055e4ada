"""The demo as a newcomer meets it: at a terminal, in a log, interrupted, and after a crash."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from tests.acceptance.terminal import CTRL_C, CTRL_D, ROOT, Terminal, terminal

QUESTION = "Your answer [Yes / No / Modify]: "
ENVIRONMENT = {"PATH": os.defpath, "TERM": "xterm-256color", "HOME": "/nonexistent"}
SECONDS_MAX = 110

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """Where the demo works; whatever happens in a test, nothing of it is left running."""
    place = tmp_path / "demo"
    yield place
    left = processes_of(place)
    for process in left:
        process.kill()
    assert left == [], "the demo left processes behind"


@contextmanager
def at_the_terminal(folder: Path, **environment: str) -> Generator[Terminal]:
    arguments = ["-m", "demo", "--seconds", "1", "--folder", str(folder)]
    with terminal(arguments, environment=ENVIRONMENT | environment) as screen:
        yield screen


def in_a_log(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", "--folder", str(folder), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=SECONDS_MAX,
        check=False,
    )


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that has to do with *folder*: servers, backends, workers and databases."""
    postgres = folder / "postgres"
    places = {str(folder), str(postgres.resolve())}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(place in line for place in places):
            found.append(process)
    return found


def test_without_a_terminal_and_without_yes_nothing_is_started(folder: Path) -> None:
    done = in_a_log(folder)
    assert done.returncode != 0
    assert "Nothing was started" in done.stderr
    assert "--yes" in done.stderr
    assert done.stdout == ""
    assert not folder.exists()


def test_a_yes_given_in_advance_runs_both_tests_and_hands_the_results_on(folder: Path) -> None:
    done = in_a_log(folder, "--yes", "--seconds", "1")
    assert done.returncode == 0, done.stdout + done.stderr

    assert done.stdout.count("## Ready to start test") == 2
    assert done.stdout.count("given in advance by the person, with --yes") == 2
    assert done.stdout.count("## Test Completed") == 2
    assert "dashboard links are dead now" in done.stdout
    assert "Concurrent Writers on SQLite" in done.stdout
    # A log gets plain lines: nothing moves in it, and nothing is coloured.
    assert "s of 2 s]" in done.stdout
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout

    begin, end = done.stdout.index("\n{\n"), done.stdout.index("\n}\n")
    handed = json.loads(done.stdout[begin : end + 2])
    assert handed["status"] == "COMPLETED"
    names = [result["template_name"] for result in handed["results"]]
    assert names == ["Orders on SQLite", "Orders on PostgreSQL"]
    for result in handed["results"]:
        assert result["summary_metrics"]["total_queries"] > 0
        assert result["summary_metrics"]["error_rate"] == 0
        for name in ("summary", "series"):
            csv = folder / "results" / result["run_id"] / f"{name}.csv"
            assert len(csv.read_text(encoding="utf-8").splitlines()) >= 2
            assert csv.name in done.stdout


def test_a_reader_who_goes_away_ends_the_demo_without_a_traceback(folder: Path) -> None:
    """As in `make demo ARGS=--yes | head`."""
    demo = [sys.executable, "-m", "demo", "--folder", str(folder), "--yes", "--seconds", "60"]
    with subprocess.Popen(
        demo,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert first.startswith("PostgreSQL ")
    assert said == ""
    assert process.returncode != 0


def test_a_second_demo_at_the_same_time_is_refused(folder: Path) -> None:
    folder.mkdir()
    with FileLock(folder / "demo.lock"):
        done = in_a_log(folder, "--yes")
    assert done.returncode != 0
    assert "another demo is running" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["demo.lock"]


def test_a_folder_that_no_demo_has_made_is_left_alone(folder: Path) -> None:
    precious = folder / "postgres" / "precious"
    precious.mkdir(parents=True)
    done = in_a_log(folder, "--yes")
    assert done.returncode != 0
    assert "no demo has made" in done.stderr
    assert [path for path in folder.rglob("*") if path.name != "postgres"] == [precious]


def test_a_file_that_cannot_be_written_is_told_without_a_traceback(folder: Path) -> None:
    (folder / "orders.csv").mkdir(parents=True)
    (folder / "demo.lock").touch()
    done = in_a_log(folder, "--yes")
    assert done.returncode == 1
    assert "Is a directory" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_only_a_yes_starts_a_test(folder: Path) -> None:
    """Nothing that was typed before the question, no silence and no nonsense, no and no modify."""
    with at_the_terminal(folder) as screen:
        screen.wait_for("launched from mcp.json")
        screen.type("yes\nyes\n")
        screen.wait_for("Ready to start test")
        screen.wait_for(QUESTION)
        for nonsense in ("", "   ", "sure", "yes please"):
            screen.type(f"{nonsense}\n")
            screen.wait_for("Nothing is assumed")
            screen.wait_for(QUESTION)
        screen.type("No\n")
        screen.wait_for("this test was not started")
        screen.wait_for("Test 2 of 2")
        screen.wait_for(QUESTION)
        screen.type("modify\n")
        screen.wait_for("What should be changed?")
        screen.type("only 4 connections\n")
        screen.wait_for("only 4 connections")
        screen.wait_for("this test was not started")
        assert screen.exit_code() == 0
    assert "Test Started" not in screen.text
    assert "Nothing was started" in screen.text


def test_a_yes_at_the_keyboard_starts_one_test_and_the_end_of_the_input_none(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for("Test Started")
        screen.wait_for(" QPS")
        screen.wait_for("Test Completed")
        screen.wait_for(QUESTION)
        screen.type(CTRL_D)
        screen.wait_for("this test was not started")
        screen.wait_for("summary_metrics")
        assert screen.exit_code() == 0
    assert screen.text.count("Test Started") == 1


def test_ctrl_c_at_the_question_starts_nothing_and_ends_everything(folder: Path) -> None:
    with at_the_terminal(folder, NO_COLOR="1") as screen:
        screen.wait_for(QUESTION)
        screen.type(CTRL_C)
        screen.wait_for("this test was not started")
        assert screen.exit_code() == 130
    assert "Test Started" not in screen.text
    assert "Test 2 of 2" not in screen.text
    # And where no colours are wanted there were none.
    assert "\x1b[3" not in screen.raw
    assert "\x1b[1;3" not in screen.raw


def test_ctrl_c_during_a_test_stops_it_and_ends_everything(folder: Path) -> None:
    with terminal(
        ["-m", "demo", "--seconds", "60", "--folder", str(folder)], environment=ENVIRONMENT
    ) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for("MEASUREMENT")
        screen.type(CTRL_C)
        screen.wait_for("Stop Requested")
        assert screen.exit_code() == 130
    assert "Test Completed" not in screen.text


def test_after_a_crash_the_next_demo_ends_what_was_left_and_goes_on(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.process.send_signal(signal.SIGKILL)
        screen.exit_code()
    left = {process.name() for process in processes_of(folder)}
    assert "postgres" in left

    with at_the_terminal(folder) as screen:
        for _ in range(2):
            screen.wait_for(QUESTION)
            screen.type("no\n")
        assert screen.exit_code() == 0
