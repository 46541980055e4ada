"""The command line: what it parses, whom it calls, and how it says that something went wrong."""

from pathlib import Path
from typing import Any

import pytest

from benchgate import __version__, cli
from benchgate.backend import process
from benchgate.domain.production import PRODUCTION_PATTERNS
from benchgate.errors import StoreError
from benchgate.gate import server
from benchgate.settings import Settings


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    def serve(settings: Settings, **options: Any) -> None:
        calls.append(options)

    monkeypatch.setattr(server, "serve", serve)
    return calls


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    calls: list[tuple[Path, dict[str, Any]]] = []

    def run_backend(data_dir: Path, **options: Any) -> int:
        calls.append((data_dir, options))
        return 7

    monkeypatch.setattr(process, "run_backend", run_backend)
    return calls


def test_without_a_command_it_serves_on_standard_streams(served: list[dict[str, Any]]) -> None:
    assert exit_code() == 0
    assert served[0]["transport"] == "stdio"


def test_serve_over_http_listens_on_loopback_unless_told_otherwise(
    served: list[dict[str, Any]],
) -> None:
    exit_code("serve", "--transport", "http")
    exit_code("serve", "--transport", "http", "--host", "::1", "--port", "9000")
    assert served == [
        {"transport": "http", "host": "127.0.0.1", "port": 8765},
        {"transport": "http", "host": "::1", "port": 9000},
    ]


def test_backend_exits_with_the_code_of_its_process(
    backends: list[tuple[Path, dict[str, Any]]], tmp_path: Path
) -> None:
    assert exit_code("backend", "--data-dir", str(tmp_path)) == 7
    options = {
        "host": "127.0.0.1",
        "port": 0,
        "idle_seconds": 15 * 60,
        "production_patterns": PRODUCTION_PATTERNS,
        "ray_address": None,
    }
    assert backends == [(tmp_path, options)]


def test_the_cluster_comes_from_the_environment(
    backends: list[tuple[Path, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    exit_code("backend", "--data-dir", str(tmp_path))
    assert backends[0][1]["ray_address"] == "10.0.0.1:6379"


def test_the_data_folder_comes_from_the_environment(
    backends: list[tuple[Path, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHGATE_DATA_DIR", str(tmp_path))
    exit_code("backend")
    assert backends[0][0] == tmp_path


def test_the_patterns_of_production_come_from_the_environment(
    backends: list[tuple[Path, dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCHGATE_PRODUCTION_PATTERNS", "crown*,jewels")
    exit_code("backend", "--data-dir", str(tmp_path))
    assert backends[0][1]["production_patterns"] == ("crown*", "jewels")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"benchgate {__version__}\n"


def test_an_error_is_one_line_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*_: Any, **__: Any) -> int:
        raise StoreError("The disk is full.", hint="Make room.")

    monkeypatch.setattr(process, "run_backend", broken)
    assert exit_code("backend", "--data-dir", str(tmp_path)) == 1
    assert capsys.readouterr().err == "benchgate: The disk is full. Make room.\n"


def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCHGATE_ASK_WAIT_SECONDS", "soon")
    assert exit_code() == 2
    assert "BENCHGATE_ASK_WAIT_SECONDS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("backend", "--port", "70000"),
        ("backend", "--port", "many"),
        ("backend", "--stop", "--restart"),
        ("serve", "--transport", "pigeon"),
        ("dance",),
        ("approvals", "--set-pin", "--remove-pin"),
        ("audit", "--json", "--verify"),
        ("audit", "--head", f"7:{'0' * 64}"),
        ("audit", "--verify", "--head", "7"),
        ("audit", "--verify", "--head", f"0:{'0' * 64}"),
        ("audit", "--verify", "--head", f"7:{'0' * 63}"),
        ("audit", "--verify", "--head", f"7:{'A' * 64}"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    assert exit_code(*arguments) == 2
