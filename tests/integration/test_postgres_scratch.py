"""Scratch copies on a real PostgreSQL server: made whole or not at all, and removed if ours."""

import anyio
import anyio.to_thread
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from benchgate.backend.drivers.port import Removal, Target
from benchgate.backend.drivers.postgres import scratch as scratches
from benchgate.backend.drivers.postgres.scratch import (
    drop,
    foreign_writes,
    identity,
    leading_to,
    make,
    scratch_of,
)
from benchgate.errors import DatabaseError, NameTaken
from tests.integration.databases import until
from tests.integration.servers import PostgresServer
from tests.integration.sessions import new_name, new_role, session

pytestmark = pytest.mark.anyio


@pytest.fixture
def items(postgres: PostgresServer) -> Target:
    """A small table with a key."""
    table = new_name("items")
    postgres.sql(f"CREATE TABLE {table} (id serial PRIMARY KEY, label text)")
    postgres.sql(f"INSERT INTO {table} (label) SELECT i FROM generate_series(1, 500) AS i")
    return postgres.target(table)


def copied(server: PostgresServer, target: Target) -> Target:
    scratch = scratch_of(target, new_name("run"))
    with session(server.reference) as connection:
        make(connection, target, scratch)
    return scratch


def dropped(server: PostgresServer, scratch: Target) -> Removal:
    with session(server.reference) as connection:
        return drop(connection, scratch)


def schemas(server: PostgresServer, scratch: Target) -> int:
    where = f"nspname = '{scratch.schema_name}'"
    return int(server.sql(f"SELECT count(*) FROM pg_namespace WHERE {where}"))


def failure(server: PostgresServer, target: Target, user: str = "postgres") -> DatabaseError:
    """Why there is no copy of *target*, of which nothing is left."""
    scratch = scratch_of(target, new_name("run"))
    with session(server.reference, user=user) as connection:
        with pytest.raises(DatabaseError) as caught:
            make(connection, target, scratch)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert schemas(server, scratch) == 0
    return caught.value


def test_a_copy_can_be_made_written_and_removed(postgres: PostgresServer, items: Target) -> None:
    scratch = copied(postgres, items)
    name = f"{scratch.schema_name}.{scratch.table_name}"
    assert postgres.sql(f"SELECT count(*) FROM {name}") == "500"
    postgres.sql(f"INSERT INTO {name} (label) VALUES ('new')", f"DELETE FROM {name} WHERE id < 100")
    assert postgres.sql(f"SELECT count(*) FROM {items.table_name}") == "500"
    dropped(postgres, scratch)
    assert schemas(postgres, scratch) == 0
    assert postgres.sql(f"SELECT count(*) FROM {items.table_name}") == "500"


def test_a_copy_that_is_gone_can_be_removed_again(postgres: PostgresServer, items: Target) -> None:
    scratch = copied(postgres, items)
    assert dropped(postgres, scratch) is Removal.REMOVED
    assert dropped(postgres, scratch) is Removal.ABSENT
    assert dropped(postgres, scratch_of(items, "run that never was")) is Removal.ABSENT


def test_a_schema_that_bears_the_mark_after_its_table_is_gone_is_removed(
    postgres: PostgresServer, items: Target
) -> None:
    scratch = copied(postgres, items)
    postgres.sql(f"DROP TABLE {scratch.schema_name}.{scratch.table_name}")
    dropped(postgres, scratch)
    assert schemas(postgres, scratch) == 0


@pytest.mark.parametrize("mark", [None, "benchgate scratch copy for run other", "", "my own"])
def test_a_schema_without_the_mark_of_the_run_is_left_alone(
    postgres: PostgresServer, items: Target, mark: str | None
) -> None:
    scratch = scratch_of(items, new_name("run"))
    postgres.sql(
        f"CREATE SCHEMA {scratch.schema_name}",
        f"CREATE TABLE {scratch.schema_name}.{scratch.table_name} (id integer)",
    )
    if mark is not None:
        postgres.sql(f"COMMENT ON SCHEMA {scratch.schema_name} IS '{mark}'")
    assert dropped(postgres, scratch) is Removal.UNMARKED
    assert schemas(postgres, scratch) == 1
    assert postgres.sql(f"SELECT count(*) FROM {scratch.schema_name}.{scratch.table_name}") == "0"


def test_a_schema_with_a_name_that_we_never_give_is_left_alone(
    postgres: PostgresServer, items: Target
) -> None:
    schema = new_name("benchgate_scratch_of_mine")
    postgres.sql(
        f"CREATE SCHEMA {schema}",
        f"COMMENT ON SCHEMA {schema} IS 'benchgate scratch copy for run {schema[18:]}'",
    )
    lookalike = scratch_of(items, "run").model_copy(update={"schema_name": schema.upper()})
    dropped(postgres, lookalike)
    dropped(postgres, items)
    assert postgres.sql(f"SELECT count(*) FROM {items.table_name}") == "500"
    assert postgres.sql(f"SELECT count(*) FROM pg_namespace WHERE nspname = '{schema}'") == "1"


def test_a_schema_that_is_there_already_is_not_written_into(
    postgres: PostgresServer, items: Target
) -> None:
    scratch = copied(postgres, items)
    with (
        session(postgres.reference) as connection,
        pytest.raises(NameTaken) as caught,
    ):
        make(connection, items, scratch)
    assert "by hand" in caught.value.hint
    name = f"{scratch.schema_name}.{scratch.table_name}"
    assert postgres.sql(f"SELECT count(*) FROM {name}") == "500"


def test_what_others_built_upon_a_copy_is_not_removed_with_it(
    postgres: PostgresServer, items: Target
) -> None:
    scratch, view = copied(postgres, items), new_name("view")
    name = f"{scratch.schema_name}.{scratch.table_name}"
    postgres.sql(f"CREATE VIEW {view} AS SELECT * FROM {name}")
    with pytest.raises(DatabaseError, match="still there"):
        dropped(postgres, scratch)
    assert postgres.sql(f"SELECT count(*) FROM {view}") == "500"
    postgres.sql(f"DROP VIEW {view}")
    dropped(postgres, scratch)
    assert schemas(postgres, scratch) == 0


def test_what_others_put_beside_a_copy_is_not_removed_with_it(
    postgres: PostgresServer, items: Target
) -> None:
    scratch = copied(postgres, items)
    postgres.sql(f"CREATE TABLE {scratch.schema_name}.theirs AS SELECT 1 AS one")
    with pytest.raises(DatabaseError, match="still there"):
        dropped(postgres, scratch)
    assert postgres.sql(f"SELECT one FROM {scratch.schema_name}.theirs") == "1"


def test_a_copy_that_somebody_holds_locked_is_not_waited_for_in_vain(
    postgres: PostgresServer, items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratches, "LOCK_LIMIT", "SET LOCAL lock_timeout = '200ms'")
    scratch = copied(postgres, items)
    with session(postgres.reference) as holder, holder.transaction():
        holder.execute(f"LOCK TABLE {scratch.schema_name}.{scratch.table_name}".encode())
        with pytest.raises(DatabaseError, match="lock timeout"):
            dropped(postgres, scratch)
    dropped(postgres, scratch)
    assert schemas(postgres, scratch) == 0


def test_an_original_that_somebody_holds_locked_is_not_waited_for_in_vain(
    postgres: PostgresServer, items: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratches, "LOCK_LIMIT", "SET LOCAL lock_timeout = '200ms'")
    with session(postgres.reference) as holder, holder.transaction():
        holder.execute(f"LOCK TABLE {items.table_name}".encode())
        assert "lock timeout" in str(failure(postgres, items))


def waiting(server: PostgresServer, for_what: str) -> int:
    """How many sessions wait for a lock of that kind."""
    return int(server.sql(f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{for_what}'"))


async def test_a_copy_that_is_still_being_made_is_removed_when_it_is_there(
    postgres: PostgresServer, items: Target
) -> None:
    scratch = scratch_of(items, new_name("run"))

    def made() -> None:
        with session(postgres.reference) as connection:
            make(connection, items, scratch)

    async with anyio.create_task_group() as tasks:
        with session(postgres.reference) as holder, holder.transaction():
            holder.execute(f"LOCK TABLE {items.table_name}".encode())
            tasks.start_soon(anyio.to_thread.run_sync, made)
            await until(lambda: waiting(postgres, "relation") == 1)
            tasks.start_soon(anyio.to_thread.run_sync, dropped, postgres, scratch)
            await until(lambda: waiting(postgres, "advisory") == 1)
    assert schemas(postgres, scratch) == 0


def test_nothing_is_left_of_a_copy_that_fails_at_its_last_row(
    postgres: PostgresServer, items: Target
) -> None:
    # A check that was added for new rows only is valid for every row of a new table.
    postgres.sql(f"ALTER TABLE {items.table_name} ADD CHECK (id < 500) NOT VALID")
    assert "check constraint" in str(failure(postgres, items))


def test_a_table_that_is_too_large_for_the_time_is_named_with_its_size(
    postgres: PostgresServer, items: Target
) -> None:
    postgres.sql(
        f"INSERT INTO {items.table_name} (label) SELECT i FROM generate_series(1, 200000) AS i"
    )
    scratch = scratch_of(items, new_name("run"))
    with session(postgres.reference) as connection:
        with pytest.raises(DatabaseError, match=r"has [\d.]+ MB .* within 0\.15 s") as caught:
            make(connection, items, scratch, limit_s=0.15)
        assert connection.execute("SHOW statement_timeout").fetchone() == ("30s",)
    assert "write_target: in_place" in caught.value.hint
    assert schemas(postgres, scratch) == 0


def test_a_lost_session_leaves_nothing(postgres: PostgresServer, items: Target) -> None:
    scratch = scratch_of(items, new_name("run"))
    with session(postgres.reference) as connection:
        postgres.sql(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
        with pytest.raises(DatabaseError):
            make(connection, items, scratch)
        with pytest.raises(DatabaseError):
            drop(connection, scratch)
    assert schemas(postgres, scratch) == 0


def test_a_user_without_the_right_to_create_learns_what_it_takes(
    postgres: PostgresServer, items: Target
) -> None:
    found = failure(postgres, items, new_role(postgres))
    assert "permission denied for database" in str(found)
    assert "CREATE" in found.hint


def test_a_user_who_may_create_and_read_makes_and_removes_a_copy(
    postgres: PostgresServer, items: Target
) -> None:
    role = new_role(postgres)
    postgres.sql(
        f"GRANT CREATE ON DATABASE postgres TO {role}",
        f"GRANT SELECT ON {items.table_name} TO {role}",
    )
    scratch = scratch_of(items, new_name("run"))
    with session(postgres.reference, user=role) as connection:
        make(connection, items, scratch)
        name = Identifier(scratch.schema_name, scratch.table_name)
        insert = SQL("INSERT INTO {} (label) VALUES ('new') RETURNING id").format(name)
        assert connection.execute(insert).fetchone() == (501,)
        drop(connection, scratch)
    assert schemas(postgres, scratch) == 0


def test_a_policy_that_hides_rows_forbids_the_copy(postgres: PostgresServer, items: Target) -> None:
    role = new_role(postgres)
    postgres.sql(
        f"GRANT CREATE ON DATABASE postgres TO {role}",
        f"GRANT SELECT ON {items.table_name} TO {role}",
        f"ALTER TABLE {items.table_name} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY few ON {items.table_name} USING (id < 10)",
    )
    assert "row-level security" in str(failure(postgres, items, role))


@pytest.mark.parametrize(
    ("kind", "said"), [("VIEW", "a view"), ("MATERIALIZED VIEW", "a materialized view")]
)
def test_only_tables_are_copied(
    postgres: PostgresServer, items: Target, kind: str, said: str
) -> None:
    name = new_name("view")
    postgres.sql(f"CREATE {kind} {name} AS SELECT * FROM {items.table_name}")
    found = failure(postgres, postgres.target(name))
    assert said in str(found)
    assert "in_place" in found.hint


def test_a_table_that_is_not_there_is_named(postgres: PostgresServer) -> None:
    assert "does not exist" in str(failure(postgres, postgres.target("not there")))


def test_a_database_that_is_replicated_whole_gets_no_further_table(
    mortal_postgres: PostgresServer,
) -> None:
    mortal_postgres.sql(
        "CREATE TABLE items (id integer)", "CREATE PUBLICATION all_of_it FOR ALL TABLES"
    )
    assert "all_of_it" in str(failure(mortal_postgres, mortal_postgres.target("items")))


def test_a_bare_name_finds_the_copy_and_other_names_what_they_always_do(
    postgres: PostgresServer, items: Target
) -> None:
    scratch, other = copied(postgres, items), new_name("other")
    postgres.sql(f"CREATE TABLE {other} (id integer)")
    with session(postgres.reference) as connection:
        connection.execute(leading_to(scratch).encode())
        found = connection.execute(
            "SELECT relnamespace::regnamespace::text FROM pg_class"
            " WHERE oid IN (to_regclass(%s), to_regclass(%s)) ORDER BY 1",
            [items.table_name, other],
        ).fetchall()
    assert found == [(scratch.schema_name,), ("public",)]


@pytest.mark.parametrize(
    ("statement", "missed"),
    [
        ("INSERT INTO {copy} (label) VALUES ($1)", False),
        ("INSERT INTO {bare} (label) SELECT label FROM {original} WHERE id = $1::int", False),
        ("UPDATE {copy} SET label = 'x' FROM {original} AS o WHERE o.label = $1", False),
        ("INSERT INTO {original} (label) VALUES ($1)", True),
        ("UPDATE {original} SET label = $1", True),
        (
            "WITH w AS (INSERT INTO {original} (label) VALUES ($1) RETURNING *)"
            " INSERT INTO {copy} (label) SELECT label FROM w",
            True,
        ),
        ("INSERT INTO {view} (label) VALUES ($1)", True),
        (
            "MERGE INTO {original} AS t USING {copy} AS s ON t.id = s.id"
            " WHEN MATCHED AND t.label = $1 THEN UPDATE SET label = 'x'",
            True,
        ),
    ],
)
def test_a_statement_that_would_miss_the_copy_is_known_by_its_plan(
    postgres: PostgresServer, items: Target, statement: str, missed: bool
) -> None:
    scratch, view = copied(postgres, items), new_name("view")
    postgres.sql(f"CREATE VIEW {view} AS SELECT * FROM {items.table_name}")
    named = statement.format(
        copy=f"{scratch.schema_name}.{scratch.table_name}",
        bare=items.table_name,
        original=f"public.{items.table_name}",
        view=view,
    )
    with session(postgres.reference) as connection, connection.cursor() as cursor:
        cursor.execute(leading_to(scratch).encode())
        cursor.execute(f"PREPARE written AS {named}".encode())
        plan = cursor.execute("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE written(NULL)").fetchone()
    assert plan is not None
    expected = (f'"public"."{items.table_name}"',) if missed else ()
    assert foreign_writes(plan[0], scratch) == expected


def test_a_server_and_its_database_are_known_again_by_whoever_asks(
    postgres: PostgresServer,
) -> None:
    role, other = new_role(postgres), new_name("other")
    postgres.sql(f"CREATE DATABASE {other}")
    try:
        with session(postgres.reference) as first, session(postgres.reference, user=role) as second:
            there = identity(first)
            assert there is not None
            assert identity(second) == there
        with psycopg.connect(postgres.url().replace("/postgres?", f"/{other}?")) as third:
            assert identity(third) not in {None, there}
    finally:
        postgres.sql(f"DROP DATABASE {other}")


def test_a_server_that_does_not_tell_what_it_is_is_not_known_again(
    postgres: PostgresServer,
) -> None:
    role = new_role(postgres)
    postgres.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        with session(postgres.reference, user=role) as connection:
            assert identity(connection) is None
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        postgres.sql("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
