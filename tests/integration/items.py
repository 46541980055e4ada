"""A small table of PostgreSQL's with a key, and what a load on it has come to."""

from benchgate.backend.drivers.port import Assignment, Target
from benchgate.domain.failures import FailureKind
from benchgate.domain.templates import QueryKind
from tests.integration.databases import NUMBERS, Notes
from tests.integration.servers import PostgresServer


def make_items(server: PostgresServer) -> Target:
    """The table, anew."""
    server.sql(
        "DROP TABLE IF EXISTS items",
        "CREATE TABLE items (id integer PRIMARY KEY, label text)",
        f"{NUMBERS} INSERT INTO items SELECT i, 'item ' || i FROM n",
    )
    return server.target("items")


def kinds(notes: Notes) -> set[tuple[QueryKind | None, FailureKind]]:
    """What has failed, and how."""
    return {(kind, failure) for kind, failure, _ in notes.failures}


def sessions_that(server: PostgresServer, given: Assignment, claim: str) -> int:
    """Of how many sessions of a load *claim* holds."""
    where = f"application_name = '{given.application_name}' AND {claim}"
    return int(server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE {where}"))
