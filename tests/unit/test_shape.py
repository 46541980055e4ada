"""The shape of the code itself: what no linter of ours measures."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tree import PYTHON_FOLDERS, ROOT, parsed, relative, sources, texts

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
TEST_NAME_WORDS_MIN = 3

CODE = sources(*PYTHON_FOLDERS)
TESTS = sources("tests")
PACKAGES = [path for path in sources("server") if path.name == "__init__.py"]

# Objects whose keys are not ours to fix: the specification or the protocol leaves them open.
OPEN_OBJECTS = frozenset(
    {
        "PreflightWarning.details",
        "Template.tags",
        "TemplateDraft.tags",
        "Problem.detail",
        "Reply.content",
    }
)
UNWANTED = {
    "work that is left open": re.compile(r"\b(?:TO[D]O|FIX[M]E)\b"),
    "a path of one machine": re.compile(r"(?<![\w.}])/(?:root|work|Users)/"),
    "the address of a package index": re.compile(r"index[-_]url|pypi\.org/simple|find[-]links"),
    "the workplace": re.compile(r"\bsub[-]?agent|shared/(?:spec|design|reference)|\.librar[y]/"),
}


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """How many lines *node*'s body has, docstring, comments and blank lines left out."""
    first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
    body = (line.strip() for line in lines[first.lineno - 1 : node.end_lineno])
    return sum(1 for line in body if line and not line.startswith("#"))


def long_functions(path: Path) -> Iterator[str]:
    """The functions in *path* that are over budget."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = code_lines(node, lines)
            if size > FUNCTION_LINES_MAX:
                yield f"{node.name}: {size} lines"


def fields_of_dicts(path: Path) -> Iterator[str]:
    """The fields of values in *path* whose type holds a dict."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ClassDef) and "Value" in {ast.unparse(b) for b in node.bases}:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and re.search(
                    r"\b(?:dict|Dict|Mapping)\b", ast.unparse(field.annotation)
                ):
                    yield f"{node.name}.{ast.unparse(field.target)}"


@pytest.mark.parametrize("path", CODE + TESTS, ids=relative)
def test_a_file_fits_its_budget(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= FILE_LINES_MAX


@pytest.mark.parametrize("path", CODE + TESTS, ids=relative)
def test_a_function_fits_its_budget(path: Path) -> None:
    assert list(long_functions(path)) == []


@pytest.mark.parametrize("path", CODE, ids=relative)
def test_a_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


@pytest.mark.parametrize("path", PACKAGES, ids=relative)
def test_a_package_holds_its_docstring_and_nothing_else(path: Path) -> None:
    statements = parsed(path).body[1:]
    allowed = ["__version__"] if path.parent.name == "benchgate" else []
    assert [ast.unparse(s).split(" = ")[0] for s in statements] == allowed


@pytest.mark.parametrize("path", sources("server"), ids=relative)
def test_a_value_holds_values_and_no_dicts(path: Path) -> None:
    assert {*fields_of_dicts(path)} <= OPEN_OBJECTS


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_the_name_of_a_test_is_a_sentence(path: Path) -> None:
    names = [
        node.name.removeprefix("test_")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]
    assert [name for name in names if name.count("_") + 1 < TEST_NAME_WORDS_MIN] == []


def test_nothing_but_the_package_lies_in_the_source_root() -> None:
    """Whatever lies in `server/` is importable by everyone who installs us in editable mode."""
    lying = {path.name for path in (ROOT / "server").iterdir()}
    assert lying - {"__pycache__", "benchgate.egg-info"} == {"benchgate"}


@pytest.mark.parametrize("unwanted", UNWANTED)
def test_no_file_holds_what_means_nothing_to_a_stranger(unwanted: str) -> None:
    found = [
        f"{relative(path)}: {match.group()}"
        for path in texts()
        if (match := UNWANTED[unwanted].search(path.read_text(encoding="utf-8")))
    ]
    assert found == []
