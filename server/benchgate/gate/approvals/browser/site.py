"""`/approvals/…`: shows a question, takes the person's answer, and opens a closed one again.

A GET changes nothing, whatever it carries. An answer that is taken ends in a redirect to the
question, which then shows what was recorded; so that to load it anew sends nothing again.
"""

from importlib import resources

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from benchgate.domain.approvals import Approval, Channel
from benchgate.errors import (
    BenchgateError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthorized,
)
from benchgate.gate.approvals import counter
from benchgate.gate.approvals.browser.form import Form, read_form
from benchgate.gate.approvals.browser.guard import (
    HEADERS,
    Guard,
    keep_session,
    new_session,
    session_of,
)
from benchgate.gate.approvals.browser.look import look_at
from benchgate.gate.approvals.browser.pages import Pages
from benchgate.gate.approvals.counter import Counter
from benchgate.gate.approvals.desk import Desk, utc_now
from benchgate.gate.approvals.pin import Pin

ASSETS = {"page.css": "text/css", "icon.svg": "image/svg+xml"}
EMPTY = Form()
TOO_LATE = "This was not recorded, because the question does not take it any more."


class Site:
    """Answers the requests of browsers."""

    def __init__(self, desk: Desk, pin: Pin, *, address: str) -> None:
        """Serve the questions of *desk* at *address*, with *pin* where one is set."""
        self._desk = desk
        self._pin = pin
        self._guard = Guard(address)
        self._pages = Pages()
        # One answer at a time, so that a flood of PINs, each slow to check, takes one thread only.
        self._turn = anyio.Lock()

    async def respond(self, request: Request) -> Response:
        """The one door: whatever is asked for, the guard looks first."""
        try:
            self._guard.check(request)
            response = await self._dispatch(request, request.path_params["path"].split("/"))
        except NotFound:
            response = HTMLResponse(self._pages.missing(), NotFound.status)
        except BenchgateError as exc:
            response = HTMLResponse(self._pages.refused(exc), exc.status)
        response.headers.update(HEADERS)
        return response

    async def _dispatch(self, request: Request, path: list[str]) -> Response:
        match request.method, path:
            case "POST", [approval_id]:
                return await self._answer(request, approval_id)
            case "POST", [approval_id, "reopen"]:
                return await self._reopen(request, approval_id)
            case "GET" | "HEAD", [approval_id]:
                return await self._show(request, approval_id)
            case "GET" | "HEAD", ["assets", name] if name in ASSETS:
                return Response(_asset(name), media_type=ASSETS[name])
            case _:
                raise NotFound("There is no such page.")

    async def _show(
        self,
        request: Request,
        approval_id: str,
        *,
        told: BenchgateError | None = None,
        form: Form = EMPTY,
    ) -> Response:
        """The question as it stands; *told* is why *form* was not taken."""
        look = await self._desk.do(
            lambda record: look_at(record, self._pin, approval_id, at=utc_now())
        )
        session = session_of(request) or new_session()
        text = self._pages.question(
            look,
            token_for=lambda one: self._guard.token(session, one),
            told=told.advice if told else "",
            form=form,
        )
        response = HTMLResponse(text, told.status if told else 200)
        keep_session(response, session)
        return response

    async def _answer(self, request: Request, approval_id: str) -> Response:
        form = await read_form(request)
        try:
            self._check_token(request, approval_id, form)
            async with self._turn:
                await self._respond(approval_id, form)
        except (InvalidInput, Unauthorized, Forbidden) as exc:
            return await self._show(request, approval_id, told=exc, form=form)
        except Conflict:
            late = Conflict(TOO_LATE, hint="How it stands is shown here.")
            return await self._show(request, approval_id, told=late)
        return _see(approval_id)

    async def _reopen(self, request: Request, approval_id: str) -> Response:
        form = await read_form(request)
        try:
            self._check_token(request, approval_id, form)
            opened = await self._desk.do(
                lambda record: Counter(record, self._pin, Channel.PAGE).reopen(
                    approval_id, at=utc_now()
                )
            )
        except (Conflict, Forbidden) as exc:
            return await self._show(request, approval_id, told=exc)
        return _see(opened.approval_id)

    async def _respond(self, approval_id: str, form: Form) -> Approval:
        response = counter.Response(
            decision=form.decision,
            mode=form.mode,
            note=form.note,
            typed=form.typed_name,
            pin=form.pin,
        )
        return await self._desk.do(
            lambda record: Counter(record, self._pin, Channel.PAGE).respond(
                approval_id, response, at=utc_now()
            )
        )

    def _check_token(self, request: Request, approval_id: str, form: Form) -> None:
        session = session_of(request)
        self._guard.check_token(form.csrf, session=session, approval_id=approval_id)


def _see(approval_id: str) -> RedirectResponse:
    return RedirectResponse(f"/approvals/{approval_id}", 303)


def _asset(name: str) -> bytes:
    return (resources.files("benchgate.gate.approvals.browser") / name).read_bytes()
