"""The sources of this repository as Python itself reads them, for tests about imports and sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PACKAGES = ("buildkit", "ci")


class Import(NamedTuple):
    """One imported module, and the names taken from it."""

    module: str
    names: tuple[str, ...] = ()


def files(*folders: str) -> list[Path]:
    """The Python files below these folders of the repository."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def module_name(file: Path) -> str:
    """`buildkit.git.tree` for buildkit/git/tree.py."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the two packages."""
    return {module_name(file): parse(file) for file in files(*PACKAGES)}


def parse(file: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(file.read_bytes(), str(file))


def imports(tree: ast.Module) -> Iterator[Import]:
    """Everything that a module imports when it runs, at its top or in functions; not what type checkers alone see."""
    skipped = {node for branch in ast.walk(tree) if _for_type_checkers(branch) for node in ast.walk(branch)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            assert not node.level, "imports are absolute here"
            yield Import(node.module, tuple(alias.name for alias in node.names))


def imported_modules(tree: ast.Module) -> set[str]:
    """The modules of the two packages that a module imports; `from buildkit import build` is one of buildkit.build."""
    found: set[str] = set()
    for module, names in imports(tree):
        below = {f"{module}.{name}" for name in names} & modules().keys()
        found |= below
        if module in modules() and len(below) < max(len(names), 1):
            found.add(module)
    return found


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
