"""Whatever a prompt, block, document or hint names exists: tools, arguments, settings, commands."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from jinja2 import Environment, nodes
from mcp import Client
from mcp.types import Tool

from benchgate import cli, domain
from benchgate.domain.values import Value
from benchgate.gate.guides import GUIDES
from benchgate.gate.names import GuideName, ToolName
from benchgate.gate.server import open_gate
from benchgate.settings import PREFIX, Settings, variable
from tests.unit.texts import sources as prompts
from tests.unit.tree import ROOT, parsed, relative, sources

pytestmark = pytest.mark.anyio

NAMES: dict[str, set[str]] = {
    "tool": {name.value for name in ToolName},
    "guide": {name.value for name in GuideName},
}
# Words of these first letters, with an underscore, are read as tools wherever they stand.
TOOL_LIKE = re.compile(
    r"\b(?:list|create|start|stop|get|execute|monitor|troubleshoot|analyze)_[a-z_]*[a-z]\b"
)
CODE_SPAN = re.compile(r"`([a-z]+(?:_[a-z0-9]+)+)(?:\([^`]*\))?`")
CALL = re.compile(r"\b([a-z]+(?:_[a-z]+)+)\(")
SETTING = re.compile(rf"\b{PREFIX}[A-Z][A-Z_]*[A-Z]\b")
COMMAND = re.compile(r"`benchgate ([a-z][^`]*)`")

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def own_words(source: str) -> str:
    """What a template itself says, without what it prints."""
    tree = Environment().parse(source)
    return "".join(data.data for data in tree.find_all(nodes.TemplateData))


TEXTS = {f"prompts/{path}": own_words(source) for path, source in prompts().items()} | {
    relative(path): path.read_text(encoding="utf-8") for path in DOCUMENTS
}


def prose_of(path: Path) -> Iterator[str]:
    """The texts in the Python file at *path* that people or models may read."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Whatever people or models may read, by the file in which it stands."""
    return TEXTS | {relative(path): "\n".join(prose_of(path)) for path in sources("server", "demo")}


def properties_of(schema: Any) -> Iterator[str]:
    """The names of all properties in *schema*, nested ones too."""
    if isinstance(schema, dict):
        for key, inner in schema.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "properties":
                yield from inner  # pyright: ignore[reportUnknownVariableType]
            yield from properties_of(inner)
    if isinstance(schema, list):
        for inner in schema:  # pyright: ignore[reportUnknownVariableType]
            yield from properties_of(inner)


def words_of_the_domain() -> Iterator[str]:
    """The fields of every value and the members of every enumeration."""
    for module in iter_modules(domain.__path__, "benchgate.domain."):
        for thing in vars(import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, Value):
                yield from thing.model_fields
                yield from (f.alias for f in thing.model_fields.values() if f.alias)
            if isinstance(thing, type) and issubclass(thing, StrEnum):
                yield from (member.value for member in thing)


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[list[Tool]]:
    async with open_gate(Settings(data_dir=tmp_path)) as server, Client(server) as client:
        yield (await client.list_tools()).tools


async def test_the_server_offers_the_tools_of_the_one_list_of_names(tools: list[Tool]) -> None:
    assert [tool.name for tool in tools] == [name.value for name in ToolName]


async def test_a_name_in_code_exists(tools: list[Tool]) -> None:
    known = NAMES["tool"] | NAMES["guide"] | set(words_of_the_domain())
    known |= {argument.name for guide in GUIDES for argument in guide.arguments}
    for tool in tools:
        known |= set(properties_of(tool.input_schema)) | set(properties_of(tool.output_schema))
    named = {
        f"{where}: {name}"
        for where, text in TEXTS.items()
        for pattern in (CODE_SPAN, CALL)
        for name in pattern.findall(text)
        if name not in known and not name.startswith("test_")
    }
    assert named == set()


def test_what_reads_like_a_tool_is_one(texts: dict[str, str]) -> None:
    known = NAMES["tool"] | NAMES["guide"] | set(words_of_the_domain())
    assert {
        f"{where}: {name}"
        for where, text in texts.items()
        for name in TOOL_LIKE.findall(text)
        if name not in known
    } == set()


@pytest.mark.parametrize("path", prompts(), ids=str)
def test_a_template_prints_names_that_exist(path: str) -> None:
    tree = Environment().parse(prompts()[path])
    for printed in tree.find_all(nodes.Getattr):
        owner = printed.node.name if isinstance(printed.node, nodes.Name) else ""
        assert owner not in NAMES or printed.attr in NAMES[owner]


def test_a_setting_exists(texts: dict[str, str]) -> None:
    known = {variable(field) for field in Settings.model_fields}
    assert {
        f"{where}: {name}"
        for where, text in texts.items()
        for name in SETTING.findall(text)
        if name not in known
    } == set()


def test_a_command_exists_with_its_options(
    texts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in {command for text in texts.values() for command in COMMAND.findall(text)}:
        name, *options = command.split()
        with pytest.raises(SystemExit) as ended:
            cli.main([name, "--help"])
        assert ended.value.code == 0, command
        described = capsys.readouterr().out
        for option in options:
            assert not option.startswith("--") or option.split("=")[0] in described, command
