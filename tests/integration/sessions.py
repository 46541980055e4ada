"""Sessions of psycopg's on a server for tests, as the driver hands them to its parts."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

import psycopg

from benchgate.backend.drivers.port import ConnectionReference
from tests.integration.servers import PostgresServer


@contextmanager
def session(
    reference: ConnectionReference,
    *,
    user: str = "postgres",
    database: str = "postgres",
    name: str = "benchgate test",
) -> Generator[psycopg.Connection]:
    """A session with limits, which commits by itself."""
    with psycopg.connect(
        host=reference.host,
        port=reference.port,
        user=user,
        dbname=database,
        application_name=name,
        autocommit=True,
        connect_timeout=10,
        options="-cstatement_timeout=30s",
    ) as connection:
        yield connection


def new_role(server: PostgresServer, options: str = "") -> str:
    """A user of the test's own, who may do nothing but log in."""
    name = f"role_{uuid4().hex[:12]}"
    server.sql(f"CREATE ROLE {name} LOGIN {options}")
    return name


def new_name(beginning: str) -> str:
    """A name that no other test uses."""
    return f"{beginning}_{uuid4().hex[:12]}"
