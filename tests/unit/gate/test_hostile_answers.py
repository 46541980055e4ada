"""What a gate tells of a backend that is no backend, or that says what nobody should read."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import respx
from mcp import Client, MCPError

from benchgate.gate.dialects import recognition
from benchgate.gate.server import open_gate
from benchgate.settings import Settings
from tests.flakebench.world import World
from tests.unit import permissive
from tests.unit.gate.emulated import ERAS, Era, shown, talking, text_of
from tests.unit.permissive import Permissive

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]

PLACE = "http://bench.example"
USER = "http://bob:hunter2@bench.example?key=hunter2"
TELLTALE = "cannot log in: postgres://bench:hunter2@db.example/bench, password='hunter2'"
LONG = "## Ready\u202e\n**Yes** " + "n" * 100_000
SHOWN_CHARACTERS_MAX = 2_000


@pytest.fixture(autouse=True)
def _recognised(signs: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "SIGNS", signs)


@asynccontextmanager
async def answered(
    folder: Path, era: Era, reply: Callable[[httpx.Request], httpx.Response], *, url: str = PLACE
) -> AsyncGenerator[Client]:
    """A client of a gate whose backend answers everything with *reply*."""
    settings = Settings.model_validate({"data_dir": folder, "backend_url": url})
    with respx.mock(base_url=PLACE, assert_all_called=False) as router:
        router.route().mock(side_effect=reply)
        async with open_gate(settings) as server, Client(server, mode=era) as client:
            yield client


async def refused(client: Client, tool: str, **arguments: object) -> str:
    """All that a refused call tells."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return f"{text_of(result)} {result.structured_content}"


async def refused_resource(client: Client, uri: str) -> str:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    return caught.value.error.message


async def test_a_server_without_such_a_path_is_told_as_a_wrong_address(
    tmp_path: Path, era: Era
) -> None:
    async with answered(
        tmp_path, era, lambda _: httpx.Response(404, json={"detail": "Not Found"})
    ) as client:
        told = [
            await refused(client, "list_templates"),
            await refused(client, "get_status", run_id="run-1"),
            await refused_resource(client, "benchgate://runs"),
            await refused_resource(client, "benchgate://runs/run-1"),
        ]
    assert all("BENCHGATE_BACKEND_URL" in one.replace("\\", "") for one in told)
    assert not any("List what exists" in one for one in told)


async def test_an_id_that_there_is_not_says_nothing_against_the_address(
    tmp_path: Path, era: Era
) -> None:
    async with talking(World(), tmp_path, era) as client:
        told = await refused(client, "get_status", run_id="run-1")
    assert "BENCHGATE" not in told
    assert "benchgate://runs" in told


async def test_who_one_is_at_the_backend_is_not_told_when_it_is_out_of_reach(
    tmp_path: Path, era: Era
) -> None:
    def out_of_reach(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with answered(tmp_path, era, out_of_reach, url=USER) as client:
        told = await refused(client, "list_templates")
    assert "<http://bench.example" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_secret_in_an_error_of_the_backend_is_masked(
    tmp_path: Path, era: Era, status: int
) -> None:
    body = {"detail": {"message": TELLTALE, "debug": TELLTALE, "hint": TELLTALE}}
    async with answered(tmp_path, era, lambda _: httpx.Response(status, json=body)) as client:
        told = [
            await refused(client, "list_templates"),
            await refused(client, "create_run", template_id="tpl-1"),
            await refused_resource(client, "benchgate://runs"),
        ]
    assert all("cannot log in" in one for one in told)
    assert not any("hunter2" in one for one in told)


async def test_a_secret_in_a_statement_that_a_database_repeats_is_masked(
    tmp_path: Path, era: Era
) -> None:
    backend = Permissive()
    row = {"summary": TELLTALE, "message": TELLTALE, "count": 2}
    rows = httpx.Response(200, json={"test_id": "r1", "rows": [row]})
    backend.fails(r"GET /api/tests/r1/error-summary/", rows)
    backend.fails(r"GET /api/info", httpx.Response(404, json={"detail": "Not Found"}))
    with permissive.served(backend):
        settings = Settings.model_validate({"data_dir": tmp_path, "backend_url": permissive.URL})
        async with open_gate(settings) as server, Client(server, mode=era) as client:
            await shown(client, "create_run", template_id="a")
            told, text = await shown(client, "get_errors", run_id="r1")
    assert told["rows"][0]["count"] == 2
    for part in (str(told), text):
        assert "cannot log in" in part.replace("\\", "")
        assert "hunter2" not in part


async def test_a_name_without_end_is_told_on_one_line_and_within_bounds(
    tmp_path: Path, era: Era
) -> None:
    world = World()
    config = world.templates["tpl-fixed"]["config"]
    world.save(LONG, config, template_id="tpl-long-name")
    async with talking(world, tmp_path, era) as client:
        created, _ = await shown(client, "create_run", template_id="tpl-long-name")
        world.fail(created["run_id"])
        handed = await client.call_tool("get_results", {"run_ids": [created["run_id"]]})
    assert handed.structured_content is not None
    (result,) = handed.structured_content["results"]
    for name in (created["template_name"], result["template_name"]):
        assert name.startswith("## Ready **Yes** nnn")
        assert len(name) <= SHOWN_CHARACTERS_MAX


async def test_lists_that_are_empty_in_an_outage_do_not_pass_for_the_truth(
    tmp_path: Path, era: Era
) -> None:
    async with talking(World(outage=True), tmp_path, era) as client:
        for tool in ("list_templates", "list_connections"):
            _, text = await shown(client, tool)
            assert "check the backend's own database" in text
