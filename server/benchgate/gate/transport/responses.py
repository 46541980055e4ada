"""What a backend's HTTP answers come to: a value of the wanted shape, or one of our errors.

Knows neither which backend answered nor what it was asked for.
"""

import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, TypeVar

import httpx
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from benchgate.domain.text import one_line
from benchgate.domain.values import Value
from benchgate.errors import (
    BackendError,
    BackendUnavailable,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthorized,
)
from benchgate.gate.transport import certificates

ANSWER_BYTES_MAX = 8_000_000
# The one way in which an answer may be packed; it is told so with every request.
PACKING = "gzip"
PATH_CHARACTERS_MAX = 120
HOST_CHARACTERS_MAX = 120
FINDINGS_MAX = 3

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
REDIRECT_HINT = (
    "Set BENCHGATE_BACKEND_URL to the address that the backend itself serves. "
    "A token travels to that address alone."
)


def _words(value: object) -> str:
    """Text as one bounded line, and anything else as no text at all."""
    return one_line(value) if isinstance(value, str) else ""


Words = Annotated[str, BeforeValidator(_words)]


class Finding(Value):
    """What is wrong with one field: `loc` and `msg` of FastAPI, or `field` and `rule` of ours."""

    loc: tuple[str | int, ...] = ()
    msg: Words = ""
    field: Words = ""
    rule: Words = ""

    @property
    def text(self) -> str:
        """The finding, as `field: what is wrong`; what was sent is not repeated."""
        # The first part only says that the field is one of the body.
        where = ".".join(str(part) for part in self.loc[1:] or self.loc)
        return one_line(": ".join(filter(None, (self.field or where, self.rule or self.msg))))


class Detail(Value):
    """What a backend says of a failure; `debug` is the reason that it knows itself."""

    message: Words = ""
    debug: Words = ""
    hint: Words = ""

    @property
    def text(self) -> str:
        """The message, and after it the reason."""
        return one_line(" ".join(filter(None, (self.message, self.debug))))


class ErrorBody(Value):
    """The body of an error: `detail` is a sentence, an object, or a list of findings."""

    detail: str | Detail | tuple[Finding, ...] = ""
    hint: Words = Field(default="")

    def told(self) -> Detail:
        """All of it as one message, with a hint."""
        if isinstance(self.detail, Detail):
            return self.detail.model_copy(update={"hint": self.detail.hint or self.hint})
        if isinstance(self.detail, str):
            return Detail(message=self.detail, hint=self.hint)
        findings = (finding.text for finding in self.detail[:FINDINGS_MAX])
        return Detail(message="; ".join(filter(None, findings)), hint=self.hint)


ERROR_BODY = TypeAdapter(ErrorBody)


@contextmanager
def our_errors() -> Generator[None]:
    """Translate what httpx and the clock raise, so that no caller has to know either."""
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, TimeoutError) as exc:
        if reason := certificates.distrust(exc):
            raise BackendUnavailable(
                f"The backend's certificate cannot be trusted: {reason}.", hint=certificates.HINT
            ) from exc
        kind = (
            "did not answer in time"
            if isinstance(exc, (httpx.TimeoutException, TimeoutError))
            else "could not be reached"
        )
        error = BackendUnavailable(f"The backend {kind}.")
        error.may_be_on_its_way = not isinstance(exc, NEVER_SENT)
        raise error from exc


async def content_of(response: httpx.Response) -> bytes:
    """The body, unpacked, up to a limit: an answer without end must not fill the memory.

    Raises:
        BackendError: it is too large, or packed in a way that nobody asked for.
    """
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing not in {"", "identity", PACKING}:
        raise _unreadable("is packed in a way that was not asked for")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if packing == PACKING else None
    content = bytearray()
    async for chunk in response.aiter_raw():
        room = ANSWER_BYTES_MAX + 1 - len(content)
        try:
            content += unpacker.decompress(chunk, room) if unpacker else chunk
        except zlib.error as exc:
            raise _unreadable("cannot be unpacked") from exc
        if len(content) > ANSWER_BYTES_MAX:
            raise _unreadable(f"is larger than {ANSWER_BYTES_MAX} bytes")
    if unpacker and not unpacker.eof and content:
        raise _unreadable("ends in the middle")
    return bytes(content)


def parsed(response: httpx.Response, content: bytes, shape: TypeAdapter[Shape]) -> Shape:
    """The answer in *shape*.

    Raises:
        BenchgateError: it is a refusal, told in the backend's words, or cannot be read.
    """
    if not response.is_success:
        raise _refusal(response, content)
    try:
        return shape.validate_json(content)
    except ValidationError as exc:
        path = one_line(response.request.url.path, PATH_CHARACTERS_MAX)
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        wrong = one_line(f"{where}: {first['msg']}")
        error = BackendError(
            f"The backend's answer {response.status_code} to {path} cannot be read: {wrong}."
        )
        error.may_be_on_its_way = True
        raise error from exc


def _unreadable(why: str) -> BackendError:
    error = BackendError(f"The backend's answer {why}.")
    error.may_be_on_its_way = True
    return error


def _refusal(response: httpx.Response, content: bytes) -> BenchgateError:
    """An error status as one of our errors, with the backend's own words, bounded."""
    status, told = response.status_code, _told(content)
    if status in CLIENT_ERRORS and told.text:
        return CLIENT_ERRORS[status](told.text, hint=told.hint or None)
    if status in {401, 403}:
        return Unauthorized(
            f"The backend refused the credentials ({status}).",
            hint="Set BENCHGATE_BACKEND_TOKEN to the backend's token.",
        )
    if response.has_redirect_location:
        return BackendError(
            f"The backend answered {status}, a redirect to {destination(response)}, "
            "which is not followed.",
            hint=REDIRECT_HINT,
        )
    words = told.text.rstrip(".") or "no readable message"
    error = BackendError(f"The backend answered {status}: {words}.", hint=told.hint or None)
    error.may_be_on_its_way = status in GATEWAY_ERRORS
    error.debug = told.debug or None
    return error


def destination(response: httpx.Response) -> str:
    """Scheme, host and port that a redirect leads to, bounded; nothing else of its address."""
    try:
        url = response.request.url.join(response.headers["Location"])
        origin = f"{url.scheme}://{url.netloc.decode()}"
    except (httpx.InvalidURL, ValueError):
        return "nowhere"
    return one_line(origin, HOST_CHARACTERS_MAX)


def _told(content: bytes) -> Detail:
    """What an error body says; text that is no JSON object says nothing."""
    try:
        return ERROR_BODY.validate_json(content).told()
    except ValidationError:
        return Detail()
