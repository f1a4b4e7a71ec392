"""A person with a database that this software has never seen, who runs the commands of docs/newcomer.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass

import servers
from repository import ROOT
from workers import Deployment

OF_DATABASE, OF_HTTP = (ROOT / "docs" / "newcomer.md").read_text("utf-8").split("## 7. ")
"""The halves of the page."""
COMMAND = re.compile(r"^\$ portability (.+)$", re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
CONTACT, TENANT = "33333333-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000001"
"""The subject of the page, in tests/newcomer/crm.sql."""

READER = """
create role {0} login; alter role {0} set default_transaction_read_only = on;
grant select on all tables in schema public to {0}
"""
"""Statements that make an account which can only read."""


@dataclass
class Newcomer:
    """A folder with the commands of the page, and a database that this software has never seen."""

    here: Deployment
    server: servers.Postgres
    database: str
    commands: Iterator[str]

    def next(self, *, expect: int | tuple[int, ...] = 0, **variables: str) -> str:
        """Run the next command of the page, as it stands there."""
        line = next(self.commands)
        for name, value in variables.items():
            line = line.replace(f"${name}", value)
        assert "$" not in line, line
        return self.run(*line.split(), expect=expect)

    def run(self, *arguments: str, expect: int | tuple[int, ...] = 0) -> str:
        """Run a command in the folder; returns what it printed."""
        with chdir(self.here.folder):
            return self.here.run(*arguments, expect=expect).stdout

    def change(self, statements: str) -> None:
        with self.server.connect(self.database) as connection:
            connection.execute(statements)
