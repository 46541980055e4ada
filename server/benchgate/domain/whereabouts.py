"""A server as a person is shown it: where it is comes first, and no part pushes out another."""

from benchgate.domain.text import one_line

HOST_CHARACTERS_MAX = 1_024  # several of them may stand in one
PORT_CHARACTERS_MAX = 100
PART_CHARACTERS_MAX = 64
NAME_CHARACTERS_MAX = 40


def server(
    host: str,
    *,
    port: int | str | None = None,
    database: str | None = None,
    username: str | None = None,
    role: str | None = None,
) -> str:
    """`host:port/database as username, role role`, without the parts that are not known."""
    parts = (
        ("", one_line(host, HOST_CHARACTERS_MAX)),
        (":", one_line(str(port or ""), PORT_CHARACTERS_MAX)),
        ("/", one_line(database or "", PART_CHARACTERS_MAX)),
        (" as ", one_line(username or "", PART_CHARACTERS_MAX)),
        (", role ", one_line(role or "", PART_CHARACTERS_MAX)),
    )
    return "".join(mark + part for mark, part in parts if part)


def named(where: str, *names: str) -> str:
    """*where* with what somebody has called it, which proves nothing."""
    shown = [one_line(name, NAME_CHARACTERS_MAX) for name in names if name]
    return f"{where} ({', '.join(shown)})" if shown else where
