"""A person with a database that this software has never seen, who runs the commands of docs/newcomer.md."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import servers
from repository import ROOT
from workers import Deployment, command

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
        environment = {**self.here.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
        done = subprocess.run(
            command(*arguments), env=environment, cwd=self.here.folder, capture_output=True, text=True, check=False
        )
        expected = (expect,) if isinstance(expect, int) else expect
        assert done.returncode in expected, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def change(self, statements: str) -> None:
        with self.server.connect(self.database) as connection:
            connection.execute(statements)
