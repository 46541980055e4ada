"""The tools that look at what is saved: templates and connections. They change nothing."""

import re
from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field, WithJsonSchema

from benchgate.domain import cost, pages
from benchgate.domain.contract import ConnectionView
from benchgate.domain.cost import Cost
from benchgate.domain.templates import (
    AnyCase,
    LoadMode,
    QueryKind,
    TableType,
    Template,
    TemplateConfig,
)
from benchgate.domain.text import NAME_CHARACTERS_MAX, one_line
from benchgate.domain.values import Value
from benchgate.gate import figures
from benchgate.gate.backend import Backend
from benchgate.gate.blocks import Blocks
from benchgate.gate.names import ToolName
from benchgate.gate.tools.answers import (
    ConnectionLine,
    ConnectionsAnswer,
    TemplateLine,
    TemplatesAnswer,
    answer,
)

ID_CHARACTERS_MAX = 200
TYPE_CHARACTERS_MAX = 40
NOT_SHOWN = "not shown"
# An address or a user of these is more than that: it may hold a password.
TELLS_MORE = re.compile(r"[@=?&;\s]|//")
TELLS_MORE_OF_USER = re.compile(r"[:=?&;]|//")

NamePart = Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)]
# As a bare text in the schema: a model has the values from the lines, and a refusal names them.
WantedType = Annotated[
    TableType | None, AnyCase, WithJsonSchema({"maxLength": 20, "type": "string"})
]
Cursor = Annotated[str | None, Field(max_length=pages.CURSOR_CHARACTERS)]


class TemplateRow(Value):
    """A template as its line tells it, and what its cost stands on."""

    line: TemplateLine
    cost: Cost


class ConnectionRow(Value):
    """A connection as its line tells it, and whether it is in use."""

    line: ConnectionLine
    is_active: bool


class CatalogTools:
    """What can be run, and over which connections."""

    def __init__(self, *, backend: Backend, blocks: Blocks) -> None:
        """Read from *backend* and tell in *blocks*."""
        self._backend = backend
        self._blocks = blocks

    async def list_templates(
        self, name_contains: NamePart = "", table_type: WantedType = None, cursor: Cursor = None
    ) -> Annotated[CallToolResult, TemplatesAnswer]:
        """List saved templates, newest first."""
        shelf = await self._backend.shelf()
        page = pages.page_of(
            [
                template
                for template in shelf.templates
                if _is_named(template.template_name, name_contains)
                and table_type in {None, template.config.table_type}
            ],
            place=lambda one: pages.place_of(one.template_id, moment=one.updated_at),
            scope=self._scope(ToolName.LIST_TEMPLATES, name_contains, table_type or ""),
            cursor=cursor,
        )
        rows = tuple(_template_row(template) for template in page.entries)
        # Of what type one is that cannot be read, nobody knows.
        unreadable = [u for u in shelf.unreadable if _is_named(u.template_name, name_contains)]
        text = self._blocks.render("templates", page=page, rows=rows, unreadable=unreadable)
        told = TemplatesAnswer(
            templates=tuple(row.line for row in rows),
            total=page.total,
            next_cursor=page.next_cursor,
            unreadable=len(unreadable) or None,
        )
        return answer(text, told)

    async def list_connections(
        self, name_contains: NamePart = "", cursor: Cursor = None
    ) -> Annotated[CallToolResult, ConnectionsAnswer]:
        """List saved connections, never their secrets."""
        saved = (await self._backend.connections()).connections
        page = pages.page_of(
            [one for one in saved if _is_named(one.connection_name, name_contains)],
            place=lambda one: pages.place_of(one.connection_id, moment=one.created_at),
            scope=self._scope(ToolName.LIST_CONNECTIONS, name_contains),
            cursor=cursor,
        )
        rows = tuple(_connection_row(connection) for connection in page.entries)
        text = self._blocks.render("connections", page=page, rows=rows)
        lines = tuple(row.line for row in rows)
        told = ConnectionsAnswer(connections=lines, total=page.total, next_cursor=page.next_cursor)
        return answer(text, told)

    def _scope(self, tool: ToolName, name_contains: str, *filters: str) -> tuple[str, ...]:
        """What a cursor serves: this list of this backend, with these filters."""
        return tool, self._backend.identity, name_contains.casefold(), *filters


def _is_named(name: str, part: str) -> bool:
    return part.casefold() in name.casefold()


def _template_row(template: Template) -> TemplateRow:
    config = template.config
    estimated = cost.estimate(config)
    used = template.last_used_at
    line = TemplateLine(
        template_id=one_line(template.template_id, ID_CHARACTERS_MAX),
        template_name=one_line(template.template_name, NAME_CHARACTERS_MAX),
        target=one_line(config.target),
        table_type=config.table_type.value,
        load_mode=config.load_mode.value,
        load=_load(config),
        workload=_workload(config),
        expected_seconds=config.expected_seconds,
        estimated_cost=estimated.credits,
        last_used_on=used.date().isoformat() if used else None,
    )
    return TemplateRow(line=line, cost=estimated)


def _load(config: TemplateConfig) -> str:
    """`8 connections`, `300 QPS`, `from 5 connections, +10 every 30s`."""
    connections = f"{figures.count(config.connections)} connections"
    if config.load_mode is LoadMode.QPS and config.target_qps is not None:
        return f"{figures.rate(config.target_qps)} QPS"
    if config.load_mode is LoadMode.FIND_MAX_CONCURRENCY:
        step = figures.clock(config.step_duration_seconds)
        return f"from {connections}, +{figures.count(config.concurrency_increment)} every {step}"
    return connections


def _workload(config: TemplateConfig) -> str:
    """`80% point lookup, 20% generic sql (writes)`: one share for all statements of a kind."""
    shares: dict[str, float] = {}
    for share in config.workload:
        kind = share.kind.value.replace("_", " ").lower()
        is_own_write = share.writes and share.kind is QueryKind.GENERIC_SQL
        name = f"{kind} (writes)" if is_own_write else kind
        shares[name] = shares.get(name, 0) + share.share_pct
    return ", ".join(f"{figures.share(pct)} {name}" for name, pct in shares.items())


def _connection_row(connection: ConnectionView) -> ConnectionRow:
    line = ConnectionLine(
        connection_id=one_line(connection.connection_id, ID_CHARACTERS_MAX),
        connection_name=one_line(connection.connection_name, NAME_CHARACTERS_MAX),
        connection_type=one_line(connection.connection_type, TYPE_CHARACTERS_MAX),
        server=_server(connection),
        username=_user(connection.username),
        has_password=connection.has_password,
        has_private_key=connection.has_private_key or None,
    )
    return ConnectionRow(line=line, is_active=connection.is_active)


def _server(connection: ConnectionView) -> str | None:
    """The host with its port, or the account."""
    where = connection.host or connection.account
    if not where:
        return None
    if TELLS_MORE.search(where):
        return NOT_SHOWN
    has_port = connection.host and connection.port is not None
    return one_line(f"{where}:{connection.port}" if has_port else where, NAME_CHARACTERS_MAX)


def _user(username: str | None) -> str | None:
    if not username:
        return None
    hides = TELLS_MORE_OF_USER.search(username)
    return NOT_SHOWN if hides else one_line(username, NAME_CHARACTERS_MAX)
