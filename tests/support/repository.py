"""The repository's own files, for the tests that read them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("portability", "exporters", "formats", "archive", "worker", "web", "receiver", "importer", "cli", "demo")
_IGNORED = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]


def files(pattern: str = "*", *, below: Path = ROOT) -> Iterator[Path]:
    """Files whose name fits the pattern, without what .gitignore leaves out."""
    for folder, folders, names in os.walk(below):
        folders[:] = sorted(name for name in folders if not _ignored(name))
        for name in sorted(names):
            if fnmatch(name, pattern) and not _ignored(name):
                yield Path(folder, name)


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a module: they are in blocks of statements, so no expression is looked into."""
    blocks: list[ast.AST] = [module]
    while blocks:
        within = ast.iter_child_nodes(blocks.pop())
        inner = [node for node in within if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case)]
        yield from (node for node in inner if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        blocks += inner


def pages() -> Iterator[Path]:
    """Every page of the documentation."""
    return files("*.md")


def build_wheel(folder: Path) -> Path:
    """Build the distribution's wheel from a copy of the repository's files, without a network."""
    source = folder / "source"
    for path in files():
        copied = source / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--quiet", "--wheel-dir", str(folder), str(source)], check=True)
    return next(folder.glob("*.whl"))


def table(page: Path, heading: str) -> Iterator[dict[str, str]]:
    """Rows of all tables on a page whose first column has this heading, by column, whole code bare."""
    columns: list[str] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            columns = []
        elif cells[0] == heading:
            columns = cells
        elif columns and not set(cells[0]) <= set("-:"):
            yield {column: _bare(cell) for column, cell in zip(columns, cells, strict=True)}


def _bare(cell: str) -> str:
    return cell[1:-1] if re.fullmatch(r"`[^`]*`", cell) else cell


def _ignored(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _IGNORED)
