"""The settings: every variable is read, every bad value is told by the name of its variable."""

from pathlib import Path

import pytest

from benchgate import settings
from benchgate.domain.approvals import Channel
from benchgate.errors import SettingsError
from benchgate.settings import PREFIX, Settings, variable

GOOD: dict[str, tuple[str, object]] = {
    "backend_url": ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
    "backend_token": ("t0ken", "**********"),
    "dashboard_url": ("https://pages.example/x", "https://pages.example/x"),
    "data_dir": ("/somewhere/else", "/somewhere/else"),
    "database_url": ("postgresql+psycopg://u:p@db/benchgate", "**********"),
    "approval_channels": ("page", "(<Channel.PAGE: 'page'>,)"),
    "question_ttl_seconds": ("60", "60"),
    "approval_ttl_seconds": ("90", "90"),
    "approval_min_seconds": ("1.5", "1.5"),
    "ask_wait_seconds": ("20", "20"),
    "production_patterns": ("Prod, db?.corp.*,", "('prod', 'db?.corp.*')"),
    "ray_address": (" 127.0.0.1:6379", "127.0.0.1:6379"),
}
BAD = [
    ("backend_url", "not a url"),
    ("backend_url", "ftp://host/"),
    ("dashboard_url", "javascript:alert(1)"),
    ("database_url", "nonsense"),
    ("database_url", "sqlite+aiosqlite:///x.db"),
    ("database_url", "postgresql+asyncpg://host/db"),
    ("database_url", "mysql://host/db"),
    ("database_url", "sqlite://"),
    ("database_url", "sqlite:///:memory:"),
    ("approval_channels", "carrier-pigeon"),
    ("approval_channels", "page,carrier-pigeon"),
    ("approval_channels", "page;terminal"),
    ("approval_channels", " , "),
    ("question_ttl_seconds", "29"),
    ("question_ttl_seconds", "for ever"),
    ("approval_ttl_seconds", "29"),
    ("approval_ttl_seconds", "86401"),
    ("approval_min_seconds", "-1"),
    ("approval_min_seconds", "61"),
    ("approval_min_seconds", "nan"),
    ("ask_wait_seconds", "0"),
    ("ask_wait_seconds", "86401"),
    ("production_patterns", "x" * 201),
    ("production_patterns", ",".join(["prod"] * 101)),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_every_setting_is_tried_and_described() -> None:
    assert set(GOOD) == set(Settings.model_fields)
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", GOOD)
def test_a_variable_sets_what_it_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, shown = GOOD[name]
    monkeypatch.setenv(variable(name), text)
    assert str(getattr(settings.load(), name)) == shown


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_value_that_cannot_be_used_is_told_by_its_variable_and_not_echoed(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + name.upper(), text)
    with pytest.raises(SettingsError, match=PREFIX + name.upper()) as caught:
        settings.load()
    assert text not in str(caught.value)


def test_an_unusable_secret_is_in_no_part_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", "mysql://me:s3cret@host/db")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "s3cret" not in str(caught.value)


def test_a_list_of_channels_without_a_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}APPROVAL_CHANNELS", "")
    with pytest.raises(SettingsError, match="CHANNELS cannot be used: at least one is needed of"):
        settings.load()


def test_channels_are_a_list_with_commas_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}APPROVAL_CHANNELS", "Page, TERMINAL ,chat,")
    assert settings.load().approval_channels == (Channel.PAGE, Channel.TERMINAL, Channel.CHAT)


def test_no_pattern_at_all_is_a_setting_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "prod" in settings.load().production_patterns
    monkeypatch.setenv(f"{PREFIX}PRODUCTION_PATTERNS", "")
    assert settings.load().production_patterns == ()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/benchgate/record.sqlite3",
        "sqlite+pysqlite:///record.sqlite3",
        "postgresql://u:p@db/benchgate",
        "postgresql+psycopg://u:p@db/benchgate",
        "postgresql+psycopg2://u:p@db/benchgate",
        "postgresql+pg8000://u:p@db/benchgate",
    ],
)
def test_every_synchronous_driver_can_be_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", url)
    loaded = settings.load().database_url
    assert loaded is not None
    assert loaded.get_secret_value() == url


def test_nothing_needs_to_be_set() -> None:
    loaded = settings.load()
    assert loaded.backend_url is None
    assert loaded.data_dir.is_absolute()
    assert loaded.ask_wait_seconds is None
    assert loaded.approval_min_seconds == 0


def test_an_empty_cluster_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert settings.load().ray_address is None


def test_the_chat_counts_only_where_it_is_named() -> None:
    assert set(Channel) - set(settings.load().approval_channels) == {Channel.CHAT}


def test_a_home_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", "~/bench")
    assert settings.load().data_dir == Path.home() / "bench"
