"""What a backend's HTTP answers come to: a value of the wanted shape, or one of our errors.

Knows neither which backend answered nor what it was asked for.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from benchgate.domain.text import one_line
from benchgate.errors import (
    BackendError,
    BackendUnavailable,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthorized,
)

ANSWER_BYTES_MAX = 8_000_000

Shape = TypeVar("Shape")

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL)

# Told by something before the backend, which may not have heard of it yet.
GATEWAY_ERRORS = frozenset({502, 503, 504})
CLIENT_ERRORS: dict[int, type[BenchgateError]] = {
    404: NotFound,
    400: InvalidInput,
    409: Conflict,
    422: InvalidInput,
}


@contextmanager
def our_errors() -> Generator[None]:
    """Translate what httpx and the clock raise, so that no caller has to know either."""
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, TimeoutError) as exc:
        kind = (
            "did not answer in time"
            if isinstance(exc, (httpx.TimeoutException, TimeoutError))
            else "could not be reached"
        )
        error = BackendUnavailable(f"The backend {kind}.")
        error.may_be_on_its_way = not isinstance(exc, NEVER_SENT)
        raise error from exc
    except httpx.DecodingError as exc:
        raise BackendError("The backend sent an answer that cannot be decoded.") from exc


async def content_of(response: httpx.Response) -> bytes:
    """The body, up to a limit: an answer without end must not fill the memory."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > ANSWER_BYTES_MAX:
            raise BackendError(f"The backend's answer is larger than {ANSWER_BYTES_MAX} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def parsed(response: httpx.Response, content: bytes, shape: TypeAdapter[Shape]) -> Shape:
    """The answer in *shape*.

    Raises:
        BenchgateError: it is a refusal, told in the backend's words, or cannot be read.
    """
    path, status = response.request.url.path, response.status_code
    if not response.is_success:
        raise _refusal(response, content)
    try:
        return shape.validate_json(content)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        error = BackendError(
            f"The backend's answer {status} to {path} cannot be read: {where}: {first['msg']}."
        )
        error.may_be_on_its_way = True
        raise error from exc


def _refusal(response: httpx.Response, content: bytes) -> BenchgateError:
    """An error status as one of our errors, with the backend's own words, bounded."""
    status = response.status_code
    detail, hint = _words(content)
    if status in CLIENT_ERRORS and detail:
        return CLIENT_ERRORS[status](detail, hint=hint)
    if status in {401, 403}:
        return Unauthorized(
            f"The backend refused the credentials ({status}).",
            hint="Set BENCHGATE_BACKEND_TOKEN to the backend's token.",
        )
    if response.has_redirect_location:
        return BackendError(
            f"The backend answered {status}, a redirect, which is not followed.",
            hint="Set BENCHGATE_BACKEND_URL to the address that the backend itself serves.",
        )
    error = BackendError(f"The backend answered {status}: {detail or 'no readable message'}.")
    error.may_be_on_its_way = status in GATEWAY_ERRORS
    return error


def _words(content: bytes) -> tuple[str, str | None]:
    """The `detail` and `hint` of an error body; text that is no JSON object has neither."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(body, dict):
        return "", None
    detail: object = body.get("detail")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    hint: object = body.get("hint")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    text = detail if isinstance(detail, str) else json.dumps(detail) if detail else ""
    return one_line(text), one_line(hint) if isinstance(hint, str) else None
