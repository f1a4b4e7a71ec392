"""Senders: providers whose webhooks this deployment accepts, each with its issuer, key set and webhook secret.

A sender gets no right over data: what it offers is quarantined until an officer decides. The secret is encrypted with a
key that is derived from the link key.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models, named_locks
from portability.database.engine import now
from portability.errors import WrongState
from portability.locale.isolation import is_name
from portability.safe_http import SafeHttpClient
from portability.trust import audit, keys, sealing
from portability.trust.sealing import cipher

TABLE = models.sender
PURPOSE = b"portability sender seal 1"
NAME_MAX, ISSUER_MAX = 200, 500
SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix that Standard Webhooks defines
SECRET_BYTES = range(24, 65)
"""How long a secret is (Standard Webhooks)."""
JWKS_PATH = "/.well-known/jwks.json"


class UnknownSender(BadInput):
    """No sender has this id."""

    code = "unknown_sender"
    default_hint = "`portability senders list` lists them"


@dataclass(frozen=True, slots=True)
class SenderEntry:
    """The data of a sender to record; `checked` makes one."""

    name: str
    issuer: str
    jwks_url: str


def checked(client: SafeHttpClient, *, name: str, issuer: str, jwks_url: str | None = None) -> SenderEntry:
    """Return the entry if it is valid. It resolves names: call it outside of a transaction.

    Args:
        client: with the limits of this deployment.
        name: as officers see it.
        issuer: `iss` of the sender's statements, usually its URL.
        jwks_url: of its key set; None: `/.well-known/jwks.json` of the issuer.

    Raises: BadInput, AddressRefused, RemoteUnavailable.
    """
    clean_name, clean_issuer = name.strip(), issuer.strip().rstrip("/")
    if not 0 < len(clean_name) <= NAME_MAX or not is_name(clean_name):
        raise BadInput("invalid name of the sender: use 1 to 200 characters")
    if not 0 < len(clean_issuer) <= ISSUER_MAX or not clean_issuer.isprintable():
        raise BadInput("invalid issuer of the sender: use 1 to 500 characters")
    url = jwks_url or f"{clean_issuer}{JWKS_PATH}"
    client.check(url)
    return SenderEntry(clean_name, clean_issuer, url)


def add(connection: Connection, keys_folder: Path, entry: SenderEntry, secret: str, *, actor: str) -> str:
    """Record a sender with the secret of its webhooks, and return its id. Raises BadInput, WrongState, NoSigningKey."""
    check_secret(secret)
    # Of two that are recorded at the same moment the second sees the first one's row.
    named_locks.lock(connection, f"sender {entry.issuer}")
    if of_issuer(connection, entry.issuer):
        raise WrongState("a sender with this issuer is already recorded", hint="remove that sender first")
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    identifier = f"snd_{secrets.token_hex(10)}"
    sealed = cipher(keys_folder, kid, PURPOSE).encrypt(secret.encode()).decode()
    values = {"name": entry.name, "issuer": entry.issuer, "jwks_url": entry.jwks_url, "kid": kid, "sealed": sealed}
    connection.execute(insert(TABLE).values(**values, id=identifier, created_by=actor, created_at=now()))
    audit.record(connection, "sender.added", actor=actor, detail={"sender": identifier})
    return identifier


def remove(connection: Connection, identifier: str, *, actor: str) -> str:
    """Remove a sender by id or issuer: its webhooks are refused from now on. Returns its id. Raises UnknownSender."""
    row = get(connection, identifier)
    gone = update(TABLE).where(TABLE.c.id == row["id"]).values(removed_by=actor, removed_at=now())
    connection.execute(gone)
    audit.record(connection, "sender.removed", actor=actor, detail={"sender": row["id"]})
    return str(row["id"])


def get(connection: Connection, identifier: str) -> RowMapping:
    """Return a sender that is not removed, by id or issuer. Raises UnknownSender."""
    named = or_(TABLE.c.id == identifier, TABLE.c.issuer == identifier.rstrip("/"))
    row = connection.execute(select(TABLE).where(named, TABLE.c.removed_at.is_(None))).mappings().first()
    if row is None:
        raise UnknownSender("unknown sender: no sender has this id or issuer")
    return row


def of_issuer(connection: Connection, issuer: str) -> RowMapping | None:
    """Return the sender with an issuer that is not removed."""
    same = (TABLE.c.issuer == issuer.rstrip("/"), TABLE.c.removed_at.is_(None))
    return connection.execute(select(TABLE).where(*same)).mappings().first()


def rows(connection: Connection) -> Sequence[RowMapping]:
    """Return all senders, oldest first, removed senders too."""
    return connection.execute(select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)).mappings().all()


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a sender as JSON, without its secret."""
    names: dict[str, JSON] = {name: row[name] for name in ("id", "name", "issuer", "jwks_url")}
    return {**names, **{name: rfc3339(row[name]) for name in ("created_at", "removed_at")}}


def secret_of(keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """Return the secret of a sender's webhooks. Raises NoSigningKey."""
    return sealing.opened(keys_folder, row["kid"], PURPOSE, row["sealed"]).decode()


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def check_secret(secret: str) -> None:
    """Check the form of a secret of Standard Webhooks. Raises BadInput, without the secret."""
    try:
        size = len(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(SECRET_PREFIX) or size not in SECRET_BYTES:
        raise BadInput("invalid webhook secret", hint="it begins with whsec_, and the sender shows it once")
