"""Whether the secret that a connection refers to can be found now, and if not, what is missing.

It keeps no secret: it looks whether the variable, the file or the entry is there. The
environment is this process's own, so a restart of the backend takes up a new one.
"""

import configparser
import os
from pathlib import Path

from benchgate.backend.drivers.port import ConnectionReference

FILE_BYTES_MAX = 1_000_000
PASSFILE_FIELDS = 5
SERVICE_FILE_VARIABLE = "PGSERVICEFILE"
SERVICE_FILE = "~/.pg_service.conf"


def missing(reference: ConnectionReference) -> str | None:
    """What *reference* names and cannot be found, in words; None when nothing is missing."""
    if reference.password_env is not None and not _environment(reference.password_env):
        return f"The environment variable {reference.password_env} is not set in the backend."
    passphrase_env = reference.private_key_passphrase_env
    if passphrase_env is not None and not _environment(passphrase_env):
        return f"The environment variable {passphrase_env} is not set in the backend."
    if reference.private_key_file is not None and not _read(Path(reference.private_key_file)):
        return f"The private key file {reference.private_key_file} cannot be read."
    if reference.passfile is not None and not _has_entry(reference):
        return f"The password file {reference.passfile} cannot be read or has no matching entry."
    if reference.service is not None and not _has_service(reference.service):
        return f"The service {reference.service} is not in the service file {_service_file()}."
    return None


def found(reference: ConnectionReference) -> bool:
    """Whether *reference* names a place for the password, and it is there."""
    named = (
        reference.password_env,
        reference.passfile,
        reference.private_key_file,
        reference.service,
    )
    return any(place is not None for place in named) and missing(reference) is None


def _environment(name: str) -> str | None:
    return os.environ.get(name)  # noqa: TID251 - this is the credential lookup


def _has_entry(reference: ConnectionReference) -> bool:
    """Whether a line of the password file fits; a database may still be excluded by it."""
    assert reference.passfile is not None
    lines = (_read(Path(reference.passfile)) or "").splitlines()
    entries = [_fields(line) for line in lines if line and not line.startswith("#")]
    wanted = (reference.host, str(reference.port or 5432), None, reference.username)
    return any(len(entry) == PASSFILE_FIELDS and _fits(entry, wanted) for entry in entries)


def _fits(entry: list[str], wanted: tuple[str | None, ...]) -> bool:
    pairs = zip(entry, wanted, strict=False)
    return all(have == "*" or want is None or have == want for have, want in pairs)


def _fields(line: str) -> list[str]:
    """The parts of a password file's line, where a backslash makes a colon ordinary."""
    fields, escaped = [""], False
    for character in line:
        if escaped or character not in "\\:":
            fields[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            fields.append("")
    return fields


def _has_service(name: str) -> bool:
    services = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        services.read_string(_read(Path(_service_file())) or "")
    except configparser.Error:
        return False
    return services.has_section(name)


def _service_file() -> str:
    return _environment(SERVICE_FILE_VARIABLE) or SERVICE_FILE


def _read(path: Path) -> str | None:
    try:
        with path.expanduser().open(encoding="utf-8", errors="replace") as file:
            return file.read(FILE_BYTES_MAX)
    except (OSError, RuntimeError):  # expanduser knows no home for some users
        return None
