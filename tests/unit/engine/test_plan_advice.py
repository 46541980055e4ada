"""What is told of a load's own plan: how far a search may go, and from where a load comes."""

from typing import Any

import pytest

from benchgate.backend.drivers.port import ConnectionReference, Survey
from benchgate.backend.engine.advice import Look, advice
from benchgate.backend.engine.plan_advice import PLAN_RULES
from benchgate.backend.engine.preflight import foreseen
from benchgate.backend.engine.surroundings import Surroundings
from benchgate.domain.preflight import PreflightWarning, Severity
from tests.unit.examples import config_of

SEARCH: dict[str, Any] = {"load_mode": "FIND_MAX_CONCURRENCY", "warmup": 10, "duration": 300}
HEAD = "10.0.0.1:6379"
FREE: dict[str, Any] = {"connections_max": 100, "connections_used": 17, "connections_reserved": 3}


def told(
    config: dict[str, Any],
    *,
    ray_address: str | None = None,
    connection: ConnectionReference | None = None,
    **survey: Any,
) -> list[PreflightWarning]:
    look = Look(
        config=config_of(**config),
        survey=Survey(**survey),
        surroundings=Surroundings(cores=4, ray_address=ray_address),
        connection=connection,
    )
    return advice(PLAN_RULES, look)


@pytest.mark.parametrize(
    ("scaling", "survey", "most"),
    [
        (None, {}, 1_000),
        (None, FREE, 80),
        ({"max_workers": 2, "max_connections": 10}, FREE, 20),
    ],
)
def test_a_search_tells_how_far_it_may_go(
    scaling: dict[str, int] | None, survey: dict[str, Any], most: int
) -> None:
    (warning,) = told(SEARCH | {"scaling": scaling}, **survey)
    assert (warning.severity, warning.of_a_moment) == (Severity.LOW, True)
    assert f"at most 310 s and 10 steps, and goes no higher than {most} connec" in warning.message
    assert ("connections, which the server has left;" in warning.message) is (most == 80)


def test_a_load_from_a_cluster_says_so_but_for_files_which_are_loaded_from_here() -> None:
    (warning,) = told({}, ray_address=HEAD, connection=ConnectionReference(host="db.example"))
    assert warning.severity is Severity.MEDIUM
    assert "RAY_ADDRESS is 10.0.0.1:6379" in warning.message
    assert told({"table_type": "SQLITE", "database": "/srv/x.db"}, ray_address=HEAD) == []


@pytest.mark.parametrize(
    ("host", "hostaddr", "is_own"),
    [
        ("localhost", None, True),
        ("LOCALHOST.", None, True),
        ("db.localhost", None, True),
        ("127.0.0.2", None, True),
        ("127.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        ("0.0.0.0", None, True),
        ("/var/run/postgresql", None, True),
        ("@socket", None, True),
        ("", None, True),
        (None, None, True),
        ("db.example, localhost", None, True),
        ("db.example", "127.0.0.1", True),
        ("localhost", "10.0.0.9", False),
        ("db.example", None, False),
        ("10.0.0.9", None, False),
        ("fd00::9", None, False),
    ],
)
def test_a_server_that_each_node_has_of_its_own_should_not_be_loaded_from_a_cluster(
    *, host: str | None, hostaddr: str | None, is_own: bool
) -> None:
    server = ConnectionReference(host=host, hostaddr=hostaddr)
    _, *warnings = told({}, ray_address=HEAD, connection=server)
    assert [one.severity for one in warnings] == [Severity.HIGH] * is_own
    for warning in warnings:
        assert warning.title == "Each Node Would Load Its Own Server"
        assert (hostaddr or host or "no host at all") in warning.message
        assert "every machine of the cluster" in warning.recommendations[0]
    assert told({}, connection=server) == []
    flake = told({"table_type": "STANDARD"}, ray_address=HEAD, connection=ConnectionReference())
    assert [one.severity for one in flake] == [Severity.MEDIUM]


def test_a_load_from_here_with_an_end_of_its_own_has_nothing_to_tell() -> None:
    assert told({}) == []


@pytest.mark.parametrize(
    ("think_time", "step_seconds", "is_told"),
    [
        (30_000, 30, True),
        (29_000, 30, True),
        (28_999, 30, False),
        (0, 10, False),
        (9_000, 10, True),
    ],
)
def test_a_search_that_thinks_as_long_as_a_step_should_not_go_ahead(
    *, think_time: int, step_seconds: int, is_told: bool
) -> None:
    thinking = {"think_time": think_time, "step_duration_seconds": step_seconds}
    warnings = foreseen(config_of(**SEARCH, **thinking))
    assert [one.severity for one in warnings] == [Severity.HIGH] * is_told
    for warning in warnings:
        assert f"each connection waits {think_time / 1_000:g} s" in warning.message
        assert warning.recommendations[0] == (
            f"Set think_time to {(step_seconds - 1) * 100} or less"
        )
    assert foreseen(config_of(**thinking)) == []
