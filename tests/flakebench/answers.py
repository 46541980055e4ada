"""How the emulated backend answers what it does not do: `{"detail": …}`, of three types."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from tests.flakebench.plans import Refused
from tests.flakebench.world import Failed, NotThere, World

Shape = TypeVar("Shape", bound=BaseModel)


class Invalid(Exception):
    """The request is not of the shape that the route takes; *errors* tells where."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


class Unreachable(Exception):
    """The database's connector has raised while the backend did *operation*."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


def world_of(request: Request) -> World:
    """The state that the app works on."""
    world: World = request.app.state.world
    return world


def detail(status: int, content: Any, headers: Any = None) -> JSONResponse:
    """An error's body."""
    return JSONResponse({"detail": content}, status_code=status, headers=headers)


def internal_error(operation: str, text: str) -> JSONResponse:
    """A 500 of the product: the reason is only in `debug`."""
    return detail(
        500,
        {
            "code": "INTERNAL_ERROR",
            "message": f"{operation} failed.",
            "operation": operation,
            "debug": text,
        },
    )


async def of_http_exception(request: Request, exc: Exception) -> JSONResponse:
    """No such route, or not with that method."""
    assert isinstance(exc, HTTPException)
    return detail(exc.status_code, exc.detail, exc.headers)


async def of_not_there(request: Request, exc: Exception) -> JSONResponse:
    """A handler's own 404."""
    return detail(404, str(exc))


async def of_refused(request: Request, exc: Exception) -> JSONResponse:
    """A handler's 400 with the true reason."""
    return detail(400, str(exc))


async def of_invalid(request: Request, exc: Exception) -> JSONResponse:
    """A 422, whose detail is a list."""
    assert isinstance(exc, Invalid)
    return detail(422, exc.errors)


async def of_unreachable(request: Request, exc: Exception) -> JSONResponse:
    """A 503, whose detail is an object."""
    assert isinstance(exc, Unreachable)
    return detail(
        503,
        {
            "code": "SNOWFLAKE_CONNECTION_FAILED",
            "message": "Could not connect to Snowflake.",
            "operation": exc.operation,
            "hint": "Check the account and the network.",
            "debug": "250001 (08001): Failed to connect to DB",
        },
    )


def of_failed(_: Request, exc: Exception) -> JSONResponse:
    return internal_error(*exc.args)


HANDLERS: dict[Any, Any] = {
    Failed: of_failed,
    HTTPException: of_http_exception,
    NotThere: of_not_there,
    Refused: of_refused,
    Invalid: of_invalid,
    Unreachable: of_unreachable,
}


async def body_of(request: Request, shape: type[Shape]) -> Shape:
    """The request's body as *shape*.

    Raises:
        Invalid: it is not JSON, is not declared to be, or has another shape.
    """
    content: Any = (await request.body()).decode()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            content = json.loads(content)
        except json.JSONDecodeError as exc:
            raise Invalid([_not_json(exc)]) from exc
    try:
        return TypeAdapter(shape).validate_python(content, from_attributes=True)
    except ValidationError as exc:
        raise Invalid(
            [
                {**error, "loc": ["body", *error["loc"]]}
                for error in exc.errors(include_url=False, include_context=False)
            ]
        ) from exc


def _not_json(exc: json.JSONDecodeError) -> dict[str, Any]:
    return {
        "type": "json_invalid",
        "loc": ["body", exc.pos],
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": exc.msg},
    }


def query_of(request: Request, name: str) -> str:
    """A query parameter that has to be there.

    Raises:
        Invalid: it is not.
    """
    value = request.query_params.get(name)
    if value is None:
        raise Invalid(
            [{"type": "missing", "loc": ["query", name], "msg": "Field required", "input": None}]
        )
    return value
