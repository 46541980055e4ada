"""The files of the project, as tests of its shape read them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON_FOLDERS = ("server", "demo", "benchmarks", "docs")
TEXT_SUFFIXES = frozenset(
    {".py", ".md", ".toml", ".txt", ".json", ".sh", ".html", ".js", ".css", ".sql", ".yml", ""}
)
# What commands make, and what editors and tools keep beside the project.
FOREIGN_FOLDERS = frozenset({"__pycache__", "build", "dist", "node_modules"})
OWN_HIDDEN = frozenset({".ci", ".gitignore"})


def relative(path: Path) -> str:
    """*path* as it is written inside the project."""
    return path.relative_to(ROOT).as_posix()


def sources(*folders: str) -> list[Path]:
    """Every Python file in *folders*, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    """The syntax of the Python file at *path*."""
    return ast.parse(path.read_text(encoding="utf-8"))


def texts() -> list[Path]:
    """Every text file of the project itself."""
    return sorted(_texts(ROOT))


def _texts(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name not in OWN_HIDDEN:
            continue
        if path.is_dir() and path.name not in FOREIGN_FOLDERS:
            yield from _texts(path)
        elif path.is_file() and path.suffix in TEXT_SUFFIXES:
            yield path
