"""The keys under which a question's state is sealed while it is at a client.

They lie in a file of the data folder that its user alone can read, so that an answer still counts
after the server was started anew. The file is made when the first state is sealed: a server that
is only looked at leaves nothing behind.
"""

import os
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from benchgate.errors import StoreError
from benchgate.gate.home import GateHome

KEY_BYTES = 32


class StateKeys:
    """Seals and opens states under the key of a data folder."""

    def __init__(self, home: GateHome) -> None:
        """Keep the key in *home*, which is made at the first use."""
        self._home = home

    def check(self) -> None:
        """Make sure that a state can be sealed.

        Raises:
            StoreError: it cannot, because there is no key that can be used.
        """
        _ = self._codec

    def seal(self, payload: bytes) -> str:
        """*payload* as a token that only this folder's servers can make or read."""
        return self._codec.seal(payload)

    def unseal(self, token: str) -> bytes:
        """What was sealed.

        Raises:
            InvalidRequestState: the token is not one of ours.
        """
        try:
            codec = self._codec
        except StoreError as exc:
            raise InvalidRequestState("the key cannot be read") from exc
        return codec.unseal(token)

    @cached_property
    def _codec(self) -> AESGCMRequestStateCodec:
        try:
            self._home.made()
            return AESGCMRequestStateCodec([_key(self._home.key_file)])
        except (OSError, ValueError) as exc:
            raise StoreError(f"The key file cannot be used: {exc}") from exc


def _key(path: Path) -> str:
    """The key at *path*; of several that make it at once, all get the one that came first."""
    with suppress(FileExistsError):
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        if not path.exists():
            try:
                _write_privately(temporary, secrets.token_hex(KEY_BYTES))
                # A link fails where the name is taken, and shows no half-written file.
                os.link(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
    return path.read_text(encoding="ascii").strip()


def _write_privately(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
