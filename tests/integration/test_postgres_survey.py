"""What a look at a real PostgreSQL server tells, to a superuser and to those who may do less."""

import os
import shutil
import socket
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory
from threading import Thread

import psycopg
import pytest

from benchgate.backend.drivers.port import ConnectionReference, NoCopy, Survey, Target
from benchgate.backend.drivers.postgres.survey import survey_of
from tests.integration.servers import PostgresServer
from tests.integration.sessions import new_name, new_role, session

OWN = "benchgate run-own"


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    table = new_name("items")
    postgres.sql(f"CREATE TABLE {table} (id integer PRIMARY KEY, label text)")
    postgres.sql(f"INSERT INTO {table} SELECT i, 'item ' || i FROM generate_series(1, 500) AS i")
    return postgres.target(table)


def looked(server: PostgresServer, target: Target, user: str = "postgres") -> Survey:
    with session(server.reference, user=user) as connection:
        return survey_of(connection, target, own_name_prefix=OWN)


@contextmanager
def busy(server: PostgresServer, name: str) -> Generator[None]:
    """A session called *name* that is at work inside."""
    with session(server.reference, name=name) as connection, connection.cursor() as cursor:
        pid = connection.info.backend_pid
        worker = Thread(target=_asleep, args=(cursor,))
        worker.start()
        state = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'"
        while server.sql(state) != "1":
            assert worker.is_alive()
        yield
        server.sql(f"SELECT pg_cancel_backend({pid})")
        worker.join(10)


def _asleep(cursor: psycopg.Cursor) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        cursor.execute("SELECT pg_sleep(25)")


@contextmanager
def forwarded(port: int) -> Generator[int]:
    """A port behind which something passes a connection on to *port*, as a tunnel does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as entrance:
        worker = Thread(target=_forward, args=(entrance, port))
        worker.start()
        yield entrance.getsockname()[1]
        worker.join(10)


def _forward(entrance: socket.socket, port: int) -> None:
    entrance.settimeout(10)
    near, _ = entrance.accept()
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        other = {near: far, far: near}
        while True:
            for end in select([near, far], [], [], 10)[0]:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)


def test_a_superuser_is_told_everything(postgres: PostgresServer, items: Target) -> None:
    survey = looked(postgres, items)
    assert survey.connections_max == 100
    assert survey.connections_used is not None
    assert survey.connections_reserved == 0
    assert survey.is_replica is False
    assert survey.is_on_this_machine is True
    assert survey.no_copy is None
    size = postgres.sql(f"SELECT pg_total_relation_size('{items.table_name}')")
    assert survey.table_bytes == int(size)
    folder = postgres.sql("SHOW data_directory")
    assert survey.disk_free_bytes == pytest.approx(shutil.disk_usage(folder).free, rel=0.2)


def test_a_user_without_rights_learns_what_everybody_may(
    postgres: PostgresServer, items: Target
) -> None:
    with session(postgres.reference, name="somebody"):
        survey = looked(postgres, items, new_role(postgres))
    assert survey.connections_max == 100
    assert survey.connections_used is not None
    assert survey.connections_used >= 1
    assert survey.connections_reserved == 3
    assert survey.is_replica is False
    assert survey.table_bytes is not None
    assert survey.active_sessions is None
    assert survey.disk_free_bytes is None
    assert survey.no_copy is NoCopy.NOT_READABLE


def test_the_limit_of_a_role_counts_its_own_sessions(
    postgres: PostgresServer, items: Target
) -> None:
    role = new_role(postgres, "CONNECTION LIMIT 5")
    with ExitStack() as others:
        for user in (role, role, "postgres"):
            others.enter_context(session(postgres.reference, user=user))
        survey = looked(postgres, items, role)
    assert (survey.connections_max, survey.connections_used) == (5, 2)
    assert survey.connections_reserved == 0


def test_the_limit_of_a_role_is_nothing_where_the_server_has_less(
    postgres: PostgresServer, items: Target
) -> None:
    survey = looked(postgres, items, new_role(postgres, "CONNECTION LIMIT 99"))
    assert (survey.connections_max, survey.connections_reserved) == (100, 3)


def test_the_limit_of_a_database_counts_its_own_sessions(postgres: PostgresServer) -> None:
    database, role = new_name("database"), new_role(postgres)
    postgres.sql(f"CREATE DATABASE {database} CONNECTION LIMIT 4")
    target = postgres.target("nothing").model_copy(update={"database": database})
    with (
        session(postgres.reference, database=database),
        session(postgres.reference, user=role, database=database) as connection,
    ):
        survey = survey_of(connection, target, own_name_prefix=OWN)
        assert (survey.connections_max, survey.connections_used) == (4, 1)
    with session(postgres.reference, database=database) as connection:
        unlimited = survey_of(connection, target, own_name_prefix=OWN)
    assert unlimited.connections_max == 100


def test_reserved_connections_are_those_that_this_user_may_not_have(
    mortal_postgres: PostgresServer,
) -> None:
    server = mortal_postgres
    server.sql("ALTER SYSTEM SET reserved_connections = 5")
    server.stop()
    server.start()
    other, entitled = new_role(server), new_role(server, "IN ROLE pg_use_reserved_connections")
    target = server.target("nothing")
    found = [looked(server, target, u).connections_reserved for u in (other, entitled, "postgres")]
    assert found == [8, 3, 0]


def test_sessions_at_work_are_counted_unless_they_are_our_own(
    postgres: PostgresServer, items: Target
) -> None:
    with busy(postgres, f"{OWN} worker 1"):
        assert looked(postgres, items).active_sessions == 0
        with busy(postgres, "benchgate run-other"), session(postgres.reference, name="idle"):
            assert looked(postgres, items).active_sessions == 1
            monitor = new_role(postgres, "IN ROLE pg_read_all_stats")
            assert looked(postgres, items, monitor).active_sessions == 1


def test_a_table_that_is_not_there_leaves_the_rest(postgres: PostgresServer) -> None:
    survey = looked(postgres, postgres.target("not there"))
    assert survey.table_bytes is None
    assert survey.no_copy is None
    assert survey.disk_free_bytes is None
    assert survey.connections_max == 100


def test_a_schema_that_may_not_be_entered_leaves_the_rest(postgres: PostgresServer) -> None:
    schema = new_name("closed")
    postgres.sql(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.items (id integer)")
    target = postgres.target("items").model_copy(update={"schema_name": schema})
    survey = looked(postgres, target, new_role(postgres))
    assert (survey.table_bytes, survey.no_copy) == (None, None)
    assert survey.is_replica is False


def test_a_table_that_somebody_holds_locked_leaves_the_rest(
    postgres: PostgresServer, items: Target
) -> None:
    with session(postgres.reference) as holder, holder.transaction():
        holder.execute(f"LOCK TABLE {items.table_name}".encode())
        survey = looked(postgres, items)
    assert survey.table_bytes is None
    assert survey.no_copy is None


def test_a_partitioned_table_is_as_large_as_its_parts(postgres: PostgresServer) -> None:
    table = new_name("parts")
    postgres.sql(
        f"CREATE TABLE {table} (id integer PRIMARY KEY) PARTITION BY RANGE (id)",
        f"CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (0) TO (10)",
        f"CREATE TABLE {table}_2 PARTITION OF {table} DEFAULT",
        f"INSERT INTO {table} SELECT generate_series(1, 1000)",
    )
    parts = f"pg_total_relation_size('{table}_1') + pg_total_relation_size('{table}_2')"
    survey = looked(postgres, postgres.target(table))
    assert survey.table_bytes == int(postgres.sql(f"SELECT {parts}"))
    assert survey.no_copy is None


def test_a_name_without_a_schema_is_looked_up_as_the_session_does(
    postgres: PostgresServer, items: Target
) -> None:
    survey = looked(postgres, items.model_copy(update={"schema_name": ""}))
    assert survey.table_bytes == looked(postgres, items).table_bytes


@pytest.mark.parametrize(
    ("grants", "reason"),
    [
        ((), NoCopy.NOT_READABLE),
        (("GRANT CREATE ON DATABASE postgres TO {role}",), NoCopy.NOT_READABLE),
        (("GRANT SELECT ON {table} TO {role}",), NoCopy.NO_SCHEMA),
        (
            ("GRANT CREATE ON DATABASE postgres TO {role}", "GRANT SELECT ON {table} TO {role}"),
            None,
        ),
    ],
)
def test_a_copy_takes_the_right_to_create_and_to_read(
    postgres: PostgresServer, items: Target, grants: tuple[str, ...], reason: NoCopy | None
) -> None:
    role = new_role(postgres)
    for grant in grants:
        postgres.sql(grant.format(role=role, table=items.table_name))
    assert looked(postgres, items, role).no_copy is reason


def test_there_is_no_copy_of_rows_that_a_policy_hides(
    postgres: PostgresServer, items: Target
) -> None:
    role = new_role(postgres)
    postgres.sql(
        f"GRANT CREATE ON DATABASE postgres TO {role}",
        f"GRANT SELECT ON {items.table_name} TO {role}",
        f"ALTER TABLE {items.table_name} ENABLE ROW LEVEL SECURITY",
    )
    assert looked(postgres, items, role).no_copy is NoCopy.HIDDEN_ROWS
    assert looked(postgres, items).no_copy is None


def test_there_is_no_copy_of_a_view(postgres: PostgresServer, items: Target) -> None:
    view = new_name("view")
    postgres.sql(f"CREATE VIEW {view} AS SELECT * FROM {items.table_name}")
    assert looked(postgres, postgres.target(view)).no_copy is NoCopy.NO_TABLE


def test_a_table_in_a_tablespace_has_the_room_that_there_is(
    postgres: PostgresServer, items: Target
) -> None:
    with TemporaryDirectory(prefix="benchgate-space-") as folder:
        owner = Path(postgres.sql("SHOW data_directory")).stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        space = new_name("space")
        postgres.sql(f"CREATE TABLESPACE {space} LOCATION '{folder}'")
        postgres.sql(f"ALTER TABLE {items.table_name} SET TABLESPACE {space}")
        survey = looked(postgres, items, new_role(postgres))
        postgres.sql(f"DROP TABLE {items.table_name}", f"DROP TABLESPACE {space}")
    assert survey.disk_free_bytes is not None


def test_a_lost_session_is_no_answer(postgres: PostgresServer, items: Target) -> None:
    with session(postgres.reference) as connection:
        postgres.sql(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
        with pytest.raises(psycopg.OperationalError):
            survey_of(connection, items, own_name_prefix=OWN)


@pytest.fixture(scope="module")
def standby(postgres: PostgresServer) -> Iterator[ConnectionReference]:
    """A server that follows the shared one, and is reached by TCP."""
    with TemporaryDirectory(prefix="benchgate-standby-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with postgres.standby(Path(folder) / "data") as reference:
            yield reference


def test_a_standby_is_a_replica_of_which_there_are_no_copies(
    postgres: PostgresServer, standby: ConnectionReference
) -> None:
    target = postgres.target("pg_class").model_copy(update={"schema_name": "pg_catalog"})
    with session(standby) as connection:
        survey = survey_of(connection, target, own_name_prefix=OWN)
    assert survey.is_replica is True
    assert survey.no_copy is NoCopy.REPLICA
    assert survey.connections_max == 100


def test_a_server_at_a_local_address_is_on_this_machine(
    postgres: PostgresServer, standby: ConnectionReference
) -> None:
    target = postgres.target("pg_class").model_copy(update={"schema_name": "pg_catalog"})
    with session(standby) as connection:
        survey = survey_of(connection, target, own_name_prefix=OWN)
    assert survey.is_on_this_machine is True
    assert survey.disk_free_bytes is not None


def test_nobody_can_tell_where_the_server_behind_a_tunnel_is(
    postgres: PostgresServer, standby: ConnectionReference
) -> None:
    target = postgres.target("pg_class").model_copy(update={"schema_name": "pg_catalog"})
    assert standby.port is not None
    with forwarded(int(standby.port)) as port:
        reference = standby.model_copy(update={"port": port})
        with session(reference) as connection:
            survey = survey_of(connection, target, own_name_prefix=OWN)
    assert survey.is_on_this_machine is None
    assert survey.disk_free_bytes is None
    assert survey.connections_max == 100


def test_there_is_no_copy_where_every_table_is_published(
    postgres: PostgresServer, items: Target
) -> None:
    publication = new_name("everything")
    postgres.sql(f"CREATE PUBLICATION {publication} FOR ALL TABLES")
    try:
        assert looked(postgres, items).no_copy is NoCopy.PUBLISHED
    finally:
        postgres.sql(f"DROP PUBLICATION {publication}")
