"""One module writes the states of exports, volumes, transfers and links."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import repository
from one_writer import STATEFUL
from repository import ROOT

pytestmark = pytest.mark.slow

WRITER = "portability/requests/transition.py"
ELSEWHERE = {
    "portability/requests/acceptance.py:export": "an accepted request begins as `queued`",
    "portability/delivery/links.py:link": "a link begins without an end",
    "portability/transfers/sending.py:transfer": "a transfer begins as `held` or `queued`",
    "portability/transfers/unsent.py:transfer": "a transfer that cannot begin is recorded as `failed` or `revoked`",
    "portability/retention/anonymise.py:export": "a record that is purged is deleted",
    "portability/inbox/transition.py:received_transfer": "the one writer of the states of received transfers",
    "portability/inbox/offers.py:received_transfer": "a received transfer begins as `offered`",
    "portability/inbox/received.py:received_transfer": "a record that is erased or purged is deleted",
}
"""Rows that other modules insert or delete."""


def test_no_other_code_writes_a_state() -> None:
    """No function that updates one of these tables names its state; no other module inserts or deletes their rows."""
    found = {place for path in _product() for place in _writers(path.relative_to(ROOT).as_posix(), path.read_text())}

    assert found == set(ELSEWHERE)


@pytest.mark.parametrize(
    "code",
    [
        "connection.execute(update(EXPORT).values(state='ready'))",
        "values = {'state': 'ready'}\n    connection.execute(update(models.export).values(**values))",
        "connection.execute(update(LINK).values({'revoked_at': now()}))",
        "connection.execute(delete(VOLUME).where(VOLUME.c.id == 1))",
        "connection.execute(insert(VOLUME).values(number=1))",
    ],
)
def test_another_writer_is_found(code: str) -> None:
    """What the test looks for is what people write."""
    aliases = "EXPORT, VOLUME = models.export, models.volume\nLINK = models.link\n"
    source = f"{aliases}def change(connection):\n    {code}\n"

    assert list(_writers("worker/other.py", source))


def test_other_columns_may_change_anywhere() -> None:
    """A deadline, a lease or a name is not a state."""
    source = "EXPORT = models.export\ndef move(connection):\n    connection.execute(update(EXPORT).values(due_at=1))\n"

    assert not list(_writers("worker/other.py", source))


def _product() -> Iterator[Path]:
    for package in repository.PACKAGES:
        for path in repository.files("*.py", below=ROOT / package):
            if "migrations" not in path.parts and path.relative_to(ROOT).as_posix() != WRITER:
                yield path


def _writers(module: str, source: str) -> Iterator[str]:
    tree = ast.parse(source)
    aliases = dict(_aliases(tree))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            named = _named(function)
            for call in ast.walk(function):
                table = _table(call, aliases)
                if table is None or not isinstance(call, ast.Call):
                    continue
                if ast.unparse(call.func) in {"insert", "delete"} or STATEFUL[table] in named:
                    yield f"{module}:{table}"


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of a module for tables: `EXPORT = models.export`, also several at once."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value.elts if isinstance(value, ast.Tuple) else [value]
            for name, given in zip(names, values, strict=False):
                yield ast.unparse(name), ast.unparse(given).removeprefix("models.")


def _table(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """The table that `update(...)`, `insert(...)` or `delete(...)` is for, where it has a state."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in {"update", "insert", "delete"} or not node.args:
        return None
    name = ast.unparse(node.args[0])
    table = aliases.get(name, name.removeprefix("models."))
    return table if table in STATEFUL else None


def _named(function: ast.FunctionDef) -> set[str]:
    """The columns that a function names as keywords or as keys of a mapping."""
    keywords = {node.arg for node in ast.walk(function) if isinstance(node, ast.keyword) and node.arg is not None}
    keys = {
        key.value
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    return keywords | keys
