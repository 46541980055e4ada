"""What the documents say is true: sections are fresh, snippets work, and what is named exists."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from pydantic import TypeAdapter

from benchgate.domain.comparisons import ComparisonEvent
from benchgate.domain.contract import ConnectionDraft
from benchgate.domain.templates import TemplateDraft
from benchgate.gate.names import SERIES_URI, SUMMARY_URI, GuideName, ToolName
from benchgate.settings import PREFIX, Settings, variable
from docs.sections import DOCUMENTS, SECTION, rewritten
from tests.acceptance.home import Home, running_backend

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda path: path.as_posix()
)
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)(?P<path>[^)#]+)")
CODE = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"`benchgate ((?:[a-z]+|--[a-z-]+)(?: --[a-z-]+)*)")
CONVERSATION = ROOT / "docs" / "conversation.md"
EXCERPT = re.compile(r"<!-- excerpt -->\n\n```text\n(.*)```\n\n<!-- end of excerpt -->", re.DOTALL)
TRANSCRIPT = re.compile(r"<!-- transcript -->(.*)<!-- end of transcript -->", re.DOTALL)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fences(path: Path, language: str) -> Iterator[str]:
    for match in FENCE.finditer(path.read_text(encoding="utf-8")):
        if match["language"] == language:
            yield match["body"]


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@pytest.mark.anyio
@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
async def test_what_is_drawn_from_the_code_is_as_the_code_is_now(path: Path) -> None:
    """`make docs` draws it anew."""
    text = await anyio.Path(path).read_text(encoding="utf-8")
    assert SECTION.search(text)
    assert await rewritten(text) == text


def test_every_snippet_for_a_host_launches_the_server_of_mcp_json() -> None:
    entry = json.loads((ROOT / "mcp.json").read_text(encoding="utf-8"))["mcpServers"]["benchgate"]
    snippets = [json.loads(snippet) for snippet in fences(ROOT / "README.md", "json")]
    assert len(snippets) == 4
    for snippet in snippets:
        ((_, servers),) = snippet.items()
        assert {"type": "stdio"} | servers["benchgate"] == entry
    claude = next(body for body in fences(ROOT / "README.md", "sh") if body.startswith("claude"))
    assert claude.strip().endswith(f"benchgate -- {entry['command']}")


def test_every_body_in_the_page_on_templates_is_accepted() -> None:
    drafts = TypeAdapter[TemplateDraft | ConnectionDraft](TemplateDraft | ConnectionDraft)
    bodies = [drafts.validate_json(body) for body in fences(ROOT / "docs/templates.md", "json")]
    assert [type(body) for body in bodies] == [TemplateDraft] * 3 + [ConnectionDraft] * 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page saves templates with curl")
def test_the_way_to_save_a_template_saves_one(own_home: Home) -> None:
    page = ROOT / "docs" / "templates.md"
    (commands,), template = fences(page, "bash"), next(fences(page, "json"))
    data_dir = own_home.settings.data_dir
    with running_backend(own_home):
        (data_dir / "template.json").write_text(template, encoding="utf-8")
        subprocess.run(["bash", "-euc", commands], cwd=data_dir, check=True)
        (saved,) = own_home.ask("GET", "/api/templates/")
    assert saved["template_name"] == json.loads(template)["template_name"]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [m["path"] for m in LINK.finditer(text) if not (path.parent / m["path"]).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.M))
    assert named <= targets


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    known = {variable(field) for field in Settings.model_fields}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", path.read_text(encoding="utf-8"))) <= known


def test_every_setting_is_documented() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [f for f in Settings.model_fields if f"`{variable(f)}`" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_benchgate_command_that_is_named_exists(path: Path) -> None:
    named = COMMAND.findall(prose(path))
    for shell in fences(path, "sh"):
        named += COMMAND.findall("".join(f"`{line}`\n" for line in shell.splitlines()))
    for command in named:
        words = command.split()
        told = help_of([word for word in words if not word.startswith("--")])
        assert all(option in told for option in words if option.startswith("--")), command


def test_every_tool_prompt_and_resource_is_told_of() -> None:
    told = set(CODE.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {*ToolName, *GuideName, SUMMARY_URI, SERIES_URI} <= told


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_line_of_prose_holds_one_sentence(path: Path) -> None:
    lines = [line for line in prose(path).splitlines() if not line.startswith("|")]
    assert [line for line in lines if re.search(r"[a-z`)*][.!?] +[A-Z`*]", line)] == []


def test_the_transcript_shows_blocks_that_the_server_really_has() -> None:
    found = TRANSCRIPT.search(CONVERSATION.read_text(encoding="utf-8"))
    assert found is not None
    known = [
        line
        for block in (ROOT / "prompts" / "blocks").iterdir()
        for line in block.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    # What a block adds in brackets or after a colon is of the run at hand.
    shown = [
        re.split(r" \(|: ", heading)[0] for heading in re.findall(r"^## (.+)$", found[1], re.M)
    ]
    assert shown
    # A block may choose between several, each of which then stands in quotes.
    assert [
        heading
        for heading in shown
        if not any(line.startswith(f"## {heading}") or f'"{heading}"' in line for line in known)
    ] == []


def test_the_readme_shows_a_part_of_the_transcript() -> None:
    """Line by line in the order in which they stand there."""
    found = EXCERPT.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found is not None
    lines = iter(CONVERSATION.read_text(encoding="utf-8").splitlines())
    shown = [line for line in found[1].splitlines() if line != "[...]"]
    assert [line for line in shown if line not in lines] == []


def test_every_move_of_a_comparison_is_explained() -> None:
    page = (ROOT / "docs" / "comparisons.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(\w+)` \| [A-Z].+\. \|$", page, re.M)
    assert explained == [event.value for event in ComparisonEvent]


def help_of(subcommand: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchgate", *subcommand, "--help"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return done.stdout
