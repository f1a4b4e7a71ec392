"""The check of tests/support/plans.py, which looks at the statements of all tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
import servers
from plans import WHOLE, RunStatement, fault, long_history
from repository import ROOT
from sqlalchemy import Engine, Executable, delete, select, update

from portability.database import models
from portability.database.engine import now, read_once

EXPORT, SESSION = models.export, models.session
GAPS = select(models.gap.c.id).where(models.gap.c.export_id == EXPORT.c.id)


@pytest.fixture(scope="module")
def history(pg_server: servers.Postgres) -> Iterator[Engine]:
    with long_history(pg_server) as filled:
        yield filled


@pytest.mark.parametrize(
    "statement",
    [
        select(EXPORT.c.id).where(EXPORT.c.reason == "x"),
        update(EXPORT).where(EXPORT.c.reason == "x").values(reason=None),
        delete(SESSION).where(SESSION.c.expires_at < now()),
        select(EXPORT.c.id).where(EXPORT.c.reason == "x").order_by(EXPORT.c.created_at).limit(1),
        select(EXPORT.c.id).where(EXPORT.c.reason == "x", GAPS.exists()),
    ],
)
def test_a_statement_without_an_index_is_a_fault(history: Engine, statement: Executable) -> None:
    assert fault(history, RunStatement(("web/page.py:show",), statement, {})).startswith("web/page.py:show reads {")


@pytest.mark.parametrize(
    "statement",
    [
        select(EXPORT.c.id).where(EXPORT.c.id == "7old"),
        delete(SESSION).where(SESSION.c.expires_at < read_once()),
        select(EXPORT.c.id).order_by(EXPORT.c.created_at).limit(1),
        select(EXPORT.c.id).where(EXPORT.c.subject_ref.in_(["a", "b"]), GAPS.exists()),
    ],
)
def test_a_statement_that_an_index_serves_passes(history: Engine, statement: Executable) -> None:
    assert fault(history, RunStatement(("web/page.py:show",), statement, {})) == ""


@pytest.mark.parametrize("name", WHOLE)
def test_what_may_read_many_rows_exists(name: str) -> None:
    path, _, function = name.partition(":")
    tree = ast.parse(ROOT.joinpath(path).read_text())
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
