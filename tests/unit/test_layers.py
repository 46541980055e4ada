"""What starting a process imports: the gate is also a short-lived probe, and has to stay light."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.tree import ROOT, parsed

PACKAGE_ROOT = ROOT / "server"
# Each of these alone costs a noticeable part of the start-up budget, or belongs to the backend.
HEAVY = frozenset(
    {
        "sqlalchemy",
        "jinja2",
        "fastapi",
        "uvicorn",
        "psycopg",
        "duckdb",
        "snowflake",
        "ray",
        "psutil",
        "sqlite3",
        "rich",
    }
)


def file_of(module: str) -> Path | None:
    """The file of *module*, where it is one of ours."""
    path = PACKAGE_ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def is_for_types_alone(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_at_once(body: list[ast.stmt]) -> Iterator[str]:
    """What a module with *body* imports when it is imported itself: not what functions import."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If | ast.Try) and not is_for_types_alone(node):
            yield from imported_at_once(node.body)


def closure(module: str) -> set[str]:
    """Every module that importing *module* imports through ours."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            path = file_of(name)
            waiting += imported_at_once(parsed(path).body) if path else []
    return seen


@pytest.mark.parametrize("module", ["benchgate.cli", "benchgate.gate.server"])
def test_starting_the_gate_imports_nothing_heavy(module: str) -> None:
    assert {name.split(".")[0] for name in closure(module)} & HEAVY == set()


@pytest.mark.parametrize("module", ["benchgate.cli", "benchgate.gate.server"])
def test_starting_the_gate_imports_nothing_of_the_backend(module: str) -> None:
    assert [name for name in closure(module) if name.startswith("benchgate.backend")] == []


def test_the_closure_sees_what_is_imported_over_several_modules() -> None:
    assert "httpx" in closure("benchgate.gate.server")
    assert "sqlalchemy" in closure("benchgate.gate.store")
