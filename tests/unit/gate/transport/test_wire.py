"""The wire against what a server can answer: redirects, bodies of all kinds, and refusals."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import respx
from pydantic import SecretStr, TypeAdapter

from benchgate.errors import (
    BackendError,
    BenchgateError,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthorized,
)
from benchgate.gate.transport.responses import ANSWER_BYTES_MAX
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import REDIRECTS_MAX, Address, Wire
from tests.adversary.app import Adversary
from tests.adversary.script import Answer, Mischief, Step
from tests.adversary.server import ORIGIN, client

pytestmark = pytest.mark.anyio

URL = "http://backend.test"
NUMBERS = TypeAdapter(dict[str, int])
HTML = "<html><h1>Traceback (most recent call last)</h1></html>"


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    address = Address(url=URL, token=SecretStr("secret"), dashboard_url=URL)
    async with httpx.AsyncClient(trust_env=False) as http:
        yield Wire(Configured(address), http)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    "location",
    ["/api/things?page=2", f"{URL}/api/things?page=2", "https://Backend.Test/api/things?page=2"],
)
@respx.mock
async def test_a_redirect_on_the_same_host_is_followed_with_all_that_was_sent(
    wire: Wire, location: str, status: int
) -> None:
    respx.post(f"{URL}/api/things/").respond(status, headers={"Location": location})
    there = respx.post(f"{URL}/api/things?page=2").respond(json={"n": 1})
    assert await wire.post("/api/things/", NUMBERS, body={"a": "ä"}) == {"n": 1}
    request = there.calls.last.request
    assert str(request.url) == f"{URL}/api/things?page=2"
    assert json.loads(request.content) == {"a": "ä"}
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("http://elsewhere.test/api/things", "http://elsewhere.test"),
        ("//elsewhere.test/api/things", "http://elsewhere.test"),
        ("http://backend.test@elsewhere.test/", "http://elsewhere.test"),
        ("https://backend.test.elsewhere.test/", "https://backend.test.elsewhere.test"),
        ("http://backend.test:8001/api/things", "http://backend.test:8001"),
    ],
)
@respx.mock
async def test_a_redirect_to_another_server_is_refused_and_says_where_it_led(
    wire: Wire, location: str, named: str
) -> None:
    respx.get(f"{URL}/api/things/").respond(307, headers={"Location": location})
    with pytest.raises(BackendError, match="a redirect") as caught:
        await wire.get("/api/things/", NUMBERS)
    assert f"a redirect to {named}, which is not followed" in str(caught.value)
    assert "BENCHGATE_BACKEND_URL" in caught.value.hint
    assert "token" in caught.value.hint


@pytest.mark.parametrize("location", ["http://[", "http://b.test:9999999/", "javascript:alert(1)"])
@respx.mock
async def test_a_redirect_that_leads_nowhere_is_refused(wire: Wire, location: str) -> None:
    route = respx.post(f"{URL}/api/things/").respond(307, headers={"Location": location})
    with pytest.raises(BackendError) as caught:
        await wire.post("/api/things/", NUMBERS)
    assert caught.value.hint
    assert route.call_count == 1


@pytest.mark.parametrize("status", [301, 302, 303])
@respx.mock
async def test_a_redirect_that_may_change_the_method_is_refused(wire: Wire, status: int) -> None:
    route = respx.post(f"{URL}/api/things/").respond(status, headers={"Location": "/api/things"})
    with pytest.raises(BackendError, match=f"{status}, a redirect to {URL}"):
        await wire.post("/api/things/", NUMBERS)
    assert route.call_count == 1


@respx.mock
async def test_a_redirect_to_itself_is_not_followed_for_ever(wire: Wire) -> None:
    """As a server does that wants to be spoken to by TLS."""
    to = {"Location": "https://backend.test/api/things/"}
    route = respx.post(f"{URL}/api/things/").respond(308, headers=to)
    with pytest.raises(BackendError, match=r"again and again, at last to https://backend\.test\."):
        await wire.post("/api/things/", NUMBERS)
    assert route.call_count == REDIRECTS_MAX + 1


@respx.mock
async def test_a_place_of_a_redirect_is_told_on_one_bounded_line(wire: Wire) -> None:
    to = {"Location": f"http://{'a' * 63}.{'b' * 63}.{'c' * 63}.test/\r\n# Approved"}
    respx.get(f"{URL}/api/things/").respond(307, headers=to)
    with pytest.raises(BackendError) as caught:
        await wire.get("/api/things/", NUMBERS)
    assert "Approved" not in str(caught.value)
    assert len(str(caught.value)) < 300


def detail(value: object, **more: object) -> bytes:
    return json.dumps({"detail": value, **more}).encode()


FAILED = {
    "code": "INTERNAL_ERROR",
    "message": "create template failed.",
    "operation": "create template",
    "debug": "Weights must sum to 100.00\n(currently 50.00).",
}
UNREACHABLE = {"code": "SNOWFLAKE_CONNECTION_FAILED", "message": "No way in.", "hint": "Go round."}
FINDINGS = [
    {"type": "missing", "loc": ["body", "template_id"], "msg": "Field required", "input": "hunter2"}
]
VIOLATIONS = [{"field": "config.duration", "value": "hunter2", "rule": "must be positive"}]


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (404, detail("Run not found: r1"), NotFound, "Run not found: r1"),
        (409, detail("Run x\nis active"), Conflict, "Run x is active"),
        (400, detail({"error": "e", "message": "No pool."}), InvalidInput, "No pool."),
        (422, detail(FINDINGS), InvalidInput, "template_id: Field required"),
        (422, detail(VIOLATIONS), InvalidInput, "config.duration: must be positive"),
        (422, detail(FINDINGS * 9), InvalidInput, "; ".join(["template_id: Field required"] * 3)),
        (
            500,
            detail(FAILED),
            BackendError,
            "The backend answered 500: create template failed. "
            "Weights must sum to 100.00 (currently 50.00).",
        ),
        (500, detail({"debug": "d"}), BackendError, "The backend answered 500: d."),
        (503, detail(UNREACHABLE), BackendError, "The backend answered 503: No way in."),
        (401, detail("who?"), Unauthorized, "The backend refused the credentials (401)."),
    ],
)
@respx.mock
async def test_a_refusal_is_told_in_the_backends_words_and_nothing_sent_is_repeated(
    wire: Wire, status: int, body: bytes, error: type[BenchgateError], message: str
) -> None:
    respx.get(f"{URL}/x").respond(status, content=body)
    with pytest.raises(error) as caught:
        await wire.get("/x", NUMBERS)
    assert type(caught.value) is error
    assert str(caught.value) == message
    assert "hunter2" not in caught.value.advice


@respx.mock
async def test_the_reason_that_a_backend_knows_can_be_told_apart(wire: Wire) -> None:
    respx.get(f"{URL}/x").respond(500, json={"detail": FAILED})
    with pytest.raises(BackendError) as caught:
        await wire.get("/x", NUMBERS)
    assert caught.value.debug == "Weights must sum to 100.00 (currently 50.00)."


@pytest.mark.parametrize("body", [detail(UNREACHABLE), detail("no", hint="Go round.")])
@respx.mock
async def test_a_hint_of_the_backend_is_passed_on(wire: Wire, body: bytes) -> None:
    respx.get(f"{URL}/x").respond(503, content=body)
    with pytest.raises(BackendError) as caught:
        await wire.get("/x", NUMBERS)
    assert caught.value.hint == "Go round."


@pytest.mark.parametrize(
    "body",
    [
        HTML.encode(),
        json.dumps(HTML).encode(),
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"detail": {"message": 7, "debug": {"a": 1}, "hint": []}}',
        b'{"detail": 7}',
        b'{"detail": [1, null]}',
        b'{"detail": null}',
        b'{"error": "unheard of"}',
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422, 500, 599])
@respx.mock
async def test_a_refusal_with_nothing_to_read_is_told_as_that(
    wire: Wire, status: int, body: bytes
) -> None:
    respx.get(f"{URL}/x").respond(status, content=body)
    with pytest.raises(BackendError) as caught:
        await wire.get("/x", NUMBERS)
    assert str(caught.value) == f"The backend answered {status}: no readable message."
    assert caught.value.hint
    assert caught.value.debug is None


@respx.mock
async def test_words_of_a_megabyte_are_cut(wire: Wire) -> None:
    long = {"message": "m" * 1_000_000, "debug": "d" * 1_000_000, "hint": "h" * 1_000_000}
    respx.get(f"{URL}/x").respond(500, json={"detail": long})
    with pytest.raises(BackendError) as caught:
        await wire.get("/x", NUMBERS)
    assert len(caught.value.advice) < 1_000
    assert len(caught.value.debug or "") < 500


def packed(body: bytes, encoding: str) -> Answer:
    return Answer(body=body, headers=(("content-encoding", encoding),))


@asynccontextmanager
async def speaking(mischief: Mischief, method: str = "GET") -> AsyncGenerator[Wire]:
    """The wire to a server in process that answers with *mischief*."""
    address = Address(url=ORIGIN, dashboard_url=ORIGIN)
    async with client(Adversary(Step("/x", mischief, method))) as http:
        yield Wire(Configured(address), http)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b'{"n": 1}'),
        packed(gzip.compress(b'{"n": 1}'), "gzip"),
        packed(gzip.compress(b'{"n": 1}'), "GZIP"),
        packed(b'{"n": 1}', "identity"),
    ],
)
async def test_an_answer_may_be_packed_as_it_was_asked_for(answer: Answer) -> None:
    async with speaking(answer) as wire:
        assert await wire.get("/x", NUMBERS) == {"n": 1}


BOMB = gzip.compress(b" " * (4 * ANSWER_BYTES_MAX))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(body=b" " * (ANSWER_BYTES_MAX + 1)), "larger than"),
        (packed(BOMB, "gzip"), "larger than"),
        (packed(gzip.compress(BOMB), "gzip, gzip"), "was not asked for"),
        (packed(b"x", "br"), "was not asked for"),
        (packed(zlib.compress(b'{"n": 1}'), "deflate"), "was not asked for"),
        (packed(b'{"n": 1}', "gzip"), "cannot be unpacked"),
        (packed(gzip.compress(b'{"n": 1}')[:-6], "gzip"), "ends in the middle"),
        (Answer(body='{"n": "ä"}'.encode("latin-1")), "cannot be read"),
        (Answer(body=b'{"n": 1'), "cannot be read"),
        (Answer(body=b'{"n": "hunter2"}'), "cannot be read: n: "),
        (Answer(body=b""), "cannot be read"),
    ],
)
async def test_an_answer_that_cannot_be_had_whole_is_no_answer(answer: Answer, words: str) -> None:
    """And whether what was asked has been done, nobody knows."""
    async with speaking(answer, "POST") as wire:
        with pytest.raises(BackendError, match=words) as caught:
            await wire.post("/x", NUMBERS)
    assert caught.value.may_be_on_its_way
    assert caught.value.hint
    assert len(str(caught.value)) < 600
    assert "hunter2" not in caught.value.advice


async def test_a_packed_bomb_fills_no_memory() -> None:
    async with speaking(packed(BOMB, "gzip")) as wire:
        tracemalloc.start()
        try:
            with pytest.raises(BackendError, match="larger than"):
                await wire.get("/x", NUMBERS)
            assert tracemalloc.get_traced_memory()[1] < 3 * ANSWER_BYTES_MAX
        finally:
            tracemalloc.stop()
