"""The list of all tools, in the order in which they are listed, with what hosts are told of them.

`preflight` comes first: it requires an argument and is harmless, and some checkers call the first
tool of a list just to see it fail.
"""

import math
from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations

from benchgate.domain.values import Value
from benchgate.gate.names import ToolName
from benchgate.gate.tools.catalog import CatalogTools
from benchgate.gate.tools.comparisons import ComparisonTools
from benchgate.gate.tools.results import ResultTools
from benchgate.gate.tools.runs import RunTools
from benchgate.gate.tools.seam import CALL_SECONDS_MAX, GateTool, Seam


class Nature(Value):
    """What a tool does to the world and to its caller, apart from its name and schema."""

    reads_only: bool = False
    destroys: bool = False
    repeatable: bool = False
    waits_for_person: bool = False

    @property
    def seconds_max(self) -> float:
        """How long a call may take; one that waits for a person keeps its own time."""
        return math.inf if self.waits_for_person else CALL_SECONDS_MAX

    def annotations(self) -> ToolAnnotations:
        """What a host may know before it lets a model call; every tool reaches a backend."""
        return ToolAnnotations(
            read_only_hint=self.reads_only,
            destructive_hint=self.destroys,
            idempotent_hint=self.repeatable,
            open_world_hint=True,
        )


READS = Nature(reads_only=True, repeatable=True)

NATURES: dict[ToolName, tuple[str, Nature]] = {
    ToolName.PREFLIGHT: ("Check a run before its start", READS),
    ToolName.LIST_TEMPLATES: ("List templates", READS),
    ToolName.LIST_CONNECTIONS: ("List connections", READS),
    ToolName.CREATE_RUN: ("Create a run", Nature()),
    ToolName.START_RUN: (
        "Start a run on a person's yes",
        Nature(destroys=True, waits_for_person=True),
    ),
    ToolName.GET_STATUS: ("Read a run's state", READS),
    ToolName.STOP_RUN: ("Stop a run", Nature(destroys=True, repeatable=True)),
    ToolName.CREATE_COMPARISON: ("Plan a comparison", Nature()),
    ToolName.START_COMPARISON: (
        "Start a comparison or its next test on a person's yes",
        Nature(destroys=True, waits_for_person=True),
    ),
    ToolName.GET_COMPARISON: ("Read a comparison's progress", READS),
    ToolName.GET_RESULTS: ("Hand over results", READS),
    ToolName.GET_ERRORS: ("Read a run's errors", READS),
}


def all_tools(
    *,
    catalog: CatalogTools,
    runs: RunTools,
    comparisons: ComparisonTools,
    results: ResultTools,
    seam: Seam,
    has_chat: bool,
) -> list[Tool]:
    """Every tool, ready to serve; only with *has_chat* does a start take a confirmation."""
    functions: dict[ToolName, Callable[..., Any]] = {
        ToolName.PREFLIGHT: runs.preflight,
        ToolName.LIST_TEMPLATES: catalog.list_templates,
        ToolName.LIST_CONNECTIONS: catalog.list_connections,
        ToolName.CREATE_RUN: runs.create_run,
        ToolName.START_RUN: runs.start_run_by_words if has_chat else runs.start_run,
        ToolName.GET_STATUS: runs.get_status,
        ToolName.STOP_RUN: runs.stop_run,
        ToolName.CREATE_COMPARISON: comparisons.create_comparison,
        ToolName.START_COMPARISON: (
            comparisons.start_comparison_by_words if has_chat else comparisons.start_comparison
        ),
        ToolName.GET_COMPARISON: comparisons.get_comparison,
        ToolName.GET_RESULTS: results.get_results,
        ToolName.GET_ERRORS: results.get_errors,
    }
    return [
        GateTool.of(
            functions[name],
            name=name.value,
            title=title,
            annotations=nature.annotations(),
            seconds_max=nature.seconds_max,
            seam=seam,
        )
        for name, (title, nature) in NATURES.items()
    ]
