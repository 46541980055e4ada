"""An optional PIN that page and terminal ask for besides a yes.

Only a salted, slow hash of it is kept, in a file that its user alone can read. It raises the bar
for an agent with a shell; it is no boundary against one, because that shell has the person's own
rights and can remove the file.
"""

import hashlib
import hmac
import os
import secrets
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError

from benchgate.domain.values import Value
from benchgate.errors import InvalidInput, StoreError
from benchgate.gate.home import GateHome

PIN_CHARACTERS_MIN = 4
PIN_CHARACTERS_MAX = 64
SALT_BYTES = 16
# About a tenth of a second and 32 MiB for each try on a small machine.
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**15, 8, 1
MEMORY_BYTES_MAX = 2**26

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{32,128}$")]


class PinHash(Value):
    """What is kept of a PIN."""

    n: int = Field(default=SCRYPT_N, ge=2**10, le=2**15)
    r: int = Field(default=SCRYPT_R, ge=1, le=SCRYPT_R)
    p: int = Field(default=SCRYPT_P, ge=1, le=4)
    salt: Hex
    hash: Hex


class Pin:
    """The PIN of one user. Checking blocks for a tenth of a second: call it from a thread."""

    def __init__(self, home: GateHome) -> None:
        """Keep it in *home*."""
        self._home = home

    def is_set(self) -> bool:
        """Whether a PIN is asked for."""
        # Also where it is a link that leads nowhere now: whoever set a PIN has not taken it back.
        return os.path.lexists(self._home.pin_file)

    def matches(self, pin: SecretStr) -> bool:
        """Whether *pin* is the one that was set; nothing matches a file that cannot be read."""
        kept = self._kept()
        try:
            return kept is not None and hmac.compare_digest(_hash(pin, kept), kept.hash)
        except ValueError:  # numbers that no hash can be made with
            return False

    def set(self, pin: SecretStr) -> None:
        """Ask for *pin* from now on.

        Raises:
            InvalidInput: it is too short or too long.
            StoreError: it cannot be kept.
        """
        if not PIN_CHARACTERS_MIN <= len(pin.get_secret_value()) <= PIN_CHARACTERS_MAX:
            raise InvalidInput(
                f"A PIN has {PIN_CHARACTERS_MIN} to {PIN_CHARACTERS_MAX} characters.",
                hint="Choose another one; nothing was changed.",
            )
        salted = PinHash(salt=secrets.token_hex(SALT_BYTES), hash="0" * 32)
        kept = salted.model_copy(update={"hash": _hash(pin, salted)})
        try:
            self._write(kept.model_dump_json())
        except OSError as exc:
            raise StoreError(f"The PIN cannot be kept: {exc}") from exc

    def remove(self) -> None:
        """Ask for no PIN any more."""
        self._home.pin_file.unlink(missing_ok=True)

    def _kept(self) -> PinHash | None:
        try:
            return PinHash.model_validate_json(self._home.pin_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    def _write(self, text: str) -> None:
        self._home.made()
        temporary = self._home.pin_file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(self._home.pin_file)


def _hash(pin: SecretStr, kept: PinHash) -> str:
    return hashlib.scrypt(
        pin.get_secret_value().encode(),
        salt=bytes.fromhex(kept.salt),
        n=kept.n,
        r=kept.r,
        p=kept.p,
        maxmem=MEMORY_BYTES_MAX,
    ).hex()
