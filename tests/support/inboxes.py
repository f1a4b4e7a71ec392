"""Two served deployments: one sends a person's profile, and the other receives it in its inbox and imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyrage
from factories import MadeUpExporter, dataset
from served import OWNER, Served, serving
from sqlalchemy import create_engine, insert, select, update
from standardwebhooks import Webhook
from transferring import encrypted

from cli.context import Context
from cli.receiving_service import service_of
from exporters.reference import schema
from portability.api import Field, FieldType, Provenance, Record
from portability.database.engine import reading, writing
from portability.inbox import received, senders
from portability.inbox.senders import SenderEntry
from portability.requests.policy import Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import recipients, sending
from portability.trust import keys
from receiver.inbox import service
from receiver.inbox.steps import ReceivingService
from worker.clock import notice_delivery, webhook_delivery

HERE = "usr_here"
"""The account at the receiving platform."""
OFFICER = ("olga", "officer")
CREATED = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
LOOPBACK = SafeHttpClient(loopback=True)
PROFILE = dataset(
    "profile",
    dataset().role,
    *(Field(name, FieldType.STRING, "Some text.", Provenance.PROVIDED) for name in ("full_name", "email", "job_title")),
    Field("mfa_enabled", FieldType.BOOLEAN, "A flag.", Provenance.PROVIDED),
    Field("created_at", FieldType.DATETIME, "A time.", Provenance.PROVIDED),
)


def profile(**values: Any) -> Record:
    """The record of the account at the sender."""
    known = {"id": OWNER, "text": "x", "full_name": "Ann There", "email": "ann@there.example", "job_title": None}
    return {**known, "mfa_enabled": False, "created_at": "2024-01-02T03:04:05.000000Z", **values}


@dataclass
class Inbox:
    """Both sides, and what the receiving service needs."""

    sender: Served
    receiver: Served
    service: ReceivingService
    recipient: str
    """The receiver's id at the sender."""
    secret: str
    """Of the webhooks."""
    records: list[Record]
    """What the sender has of the account; a test may change it."""
    consents: dict[str, str] = field(default_factory=dict)
    """By the id of a transfer at the sender."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the receiver, for its processes."""
        settings = self.receiver.world.place.settings
        names = ("dir", "base_url", "source_url", "redis_url", "notice_dir", "lease_seconds", "backoff_seconds")
        inbox = [name for name in settings.model_fields_set if name.startswith("inbox_")]
        named = {f"PORTABILITY_{name}".upper(): str(getattr(settings, name)) for name in (*names, *inbox)}
        return {**named, "PORTABILITY_ALLOW_LOOPBACK": "1", "PORTABILITY_APPROVALS": "none"}

    def work(self, most: int = 20, **otherwise: Any) -> int:
        """What the process of the receiving service does, until nothing is due; returns the number of steps."""
        with_keys = replace(self.service, **otherwise)
        for number in range(most):
            if not service.advance(with_keys):
                return number
        raise AssertionError("still something to do")

    def transfer(self) -> str:
        """A transfer that the owner has authorised and started, with its volumes encrypted; returns its id."""
        given = {"subject": f"user:{OWNER}", "recipient": self.recipient, "datasets": ["account"]}
        consent = self.sender.call("POST", "/v1/authorisations", json=given)
        assert consent.status_code == 201, consent.text
        export_id = self.sender.ready(profile="portability")
        answer = self.sender.call("POST", f"/v1/exports/{export_id}/transfers", json={"recipient": self.recipient})
        assert answer.status_code == 201, answer.text
        encrypted(self.sender.world)
        self.consents[answer.json()["id"]] = consent.json()["id"]
        return str(answer.json()["id"])

    def announce(self) -> None:
        """The sender's clock posts the webhooks and notices that are due."""
        world = self.sender.world
        while webhook_delivery.announce(world.engine, world.place.settings, LOOPBACK):
            pass
        while notice_delivery.inform(world.engine, world.place.settings, LOOPBACK):
            pass

    def offered(self) -> tuple[str, str]:
        """A transfer that the receiver knows; returns its id at the sender and its id here."""
        sent_id = self.transfer()
        self.announce()
        (row,) = [row for row in self.listed() if row["transfer"] == sent_id]
        return sent_id, str(row["id"])

    def compared(self, subject: str = f"user:{HERE}", **terms: Any) -> tuple[str, str]:
        """A transfer whose difference is known; `terms` are those of its target."""
        sent_id, identifier = self.offered()
        self.work()
        self.call("target", identifier, subject=subject, **terms)
        self.work()
        return sent_id, identifier

    def decided(self, **terms: Any) -> tuple[str, str]:
        """A transfer that an officer has decided to import."""
        sent_id, identifier = self.compared(**terms)
        self.call("import", identifier, comparison=self.shown(identifier)["comparison"])
        return sent_id, identifier

    def imported(self, **terms: Any) -> tuple[str, str]:
        """A transfer that was imported and receipted."""
        sent_id, identifier = self.decided(**terms)
        self.work()
        return sent_id, identifier

    def call(self, what: str, identifier: str, status: int = 200, **body: Any) -> Any:
        """An officer's call."""
        sent: dict[str, Any] = {"json": body} if body else {}
        answer = self.receiver.call("POST", f"/v1/inbox/{identifier}/{what}", *OFFICER, **sent)
        assert answer.status_code == status, answer.text
        return answer.json()

    def listed(self) -> list[dict[str, Any]]:
        answer = self.receiver.call("GET", "/v1/inbox", *OFFICER)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["received"])

    def shown(self, identifier: str) -> dict[str, Any]:
        answer = self.receiver.call("GET", f"/v1/inbox/{identifier}", *OFFICER)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def row(self, identifier: str) -> Mapping[Any, Any]:
        with reading(self.receiver.world.engine) as connection:
            return received.get(connection, identifier)

    def sent(self, sent_id: str) -> dict[str, Any]:
        """The transfer as the sender has it."""
        with reading(self.sender.world.engine) as connection:
            return dict(sending.view(connection, sending.get(connection, sent_id)))

    def account(self, identifier: str = HERE) -> Mapping[Any, Any]:
        """The account at the receiving platform."""
        engine = create_engine(self.service.into)
        with engine.connect() as connection:
            row = connection.execute(select(schema.users).where(schema.users.c.id == identifier)).mappings().one()
        engine.dispose()
        return row

    def set_name(self, name: str) -> None:
        """Change the account at the receiving platform, as its person would."""
        engine = create_engine(self.service.into)
        with engine.begin() as connection:
            connection.execute(update(schema.users).where(schema.users.c.id == HERE).values(full_name=name))
        engine.dispose()

    def webhook(self, data: Mapping[str, Any], kind: str = "transfer.offered", **more: Any) -> dict[str, Any]:
        """What a sender posts: headers and content; a test may change the secret, the id and the time."""
        body = orjson.dumps({"type": kind, "timestamp": "2026-11-28T12:00:00Z", "data": data}).decode()
        at, identifier = more.get("at", datetime.now(UTC)), more.get("id", "msg_1")
        signature = Webhook(more.get("secret", self.secret)).sign(identifier, at, body)
        names = {"webhook-id": identifier, "webhook-timestamp": str(int(at.timestamp()))}
        return {
            "headers": {**names, "webhook-signature": signature, "Content-Type": "application/json"},
            "content": body,
        }


@contextmanager
def inboxes(folder: Path, redis_url: str, **more: Any) -> Iterator[Inbox]:
    """A sender and a receiver that know each other, for the length of the block."""
    identity = pyrage.x25519.Identity.generate()
    (folder / "key.txt").write_text(f"{identity}\n")
    platform = folder / "platform-here.sqlite"
    settings = {
        "allow_loopback": True,
        "inbox_identity": folder / "key.txt",
        "inbox_audience": "localhost",
        "inbox_into": f"sqlite:///{platform}",
        "inbox_files": (folder / "files").as_uri(),
        "inbox_dir": folder / "inbox",
        "inbox_journal_key": folder / "journal.key",
        "backoff_seconds": 0.0,
        **more,
    }
    records = [profile()]
    exporters = {"account": MadeUpExporter(records, datasets=(PROFILE,))}
    for name in ("a", "b"):
        (folder / name).mkdir()
    with (
        serving(folder / "a", redis_url, exporters=exporters, allow_loopback=True) as sender,
        serving(folder / "b", redis_url, **settings) as receiver,
    ):
        reference_platform(platform)
        for world in (sender.world, receiver.world):
            with writing(world.engine) as connection:
                keys.ensure(connection, world.place.settings.keys, actor="operator:test")
        recipient, secret = _recorded(sender, receiver, str(identity.to_public()))
        made = service_of(Context(lambda: receiver.world.place.settings, json=False))
        yield Inbox(sender, receiver, made, recipient, secret, records)


def reference_platform(path: Path) -> None:
    """A database of the reference schema with the account of the receiving platform."""
    engine = create_engine(f"sqlite:///{path}")
    schema.metadata.create_all(engine)
    own = {"id": HERE, "full_name": "Ann Here", "email": "ann@here.example", "created_at": CREATED}
    with engine.begin() as connection:
        connection.execute(insert(schema.users), {**own, "mfa_enabled": True, "legal_hold": False})
    engine.dispose()


def _recorded(sender: Served, receiver: Served, age_key: str) -> tuple[str, str]:
    """Each side records the other; returns the receiver's id at the sender, and the secret of the webhooks."""
    settings = sender.world.place.settings
    entry = recipients.checked(
        LOOPBACK,
        None,
        name="B Care",
        domain="localhost",
        country="DE",
        age_key=age_key,
        jwks_url=f"{receiver.url}/.well-known/jwks.json",
        webhook_url=f"{receiver.url}/v1/inbox",
    )
    with writing(sender.world.engine) as connection:
        recipient, secret = recipients.add(
            connection, settings.keys, entry, actor=Actor("officer", "one"), approved=True
        )
    other = SenderEntry("A Care", settings.iss, f"{sender.url}/.well-known/jwks.json")
    with writing(receiver.world.engine) as connection:
        senders.add(connection, receiver.world.place.settings.keys, other, secret, actor="operator:test")
    return recipient, secret
