"""A backend with a checkpoint before it: every request passes, is counted, and can be held.

It stands between a gate process and the real backend, so that a test can stop the gate exactly
between two steps of a start.
"""

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.acceptance.home import Home

HOLD_SECONDS_MAX = 30
PASSED_ON = ("content-type", "accept")


class Checkpoint:
    """Where requests are held: the one whose `METHOD path` ends so, before or after it is served.

    `skip` lets that many of them pass first.
    """

    def __init__(self, home: Home) -> None:
        self._record = home.record
        self.passed: Counter[str] = Counter()
        self.reached = threading.Event()
        self._go_on = threading.Event()
        self._held = ""
        self._skip = 0
        self._after = False
        self.url = ""

    def hold(self, ending: str, *, skip: int = 0, after: bool = False) -> None:
        """Hold the next request that ends so, once *skip* of them have passed."""
        self.reached.clear()
        self._go_on.clear()
        self._held, self._skip, self._after = ending, skip, after

    def open(self) -> None:
        """Let everything pass from now on; what was held goes nowhere."""
        self._held = ""
        self._go_on.set()

    def serve(self, request: str, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        """The backend's answer, or None for a request that was held and is not to be served."""
        is_held = self._is_held(request)
        if is_held and not self._after:
            self._wait()
            return None
        method, _, path = request.partition(" ")
        self.passed[f"{method} {path.rpartition('/')[2]}"] += 1
        headers["authorization"] = f"Bearer {self._record.token.get_secret_value()}"
        answer = httpx.request(
            method,
            self._record.url + path,
            headers=headers,
            content=body,
            timeout=20,
            verify=False,  # to load certificates costs more than a request on loopback
        )
        if is_held:
            self._wait()
            return None
        return answer

    def _is_held(self, request: str) -> bool:
        if not self._held or not request.endswith(self._held):
            return False
        self._skip -= 1
        return self._skip < 0

    def _wait(self) -> None:
        self._held = ""
        self.reached.set()
        self._go_on.wait(HOLD_SECONDS_MAX)


@contextmanager
def checkpoint(home: Home) -> Generator[Checkpoint]:
    """A checkpoint before the backend of *home*, on a port of its own."""
    point = Checkpoint(home)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            answer = point.serve(f"{self.command} {self.path}", headers, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers.get("content-type", "text/plain"))
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = handle_any  # noqa: N815 - the names that the library looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    point.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield point
    finally:
        point.open()
        server.shutdown()
        server.server_close()
        thread.join()
