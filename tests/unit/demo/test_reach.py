"""What the demo may know: it stands outside, like any host and any person."""

import ast
from pathlib import Path

import pytest

from tests.unit.tree import parsed, relative, sources

SHARED = {"benchgate.domain.rendezvous"}


@pytest.mark.parametrize("path", sources("demo"), ids=relative)
def test_the_demo_knows_nothing_of_benchgate_but_where_the_backend_is_found(path: Path) -> None:
    imported = {
        node.module
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module is not None
    } | {
        alias.name
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert {name for name in imported if name.startswith("benchgate")} <= SHARED
