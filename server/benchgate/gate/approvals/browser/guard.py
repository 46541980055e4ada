"""Which requests may reach the approvals page, and what every answer of it forbids a browser.

The link to a page is a capability to look. To answer takes a form that this very page has given
out: a browser names the page that sends a form (Origin), sends this page's cookie with it only
from here, and no other page can read the token that goes with the cookie. A page of another
server cannot get in by a name of its own either (DNS rebinding), because only loopback names and
our own port count. All this holds against pages; a program with the person's own rights can do
whatever a browser can, and against it there is no guard but a PIN that it does not know.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from benchgate.errors import Forbidden

COOKIE = "benchgate_approvals"
COOKIE_PATH = "/approvals"
SESSION = re.compile(r"[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32
HTTP_PORT = 80

POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Under no-referrer a browser would send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OPEN_THE_LINK = "Open the link that your agent showed, as it stands."
LOOK_AGAIN = "Nothing was recorded. Look at the question below once more, and answer it here."


class Guard:
    """Tells our own page's requests from all others."""

    def __init__(self, address: str) -> None:
        """Guard the server at *address*; the key of its tokens dies with it."""
        self._port = urlsplit(address).port or HTTP_PORT
        self._key = secrets.token_bytes(SECRET_BYTES)

    def check(self, request: Request) -> None:
        """Let a request in that names this server, and comes from its own page if it posts.

        Raises:
            Forbidden: it does not.
        """
        host = request.headers.get("host", "")
        if not self._is_ours(host):
            raise Forbidden("The request names a server that this one is not.", hint=OPEN_THE_LINK)
        if request.method != "POST":
            return
        origins = [origin.lower() for origin in request.headers.getlist("origin")]
        sent_from = request.headers.get("sec-fetch-site", "same-origin")
        if origins != [f"http://{host.lower()}"] or sent_from != "same-origin":
            raise Forbidden("Only this page's own form can answer.", hint=OPEN_THE_LINK)

    def token(self, session: str, approval_id: str) -> str:
        """What a form about *approval_id* has to hold, in the browser of *session*."""
        text = f"{session}/{approval_id}".encode()
        return hmac.digest(self._key, text, hashlib.sha256).hex()

    def check_token(self, token: str, *, session: str | None, approval_id: str) -> None:
        """Let only a form pass that was given out to this browser, about this question.

        Raises:
            Forbidden: it was not; the form may be older than this process.
        """
        expected = self.token(session or "", approval_id).encode()
        given = token.encode("utf-8", "surrogatepass")
        if session is None or not hmac.compare_digest(expected, given):
            raise Forbidden("This form was not given out to this browser.", hint=LOOK_AGAIN)

    def _is_ours(self, host: str) -> bool:
        if "@" in host:
            return False
        try:
            parts = urlsplit(f"//{host}")
            port = parts.port or HTTP_PORT
        except ValueError:
            return False
        return port == self._port and _is_loopback(parts.hostname or "")


def session_of(request: Request) -> str | None:
    """The session that the browser shows, if it is one."""
    session = request.cookies.get(COOKIE, "")
    return session if SESSION.fullmatch(session) else None


def new_session() -> str:
    """A session that nobody has."""
    return secrets.token_urlsafe(SECRET_BYTES)


def keep_session(response: Response, session: str) -> None:
    """Have the browser keep *session* until it is closed, and show it to this page alone.

    Not `Secure`, because loopback speaks no TLS.
    """
    response.set_cookie(
        COOKIE, session, path=COOKIE_PATH, httponly=True, samesite="strict", max_age=None
    )


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
