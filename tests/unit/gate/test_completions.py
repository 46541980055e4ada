"""Completion of ids over the protocol, in both of its eras."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import anyio
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, Completion, PromptReference, ResourceTemplateReference

from benchgate.gate import completions
from benchgate.gate.completions import ANSWER_SECONDS_MAX, VALUES_MAX, Known
from benchgate.gate.names import RESULTS_URI, RUN_URI, SERIES_URI, SUMMARY_URI, TEMPLATE_URI

pytestmark = pytest.mark.anyio

Reference = PromptReference | ResourceTemplateReference

KNOWN = Known(
    templates=(("tpl-b", "Orders lookup"), ("tpl-a", "orders scan"), ("x-1", "Customers")),
    run_ids=("run-2", "run-1", "other"),
)


class Source:
    """What is known, and how it behaves when asked."""

    def __init__(self) -> None:
        self.known = KNOWN
        self.hangs = False

    async def __call__(self) -> Known:
        if self.hangs:
            await anyio.sleep_forever()
        return self.known


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(params=["auto", "legacy"])
async def client(request: pytest.FixtureRequest, source: Source) -> AsyncIterator[Client]:
    server: MCPServer[Any] = MCPServer("completions", log_level="ERROR")
    completions.register(server, source)
    async with Client(server, mode=request.param) as client:
        yield client


def prompt(name: str) -> PromptReference:
    return PromptReference(type="ref/prompt", name=name)


def resource(uri: str) -> ResourceTemplateReference:
    return ResourceTemplateReference(type="ref/resource", uri=uri)


async def completed(client: Client, ref: Reference, argument: str, value: str) -> Completion:
    result = await client.complete(ref, {"name": argument, "value": value})
    return result.completion


@pytest.mark.parametrize(
    ("name", "argument", "value", "values"),
    [
        ("execute_test", "template_id", "", ["tpl-b", "tpl-a", "x-1"]),
        ("execute_test", "template_id", "tpl", ["tpl-b", "tpl-a"]),
        ("execute_test", "template_id", "ORDERS", ["tpl-b", "tpl-a"]),
        ("execute_test", "template_id", "orders s", ["tpl-a"]),
        ("execute_test", "template_id", "lookup", []),
        ("execution_mode", "tests", "Orders", ["tpl-b", "tpl-a"]),
        ("execution_mode", "tests", "tpl-b, ord", ["tpl-b, tpl-a"]),
        ("monitor_run", "run_id", "run", ["run-2", "run-1"]),
        ("stop_test", "run_id", "run-1", ["run-1"]),
        ("troubleshoot_run", "run_id", "zzz", []),
        ("analyze_results", "run_ids", "", ["run-2", "run-1", "other"]),
        ("analyze_results", "run_ids", "run-2,", ["run-2, run-1", "run-2, other"]),
        ("analyze_results", "run_ids", "run-2, run-1, o", ["run-2, run-1, other"]),
    ],
)
async def test_an_argument_is_completed_by_what_begins_like_it(
    client: Client, name: str, argument: str, value: str, values: list[str]
) -> None:
    found = await completed(client, prompt(name), argument, value)
    assert (found.values, found.total, found.has_more) == (values, len(values), False)


@pytest.mark.parametrize("uri", [RUN_URI, SUMMARY_URI, SERIES_URI, RESULTS_URI])
async def test_the_run_of_a_resource_is_completed(client: Client, uri: str) -> None:
    assert (await completed(client, resource(uri), "run_id", "o")).values == ["other"]


async def test_the_template_of_a_resource_is_completed(client: Client) -> None:
    found = await completed(client, resource(TEMPLATE_URI), "template_id", "orders")
    assert found.values == ["tpl-b", "tpl-a"]


async def test_more_than_a_hundred_are_cut_and_counted(client: Client, source: Source) -> None:
    source.known = Known(run_ids=tuple(f"run-{number}" for number in range(250)))
    found = await completed(client, prompt("monitor_run"), "run_id", "run-")
    assert found.values == [f"run-{number}" for number in range(VALUES_MAX)]
    assert (found.total, found.has_more) == (250, True)


async def test_whoever_types_does_not_wait_for_a_slow_backend(
    client: Client, source: Source
) -> None:
    source.hangs = True
    with anyio.fail_after(ANSWER_SECONDS_MAX + 4):
        found = await completed(client, prompt("monitor_run"), "run_id", "")
    assert (found.values, found.total) == ([], 0)


@pytest.mark.parametrize(
    ("kind", "name", "argument", "value"),
    [
        ("prompt", "unknown", "run_id", ""),
        ("prompt", "monitor_run", "template_id", ""),
        ("prompt", SUMMARY_URI, "run_id", ""),
        ("resource", "monitor_run", "run_id", ""),
        ("resource", "benchgate://runs/{run_id}/secrets", "run_id", ""),
        ("resource", SUMMARY_URI, "id", ""),
        ("resource", TEMPLATE_URI, "run_id", ""),
        ("prompt", "monitor_run", "run_id", "r" * 5_000),
    ],
)
async def test_what_there_is_not_is_invalid(
    client: Client, kind: Literal["prompt", "resource"], name: str, argument: str, value: str
) -> None:
    ref = prompt(name) if kind == "prompt" else resource(name)
    with pytest.raises(MCPError) as caught:
        await completed(client, ref, argument, value)
    assert caught.value.code == INVALID_PARAMS
