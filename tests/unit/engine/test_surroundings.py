"""What is found around the backend: cores, and where the environment leads."""

import os

import pytest

from benchgate.backend.engine.surroundings import DEFAULT_SERVER_VARIABLES, look_around
from benchgate.domain.production import PRODUCTION_PATTERNS


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULT_SERVER_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_cores_are_those_that_this_process_may_use() -> None:
    assert 1 <= look_around().cores <= (os.cpu_count() or 1)


def test_the_servers_of_the_environment_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_around().default_server == ()
    monkeypatch.setenv("PGSERVICE", "reporting")
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGHOSTADDR", "")
    assert look_around().default_server == ("db.example.com", "reporting")


def test_the_patterns_are_those_that_were_handed_down() -> None:
    assert look_around().production_patterns == PRODUCTION_PATTERNS
    assert look_around(("crown*",)).production_patterns == ("crown*",)
    assert look_around(()).production_patterns == ()
