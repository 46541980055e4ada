"""Where libpq goes with what a connection says and what the environment adds, without going there.

The environment has variables for whatever a connection leaves open, a service file, and a socket
of its own at the end. libpq alone knows how they go together, so it is libpq that is asked.
"""

import os

from psycopg import pq
from psycopg.conninfo import make_conninfo

from benchgate.backend.drivers.port import ConnectionReference, Target
from benchgate.domain.text import one_line
from benchgate.errors import DatabaseError

# libpq puts together where to go before it looks at the rest, and goes nowhere with a mode that it
# does not know.
NO_MODE = "benchgate-only-looks"
SERVICE_VARIABLE = "PGSERVICE"


def server_of(reference: ConnectionReference) -> dict[str, str | int | None]:
    """The parameters that tell libpq where to go, and as whom."""
    hostaddr = reference.hostaddr
    if hostaddr is None and reference.host is not None:
        # The environment's address, or a service's, would stand in for the host that is named.
        hostaddr = ""
    return {
        "service": reference.service,
        "host": reference.host,
        "hostaddr": hostaddr,
        "port": reference.port,
        "user": reference.username,
    }


def resolved(target: Target) -> Target:
    """*target* with the server and the user named to which its connection leads in this process.

    Raises:
        DatabaseError: it leads nowhere, for example because there is no such service.
    """
    reference = target.connection or ConnectionReference()
    wanted = server_of(reference) | {"dbname": target.database, "sslmode": NO_MODE}
    found = pq.PGconn.connect_start(make_conninfo("", **wanted).encode())
    try:
        refusal = found.error_message.decode("utf-8", "replace")
        if NO_MODE not in refusal:
            raise DatabaseError(
                f"Where the connection leads cannot be told: {one_line(refusal)}",
                hint="Name the server in a saved connection, or correct the environment.",
            )
        told = {option.keyword.decode(): option.val.decode() for option in found.info if option.val}
        default = None if "hostaddr" in told else found.host.decode()
    finally:
        found.finish()
    server = reference.model_copy(
        update={
            "service": reference.service or os.environ.get(SERVICE_VARIABLE) or None,  # noqa: TID251 - libpq's
            "host": told.get("host", default),
            "hostaddr": told.get("hostaddr"),
            "port": _port(told.get("port", "")),
            "username": told.get("user"),
        }
    )
    return target.model_copy(update={"connection": server})


def _port(told: str) -> int | str | None:
    """A number; where there are several servers, one for each of them as libpq takes them."""
    return int(told) if told.isdecimal() else told or None
