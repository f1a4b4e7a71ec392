"""Two complete deployments: people consent at the first, and the second fetches with `portability pull`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import forks
import pyrage
from factories import MadeUpExporter, things
from inboxes import LOOPBACK, PROFILE, profile, reference_platform
from pulling import BACK, worked
from served import OWNER, Served, serving
from servers.process import free_ports

from portability.api import Record
from portability.database.engine import reading, writing
from portability.requests.policy import Actor
from portability.transfers import recipients
from portability.trust import keys
from receiver.pulls import asking, consents, metadata, records
from receiver.pulls.asking import PullingProvider, WantedData
from receiver.pulls.copies import PullAccess

DATASETS = ("account", "calls")
SECONDS = 60


@dataclass
class TwoStacks:
    """Both deployments, each with its own database, keys, database of Valkey, and storage."""

    there: Served
    """That the person leaves."""
    here: Served
    """That asks and fetches."""
    returns_to: str
    environment: dict[str, str]
    """The settings of the second, for its commands."""
    records: list[Record]
    """What the first has of the person's account; a test may change it."""
    folder: Path
    recipient: str = ""
    """The second's id at the first."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the second deployment, in a process of its own."""
        return forks.run_fork([*arguments, "--json"], {**os.environ, **self.environment}, seconds=SECONDS)

    def json(self, *arguments: str) -> Any:
        """What a command answers; the code of its error, if it fails."""
        done = self.run(*arguments)
        assert done.stdout, done.stderr
        document = json.loads(done.stdout)
        return document["error"]["code"] if done.returncode else document

    def begun(self, *datasets: str, **more: str) -> Any:
        """A request to a person at the first deployment."""
        options = [text for name in datasets or DATASETS for text in ("--dataset", name)]
        options += [text for name, value in more.items() for text in (f"--{name.replace('_', '-')}", value)]
        url = f"{self.there.url}/.well-known/portability"
        asked = ("--from", "localhost", "--url", url, "--redirect-uri", self.returns_to)
        return self.json("pull", "begin", *asked, *options)

    def returned(self, address: str, *allowed: str, answer: str = "allow", person: str = OWNER) -> str:
        """The address that a person comes back with, who opens another and answers on their page."""
        opened = urlsplit(address)
        with self.there.browser(person) as visitor:
            arrived = visitor.client.get(opened.path, params=dict(parse_qsl(opened.query)))
            assert arrived.status_code == 303, arrived.text
            page = arrived.headers["location"]
            sent = visitor.send(page, page=page, answer=answer, datasets=list(allowed or DATASETS))
            found = BACK.search(sent.text)
            assert found, sent.text
            return found[1].replace("&amp;", "&")

    @property
    def pulls(self) -> Path:
        """Where the second deployment keeps what it has asked for."""
        return Path(self.environment["PORTABILITY_DIR"]) / "pulls"

    @property
    def us(self) -> PullingProvider:
        """The second deployment as the first has recorded it."""
        world = self.here.world
        with reading(world.engine) as connection:
            key = keys.signing(connection, world.place.settings.keys, purpose="receipt")
        return PullingProvider("localhost", key)

    def consented(self, *allowed: str, until: datetime | None = None) -> str:
        """A request that a person has allowed, made without the processes of the commands; returns its id."""
        server = metadata.found(LOOPBACK, "localhost", f"{self.there.url}/.well-known/portability")
        record, address = asking.begin(LOOPBACK, server, self.us, WantedData(DATASETS, self.returns_to, until))
        answer = asking.returned(self.returned(address, *allowed))
        records.save(self.pulls, record)
        consents.take(self.pulls, record.id, LOOPBACK, lambda _client_id: self.us, answer)
        return record.id

    def ready(self, request: str, *, only_changes: bool = False) -> dict[str, Any]:
        """A copy that was started, and that workers and clock of the first deployment have made."""
        with records.alone(self.pulls, request) as record:
            access = PullAccess(LOOPBACK, self.us, self.pulls, record)
            assert access.current(self.pulls, only_changes=only_changes)["state"] == "preparing"
            worked(self.there)
            return dict(access.current(self.pulls, only_changes=only_changes))


@contextmanager
def two_stacks(folder: Path, redis_url: str) -> Iterator[TwoStacks]:
    """Two deployments for the length of the block: the second is a recipient at the first."""
    records = [profile()]
    exporters = {"account": MadeUpExporter(records, datasets=(PROFILE,)), "calls": MadeUpExporter(things(20))}
    for name in ("there", "here"):
        (folder / name).mkdir()
        reference_platform(folder / f"into-{name}.sqlite")
        (folder / f"{name}.txt").write_text(f"{pyrage.x25519.Identity.generate()}\n")
    shared: dict[str, Any] = {"allow_loopback": True, "inbox_audience": "localhost", "exports_per_month": 100}
    with (
        serving(
            folder / "there",
            redis_url.replace("db=0", "db=1"),
            exporters=exporters,
            inbox_identity=folder / "there.txt",
            inbox_into=f"sqlite:///{folder / 'into-there.sqlite'}",
            **shared,
        ) as there,
        serving(
            folder / "here",
            redis_url.replace("db=0", "db=2"),
            inbox_identity=folder / "here.txt",
            inbox_into=f"sqlite:///{folder / 'into-here.sqlite'}",
            **shared,
        ) as here,
    ):
        for served in (there, here):
            with writing(served.world.engine) as connection:
                keys.ensure(connection, served.world.place.settings.keys, actor="operator:test")
        settings = here.world.place.settings
        names = ("dir", "base_url", "source_url", "redis_url", "inbox_identity", "inbox_audience", "inbox_into")
        environment = {f"PORTABILITY_{name}".upper(): str(getattr(settings, name)) for name in names}
        environment |= {"PORTABILITY_ALLOW_LOOPBACK": "1", "PORTABILITY_APPROVALS": "none"}
        (port,) = free_ports(1)
        made = TwoStacks(there, here, f"http://127.0.0.1:{port}/back", environment, records, folder)
        made.recipient = _recorded(made)
        yield made


def _recorded(made: TwoStacks) -> str:
    """The second deployment as a recipient at the first; returns its id."""
    identity = pyrage.x25519.Identity.from_str((made.folder / "here.txt").read_text().strip())
    settings = made.there.world.place.settings
    entry = recipients.checked(
        LOOPBACK,
        None,
        name="B Care",
        domain="localhost",
        country="DE",
        age_key=str(identity.to_public()),
        jwks_url=f"{made.here.url}/.well-known/jwks.json",
        webhook_url=f"{made.here.url}/v1/inbox",
        redirect_uris=[made.returns_to],
    )
    with writing(made.there.world.engine) as connection:
        return recipients.add(connection, settings.keys, entry, actor=Actor("officer", "one"), approved=True)[0]
