"""`/dashboard/{run_id}`: serves the live page, what it reads, and the files that it is made of.

The page is opened by a key that is good once and kept open by a cookie that reaches this run's
paths alone. The files hold no value of any run: everything is read by the page's own script.
"""

from importlib import resources

from fastapi import APIRouter
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.websockets import WebSocket

from benchgate.backend.api.live import Streams
from benchgate.backend.api.problems import deny
from benchgate.backend.auth import AUTHENTICATED
from benchgate.backend.dashboard.content import PageData, content_of
from benchgate.backend.dashboard.keys import PASS_LIFETIME, DashboardKeys
from benchgate.backend.series import SeriesTable
from benchgate.backend.watch import Watch
from benchgate.domain.contract import Series
from benchgate.errors import NotFound, Unauthorized

COOKIE = "benchgate_dashboard"
PAGE = "page.html"
REFUSAL = "refused.html"
ASSETS = {
    "page.js": "text/javascript",
    "chart.js": "text/javascript",
    "figures.js": "text/javascript",
    "findings.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


class Door:
    """Decides whether a browser may see a run."""

    def __init__(self, keys: DashboardKeys) -> None:
        """Check with *keys*."""
        self._keys = keys

    def enter(self, run_id: str, *, key: str | None, browser_pass: str) -> Response:
        """The page; or, for a key that is good, the way to it without the key in the address."""
        admitted = self._keys.admits(run_id, browser_pass)
        if key is None:
            return _page(PAGE) if admitted else _page(REFUSAL, status=Unauthorized.status)
        fresh = self._keys.trade(run_id, key)
        if fresh is None and not admitted:
            return _page(REFUSAL, status=Unauthorized.status)
        clean = RedirectResponse(f"/dashboard/{run_id}", status_code=303)
        if fresh is not None:
            clean.set_cookie(
                COOKIE,
                fresh,
                path=f"/dashboard/{run_id}",
                max_age=int(PASS_LIFETIME.total_seconds()),
                httponly=True,
                samesite="lax",
            )
        return clean

    def check(self, connection: HTTPConnection, run_id: str) -> None:
        """Let only a browser with the run's pass, or the holder of the token, read on."""
        if connection.scope["state"][AUTHENTICATED]:
            return
        if not self._keys.admits(run_id, connection.cookies.get(COOKIE, "")):
            raise Unauthorized(
                "This browser has no pass for the page of this run.",
                hint="Ask the agent for the status of the run: it comes with a fresh link.",
            )


def page_routes(door: Door, watch: Watch, series: SeriesTable) -> APIRouter:
    """The page and what it reads once."""
    router = APIRouter(prefix="/dashboard/{run_id}", include_in_schema=False)

    @router.get("")
    async def open_page(request: Request, run_id: str, key: str | None = None) -> Response:
        # On the event loop, so that two requests with one key cannot both trade it.
        return door.enter(run_id, key=key, browser_pass=request.cookies.get(COOKIE, ""))

    @router.get("/data")
    def get_data(request: Request, run_id: str) -> PageData:
        door.check(request, run_id)
        return content_of(watch.detail(run_id), watch.status(run_id))

    @router.get("/series")
    def get_series(request: Request, run_id: str) -> Series:
        door.check(request, run_id)
        points = series.of(run_id)
        return Series(test_id=run_id, snapshots=points, count=len(points))

    return router


def stream_routes(door: Door, streams: Streams) -> APIRouter:
    """The page's own WebSocket, where its cookie reaches."""
    router = APIRouter()

    @router.websocket("/dashboard/{run_id}/ws")
    async def watch_run(socket: WebSocket, run_id: str) -> None:
        try:
            door.check(socket, run_id)
        except Unauthorized as exc:
            await deny(socket, exc)
            return
        await streams.serve(socket, run_id)

    return router


def asset_routes() -> APIRouter:
    """The files of the page; they are the same for everyone and hold no secret."""
    router = APIRouter(include_in_schema=False)
    files = {name: _read(name) for name in ASSETS}

    @router.get("/assets/{name}")
    async def get_asset(name: str) -> Response:
        if name not in files:
            raise NotFound("There is no such file.", hint="Open a run's dashboard page instead.")
        return Response(files[name], media_type=ASSETS[name])

    return router


def _page(name: str, *, status: int = 200) -> HTMLResponse:
    policy = {"Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(_read(name), status_code=status, headers=policy)


def _read(name: str) -> str:
    return (resources.files("benchgate.backend.dashboard") / name).read_text(encoding="utf-8")
