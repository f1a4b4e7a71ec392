"""Writes what docs/architecture.md draws: rooms from pyproject.toml, states from the tables of the code.

`make docs` runs it. A block of the page stands between `<!-- generated: name -->` and `<!-- end -->`; the text around
the blocks is written by hand. tests/test_architecture.py compares the page with the code.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Any

from repository import ROOT

from portability.requests.states import (
    EXPORTS,
    LINKS,
    TRANSFERS,
    VOLUMES,
    Event,
    ExportMeaning,
    LinkState,
    SliceState,
    TransferMeaning,
    VolumeState,
)

PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
Contract = Mapping[str, Any]
"""A contract of import-linter, as pyproject.toml writes it."""
EDGES = ("next", "reverts")
"""Properties of a state that the diagram shows."""
Edges = Mapping[StrEnum, Sequence[tuple[StrEnum, Event]]]
"""The states that may follow each state, with the event of each step."""


def render(page: str) -> str:
    """The page with each block made again. Raises KeyError: a block that nothing makes."""
    made = blocks()
    return BLOCK.sub(lambda block: f"{block[1]}{made[block[2]]}\n{block[3]}", page)


def blocks() -> Mapping[str, str]:
    """All blocks by name."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = {contract["containers"][0]: contract["layers"] for contract in _of_type(linter, "layers")}
    return {
        "packages": "\n\n".join((_package_diagram(linter), _job_table("", linter["root_packages"]))),
        **{container: _rooms(container, [layer.split(" | ") for layer in layers[container]]) for container in layers},
        **{container: _job_table(f"{container}/", _folders(container)) for container in ("receiver", "web")},
        "exports": "\n\n".join((_diagram(_events(EXPORTS)), _meanings(EXPORTS), _properties(ExportMeaning))),
        "transfers": "\n\n".join((_diagram(_events(TRANSFERS)), _meanings(TRANSFERS), _properties(TransferMeaning))),
        "volumes": "\n\n".join((_diagram(_silent(VOLUMES)), _plain(VolumeState))),
        "links": "\n\n".join((_diagram(_silent(LINKS)), _plain(LinkState))),
        "slices": _plain(SliceState),
    }


def _of_type(linter: Mapping[str, Any], kind: str) -> Iterator[Contract]:
    return (contract for contract in linter["contracts"] if contract["type"] == kind)


def _package_diagram(linter: Mapping[str, Any]) -> str:
    """Which package may import which; an arrow that follows from two others is left out."""
    packages: Sequence[str] = linter["root_packages"]
    may = {package: set(packages) - {package} for package in packages}
    for contract in _of_type(linter, "forbidden"):
        for package in may.keys() & set(contract["source_modules"]):
            may[package] -= set(contract["forbidden_modules"])
    for contract in _of_type(linter, "independence"):
        for package in contract["modules"]:
            may[package] -= set(contract["modules"])
    # The last of the packages, which composes them, is imported by none: no contract has to say so.
    composing = {package for package in packages if not _forbids(linter, package)}
    arrows = [
        f"  {package} --> {other}"
        for package in packages
        for other in packages
        if other in may[package] - composing and not any(other in may[between] for between in may[package] - {other})
    ]
    return _mermaid("flowchart TB", arrows)


def _forbids(linter: Mapping[str, Any], package: str) -> bool:
    return any(package in contract["source_modules"] for contract in _of_type(linter, "forbidden"))


def _rooms(container: str, layers: Sequence[Sequence[str]]) -> str:
    """The layers of a package from top to bottom, and what each room is for."""
    steps = [f"  {' & '.join(above)} --> {' & '.join(below)}" for above, below in pairwise(layers)]
    rooms = [room for layer in layers for room in layer]
    return "\n\n".join((_mermaid("flowchart TB", steps), _job_table(f"{container}/", rooms)))


def _folders(container: str) -> Sequence[str]:
    return sorted(path.parent.name for path in (ROOT / container).glob("*/__init__.py"))


def _job_table(folder: str, rooms: Iterable[str]) -> str:
    rows = []
    for room in rooms:
        path = f"{folder}{room}/" if (ROOT / folder / room).is_dir() else f"{folder}{room}.py"
        source = ROOT / path / "__init__.py" if path.endswith("/") else ROOT / path
        job = (ast.get_docstring(ast.parse(source.read_text())) or "").split("\n\n")[0]
        rows.append((f"[`{path}`](../{path})", " ".join(job.split())))
    return _table(("room", "job"), rows)


def _events(table: Mapping[Any, Any]) -> Edges:
    """Steps with their events; a revision that is given up has a step of its own."""
    return {
        state: [*meaning.next.items(), *getattr(meaning, "reverts", {}).items()] for state, meaning in table.items()
    }


def _silent(table: Mapping[Any, Iterable[Any]]) -> Edges:
    """Steps in the order of the states, each without an event."""
    return {state: [(to, None) for to in table if to in follow] for state, follow in table.items()}


def _diagram(edges: Edges) -> str:
    steps = [
        f"  {state} --> {to}" + (f" : {event}" if event else "")
        for state, follow in edges.items()
        for to, event in follow
    ]
    return _mermaid("stateDiagram-v2", [*steps, *(f"  {state} --> [*]" for state in edges if not edges[state])])


def _meanings(table: Mapping[Any, Any]) -> str:
    """A row for each state, with what the code derives its sets of states from."""
    texts = _docstrings(type(next(iter(table))))
    flags = [name for name in inspect.get_annotations(type(next(iter(table.values())))) if name not in EDGES]
    rows = [
        (f"`{state}`", texts[state], ", ".join(_flag(meaning, name) for name in flags if getattr(meaning, name)))
        for state, meaning in table.items()
    ]
    return _table(("state", "meaning", "properties"), rows)


def _flag(meaning: object, name: str) -> str:
    value = getattr(meaning, name)
    return f"`{name}`" if value is True else f"`{name}`: {value}"


def _plain(enum: type[StrEnum]) -> str:
    texts = _docstrings(enum)
    return _table(("state", "meaning"), [(f"`{state}`", texts[state]) for state in enum])


def _properties(meaning: type) -> str:
    rows = [(f"`{name}`", text) for name, text in _docstrings(meaning).items() if name != "next"]
    return _table(("property", "meaning"), rows)


def _docstrings(kind: type) -> Mapping[str, str]:
    """The text below each member of an enumeration, by its value, or below each field of a dataclass, by its name."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(kind)).body if isinstance(node, ast.ClassDef))
    texts: dict[str, str] = {}
    for above, below in pairwise(body):
        if isinstance(above, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
            name = ast.unparse(above.target) if isinstance(above, ast.AnnAssign) else ast.literal_eval(above.value)
            texts[name] = " ".join(ast.literal_eval(below.value).split())
    return texts


def _mermaid(kind: str, lines: Iterable[str]) -> str:
    return "\n".join(("```mermaid", kind, *lines, "```"))


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
    return "\n".join((*head, *(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)))


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
