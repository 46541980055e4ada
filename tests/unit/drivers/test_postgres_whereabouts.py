"""Where libpq goes with what a connection says and what the environment adds."""

from pathlib import Path

import pytest

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.backend.drivers.postgres.whereabouts import resolved, server_of
from benchgate.domain.templates import TableType
from benchgate.errors import DatabaseError

SERVICES = """
[plain]
host=db.service
[elsewhere]
host=db.service
hostaddr=10.0.0.9
port=7000
user=owl
"""


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGUSER"):
        monkeypatch.delenv(name, raising=False)
    services = tmp_path / "services"
    services.write_text(SERVICES)
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGUSER", "me")


def lead(reference: ConnectionReference | None) -> ConnectionReference:
    target = Target(
        table_type=TableType.POSTGRES, database="shop", table_name="orders", connection=reference
    )
    found = resolved(target)
    assert found.model_copy(update={"connection": reference}) == target
    assert found.connection is not None
    return found.connection


def test_what_nobody_names_is_the_socket_of_this_machine() -> None:
    server = lead(None)
    assert server.host is not None
    assert server.host.startswith("/")
    assert (server.hostaddr, server.port, server.username) == (None, 5432, "me")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PGHOST": "db"}, ConnectionReference(host="db", port=5432)),
        ({"PGHOST": "db", "PGPORT": "6000"}, ConnectionReference(host="db", port=6000)),
        ({"PGHOST": "a,b"}, ConnectionReference(host="a,b", port=5432)),
        (
            {"PGHOST": "a,b", "PGPORT": "1,2"},
            ConnectionReference(host="a,b", port="1,2"),
        ),
        (
            {"PGHOST": "db", "PGHOSTADDR": "10.0.0.1"},
            ConnectionReference(host="db", hostaddr="10.0.0.1", port=5432),
        ),
        ({"PGHOSTADDR": "10.0.0.1"}, ConnectionReference(hostaddr="10.0.0.1", port=5432)),
        (
            {"PGSERVICE": "plain"},
            ConnectionReference(service="plain", host="db.service", port=5432),
        ),
    ],
    ids=str,
)
def test_the_environment_leads_where_a_connection_is_silent(
    variables: dict[str, str], expected: ConnectionReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert lead(None) == expected.model_copy(update={"username": "me"})


@pytest.mark.parametrize(
    "variables", [{"PGHOSTADDR": "10.0.0.1"}, {"PGSERVICE": "elsewhere"}, {"PGHOST": "other"}]
)
def test_nothing_leads_away_from_a_host_that_is_named(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    named = ConnectionReference(host="db.named", port=5433, username="bench")
    server = lead(named)
    assert (server.host, server.hostaddr) == ("db.named", None)
    assert (server.port, server.username) == (5433, "bench")
    # Whoever connects with it has to say so, or the address of the environment counts.
    assert server_of(server)["hostaddr"] == ""


def test_a_service_leads_where_its_entry_says() -> None:
    server = lead(ConnectionReference(service="elsewhere"))
    assert (server.host, server.hostaddr) == ("db.service", "10.0.0.9")
    assert (server.port, server.username) == (7000, "owl")


def test_what_is_found_leads_to_the_same_place_again() -> None:
    server = lead(ConnectionReference(service="elsewhere"))
    assert lead(server) == server


def test_what_leads_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatabaseError, match='definition of service "nobody" not found'):
        lead(ConnectionReference(service="nobody"))
    monkeypatch.setenv("PGHOST", "a")
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.1,10.0.0.2")
    with pytest.raises(DatabaseError, match="hostaddr"):
        lead(None)
