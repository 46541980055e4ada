"""The demo as a newcomer meets it: at a terminal, in a log, interrupted, and after a crash."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from tests.acceptance.terminal import CTRL_C, CTRL_D, ROOT, Terminal, terminal

QUESTION = "Your answer [Yes / No / Modify]: "
MODE_QUESTION = "How [A / B; Enter is B]: "
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


def handed_over(output: str) -> dict[str, Any]:
    begin, end = output.index("\n{\n"), output.index("\n}\n")
    return json.loads(output[begin : end + 2])


def test_without_a_terminal_and_without_yes_nothing_is_started(folder: Path) -> None:
    done = in_a_log(folder)
    assert done.returncode != 0
    assert "Nothing was started" in done.stderr
    assert "--yes" in done.stderr
    assert done.stdout == ""
    assert not folder.exists()


def test_a_yes_given_in_advance_runs_both_tests_and_hands_the_comparison_on(folder: Path) -> None:
    done = in_a_log(folder, "--yes", "--seconds", "1")
    assert done.returncode == 0, done.stdout + done.stderr

    # A question for the whole, a pause after the first test, and a question for the second.
    assert done.stdout.count("## Ready to start") == 2
    assert done.stdout.count(f"{QUESTION}yes (given in advance by the person, with --yes)") == 2
    assert done.stdout.count(MODE_QUESTION) == 1
    assert f"{MODE_QUESTION}B (given in advance by the person, with --yes)" in done.stdout
    assert "paused (B, pause after each)" in done.stdout
    assert "Ready to start the next test (PostgreSQL)?" in done.stdout
    assert "Concurrent Writers on SQLite" in done.stdout
    assert "| SQLite | COMPLETED |" in done.stdout
    assert "| PostgreSQL | COMPLETED |" in done.stdout
    assert "dashboard links are dead now" in done.stdout
    # A log gets plain lines: nothing moves in it, and nothing is coloured.
    assert re.search(r"^\[\d+ s of \d+ s\] 0 of 2 completed; SQLite", done.stdout, re.MULTILINE)
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout

    handed = handed_over(done.stdout)
    assert handed["status"] == "COMPLETED"
    assert handed["comparison_type"] == "database"
    assert handed["variants"] == ["SQLite", "PostgreSQL"]
    for test in handed["tests"]:
        figures = {figure["metric"]: figure for figure in test["figures"]}
        assert figures["total_queries"]["value"] > 0
        assert figures["error_rate"]["value"] == 0
        # Each is compared with the first, and that one with nothing.
        assert ("delta" in figures["average_qps"]) == (test["variant"] == "PostgreSQL")
    assert len(handed["run_ids"]) == 2
    for run_id in handed["run_ids"]:
        for name in ("summary", "series"):
            csv = folder / "results" / run_id / f"{name}.csv"
            assert len(csv.read_text(encoding="utf-8").splitlines()) >= 2
            assert f"{run_id}/{csv.name}" in done.stdout


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


def test_no_silence_no_nonsense_and_no_starts_nothing(folder: Path) -> None:
    """And nothing that was typed before the question stood there is an answer to it."""
    with at_the_terminal(folder) as screen:
        screen.wait_for("launched from mcp.json")
        screen.type("yes\nyes\n")
        screen.wait_for("Ready to start the comparison")
        screen.wait_for(QUESTION)
        for nonsense in ("", "   ", "sure", "yes please", "A"):
            screen.type(f"{nonsense}\n")
            screen.wait_for("Nothing is assumed")
            screen.wait_for(QUESTION)
        screen.type("No\n")
        screen.wait_for("You said no")
        assert screen.exit_code() == 0
    assert MODE_QUESTION not in screen.text
    assert "Test Started" not in screen.text
    assert "Nothing was started" in screen.text


def test_a_wish_for_a_change_starts_nothing(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("modify\n")
        screen.wait_for("What should be changed?")
        screen.type("only 4 connections\n")
        screen.wait_for("The person's note: only 4 connections")
        screen.wait_for("You asked for a change")
        assert screen.exit_code() == 0
    assert "Test Started" not in screen.text


def test_enter_alone_means_a_pause_and_the_next_test_has_a_question_of_its_own(
    folder: Path,
) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for(MODE_QUESTION)
        screen.type("C\n")
        screen.wait_for("one of the letters")
        screen.wait_for(MODE_QUESTION)
        screen.type("\n")
        screen.wait_for("Test Started")
        screen.wait_for("0 of 2 completed")
        screen.wait_for("paused (B, pause after each)")
        screen.wait_for("Ready to start the next test (PostgreSQL)?")
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for("Test Started")
        screen.wait_for("completed (B, pause after each)")
        screen.wait_for("Comparison Results")
        assert screen.exit_code() == 0
    assert screen.text.count(MODE_QUESTION) == 2
    assert handed_over(screen.text)["status"] == "COMPLETED"


def test_a_choice_of_all_in_a_row_asks_nothing_between_the_tests(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for(MODE_QUESTION)
        screen.type("a\n")
        screen.wait_for("completed (A, sequential)")
        screen.wait_for("Comparison Results")
        assert screen.exit_code() == 0
    assert screen.text.count(QUESTION) == 1
    handed = handed_over(screen.text)
    assert [test["status"] for test in handed["tests"]] == ["COMPLETED", "COMPLETED"]


def test_the_end_of_the_input_between_two_tests_starts_the_second_not(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for(MODE_QUESTION)
        screen.type("b\n")
        screen.wait_for("Test Started")
        screen.wait_for(QUESTION)
        screen.type(CTRL_D)
        screen.wait_for("The question was dismissed")
        assert screen.exit_code() == 0
    assert screen.text.count("Test Started") == 1
    # What has completed is handed on all the same.
    handed = handed_over(screen.text)
    assert handed["status"] == "PAUSED"
    assert [test["status"] for test in handed["tests"]] == ["COMPLETED", "PENDING"]


@pytest.mark.parametrize("before", ["", "yes\n"], ids=["whether", "how"])
def test_ctrl_c_at_a_question_starts_nothing_and_ends_everything(folder: Path, before: str) -> None:
    with at_the_terminal(folder, NO_COLOR="1") as screen:
        screen.wait_for(QUESTION)
        screen.type(before)
        screen.wait_for(MODE_QUESTION if before else "")
        screen.type(CTRL_C)
        screen.wait_for("The question was dismissed")
        assert screen.exit_code() == 130
    assert "Test Started" not in screen.text
    # And where no colours are wanted there were none.
    assert "\x1b[3" not in screen.raw
    assert "\x1b[1;3" not in screen.raw


def test_ctrl_c_during_a_test_stops_the_comparison_and_ends_everything(folder: Path) -> None:
    with terminal(
        ["-m", "demo", "--seconds", "60", "--folder", str(folder)], environment=ENVIRONMENT
    ) as screen:
        screen.wait_for(QUESTION)
        screen.type("yes\n")
        screen.wait_for(MODE_QUESTION)
        screen.type("A\n")
        screen.wait_for("SQLite RUNNING")
        screen.type(CTRL_C)
        screen.wait_for("Stop Requested")
        screen.wait_for("is stopped with it")
        assert screen.exit_code() == 130
    assert screen.text.count("Test Started") == 1
    assert "Comparison Results" not in screen.text


def test_trouble_before_the_second_test_ends_the_demo_with_what_there_is(folder: Path) -> None:
    """Nobody says yes to it in a circle, whatever was said in advance."""
    demo = [sys.executable, "-u", "-m", "demo", "--seconds", "2", "--folder", str(folder), "--yes"]
    with subprocess.Popen(
        demo,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert any("SQLite STARTING" in line for line in process.stdout)
        state = folder / "postgres" / "data" / "postmaster.pid"
        os.kill(int(state.read_text(encoding="utf-8").split()[0]), signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 1
    assert "Target Cannot Be Used" in rest
    # A yes alone is not enough where the preflight says no, and it is not said again.
    assert rest.count("## Ready to start") == 1
    assert "## Start Refused" in rest
    assert "An agent would now settle this" in rest
    assert [test["status"] for test in handed_over(rest)["tests"]] == ["COMPLETED", "PENDING"]


def test_after_a_crash_the_next_demo_ends_what_was_left_and_goes_on(folder: Path) -> None:
    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.process.send_signal(signal.SIGKILL)
        screen.exit_code()
    left = {process.name() for process in processes_of(folder)}
    assert "postgres" in left

    with at_the_terminal(folder) as screen:
        screen.wait_for(QUESTION)
        screen.type("no\n")
        assert screen.exit_code() == 0
