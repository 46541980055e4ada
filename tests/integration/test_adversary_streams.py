"""The wire's streams against a server that does everything wrong, on a real port."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from benchgate.errors import BackendError, BackendUnavailable
from benchgate.gate.transport import frames
from benchgate.gate.transport.frames import FRAME_BYTES_MAX
from benchgate.gate.transport.whereabouts import Configured
from benchgate.gate.transport.wire import Address, Frames, Wire
from tests.adversary.app import Adversary
from tests.adversary.script import (
    WEBSOCKET,
    Answer,
    Flood,
    Meddled,
    Mischief,
    Silence,
    Step,
    Told,
    in_pairs_reversed,
    redirect,
)
from tests.adversary.server import ORIGIN, client, served
from tests.adversary.skew import skewed

pytestmark = pytest.mark.anyio

TEST_SECONDS_MAX = 20
WAIT_SECONDS_MAX = 10
SHORT_SECONDS = 0.2
# In this time answers that nobody takes fill every buffer on their way.
FLOOD_SECONDS = 2
FULL_PING = b"\x89\x7d" + b"x" * 125
PING, PONG, TEXT_START, TEXT_GO_ON = b"\x89\x00", b"\x8a\x03abc", b"\x01\x03", b"\x00\x03"


@pytest.fixture(autouse=True)
async def limit() -> AsyncGenerator[None]:
    with anyio.fail_after(TEST_SECONDS_MAX):
        yield


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "HANDSHAKE_SECONDS_MAX", SHORT_SECONDS)
    monkeypatch.setattr(frames, "CLOSE_SECONDS_MAX", SHORT_SECONDS)


def wire_to(url: str, http: httpx.AsyncClient) -> Wire:
    return Wire(Configured(Address(url=url, token=SecretStr("secret"), dashboard_url=url)), http)


@asynccontextmanager
async def reached(app: ASGIApp) -> AsyncGenerator[Wire]:
    """The wire to *app* on a port."""
    async with served(app) as url, httpx.AsyncClient(trust_env=False) as http:
        yield wire_to(url, http)


@asynccontextmanager
async def told_by(mischief: Mischief, behind: ASGIApp | None = None) -> AsyncGenerator[Frames]:
    """A stream of a server that does *mischief*."""
    adversary = Adversary(Step("/ws", mischief, WEBSOCKET), behind=behind)
    async with reached(adversary) as wire, wire.stream("/ws") as stream:
        yield stream


async def refusal_by(mischief: Mischief) -> BackendError:
    """What is told of a stream that is not opened by a server that does *mischief*."""
    async with reached(Adversary(Step("/ws", mischief, WEBSOCKET))) as wire:
        with pytest.raises(BackendError) as caught:
            async with wire.stream("/ws"):
                pass
        return caught.value


async def next_of(stream: Frames, seconds_max: float = WAIT_SECONDS_MAX) -> str:
    return await stream.next(seconds_max=seconds_max)


async def all_of(stream: Frames) -> tuple[list[str], BackendError]:
    """What a stream told until its end, and the error by which it ended."""
    told: list[str] = []
    try:
        while True:
            told.append(await next_of(stream))
    except BackendError as error:
        return told, error


async def test_text_frames_come_in_order_and_binary_ones_are_passed_over() -> None:
    async with told_by(Told(("a", b"\x00", "ä" * 70_000, "", "c"), code=1000)) as stream:
        told, error = await all_of(stream)
    assert told == ["a", "ä" * 70_000, "", "c"]
    assert str(error) == "The backend closed its stream with code 1000: as the script says."


async def test_a_frame_in_parts_is_one_with_what_comes_between_them() -> None:
    raw = TEXT_START + b"abc" + PING + PONG + TEXT_GO_ON + b"def" + b"\x80\x01g"
    async with told_by(Told(raw=raw, is_silent=True)) as stream:
        assert await next_of(stream) == "abcdefg"


@pytest.mark.parametrize("code", [1000, 1011, 4404])
async def test_a_stream_that_was_closed_says_so_each_time(code: int) -> None:
    async with told_by(Told(code=code)) as stream:
        for _ in range(2):
            with pytest.raises(BackendUnavailable, match=f"closed its stream with code {code}"):
                await next_of(stream)


async def test_a_stream_that_was_dropped_says_so_after_its_last_frame() -> None:
    async with told_by(Told(("a", "b"))) as stream:
        told, error = await all_of(stream)
    assert told == ["a", "b"]
    assert isinstance(error, BackendUnavailable)
    assert str(error) == "The backend dropped its stream."
    assert error.hint


async def test_silence_ends_a_wait_and_not_the_stream() -> None:
    letters, told = anyio.create_memory_object_stream[str](1)

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in told:
            await websocket.send_text(text)

    app = Starlette(routes=[WebSocketRoute("/ws", talk)])
    async with letters, told, reached(app) as wire, wire.stream("/ws") as stream:
        with pytest.raises(BackendUnavailable, match=r"told nothing within 0\.01 s"):
            await next_of(stream, 0.01)
        await letters.send("late")
        assert await next_of(stream) == "late"
        await letters.aclose()


@pytest.mark.parametrize(
    "mischief",
    [
        Told(("a", "x" * (FRAME_BYTES_MAX + 1), "b"), is_silent=True),
        Told(("a", "ä" * (FRAME_BYTES_MAX // 2 + 1), "b"), is_silent=True),
        # A frame that announces an exabyte, and then goes on and on.
        Told(("a",), raw=b"\x81\x7f\x0f" + b"\xff" * 7 + b"x" * (2 * FRAME_BYTES_MAX)),
    ],
)
async def test_a_frame_that_is_too_large_ends_the_stream(mischief: Told) -> None:
    async with told_by(mischief) as stream:
        told, error = await all_of(stream)
    assert told == ["a"]
    assert type(error) is BackendError
    assert "more than 1000000 bytes" in str(error)
    assert error.hint


async def test_a_frame_as_large_as_allowed_is_read() -> None:
    async with told_by(Told(("x" * FRAME_BYTES_MAX,), is_silent=True)) as stream:
        assert len(await next_of(stream)) == FRAME_BYTES_MAX


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff" * 100,
        b"\x81\x02\xc3\x28",  # not UTF-8
        b"\xc1\x03abc",  # packed, which nobody asked for
        b"\x80\x01a",  # goes on with what never began
        b"\x88\x01a",  # a close frame with half a code
    ],
)
async def test_garbage_ends_the_stream_after_what_was_read(raw: bytes) -> None:
    async with told_by(Told(("a",), raw=raw, is_silent=True)) as stream:
        told, error = await all_of(stream)
    assert told == ["a"]
    assert isinstance(error, BackendUnavailable)
    assert "cannot be read" in str(error)
    assert len(str(error)) < 300


CHANGES: dict[str, tuple[Callable[[], Callable[[int, str], Sequence[str]]], list[str]]] = {
    "duplicates": (lambda: lambda _, text: [text, text], ["0", "0", "1", "1"]),
    "garbage": (lambda: lambda _, text: [text, "{gar"], ["0", "{gar", "1", "{gar"]),
    "reversed": (in_pairs_reversed, ["1", "0", "3", "2"]),
}


async def count(websocket: WebSocket) -> None:
    """Tell the numbers from 0 on, as fast as they are read."""
    await websocket.accept()
    for number in range(1_000_000):
        await websocket.send_text(str(number))


COUNTING = Starlette(routes=[WebSocketRoute("/ws", count)])


@pytest.mark.parametrize("change", CHANGES)
async def test_frames_are_passed_on_as_they_come(change: str) -> None:
    make, expected = CHANGES[change]
    async with told_by(Meddled(make(), frames_max=100), COUNTING) as stream:
        assert [await next_of(stream) for _ in expected] == expected


async def test_the_clock_of_a_stream_can_be_wrong() -> None:
    told = json.dumps({"at": "2026-01-01T00:00:00+00:00", "n": 1})
    behind = Adversary(Step("/ws", Told((told,), is_silent=True), WEBSOCKET))
    async with told_by(skewed(-25), behind) as stream:
        assert json.loads(await next_of(stream)) == {"at": "2025-12-30T23:00:00+00:00", "n": 1}


async def test_a_stream_that_drops_after_each_few_frames_can_be_opened_again_and_again() -> None:
    adversary = Adversary(Step("/ws", Meddled(frames_max=3), WEBSOCKET), behind=COUNTING)
    async with reached(adversary) as wire:
        for _ in range(5):
            async with wire.stream("/ws") as stream:
                told, error = await all_of(stream)
            assert told == ["0", "1", "2"]
            assert isinstance(error, BackendUnavailable)
    assert {seen.authorization for seen in adversary.seen} == {"Bearer secret"}


async def test_a_stream_that_drops_after_a_time_says_so() -> None:
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        await anyio.sleep_forever()

    behind = Starlette(routes=[WebSocketRoute("/ws", wait)])
    async with told_by(Meddled(seconds_max=0.05), behind) as stream:
        with pytest.raises(BackendUnavailable, match="dropped"):
            await next_of(stream)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500, 503])
async def test_a_refused_handshake_is_told_by_its_status(status: int) -> None:
    error = await refusal_by(Answer(status))
    assert type(error) is BackendError
    assert str(error) == f"The backend opened no stream: it answered {status}."
    assert error.hint


async def test_a_path_without_a_stream_is_refused_on_a_port_and_in_process() -> None:
    async with client(COUNTING) as http, reached(COUNTING) as served_wire:
        for wire in (wire_to(ORIGIN, http), served_wire):
            with pytest.raises(BackendError, match="403"):
                async with wire.stream("/elsewhere"):
                    pass


async def test_a_stream_works_in_process_until_either_side_ends_it() -> None:
    adversary = Adversary(
        Step("/ws", Told(("a", "b"), code=1000), WEBSOCKET, times=1),
        Step("/ws", Told(("c",), is_silent=True), WEBSOCKET),
    )
    async with client(adversary) as http:
        wire = wire_to(ORIGIN, http)
        async with wire.stream("/ws") as stream:
            told, error = await all_of(stream)
        async with wire.stream("/ws") as stream:
            assert await next_of(stream) == "c"
    assert told == ["a", "b"]
    assert "closed its stream with code 1000" in str(error)


async def test_no_redirect_of_a_handshake_is_followed() -> None:
    elsewhere = Adversary(behind=COUNTING)
    async with served(elsewhere) as other:
        for location in (f"{other}/ws", "/elsewhere"):
            assert "307" in str(await refusal_by(redirect(location)))
    assert elsewhere.seen == []


async def test_a_server_that_is_not_there_cannot_be_reached() -> None:
    async with served(COUNTING) as url:
        pass
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(BackendUnavailable, match="could not be reached"):
            async with wire_to(url, http).stream("/ws"):
                pass


@pytest.mark.usefixtures("_short")
async def test_a_handshake_that_nobody_answers_is_given_up() -> None:
    error = await refusal_by(Silence())
    assert isinstance(error, BackendUnavailable)
    assert str(error) == "The backend did not answer in time."


@pytest.mark.usefixtures("_short")
async def test_a_server_that_floods_and_never_listens_can_be_left() -> None:
    """Its pings want answers that it never takes."""
    async with told_by(Flood(FULL_PING * 1_000)) as stream:
        with pytest.raises(BackendUnavailable, match="told nothing"):
            await next_of(stream, FLOOD_SECONDS)


async def test_a_reader_that_is_slow_holds_up_who_writes_and_keeps_nothing() -> None:
    written = 0

    async def write(websocket: WebSocket) -> None:
        nonlocal written
        await websocket.accept()
        while True:
            await websocket.send_text("x" * 100_000)
            written += 1

    app = Starlette(routes=[WebSocketRoute("/ws", write)])
    async with reached(app) as wire, wire.stream("/ws") as stream:
        await next_of(stream)
        before = -1
        while written != before:
            before = written
            with anyio.move_on_after(SHORT_SECONDS):
                await anyio.sleep_forever()
        assert written < 500
        assert len(await next_of(stream)) == 100_000


async def test_nothing_is_sent_but_what_the_protocol_wants() -> None:
    heard: list[str] = []
    gone = anyio.Event()

    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("a")
        heard.append((message := await websocket.receive())["type"])
        heard.append(str(message.get("code")))
        gone.set()

    app = Starlette(routes=[WebSocketRoute("/ws", listen)])
    async with reached(app) as wire:
        async with wire.stream("/ws") as stream:
            assert await next_of(stream) == "a"
        await gone.wait()
    assert heard == ["websocket.disconnect", "1000"]


async def test_what_its_reader_raises_leaves_a_stream_as_it_is() -> None:
    told = Told(("a",), is_silent=True)
    async with reached(Adversary(Step("/ws", told, WEBSOCKET))) as wire:
        with pytest.raises(KeyError):
            async with wire.stream("/ws"):
                raise KeyError


async def test_a_reader_that_is_cancelled_leaves_at_once() -> None:
    with anyio.move_on_after(SHORT_SECONDS) as scope:
        async with told_by(Told(("a",), is_silent=True)) as stream:
            await next_of(stream)
            await next_of(stream)
    assert scope.cancelled_caught
