"""A deployment that sends, and another provider that receives: its keys, its key set and its webhook, on loopback."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyrage
from factories import MadeUpExporter, World, described, things, world
from joserfc.jwk import ECKey
from listener import Heard, Listener, Reply, listening
from standardwebhooks import Webhook

from portability.database.engine import reading, writing
from portability.requests.policy import Actor
from portability.safe_http import SafeHttpClient
from portability.transfers import authorisations, recipients, sending
from portability.transfers import statement as statements
from portability.trust import keys
from portability.trust.signing import RECEIPT_TYPE, sign
from receiver.fetch import acknowledgement, challenge
from worker import transfer

OK = 200
TEST = "operator:test"
OWNER = Actor("subject", "usr_1")
EXPORTER = "calls"
"""An installed name: authorisations name what is installed."""


def sending_world(folder: Path, *, volumes: int = 1, **more: Any) -> World:
    """Make a world with all keys; each of its exports has at least `volumes` volumes."""
    # 64 KiB is the least that a volume may be bounded to.
    records = things(50 if volumes == 1 else 1500 * volumes)
    small = {} if volumes == 1 else {"volume_bytes": 1 << 16, "piece_bytes": 1 << 13}
    exporter = MadeUpExporter(records, batch_records=50)
    # Only what has a legal basis is portable.
    notice = described(folder / "notice", f"{EXPORTER}/things", controller="Tests Inc.")
    made = world(folder, {EXPORTER: exporter}, notice_dir=notice, **{"allow_loopback": True, **small, **more})
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, actor=TEST)
    return made


@dataclass
class Provider:
    """Another provider."""

    server: Listener
    identity: pyrage.x25519.Identity = field(default_factory=pyrage.x25519.Identity.generate)
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "their-1", "use": "sig"}))
    status: int = 200
    """What its webhook answers."""
    domain: str = "localhost"
    answers: bool = True
    """Whether it answers challenges."""
    acknowledges: bool = True
    """Whether it signs that it has received a notice."""
    secret: str = ""
    recipient: str = ""

    def reply(self, heard: Heard) -> Reply:
        if heard.path == "/jwks.json":
            return 200, {"Content-Type": "application/json"}, orjson.dumps(self.jwks())
        if _is_challenge(heard) and self.answers:
            token = challenge.answer(heard.body, [self.identity], self.key, audience=self.domain)
            return 200, {"Content-Type": "application/jose"}, token.encode()
        if _is_notice(heard) and self.acknowledges and self.status == OK:
            return OK, {}, acknowledgement.acknowledge(heard.body, self.key, audience=self.domain).encode()
        return self.status, {}, b""

    def new_key(self, issuer: str) -> str:
        """It takes another age key; returns the statement that announces it."""
        old, self.identity = self.identity, pyrage.x25519.Identity.generate()
        keys = {"replaces": str(old.to_public()), "age_key": str(self.identity.to_public())}
        return challenge.rotation(self.key, issuer=issuer, audience=self.domain, recipient=self.recipient, **keys)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    @property
    def returns_to(self) -> str:
        """Where people come back to after a consent that it asks for."""
        return f"{self.server.url}/back"

    @property
    def webhooks(self) -> list[Heard]:
        """Offers: neither challenges nor notices."""
        hooks = [heard for heard in self.server.heard if heard.path == "/hook" and not _is_challenge(heard)]
        return [heard for heard in hooks if not _is_notice(heard)]

    @property
    def notices(self) -> list[Heard]:
        """Notices about changes after a transfer."""
        return [heard for heard in self.server.heard if heard.path == "/hook" and _is_notice(heard)]

    def event(self, heard: Heard) -> dict[str, Any]:
        """What a webhook says, if its signature holds by the library of Standard Webhooks."""
        document: dict[str, Any] = Webhook(self.secret).verify(heard.body, dict(heard.headers))
        return document

    def recorded(self, made: World, *, country: str = "DE", datasets: list[str] | None = None) -> str:
        """Recorded and approved at a deployment; returns the recipient's id."""
        settings = made.place.settings
        entry = recipients.checked(
            SafeHttpClient(loopback=True),
            settings.country,
            name="Other Care",
            domain="localhost",
            country=country,
            age_key=str(self.identity.to_public()),
            jwks_url=f"{self.server.url}/jwks.json",
            webhook_url=f"{self.server.url}/hook",
            redirect_uris=[self.returns_to],
            datasets=datasets,
        )
        with writing(made.engine) as connection:
            self.recipient, self.secret = recipients.add(
                connection, settings.keys, entry, actor=Actor("officer", "one"), approved=True
            )
        return self.recipient

    def receipt(self, made: World, transfer_id: str, **more: Any) -> str:
        """What it signs; a test may change any of it."""
        with reading(made.engine) as connection:
            statement = sending.get(connection, transfer_id)["statement"]
            proofs = [copy["possession"] for copy in sending.copies(connection, transfer_id)]
        # What a recipient computes from the nonce and the files: tests over HTTP do it themselves.
        proven = {"possession": statements.possession(proofs)} if all(proofs) else {}
        return self.signed(transfer_id, statement, len(proofs), **{"aud": made.place.settings.iss, **proven, **more})

    def signed(
        self,
        transfer_id: str,
        statement: str,
        count: int,
        *,
        key: ECKey | None = None,
        typ: str = RECEIPT_TYPE,
        **more: Any,
    ) -> str:
        """A receipt for a statement."""
        claims: dict[str, Any] = {
            "iss": "localhost",
            "iat": int(time.time()),
            "jti": secrets.token_hex(16),
            "transfer": transfer_id,
            "transfer_sha256": hashlib.sha256(statement.encode()).hexdigest(),
            "status": "received",
            "code": None,
            "volumes": count,
        }
        return sign({**claims, **more}, key or self.key, typ=typ)


def _is_challenge(heard: Heard) -> bool:
    return b'"recipient.challenge"' in heard.body


def _is_notice(heard: Heard) -> bool:
    return b'"notice":' in heard.body


@contextmanager
def providing() -> Iterator[Provider]:
    """Another provider for the length of the block."""
    with listening() as server:
        provider = Provider(server)
        server.reply = provider.reply
        yield provider


def authorised(made: World, recipient: str, *, subject: str = "user:usr_1", **more: Any) -> str:
    with writing(made.engine) as connection:
        given = {"datasets": [EXPORTER], "actor": OWNER, **more}
        return authorisations.give(connection, subject=subject, recipient=recipient, **given)


def ready(made: World, subject: str = "user:usr_1", profile: str = "portability", **more: Any) -> str:
    identifier = made.request(subject, profile=profile, **more)
    made.advance_all()
    return identifier


def started(made: World, export_id: str, recipient: str) -> str:
    with writing(made.engine) as connection:
        return sending.start(connection, made.place.settings, export_id, recipient, actor=OWNER)


def step(made: World, lease_seconds: float = 60) -> bool:
    """One claim of a worker; returns whether there was something to claim."""
    held = transfer.claim(made.engine, "test", lease_seconds)
    if held is None:
        return False
    transfer.advance(made.place, held)
    return True


def encrypted(made: World, most: int = 100) -> None:
    """What workers do, until nothing is claimable."""
    for _ in range(most):
        if not step(made):
            return
    raise AssertionError("still something to do")


def view(made: World, transfer_id: str) -> dict[str, Any]:
    with reading(made.engine) as connection:
        return dict(sending.view(connection, sending.get(connection, transfer_id)))
