"""The parts of the documents that are drawn from the code, between markers in the Markdown.

`python -m docs.sections` rewrites them; a test fails when one is stale. What is generated is
nowhere else written by hand.
"""

import re
import tempfile
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar, cast

import anyio
from mcp import Client
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from benchgate.domain import approvals, comparisons, runs, stability
from benchgate.domain.templates import GenericQuery, Guardrails, Scaling, TemplateConfig
from benchgate.gate.server import open_gate
from benchgate.settings import Settings, variable
from docs.approval_tables import (
    CHANNEL_HEAD,
    OUTCOME_HEAD,
    PATIENCE_HEAD,
    channel_rows,
    outcome_rows,
    patience_rows,
)
from docs.template_keys import key_rows

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "approvals.md",
    ROOT / "docs" / "architecture.md",
    ROOT / "docs" / "comparisons.md",
    ROOT / "docs" / "engine.md",
    ROOT / "docs" / "templates.md",
)
CLOSED_KEYS = ("concurrent_connections", "think_time", "warmup", "duration")
OPEN_KEYS = (
    "target_qps",
    "arrivals",
    "concurrent_connections",
    "starting_threads",
    "warmup",
    "duration",
)
SEARCH_KEYS = (
    "start_concurrency",
    "concurrency_increment",
    "step_duration_seconds",
    "qps_stability_pct",
    "latency_stability_pct",
    "max_error_rate_pct",
    "think_time",
    "warmup",
    "duration",
)
SECTION = re.compile(
    r"(?P<head><!-- generated: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(?P<tail><!-- end -->)",
    re.DOTALL,
)

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


async def rewritten(text: str) -> str:
    """*text* with each of its generated sections as the code has it now."""
    fresh = {match["name"]: await GENERATORS[match["name"]]() for match in SECTION.finditer(text)}
    return SECTION.sub(
        lambda match: f"{match['head']}\n{fresh[match['name']]}\n\n{match['tail']}", text
    )


async def tools() -> str:
    """The tools in the order in which they are listed."""
    async with _client() as client:
        listed = (await client.list_tools()).tools
    rows = [
        (
            f"`{tool.name}`",
            ", ".join(f"`{name}`" for name in tool.input_schema.get("properties", {})),
            (tool.description or "").partition("\n")[0],
            "yes" if tool.annotations and tool.annotations.read_only_hint else "no",
        )
        for tool in listed
    ]
    return _table(("Tool", "Arguments", "What it does", "Only reads"), rows)


async def prompts() -> str:
    """The prompts in the order in which they are listed."""
    async with _client() as client:
        listed = (await client.list_prompts()).prompts
    rows = [
        (
            f"`{prompt.name}`",
            ", ".join(
                f"`{argument.name}`" + ("" if argument.required else " (optional)")
                for argument in prompt.arguments or ()
            ),
            (prompt.description or "").partition("\n")[0],
        )
        for prompt in listed
    ]
    return _table(("Prompt", "Arguments", "What it is for"), rows)


async def resources() -> str:
    """What can be read, first what is listed and then what is read by its id."""
    async with _client() as client:
        listed = (await client.list_resources()).resources
        offered = (await client.list_resource_templates()).resource_templates
    shown = [(one.uri, one) for one in listed] + [(one.uri_template, one) for one in offered]
    rows = [
        (f"`{uri}`", (one.description or "").partition("\n")[0], f"`{one.mime_type}`")
        for uri, one in shown
    ]
    return _table(("Resource", "What it is", "Type"), rows)


async def settings() -> str:
    """Every environment variable that is read."""
    rows = [
        (
            f"`{variable(name)}`",
            _default_setting(field),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
    return _table(("Variable", "Default", "Meaning"), rows)


async def run_states() -> str:
    """How a run moves."""
    return _diagram(runs.TRANSITIONS, runs.RunStatus.PREPARED)


async def approval_states() -> str:
    """How a question moves."""
    return _diagram(approvals.TRANSITIONS, approvals.ApprovalState.ASKED)


async def comparison_states() -> str:
    """How a comparison moves."""
    return _diagram(comparisons.TRANSITIONS, comparisons.ComparisonState.PLANNED)


async def approval_channels() -> str:
    """How a question reaches the person."""
    return _table(CHANNEL_HEAD, channel_rows())


async def start_outcomes() -> str:
    """What a call that wants to start a run can come to."""
    return _table(OUTCOME_HEAD, outcome_rows())


async def host_patience() -> str:
    """How long a dialog waits in which host."""
    return _table(PATIENCE_HEAD, patience_rows())


async def template_keys() -> str:
    """The keys of a template's `config`."""
    return _keys(TemplateConfig)


async def scaling_keys() -> str:
    """The keys of `scaling`."""
    return _keys(Scaling)


async def guardrail_keys() -> str:
    """The keys of `guardrails`."""
    return _keys(Guardrails)


async def generic_query_keys() -> str:
    """The keys of one of `generic_queries`."""
    return _keys(GenericQuery)


async def closed_keys() -> str:
    """The keys that govern a closed loop."""
    return _keys(TemplateConfig, only=CLOSED_KEYS)


async def open_keys() -> str:
    """The keys that govern an open loop."""
    return _keys(TemplateConfig, only=OPEN_KEYS)


async def search_keys() -> str:
    """The keys that govern a search."""
    return _keys(TemplateConfig, only=SEARCH_KEYS)


async def student_t() -> str:
    """By how many standard errors a change has to exceed its noise."""
    degrees, quantiles = zip(*stability.STUDENT_T, strict=True)
    head = ("Degrees of freedom, at least", *map(str, degrees))
    return _table(head, [("Student's t", *map(str, quantiles))])


GENERATORS: dict[str, Callable[[], Awaitable[str]]] = {
    "tools": tools,
    "prompts": prompts,
    "resources": resources,
    "settings": settings,
    "run-states": run_states,
    "approval-states": approval_states,
    "comparison-states": comparison_states,
    "approval-channels": approval_channels,
    "start-outcomes": start_outcomes,
    "host-patience": host_patience,
    "template-keys": template_keys,
    "scaling-keys": scaling_keys,
    "guardrail-keys": guardrail_keys,
    "generic-query-keys": generic_query_keys,
    "closed-keys": closed_keys,
    "open-keys": open_keys,
    "search-keys": search_keys,
    "student-t": student_t,
}


async def main() -> None:
    """Rewrite every document's generated sections."""
    for path in DOCUMENTS:
        document = anyio.Path(path)
        text = await document.read_text(encoding="utf-8")
        await document.write_text(await rewritten(text), encoding="utf-8")


@asynccontextmanager
async def _client() -> AsyncGenerator[Client]:
    """The real server in memory, with a folder of its own that it never writes to."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = Settings(data_dir=Path(folder))
        async with open_gate(chosen) as server, Client(server) as client:
            yield client


def _default_setting(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the platform's folder for user data"
    default = field.get_default()
    if isinstance(default, tuple):  # the environment names several at once with commas between
        return f"`{','.join(cast('tuple[str, ...]', default))}`"
    return "unset" if default is None else f"`{default}`"


def _diagram(transitions: Mapping[S, Mapping[E, S]], first: S) -> str:
    """A Mermaid state diagram, drawn from the table that the code obeys."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for state, events in transitions.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in events.items()]
        if not events:
            lines.append(f"    {state} --> [*]")
    return "\n".join((*lines, "```"))


def _keys(model: type[BaseModel], *, only: Container[str] | None = None) -> str:
    rows = (row for row in key_rows(model) if only is None or row[0].strip("`") in only)
    return _table(("Key", "Values", "Default", "Meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines)


if __name__ == "__main__":
    anyio.run(main)
