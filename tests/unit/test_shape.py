"""The shape of the code itself: what no linter of ours measures."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.unit.tree import PYTHON_FOLDERS, ROOT, relative, sources, texts

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
TEST_NAME_WORDS_MIN = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef

CODE = sources(*PYTHON_FOLDERS)
TESTS = sources("tests")
SERVER = sources("server")
PACKAGES = [path for path in SERVER if path.name == "__init__.py"]

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


class Shape:
    """What the tests below ask of one file, which is read and parsed once for all of them."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        nodes = [*ast.walk(tree)]
        functions = [n for n in nodes if isinstance(n, Function)]
        self.lines = text.count("\n")
        self.docstring = ast.get_docstring(tree)
        self.statements = [ast.unparse(each).split(" = ")[0] for each in tree.body[1:]]
        self.long_functions = [*long_functions(functions, text.splitlines())]
        self.tests = [each.name for each in functions if each.name.startswith("test_")]
        self.fields_of_dicts = [*fields_of_dicts(nodes)]


def long_functions(functions: Iterable[Function], lines: list[str]) -> Iterator[str]:
    """Which of *functions* are over budget."""
    for node in functions:
        size = code_lines(node, lines)
        if size > FUNCTION_LINES_MAX:
            yield f"{node.name}: {size} lines"


def code_lines(node: Function, lines: list[str]) -> int:
    """How many lines *node*'s body has, docstring, comments and blank lines left out."""
    first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
    body = (line.strip() for line in lines[first.lineno - 1 : node.end_lineno])
    return sum(1 for line in body if line and not line.startswith("#"))


def fields_of_dicts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The fields of values among *nodes* whose type holds a dict."""
    for node in nodes:
        if isinstance(node, ast.ClassDef) and "Value" in {ast.unparse(b) for b in node.bases}:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and re.search(
                    r"\b(?:dict|Dict|Mapping)\b", ast.unparse(field.annotation)
                ):
                    yield f"{node.name}.{ast.unparse(field.target)}"


@pytest.fixture(scope="module")
def shapes() -> dict[Path, Shape]:
    return {path: Shape(path) for path in CODE + TESTS}


def test_a_file_fits_its_budget(shapes: dict[Path, Shape]) -> None:
    sizes = {relative(path): shape.lines for path, shape in shapes.items()}
    assert {name: size for name, size in sizes.items() if size > FILE_LINES_MAX} == {}


def test_a_function_fits_its_budget(shapes: dict[Path, Shape]) -> None:
    assert found(shapes, lambda shape: shape.long_functions) == []


def test_a_module_says_what_it_owns(shapes: dict[Path, Shape]) -> None:
    assert [relative(path) for path in CODE if not shapes[path].docstring] == []


def test_a_package_holds_its_docstring_and_nothing_else(shapes: dict[Path, Shape]) -> None:
    statements = {relative(path): shapes[path].statements for path in PACKAGES}
    assert statements.pop("server/benchgate/__init__.py") == ["__version__"]
    assert {name: held for name, held in statements.items() if held} == {}


def test_a_value_holds_values_and_no_dicts(shapes: dict[Path, Shape]) -> None:
    fields = {field for path in SERVER for field in shapes[path].fields_of_dicts}
    assert fields <= OPEN_OBJECTS


def test_the_name_of_a_test_is_a_sentence(shapes: dict[Path, Shape]) -> None:
    def short(shape: Shape) -> list[str]:
        names = [name.removeprefix("test_") for name in shape.tests]
        return [name for name in names if name.count("_") + 1 < TEST_NAME_WORDS_MIN]

    assert found({path: shapes[path] for path in TESTS}, short) == []


def found(shapes: dict[Path, Shape], fault: Callable[[Shape], list[str]]) -> list[str]:
    """Each *fault* of each file, with the name of the file."""
    return [f"{relative(path)}: {one}" for path, shape in shapes.items() for one in fault(shape)]


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
