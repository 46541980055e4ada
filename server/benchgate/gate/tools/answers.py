"""What the tools answer with: structured values, and the result that carries them as text too."""

from collections.abc import Sequence
from typing import cast

from mcp.types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from benchgate.domain.answers import StartOutcome
from benchgate.domain.approvals import ApprovalState
from benchgate.domain.contract import ErrorRow
from benchgate.domain.disclosure import TEXT_CHARACTERS_MAX
from benchgate.domain.preflight import PreflightWarning
from benchgate.domain.progress import ProgressLine
from benchgate.domain.runs import LiveMetrics, Summary
from benchgate.domain.text import one_line
from benchgate.domain.values import Value


def _all_told(schema: JsonDict) -> None:
    """Say of no field that it is always there: whoever reads sees it, and pays for each name."""
    schema.pop("required")


class Listing(Value):
    """What is told in lists, with as small a schema as can be."""

    model_config = ConfigDict(json_schema_extra=_all_told)


class TemplateLine(Listing):
    """A template in few words."""

    template_id: str
    template_name: str
    target: str
    table_type: str
    load_mode: str
    load: str
    workload: str
    expected_seconds: int | None = None
    estimated_cost: float | None = Field(default=None, description="Credits; per step of a search")
    last_used_on: str | None = None


class TemplatesAnswer(Listing):
    """A page, newest first."""

    templates: tuple[TemplateLine, ...]
    total: int
    next_cursor: str | None = None
    unreadable: int | None = None


class ConnectionLine(Listing):
    """A connection in few words; never a secret."""

    connection_id: str
    connection_name: str
    connection_type: str
    server: str | None = None
    username: str | None = None
    has_password: bool
    has_private_key: bool | None = None


class ConnectionsAnswer(Listing):
    """A page, newest first."""

    connections: tuple[ConnectionLine, ...]
    total: int
    next_cursor: str | None = None


class CreatedAnswer(Value):
    """A prepared run."""

    run_id: str
    status: str
    template_id: str
    template_name: str
    dashboard_url: str | None = None


class PreflightAnswer(Value):
    """What to know before the start."""

    run_id: str
    can_proceed: bool
    warnings: tuple[PreflightWarning, ...]


class StartAnswer(Value):
    """Whether this call started the run, and if not, why."""

    run_id: str
    outcome: StartOutcome
    status: str | None = None
    reason: str | None = None
    note: str | None = Field(default=None, description="What came with the answer")
    approval_url: str | None = Field(default=None, description="For the person, not for you")
    dashboard_url: str | None = None


class StatusAnswer(Value):
    """Where a run is."""

    run_id: str
    status: str
    comparison_id: str | None = None
    approval: ApprovalState | None = Field(default=None, description="Of a run not started")
    phase: str | None = None
    reason: str | None = None
    elapsed_seconds: float
    expected_seconds: float | None = None
    progress_pct: float | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_concurrency: int | None = None
    metrics: LiveMetrics | None = Field(default=None, description="The last second")
    summary: Summary | None = Field(default=None, description="The whole measurement")
    estimated_cost: float | None = Field(default=None, description="Credits")
    next_check_seconds: int | None = Field(
        default=None, description="wait_seconds of the next call; absent once ended"
    )


class StopAnswer(Value):
    """What stopping came to."""

    run_id: str
    status: str
    comparison_id: str | None = Field(default=None, description="Stopped with it")


class ComparisonCreated(Value):
    """A planned comparison."""

    comparison_id: str
    state: str
    run_count: int
    cautions: tuple[str, ...] = Field(description="In what the tests are not like with like")


class ComparisonStart(Value):
    """Whether this call started a test of the comparison, and if not, why."""

    comparison_id: str
    outcome: str = Field(description="As of start_run")
    state: str
    mode: str | None = None
    run_id: str | None = None
    reason: str | None = None
    note: str | None = None
    approval_url: str | None = Field(default=None, description="For the person, not for you")


class OpenComparison(Value):
    """A comparison that has not ended, in few words."""

    comparison_id: str
    comparison_type: str
    state: str
    completed: int
    run_count: int


class ComparisonAnswer(Value):
    """Where a comparison is; without an id, which ones are open."""

    comparison_id: str | None = None
    state: str | None = None
    mode: str | None = None
    reason: str | None = None
    run_id: str | None = Field(default=None, description="Of the run under way")
    # Not its enum, which stands in `StatusAnswer` once: a model reads every token at every turn.
    approval: str | None = Field(default=None, description="Of what comes next")
    lines: tuple[ProgressLine, ...] | None = None
    remaining_seconds: float | None = None
    next_check_seconds: int | None = Field(default=None, description="As in get_status")
    open: tuple[OpenComparison, ...] | None = None


class ErrorsAnswer(Value):
    """A run's errors by category."""

    run_id: str
    rows: tuple[ErrorRow, ...]


class Refusal(Value):
    """Why a call could not be carried out, and what to do instead."""

    code: str
    message: str
    hint: str


def answer(text: str, value: Value, *, links: Sequence[ResourceLink] = ()) -> CallToolResult:
    """*value* as a result, with *text* for the reader."""
    content: list[ContentBlock] = [TextContent(type="text", text=text.strip()), *links]
    structured = cast("dict[str, JsonValue]", value.model_dump(mode="json", exclude_none=True))
    bounded = {key: _bounded(inner) for key, inner in structured.items()}
    return CallToolResult(content=content, structured_content=bounded)


def _bounded(value: JsonValue) -> JsonValue:
    """*value* with its texts on one line each, for a backend's names are as long as it likes."""
    if isinstance(value, str):
        return one_line(value, TEXT_CHARACTERS_MAX)
    if isinstance(value, dict):
        return {key: _bounded(inner) for key, inner in value.items()}
    return [_bounded(inner) for inner in value] if isinstance(value, list) else value


def refusal(text: str, why: Refusal) -> CallToolResult:
    """*why* as an error result."""
    content: list[ContentBlock] = [TextContent(type="text", text=text.strip())]
    return CallToolResult(
        content=content, structured_content=why.model_dump(mode="json"), is_error=True
    )
