"""What of a value may be shown as JSON."""

import json
from typing import Any

import pytest
from hypothesis import given

from benchgate.domain.disclosure import DEPTH_MAX, ITEMS_MAX, TEXT_CHARACTERS_MAX, disclosed
from benchgate.domain.text import ELLIPSIS
from tests.unit.examples import SUMMARY, config_of, snapshot_of, template_of
from tests.unit.hostile import FOREIGN


def shown_config(**extra: object) -> dict[str, Any]:
    """The configuration of a template with *extra* keys of its backend's own, as it is shown."""
    return json.loads(disclosed(template_of(config=config_of(**extra))))["config"]


def test_a_value_is_shown_with_its_keys_and_without_nulls() -> None:
    shown = json.loads(disclosed(snapshot_of("COMPLETED", summary=SUMMARY)))
    assert shown["run_id"] == "run-789xyz"
    assert shown["summary"]["total_queries"] == 374_100
    assert "phase" not in shown
    assert None not in shown.values()


def test_the_keys_of_a_configuration_are_those_that_a_person_wrote() -> None:
    shown = shown_config(own_key="kept", spread=[1, 2.5, True])
    assert (shown["schema"], shown["own_key"]) == ("public", "kept")
    assert shown["spread"] == [1, 2.5, True]


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PGPASSWORD",
        "db_passwd",
        "pwd",
        "private_key",
        "privateKey",
        "privateKeyPassphrase",
        "passfile",
        "token",
        "accessToken",
        "oauth_token",
        "client_secret",
        "credentials",
        "api-key",
        "apiKey",
        "dsn",
        "pat",
        "connection_string",
        "connectionUri",
        "Authorization",
    ],
)
def test_what_is_under_the_name_of_a_secret_is_never_shown(key: str) -> None:
    told = json.dumps(shown_config(**{key: "hunter2", "nested": [{key: {"a": "hunter2"}}]}))
    assert "hunter2" not in told


@pytest.mark.parametrize("key", ["connection_id", "partition_key", "path", "compass", "author"])
def test_what_only_sounds_like_a_secret_is_shown(key: str) -> None:
    assert shown_config(**{key: "c-1"})[key] == "c-1"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://bench:hunter2@db.example/bench",
        "postgres://bench:hun/hunter2?@db.example/bench",
        "host=db password=hunter2 dbname=bench",
        "db_password = 'hunter2 and more'",
        'CREATE USER b PASSWORD "hunter2"',
        '{"token": "hunter2"}',
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_within_a_text_is_masked(text: str) -> None:
    told = shown_config(note=text)["note"]
    assert "hunter2" not in told
    assert "***" in told


def test_a_secret_is_masked_before_a_text_is_cut() -> None:
    told = shown_config(note="a" * (TEXT_CHARACTERS_MAX - 30) + " postgres://b:" + "s" * 50 + "@db")
    assert "sss" not in told["note"]


def test_texts_lists_objects_and_depth_are_bounded_and_it_is_said_so() -> None:
    deep: list[Any] = []
    for _ in range(DEPTH_MAX + 5):
        deep = [deep]
    shown = shown_config(
        long="x" * 1_000_000,
        many=list(range(1_000)),
        wide={f"k{number}": 1 for number in range(1_000)},
        deep=deep,
    )
    assert len(shown["long"]) == TEXT_CHARACTERS_MAX
    assert shown["many"][ITEMS_MAX:] == [f"{ELLIPSIS} 900 more"]
    assert len(shown["wide"]) == ITEMS_MAX + 1
    assert shown["wide"][ELLIPSIS] == f"{ELLIPSIS} 900 more"
    assert ELLIPSIS in json.dumps(shown["deep"], ensure_ascii=False)


@given(FOREIGN)
def test_whatever_a_name_is_it_is_a_text_on_one_line(text: str) -> None:
    shown = json.loads(disclosed(snapshot_of("FAILED", template_name=text, reason=text)))
    assert len(shown["template_name"].splitlines()) <= 1
    assert len(shown["reason"].splitlines()) <= 1
