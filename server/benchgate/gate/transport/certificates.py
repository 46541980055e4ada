"""Whose certificates the gate believes, and why it does not believe one.

Knows no backend and no request. Nothing here can be switched off.
"""

import ssl
from typing import Any, Self

from benchgate.domain.text import one_line

HINT = (
    "Have the issuer of the backend's certificate installed in this machine's certificate store, "
    "or set SSL_CERT_FILE to a file that holds it, and start benchgate again. "
    "The check itself cannot be switched off."
)

CAUSES_MAX = 10


class Trust(ssl.SSLContext):
    """Believes whom the machine believes, or SSL_CERT_FILE in its place, and besides certifi's.

    What the machine believes knows the issuer within a company; certifi's is there where the
    machine has no store at all.
    """

    def __new__(cls) -> Self:
        """A context for clients, which checks every certificate and its host name."""
        trust = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        # A distribution may have built Python to leave that to the machine.
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
        trust._is_read = False
        return trust

    _is_read: bool

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Read both stores before the first connection, as starting up must not pay for them."""
        if not self._is_read:
            import certifi  # noqa: PLC0415 - start-up imports little

            self.load_default_certs()
            self.load_verify_locations(certifi.where())
            self._is_read = True
        return super().wrap_bio(*args, **kwargs)


def distrust(error: BaseException) -> str | None:
    """Why a certificate was not believed, without a full stop, where *error* comes of that."""
    cause: BaseException | None = error
    # A chain of causes can be a ring, where one and the same exception is raised again.
    for _ in range(CAUSES_MAX):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return one_line(cause.verify_message or str(cause)).rstrip(".")
        cause = (cause.__cause__ or cause.__context__) if cause is not None else None
    return None
