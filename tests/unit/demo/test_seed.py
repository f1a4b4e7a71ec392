"""What the command says of a database that takes no rows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from demo import seed as module
from demo.plan import SeedPlan
from portability.errors import BadSource


def test_a_full_disk_of_the_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint leads to the disk. Before, it led to the address of the database, which is right."""

    def full(*_of: object) -> None:
        fault = sqlite3.OperationalError("database or disk is full")
        fault.sqlite_errorname = "SQLITE_FULL"
        raise OperationalError("insert", None, fault)

    monkeypatch.setattr(module, "load", full)
    with pytest.raises(BadSource, match="cannot write to the source database: OperationalError SQLITE_FULL") as raised:
        module.seed(f"sqlite:///{tmp_path}/platform.sqlite", None, SeedPlan())
    assert "is it full" in raised.value.hint
