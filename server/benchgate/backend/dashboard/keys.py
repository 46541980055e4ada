"""The keys that open a run's dashboard page: one for the way there, one for the browser.

A link carries a *key*: it lives for a quarter of an hour and is good for one trade, against a
*pass* that the browser keeps in a cookie. Both are bound to their run and to this life of the
backend, and neither tells anything of the token that they are derived from.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import timedelta

from pydantic import SecretStr

from benchgate.backend.clock import Clock

KEY_LIFETIME = timedelta(minutes=15)
PASS_LIFETIME = timedelta(hours=25)  # longer than the longest run

EXPIRY_BYTES = 4
NONCE_BYTES = 6
MAC_BYTES = 14  # all three make 24 bytes, which are 32 characters of an address
SPENT_MAX = 10_000


class DashboardKeys:
    """Makes and checks keys and passes; remembers the keys that were traded."""

    def __init__(self, token: SecretStr, clock: Clock) -> None:
        """Derive everything from the backend's *token*."""
        secret = token.get_secret_value().encode()
        self._key_secret = hmac.digest(secret, b"benchgate dashboard key", hashlib.sha256)
        self._pass_secret = hmac.digest(secret, b"benchgate dashboard pass", hashlib.sha256)
        self._clock = clock
        self._spent: dict[str, int] = {}

    def link(self, run_id: str) -> str:
        """The path of the run's page, with a fresh key."""
        return f"/dashboard/{run_id}?key={self._make(self._key_secret, run_id, KEY_LIFETIME)}"

    def trade(self, run_id: str, key: str) -> str | None:
        """A pass for *key*, or None when it is forged, too old, of another run or spent."""
        expiry = self._expiry(self._key_secret, run_id, key)
        if expiry is None or key in self._spent:
            return None
        self._forget_expired()
        if len(self._spent) >= SPENT_MAX:
            return None
        self._spent[key] = expiry
        return self._make(self._pass_secret, run_id, PASS_LIFETIME)

    def admits(self, run_id: str, browser_pass: str) -> bool:
        """Whether *browser_pass* opens the run's page now."""
        return self._expiry(self._pass_secret, run_id, browser_pass) is not None

    def _make(self, secret: bytes, run_id: str, lifetime: timedelta) -> str:
        expiry = int((self._clock() + lifetime).timestamp())
        head = expiry.to_bytes(EXPIRY_BYTES, "big") + secrets.token_bytes(NONCE_BYTES)
        return base64.urlsafe_b64encode(head + _mac(secret, run_id, head)).decode()

    def _expiry(self, secret: bytes, run_id: str, text: str) -> int | None:
        """When *text* expires, if it is genuine and has not."""
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return None
        # One spelling only: another one of the same bytes would be another key to remember.
        if base64.urlsafe_b64encode(raw).decode() != text:
            return None
        head, mac = raw[: EXPIRY_BYTES + NONCE_BYTES], raw[EXPIRY_BYTES + NONCE_BYTES :]
        if not hmac.compare_digest(mac, _mac(secret, run_id, head)):
            return None
        expiry = int.from_bytes(head[:EXPIRY_BYTES], "big")
        return expiry if expiry > self._now() else None

    def _forget_expired(self) -> None:
        now = self._now()
        self._spent = {key: expiry for key, expiry in self._spent.items() if expiry > now}

    def _now(self) -> int:
        return int(self._clock().timestamp())


def _mac(secret: bytes, run_id: str, head: bytes) -> bytes:
    return hmac.digest(secret, head + run_id.encode(), hashlib.sha256)[:MAC_BYTES]
