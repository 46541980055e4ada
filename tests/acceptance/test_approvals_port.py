"""The page's own port on stdio: opened when it is needed, gone with its server, in nobody's way."""

import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import psutil
import pytest
from anyio.abc import Process, SocketStream
from anyio.streams.text import TextReceiveStream

from benchgate.errors import SettingsError
from benchgate.gate.approvals.browser import port
from benchgate.gate.approvals.page import ApprovalsPage
from tests.acceptance.home import Home
from tests.unit.gate.approvals.browsing import Office

pytestmark = pytest.mark.anyio

WAIT_SECONDS_MAX = 20
END_SECONDS_MAX = 5
# The page says that it waits for the rest of it.
HALF_A_REQUEST = (
    "POST /approvals/x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n"
    "Expect: 100-continue\r\n\r\n"
)
HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "by-hand", "version": "1"},
}


class Spoken:
    """A server on stdio, spoken to by hand; whatever it prints is kept."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process = process
        self.printed = ""
        self._out = TextReceiveStream(process.stdout)
        self._number = 0

    async def tell(self, method: str, **params: Any) -> None:
        assert self.process.stdin is not None
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one request; every line on the way has to be a message."""
        assert self.process.stdin is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")
        with anyio.fail_after(WAIT_SECONDS_MAX):
            while True:
                for line in self.printed.split("\n")[:-1]:
                    answer = json.loads(line)
                    if answer.get("id") == self._number:
                        return answer["result"]
                self.printed += await self._out.receive()

    async def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        result = await self.ask("tools/call", {"name": tool, "arguments": arguments})
        return result["structuredContent"]

    async def rest(self) -> None:
        """Read until it closes its standard output."""
        async for text in self._out:
            self.printed += text

    def listening(self) -> list[int]:
        """The ports on which it listens."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN]


@asynccontextmanager
async def on_stdio(home: Home) -> AsyncGenerator[Spoken]:
    """A server process in *home*, greeted."""
    command = [sys.executable, "-m", "benchgate", "serve"]
    env = {"BENCHGATE_DATA_DIR": str(home.settings.data_dir)}
    async with await anyio.open_process(command, env=env, stderr=None) as process:
        spoken = Spoken(process)
        await spoken.ask("initialize", HELLO)
        await spoken.tell("notifications/initialized")
        yield spoken


async def test_a_server_on_stdio_opens_a_port_for_a_question_and_keeps_its_stdout_clean(
    home: Home,
) -> None:
    async with on_stdio(home) as spoken:
        run_id = (await spoken.call("create_run", template_id=home.template()))["run_id"]
        assert spoken.listening() == []
        link = httpx.URL((await spoken.call("start_run", run_id=run_id))["approval_url"])
        assert spoken.listening() == [link.port]
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(link)).status_code == 200
            assert (await http.post(link)).status_code == 403
            assert (await http.get(link.copy_with(path="/elsewhere"))).status_code == 404
            # The connection is still open when the client goes away.
            assert spoken.process.stdin is not None
            with anyio.fail_after(END_SECONDS_MAX):
                await spoken.process.stdin.aclose()
                await spoken.rest()
                assert await spoken.process.wait() == 0
    for line in spoken.printed.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
    assert await is_free(link.port)


async def is_free(number: int | None) -> bool:
    """Whether nobody listens there any more."""
    try:
        await (await connect(number)).aclose()
    except OSError:
        return True
    return False


async def connect(number: int | None) -> SocketStream:
    assert number is not None
    return await anyio.connect_tcp("127.0.0.1", number)


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[ApprovalsPage]:
    office = Office(folder)
    async with ApprovalsPage(office.desk, office.pin, address=None) as page:
        yield page


async def port_of(page: ApprovalsPage) -> int | None:
    link = await page.link_to("x")
    return httpx.URL(str(link)).port


async def test_every_question_has_the_same_port(tmp_path: Path) -> None:
    numbers: list[int | None] = []

    async def ask(page: ApprovalsPage) -> None:
        numbers.append(await port_of(page))

    async with served(tmp_path) as page:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, page)
        assert len(numbers) == 5
        assert len({*numbers}) == 1


async def test_whoever_is_cancelled_lets_go_of_the_port_soon_in_the_middle_of_a_request(
    tmp_path: Path,
) -> None:
    open_ports: list[int | None] = []
    streams: list[SocketStream] = []
    with anyio.fail_after(END_SECONDS_MAX), anyio.CancelScope() as scope:
        async with served(tmp_path) as page:
            number = await port_of(page)
            open_ports.append(number)
            streams += [await connect(number), await connect(number)]
            await streams[0].send(HALF_A_REQUEST.format(port=number).encode())
            assert (await streams[0].receive()).startswith(b"HTTP/1.1 100 ")
            scope.cancel()
            await anyio.sleep_forever()
    for stream in streams:
        await stream.aclose()
    assert await is_free(open_ports[0])


async def test_the_signals_stay_with_the_process(tmp_path: Path) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    async with served(tmp_path) as page, httpx.AsyncClient(trust_env=False) as http:
        await http.get(str(await page.link_to("x")))
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


async def test_without_a_port_there_is_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "LOOPBACK", "192.0.2.1")  # an address that no machine has
    async with served(tmp_path) as page:
        assert await page.link_to("x") is None


async def test_an_error_of_whoever_uses_the_page_comes_out_as_it_is(tmp_path: Path) -> None:
    async def fail() -> None:
        async with served(tmp_path) as page:
            await port_of(page)
            raise SettingsError

    with pytest.raises(SettingsError):
        await fail()
