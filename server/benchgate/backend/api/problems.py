"""The one seam where an error becomes an HTTP answer: `{"detail": …, "hint": …}`.

What a person typed is told back bounded and on one line, and never where it may be a secret.
"""

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from benchgate.domain.contract import Problem
from benchgate.domain.text import one_line
from benchgate.errors import BenchgateError, Unauthorized

VALUE_CHARACTERS_MAX = 120
RULE_CHARACTERS_MAX = 300
FIELD_CHARACTERS_MAX = 200
PROBLEMS_MAX = 20
SECRETIVE = re.compile(r"pass|secret|token|credential|private|key|service", re.IGNORECASE)

UNEXPECTED = "Something broke inside the backend; nothing more is known here."
HINTS = {
    401: Unauthorized.hint,
    404: "Look at /api/docs for the paths that exist.",
    405: "Look at /api/docs for the methods of this path.",
    413: "Send less than 1 MB.",
}

DENIAL = "websocket.http.response"
CLOSE_CODE_BASE = 4_000  # the codes from here on are an application's own

log = logging.getLogger(__name__)


class Violation(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    value: str
    rule: str


def install(app: FastAPI) -> None:
    """Answer every error of *app* in one shape; a crash is the concern of `CrashSeam`."""
    app.add_exception_handler(BenchgateError, _ours)
    app.add_exception_handler(RequestValidationError, _violations)
    app.add_exception_handler(HTTPException, _http)


def problem_response(error: BenchgateError) -> JSONResponse:
    """*error* as an answer."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == Unauthorized.status else None
    return _answer(error.status, str(error), hint=error.hint, headers=headers)


async def deny(socket: WebSocket, error: BenchgateError) -> None:
    """Refuse *socket* at its handshake with *error*, or where HTTP cannot be said, by a code."""
    if DENIAL in socket.scope.get("extensions", {}):
        await socket.send_denial_response(problem_response(error))
    else:
        await socket.close(CLOSE_CODE_BASE + error.status, str(error))


class CrashSeam:
    """Answers 500 for whatever nobody foresaw; the traceback goes to the log alone."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand around *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app; answer for it if it breaks before it has answered."""
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception:
            log.exception("%s %s broke", scope.get("method", scope["type"]), scope.get("path"))
            if started or scope["type"] != "http":
                raise
            await _answer(500, UNEXPECTED, hint=BenchgateError.hint)(scope, receive, send)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BenchgateError)
    return problem_response(error)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = error.status_code
    return _answer(
        status, one_line(str(error.detail)), hint=HINTS.get(status), headers=error.headers
    )


async def _violations(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    violations = [violation(found) for found in error.errors()[:PROBLEMS_MAX]]
    hint = "Correct the fields that are named and send the request again."
    return _answer(422, tuple(v.model_dump() for v in violations), hint=hint)


def violation(found: dict[str, Any]) -> Violation:
    """One of pydantic's findings as field, value and rule."""
    where: Sequence[str | int] = found["loc"]
    path = [str(part) for part in where[1:]] or [str(where[0])]
    return Violation(
        field=one_line(".".join(path), FIELD_CHARACTERS_MAX),
        value=_shown(found.get("input"), secretive=bool(SECRETIVE.search(path[-1]))),
        rule=one_line(found["msg"].removeprefix("Value error, "), RULE_CHARACTERS_MAX),
    )


def _shown(value: object, *, secretive: bool) -> str:
    """*value* as it may be repeated: an object could hold a secret anywhere, so only its kind."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if secretive and value is not None:
        return "(not shown)"
    # A number of a million digits or a text of a megabyte is cut before it is written out.
    if isinstance(value, int) and abs(value) >= 10**VALUE_CHARACTERS_MAX:
        return "a very large number"
    short = value[: VALUE_CHARACTERS_MAX * 4] if isinstance(value, str) else value
    return one_line(repr(short), VALUE_CHARACTERS_MAX)


def _answer(
    status: int,
    detail: str | tuple[dict[str, Any], ...],
    *,
    hint: str | None,
    headers: Any = None,
) -> JSONResponse:
    body = Problem(detail=detail, hint=hint).model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, status_code=status, headers=headers)
