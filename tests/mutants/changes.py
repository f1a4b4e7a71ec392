"""List the small changes of a file, each of which a test must notice: Cosmic Ray's operators, and figures in TOML."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

OPERATORS = (
    *("NumberReplacer", "AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr"),
    *("ReplaceOrWithAnd", "ReplaceContinueWithBreak", "ZeroIterationForLoop", "ReplaceUnaryOperator_Delete_Not"),
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in (
            *("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "LtE_GtE", "Gt_Lt", "GtE_LtE"),
            *("Is_IsNot", "IsNot_Is"),
        )
    ),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "Mod_FloorDiv", "BitAnd_BitOr", "BitOr_BitAnd")
    ),
)
"""Chosen so that each expression has one or two changes; Cosmic Ray's others repeat them with other operators.

Its ExceptionReplacer is left out: it fails at `except module.Name`.
"""
OPPOSITES: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
NUMBER = re.compile(r"(?<![\w.\"-])\d+(?![\w.\"-])")


@dataclass(frozen=True, slots=True)
class Change:
    """One changed line of a file."""

    path: str
    line: int
    before: str
    after: str
    text: str
    """The whole file with the change."""

    @property
    def name(self) -> str:
        """What identifies the change while other lines of the file come and go."""
        return f"{self.path}: {self.before} -> {self.after}"


def changes(root: Path, path: str) -> Iterator[Change]:
    """Yield each change of a file once."""
    source = (root / path).read_text()
    found = _of_toml(source) if path.endswith(".toml") else _of_python(source)
    for text in found:
        yield _change(path, source, text)


def _of_toml(source: str) -> Iterator[str]:
    """Yield the text with each whole number one larger, and one smaller."""
    for place in NUMBER.finditer(source):
        line = source[source.rfind("\n", 0, place.start()) + 1 : place.start()]
        if "=" in line and "#" not in line and line.count('"') % 2 == 0:
            for step in (1, -1):
                yield f"{source[: place.start()]}{int(place[0]) + step}{source[place.end() :]}"


def _of_python(source: str) -> Iterator[str]:
    nodes = list(ast_nodes(get_ast(source)))
    idle = _lines_without_effect(source)
    seen = {_meaning(source)}
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        positions = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (start, _stop) in enumerate(positions):
            text = None if start[0] in idle else mutate_code(source, operator, occurrence)
            if text is not None and (meaning := _meaning(text)) is not None and meaning not in seen:
                seen.add(meaning)
                yield text


def _meaning(source: str) -> str | None:
    """Return a form that is equal for programs that do the same: without annotations, and `not a is b` as `a is not b`.

    None: it is not a program.
    """
    try:
        return ast.dump(_Simplified().visit(ast.parse(source)))
    except SyntaxError:
        return None


class _Simplified(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:  # the library's name
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:  # the library's name
        node.annotation = ast.Constant(value=None)
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:  # the library's name
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.Compare) and len(inner.ops) == 1:
            opposite = OPPOSITES.get(type(inner.ops[0]))
            return ast.Compare(inner.left, [opposite()], inner.comparators) if opposite else node
        return node


def _lines_without_effect(source: str) -> set[int]:
    """Return the lines of what is only for the type checker, and of how a class stores its values."""
    nodes = list(ast.walk(ast.parse(source)))
    for_types = [node for node in nodes if isinstance(node, ast.If) and _is_for_types(node)]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    storing = [each for node in classes for each in node.decorator_list if ast.unparse(each).startswith("dataclass(")]
    configuring = [each for each in nodes if isinstance(each, ast.Assign) and "ConfigDict(" in ast.unparse(each)]
    idle: list[ast.stmt | ast.expr] = [*for_types, *storing, *configuring]
    return {line for node in idle for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def _is_for_types(node: ast.If) -> bool:
    return ast.unparse(node.test).endswith("TYPE_CHECKING")


def _change(path: str, source: str, text: str) -> Change:
    for number, (before, after) in enumerate(zip(source.splitlines(), text.splitlines(), strict=False), start=1):
        if before != after:
            return Change(path, number, before.strip(), after.strip(), text)
    raise AssertionError("a change that changes nothing")
