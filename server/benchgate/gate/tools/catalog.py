"""The tools that look at what is saved: templates and connections. They change nothing."""

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from benchgate.domain import cost
from benchgate.domain.templates import Template
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.tools.answers import (
    ConnectionLine,
    ConnectionsAnswer,
    TemplateLine,
    TemplatesAnswer,
    answer,
)

TEMPLATES_MAX = 25
CONNECTIONS_MAX = 50


class CatalogTools:
    """What can be run, and over which connections."""

    def __init__(self, *, backend: Backend, blocks: Blocks) -> None:
        """Read from *backend* and tell in *blocks*."""
        self._backend = backend
        self._blocks = blocks

    async def list_templates(
        self,
        name_contains: Annotated[str, Field(max_length=120)] = "",
    ) -> Annotated[CallToolResult, TemplatesAnswer]:
        """List saved test templates, newest first, with target, load and estimated credits."""
        wanted = name_contains.casefold()
        found = [
            template
            for template in await self._backend.templates()
            if wanted in template.template_name.casefold()
        ]
        shown = found[:TEMPLATES_MAX]
        text = self._blocks.render("templates", templates=shown, total=len(found))
        lines = tuple(_line(template) for template in shown)
        return answer(text, TemplatesAnswer(templates=lines, total=len(found)))

    async def list_connections(self) -> Annotated[CallToolResult, ConnectionsAnswer]:
        """List saved database connections. Secrets are never shown."""
        connections = (await self._backend.connections()).connections[:CONNECTIONS_MAX]
        text = self._blocks.render("connections", connections=connections)
        lines = tuple(ConnectionLine.model_validate(c.model_dump()) for c in connections)
        return answer(text, ConnectionsAnswer(connections=lines))


def _line(template: Template) -> TemplateLine:
    config = template.config
    return TemplateLine(
        template_id=template.template_id,
        template_name=template.template_name,
        target=config.target,
        load_mode=config.load_mode.value,
        expected_seconds=config.expected_seconds,
        estimated_cost=cost.estimate(config).credits,
    )
