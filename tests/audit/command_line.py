"""Runs the product: the command line, real worker processes, and the pipeline's own functions in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from audit import audited_platform, source_database
from audit.companies import INSTRUCTED
from audit.delivered import DeliveredArchive, read
from audit.expectations import PEOPLE, SWITCHES, ExpectedPerson
from click.testing import CliRunner, Result
from factories import World, world
from sqlalchemy import Pool, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from workers import Deployment, deployment, until

from cli.main import main
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources

OPEN_STATES = {"queued", "running", "closing"}
LEASE_SECONDS = 60
"""On a busy machine a shorter lease is lost, and the export would be made twice."""
RETRIED = ("badprice", "nofile")
"""People whose archive lacks something that the source gets later."""
UNREPAIRED, REPAIRED = "-unrepaired", "-repaired"


@dataclass
class Audit:
    """The answers to all requests: archives by person or company, and states of those without an archive."""

    database: str
    deployed: Deployment
    exports: dict[str, str] = field(default_factory=dict)
    first_exports: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    archives: dict[str, DeliveredArchive] = field(default_factory=dict)

    def run(self, *arguments: str) -> Result:
        """Run a command in this process, which is ten times as fast as a process of its own."""
        return CliRunner().invoke(main, [*arguments, "--json"], env=self.deployed.environment)

    def command(self, *arguments: str) -> Any:
        """Run a command; returns its JSON answer."""
        return json.loads(self.run(*arguments).stdout)

    def ask(self, name: str, *arguments: str) -> None:
        """Request an export; what the product refuses has no archive."""
        result = self.run("request", *arguments)
        answer = json.loads(result.stdout)
        self.exit_codes[name] = result.exit_code
        if "id" in answer:
            self.exports[name] = answer["id"]
        else:
            self.states[name] = answer["error"]["code"]

    def work(self, made: World) -> None:
        """Do what workers do until no export is open, and read the states of all exports."""

        def settled() -> bool:
            made.advance_all()
            found = {export["id"]: export["state"] for export in self.command("list", "--limit", "1000")}
            self.states |= {name: found[export] for name, export in self.exports.items()}
            return OPEN_STATES.isdisjoint(self.states.values())

        until(settled, "all exports of the audit have ended")

    def fetch(self, name: str, label: str = "") -> None:
        """Read an archive, if there is one."""
        if self.states[name] == "ready":
            target = self.deployed.folder / "fetched" / f"{name}{label}"
            self.command("fetch", self.exports[name], "--to", str(target))
            self.archives[f"{name}{label}"] = read(target.glob("*.zip"))

    def retry(self, made: World, label: str) -> None:
        """Retry the gaps of archives, and read their next revision."""
        for name in RETRIED:
            self.run("retry", self.exports[name], "--gaps")
        self.work(made)
        for name in RETRIED:
            self.fetch(name, label)


def audited(database: str, folder: Path, source: str, redis_url: str) -> Audit:
    """Make the platform, request everything, and read all archives.

    People with an exit code are exported by worker processes while the command waits; the others in this process.
    """
    place = source.removeprefix("sqlite:///").replace("+psycopg", "")
    audited_platform.write(database, place, folder / "files")
    settings = {"SOURCE_URL": source, "RECORDINGS_URL": (folder / "files").as_uri(), "REDIS_URL": redis_url}
    settings |= {"ALLOW_FETCH": "1", "LEASE_SECONDS": str(LEASE_SECONDS)}
    with _connections_end(), deployment(folder / "state", workers=1, **settings) as deployed:
        made = Audit(database, deployed)
        for tenant in INSTRUCTED:
            made.command("instructions", "add", "--tenant", tenant)
        for name, person in PEOPLE.items():
            if person.exit_code is not None:
                made.ask(name, *_options(person), "--wait")
    with _connections_end(), _pipeline(deployed) as pipeline:
        _ask_others(made, pipeline)
        made.retry(pipeline, UNREPAIRED)
        source_database.repair_price(database, place, "sub_badprice_1", "99.95")
        source_database.write_files(folder / "files", [audited_platform.ROWS["rec_nofile"]])
        made.retry(pipeline, REPAIRED)
    return made


@contextmanager
def _connections_end() -> Iterator[None]:
    """Close all connections that this process has opened: as garbage they would lead to a warning in any test."""
    opened: list[tuple[DBAPIConnection, ConnectionPoolEntry]] = []

    def remember(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        opened.append((connection, entry))

    event.listen(Pool, "connect", remember)
    yield
    event.remove(Pool, "connect", remember)
    for connection, entry in opened:
        if entry.dbapi_connection is connection:
            entry.invalidate()
        connection.close()


@contextmanager
def _pipeline(deployed: Deployment) -> Iterator[World]:
    """The context of a worker with the deployment's settings, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in deployed.environment.items():
            patch.setenv(name, value)
        exporters = load_exporters(PlatformSources(load_settings(dir=deployed.folder)))
        made = world(deployed.folder, exporters, lease_seconds=LEASE_SECONDS)
        yield made
        made.engine.dispose()


def _options(person: ExpectedPerson) -> Sequence[str]:
    wanted = {"--profile": person.profile, "--subject": person.subject, "--tenant": person.tenant}
    given = {**wanted, "--include": person.include}
    return [word for option, value in given.items() if value is not None for word in (option, value)]


def _ask_others(made: Audit, pipeline: World) -> None:
    others = {name: person for name, person in PEOPLE.items() if person.exit_code is None}
    for name, person in others.items():
        made.ask(name, *_options(person))
    for name, switch in SWITCHES.items():
        made.ask(f"switch_{name}", "--profile", "switch", "--subject", f"tenant:{switch.tenant}")
    made.work(pipeline)
    for name, person in others.items():
        if person.contains_first_export:
            made.first_exports[name] = made.exports[name]
            made.ask(name, *_options(person))
    made.work(pipeline)
    for name in made.exports:
        made.fetch(name)
