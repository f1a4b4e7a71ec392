"""Writes docs/requirements.md again, each point with the tests that prove it; `make docs` runs it.

A test names its points by `@pytest.mark.requirement("R8")`; `pytest -m requirement` runs them all.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from repository import ROOT, functions

PAGE = ROOT / "docs" / "requirements.md"
EXPLAINED = ROOT / "tests" / "mutants" / "explained.toml"
MARK = "requirement"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A point of law or of a standard, in our words, with where it comes from."""

    group: str
    rule: str
    source: str


REQUIREMENTS: Mapping[str, Requirement] = {
    name: Requirement(**point)
    for name, point in tomllib.loads((ROOT / "tests" / "requirements.toml").read_text()).items()
}


@dataclass(frozen=True, slots=True)
class Proof:
    """A test and the rule that its docstring states."""

    test: str
    rule: str


@cache
def proofs() -> Mapping[str, Sequence[Proof]]:
    """Tests by the points that they name; found in the sources, so that nothing needs to be imported."""
    found: dict[str, list[Proof]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text())
        of_all = [*_named(node.value for node in module.body if isinstance(node, ast.Assign))]
        for test in functions(module):
            if test.name.startswith("test_"):
                rule = (ast.get_docstring(test) or "").split("\n")[0]
                proof = Proof(f"{path.relative_to(ROOT)}::{test.name}", rule)
                for name in dict.fromkeys([*of_all, *_named(test.decorator_list)]):
                    found.setdefault(name, []).append(proof)
    return found


def page() -> str:
    """The page as it should be."""
    proved = proofs()
    lines = [
        "# Requirements",
        "",
        "What law and standards ask for, in our words, and the tests that prove it. Written by `make docs` from",
        "tests/requirements.toml and the marks in the tests; `pytest -m requirement` runs all of them. It is not legal",
        "advice.",
    ]
    for group, points in groupby(REQUIREMENTS.items(), key=lambda item: item[1].group):
        lines += ["", f"## {group}", ""]
        for name, point in points:
            lines += [f"**{name}.** {point.rule}", f"({point.source})", ""]
            lines += [f"- `{proof.test}`: {proof.rule}" for proof in proved.get(name, ())] or ["- none yet"]
            lines.append("")
        lines.pop()
    return "\n".join([*lines, *_explained()]) + "\n"


def _explained() -> Iterator[str]:
    """The section about changes that no test notices."""
    survives: Mapping[str, str] = tomllib.loads(EXPLAINED.read_text())["survives"]
    if survives:
        yield from ("", "## Changes that no test notices", "")
        yield "`make mutants` changes the rules one by one. No test notices these changes, for the reason given."
    for change, reason in survives.items():
        path, _, lines = change.partition(": ")
        before, _, after = lines.partition(" -> ")
        yield from ("", f"- {path}: {reason}", "", "  ```diff", f"  - {before}", f"  + {after}", "  ```")


def _named(marks: Iterable[ast.expr]) -> Iterator[str]:
    """Points that `pytest.mark.requirement(...)` names, above a test or for all of a module."""
    for mark in marks:
        if isinstance(mark, ast.List):
            yield from _named(mark.elts)
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == MARK:
            yield from (str(one.value) for one in mark.args if isinstance(one, ast.Constant))


if __name__ == "__main__":
    PAGE.write_text(page())
