"""Orders about subjects that no source knows are recorded, and say so: the id may be mistyped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from cli.main import main

Run: TypeAlias = Callable[..., Result]
MAP = """
title = "Shop"
role = "processor"
kinds = ["user", "tenant"]
[session]
tenants = { table = "companies", column = "id" }
[[dataset]]
name = "companies"
title = "Companies"
description = "Companies."
provenance = "provided"
table = "companies"
tenant = "id"
rows = [{ column = "owner", identities = ["user_id"], within = "platform" }]
fields.id = { text = "Id." }
"""
UNKNOWN = "no source knows this tenant: check its spelling"
ORDERS = [
    ("instructions", "add", "--tenant"),
    ("holds", "add", "--reason", "Case 7", "--subject"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript("create table companies (id text primary key, owner text)")
        connection.execute("insert into companies values ('acme', 'usr_1')")
    connection.close()
    (tmp_path / "shop.toml").write_text(MAP)
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path / 'shop.db'}")
    (tmp_path / "sources.toml").write_text(f'[shop]\nkind = "sql"\nmap = "shop.toml"\nurl = "file:{tmp_path}/url"\n')
    monkeypatch.setenv("PORTABILITY_DIR", str(tmp_path))
    monkeypatch.setenv("PORTABILITY_SOURCES", str(tmp_path / "sources.toml"))
    runner = CliRunner()
    assert runner.invoke(main, ["db", "upgrade"]).exit_code == 0
    return lambda *arguments: runner.invoke(main, list(arguments))


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_about_an_unknown_tenant_says_so(run: Run, tmp_path: Path, order: tuple[str, ...]) -> None:
    """On standard error, so that scripts have the id alone; a source that is away says nothing about anyone."""
    prefix = "tenant:" if order[0] == "holds" else ""
    known, mistyped = run(*order, f"{prefix}acme"), run(*order, f"{prefix}acmee")
    assert (known.exit_code, known.stderr) == (0, "")
    assert (mistyped.exit_code, UNKNOWN in mistyped.stderr) == (0, True)
    assert len(mistyped.stdout.split()) == 1

    (tmp_path / "shop.db").unlink()
    away = run(*order, f"{prefix}acmeee")
    assert (away.exit_code, UNKNOWN in away.stderr) == (0, False)
