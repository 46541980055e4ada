"""What a PostgreSQL server can bear, as far as the user of a given session may know it.

It asks and decides nothing. Each question has its own short limit and stands alone: what the
server refuses to tell, or is too old to know, is None. Behind a pooler the figures are those of
the server and of the user that the pooler is there; the pooler's own limits show nowhere.
"""

import shutil
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import BaseRowFactory, class_row, tuple_row

from benchgate.backend.drivers.layouts import qualified
from benchgate.backend.drivers.port import NoCopy, Survey, Target
from benchgate.domain.values import Value

# For each question. The one that may have to wait is that for the size of a locked table.
LIMIT = "SET LOCAL statement_timeout = '2s'"

# The server has three limits, and the one that leaves the fewest connections is the one that
# counts: a user who may have 20 has 2 if the server has no more. Superusers know only the
# server's own. To users without `pg_read_all_stats` other sessions do not say what they are: with
# a user and a database they are clients, or the parallel workers of one.
CONNECTIONS = """
WITH me AS (
    SELECT r.oid, r.rolsuper, r.rolconnlimit, d.oid AS database, d.datconnlimit,
           current_setting('superuser_reserved_connections')::int AS of_superusers,
           coalesce(current_setting('reserved_connections', true)::int, 0) AS of_others,
           EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = 'pg_use_reserved_connections'
                                               AND pg_has_role(r.oid, p.oid, 'USAGE')) AS is_other
      FROM pg_roles AS r CROSS JOIN pg_database AS d
     WHERE r.rolname = session_user AND d.datname = current_database()
), taken AS (
    SELECT a.datid, a.usesysid FROM pg_stat_activity AS a
     WHERE a.pid <> pg_backend_pid()
       AND (a.backend_type = 'client backend'
            OR a.backend_type IS NULL AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL)
)
SELECT l.most, l.used, l.reserved
  FROM me CROSS JOIN LATERAL (VALUES
       (current_setting('max_connections')::int,
        (SELECT count(*) FROM taken),
        CASE WHEN rolsuper THEN 0 WHEN is_other THEN of_superusers
             ELSE of_superusers + of_others END),
       (CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END,
        (SELECT count(*) FROM taken WHERE usesysid = me.oid), 0),
       (CASE WHEN rolsuper THEN -1 ELSE datconnlimit END,
        (SELECT count(*) FROM taken WHERE datid = me.database), 0)
       ) AS l (most, used, reserved)
 WHERE l.most >= 0
 ORDER BY l.most - l.used - l.reserved, l.most
 LIMIT 1
"""
# Null where a single session hides what it does: half a count would look like a quiet server.
ACTIVE = """
SELECT CASE WHEN coalesce(bool_or(backend_type IS NULL), false) THEN NULL
            ELSE count(*) FILTER (WHERE backend_type = 'client backend' AND state = 'active'
                                    AND NOT starts_with(coalesce(application_name, ''), %s)) END
  FROM pg_stat_activity
 WHERE pid <> pg_backend_pid()
"""
REPLICA = "SELECT pg_is_in_recovery()"
SIZE = """
SELECT coalesce((SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree(c.oid)),
                pg_total_relation_size(c.oid))
  FROM pg_class AS c WHERE c.oid = to_regclass(%s)
"""
# What `scratch.make` would fail at first, except that the copy may still take too long.
NO_COPY = """
SELECT CASE WHEN pg_is_in_recovery() THEN 'REPLICA'
            WHEN c.relkind NOT IN ('r', 'p') THEN 'NO_TABLE'
            WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'NOT_READABLE'
            WHEN row_security_active(c.oid) THEN 'HIDDEN_ROWS'
            WHEN EXISTS (SELECT FROM pg_publication WHERE puballtables) THEN 'PUBLISHED'
            WHEN NOT has_database_privilege(current_database(), 'CREATE') THEN 'NO_SCHEMA' END
  FROM pg_class AS c WHERE c.oid = to_regclass(%s)
"""
# A table without a tablespace of its own lies in its database's; the usual one has no place but
# the data directory, which only a few users may know.
PLACE = """
SELECT coalesce(nullif(pg_tablespace_location(coalesce(nullif(c.reltablespace, 0),
                                                       d.dattablespace)), ''),
                (SELECT setting FROM pg_settings WHERE name = 'data_directory'))
  FROM pg_class AS c CROSS JOIN pg_database AS d
 WHERE c.oid = to_regclass(%s) AND d.datname = current_database()
"""
ENDS = "SELECT host(inet_server_addr()) AS address, inet_client_port() AS client_port"

Answer = TypeVar("Answer")


class Room(Value):
    """A limit of connections, with what is gone from it."""

    most: int
    used: int
    reserved: int


class Ends(Value):
    """A session as the server sees it; through a socket that is a file it sees nothing."""

    address: str | None
    client_port: int | None


def survey_of(
    connection: psycopg.Connection[Any], target: Target, *, own_name_prefix: str
) -> Survey:
    """Look at the server of *connection*, which is itself counted nowhere.

    Sessions whose application name begins with *own_name_prefix* are no others, whoever opened
    them: give it the name of the run, so that another run of ours is a disturbance like any other.

    Raises:
        psycopg.Error: the session is lost.
    """
    assert own_name_prefix, "every session would be our own"
    name = qualified(target.schema_name, target.table_name)
    room = room_of(connection)
    is_here = _is_on_this_machine(connection)
    reason = _told(connection, NO_COPY, [name], kind=str)
    return Survey(
        is_on_this_machine=is_here,
        connections_max=room and room.most,
        connections_used=room and room.used,
        connections_reserved=room.reserved if room else 0,
        active_sessions=_told(connection, ACTIVE, [own_name_prefix], kind=int),
        is_replica=_told(connection, REPLICA, [], kind=bool),
        table_bytes=table_bytes(connection, target),
        disk_free_bytes=_free_bytes(
            _told(connection, PLACE, [name], kind=str) if is_here else None
        ),
        no_copy=NoCopy(reason) if reason else None,
    )


def table_bytes(connection: psycopg.Connection[Any], target: Target) -> int | None:
    """The size of the table of *target* with its indexes and partitions, None if nobody tells."""
    name = qualified(target.schema_name, target.table_name)
    return _told(connection, SIZE, [name], kind=int)


def room_of(connection: psycopg.Connection[Any]) -> Room | None:
    """The limit that leaves the least, without *connection* itself; None where none is told."""
    return _row(connection, CONNECTIONS, (), factory=class_row(Room))


def _told(
    connection: psycopg.Connection[Any],
    question: LiteralString,
    about: Sequence[object],
    *,
    kind: type[Answer],
) -> Answer | None:
    """The only value that the server answers, None where it has none or refuses."""
    row = _row(connection, question, about, factory=tuple_row)
    return row[0] if row and isinstance(row[0], kind) else None


def _row(
    connection: psycopg.Connection[Any],
    question: LiteralString,
    about: Sequence[object],
    *,
    factory: BaseRowFactory[Answer],
) -> Answer | None:
    try:
        with connection.transaction(), connection.cursor(row_factory=factory) as cursor:
            cursor.execute(LIMIT)
            return cursor.execute(question, about).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None


def _is_on_this_machine(connection: psycopg.Connection[Any]) -> bool | None:
    """Whether the server runs here, by both ends of the session.

    Ours alone proves nothing: behind a local end may be a pooler, a tunnel or a container, with
    the server anywhere. They are told by the port, which the server then sees another one of.
    """
    seen = _row(connection, ENDS, (), factory=class_row(Ends))
    if seen is None:
        return None
    ours = socket.socket(fileno=connection.fileno())
    try:
        own_end, other_end = ours.getsockname(), ours.getpeername()
        is_file = ours.family not in {socket.AF_INET, socket.AF_INET6}
    finally:
        ours.detach()  # the client goes on using it
    if is_file:
        # A server that sees an address was reached by a pooler, to which the file belongs.
        return seen.address is None or _is_own(seen.address)
    if not _is_own(other_end[0]):
        return False
    if seen.address == other_end[0] and seen.client_port == own_end[1]:
        return True
    return None


def _is_own(address: str) -> bool:
    """Whether *address* is one of this machine's: nobody can listen at another's."""
    if ip_address(address).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _free_bytes(place: str | None) -> int | None:
    # A server in a container names places that are not there outside.
    if place is None or not Path(place).is_absolute():
        return None
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None
