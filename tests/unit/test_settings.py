"""The settings: every variable is read, every bad value is told by the name of its variable."""

from pathlib import Path

import pytest

from benchgate import settings
from benchgate.errors import SettingsError
from benchgate.settings import PREFIX, Settings

GOOD: dict[str, tuple[str, object]] = {
    "backend_url": ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
    "backend_token": ("t0ken", "**********"),
    "dashboard_url": ("https://pages.example/x", "https://pages.example/x"),
    "data_dir": ("/somewhere/else", "/somewhere/else"),
    "database_url": ("postgresql+psycopg://u:p@db/benchgate", "**********"),
    "question_ttl_seconds": ("60", "60"),
    "ask_wait_seconds": ("20", "20"),
}
BAD = [
    ("backend_url", "not a url"),
    ("backend_url", "ftp://host/"),
    ("dashboard_url", "javascript:alert(1)"),
    ("database_url", "nonsense"),
    ("database_url", "sqlite+aiosqlite:///x.db"),
    ("database_url", "mysql://host/db"),
    ("question_ttl_seconds", "29"),
    ("question_ttl_seconds", "for ever"),
    ("ask_wait_seconds", "0"),
    ("ask_wait_seconds", "3601"),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_every_setting_is_tried_and_described() -> None:
    assert set(GOOD) == set(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", GOOD)
def test_a_variable_sets_what_it_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, shown = GOOD[name]
    monkeypatch.setenv(PREFIX + name.upper(), text)
    assert str(getattr(settings.load(), name)) == shown


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_value_that_cannot_be_used_is_told_by_its_variable_and_not_echoed(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), text)
    with pytest.raises(SettingsError, match=PREFIX + name.upper()) as caught:
        settings.load()
    assert text not in str(caught.value)


def test_nothing_needs_to_be_set() -> None:
    loaded = settings.load()
    assert loaded.backend_url is None
    assert loaded.data_dir.is_absolute()


def test_a_home_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", "~/bench")
    assert settings.load().data_dir == Path.home() / "bench"
