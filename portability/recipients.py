"""Recipients: other providers that data may be sent to, each recorded by one person and approved by another (R46).

What is recorded is public: names, addresses, public keys. The secret that webhooks are signed with is derived from the
link key and is not in the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from portability import audit, keys, models, transfer_ends
from portability.abroad import COUNTRIES, SAFEGUARDS, Mechanism, is_adequate
from portability.api import JSON
from portability.db import now
from portability.errors import BadInput, NotAllowed, WrongState
from portability.exports import rfc3339
from portability.outside import AddressRefused, Outside
from portability.plugins import check_exporter_names
from portability.policy import Actor
from portability.setting_values import is_loopback
from portability.states import TransferState

TABLE = models.recipient
NAME_MAX = 200
PURPOSE = b"portability webhook secret 1"
SECRET_PREFIX = "whsec_"  # noqa: S105  # as Standard Webhooks writes them
AGE_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""Of Bech32 (BIP 173), in the order of the values."""
DATASET = re.compile(r"[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})?")


class UnknownRecipient(BadInput):
    """No recipient that data may be sent to has this id or domain."""

    code = "unknown_recipient"
    default_hint = "`portability recipients list` shows them"


class WeakKey(BadInput):
    """A recipient's key that is none, or that anybody could open."""

    code = "weak_key"
    default_hint = "the recipient makes one with `age-keygen` and sends the line that begins with age1"


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipient as somebody wants to record it; `checked` makes one."""

    name: str
    domain: str
    country: str
    mechanism: Mechanism
    safeguard: str | None
    age_key: str
    jwks_url: str
    webhook_url: str
    datasets: tuple[str, ...] | None


def checked(
    outside: Outside,
    home: str | None,
    *,
    name: str,
    domain: str,
    country: str,
    age_key: str,
    jwks_url: str,
    webhook_url: str,
    mechanism: str | None = None,
    safeguard: str | None = None,
    datasets: Sequence[str] | None = None,
) -> Entry:
    """The entry, if all of it holds. Looks names up: call it outside of a transaction.

    Raises: BadInput, WeakKey, AddressRefused, OutsideUnavailable, UnknownExporter.
    """
    told = name.strip()
    if not 0 < len(told) <= NAME_MAX or not told.isprintable():
        raise BadInput("a recipient has a name, of at most 200 characters")
    where = country.strip().upper()
    if where not in COUNTRIES:
        raise BadInput("the country is no code of ISO 3166-1", hint="two letters: ID, DE, SG")
    ground = _ground(where, home, mechanism, (safeguard or "").strip())
    host = domain.strip().lower().rstrip(".")
    kept = safeguard.strip() if safeguard and safeguard.strip() else None
    scope = None if datasets is None else tuple(checked_datasets(datasets))
    key = checked_age_key(age_key)
    _check_domain(outside, host, jwks_url)
    # What needs no other machine first: a name that does not resolve hides no fault of the words.
    outside.target(webhook_url)
    outside.check(webhook_url)
    outside.check(jwks_url)
    return Entry(told, host, where, ground, kept, key, jwks_url, webhook_url, scope)


def add(connection: Connection, keys_folder: Path, entry: Entry, *, actor: str, approved: bool) -> tuple[str, str]:
    """Record a recipient; returns its id and its webhook secret, which is shown this once.

    `approved`: at once, where the deployment asks for no second person. Raises: WrongState, NoSigningKey.
    """
    living = select(TABLE.c.id).where(TABLE.c.domain == entry.domain, TABLE.c.removed_at.is_(None))
    if connection.scalar(living) is not None:
        raise WrongState("a recipient with that domain is recorded already", hint="remove it first")
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    identifier = f"rcp_{secrets.token_hex(10)}"
    values: dict[str, Any] = {
        **{name: getattr(entry, name) for name in Entry.__dataclass_fields__},
        "datasets": None if entry.datasets is None else list(entry.datasets),
        "id": identifier,
        "webhook_kid": kid,
        "created_by": actor,
        "created_at": now(),
    }
    if approved:
        values |= {"approved_by": actor, "approved_at": now()}
    connection.execute(insert(TABLE).values(**values))
    audit.record(connection, "recipient.added", actor=actor, detail={"recipient": identifier, "approved": approved})
    return identifier, webhook_secret(keys_folder, {"id": identifier, "webhook_kid": kid})


def approve(connection: Connection, identifier: str, *, actor: Actor) -> None:
    """Let data be sent there. Whoever recorded it cannot. Raises UnknownRecipient, WrongState, NotAllowed."""
    row = get(connection, identifier)
    if row["approved_at"] is not None:
        raise WrongState(f"recipient {row['id']} is approved already")
    if row["created_by"] == str(actor):
        raise NotAllowed("nobody approves a recipient that they have recorded", hint="ask a colleague")
    changed = update(TABLE).where(TABLE.c.id == row["id"]).values(approved_by=str(actor), approved_at=now())
    connection.execute(changed)
    audit.record(connection, "recipient.approved", actor=str(actor), detail={"recipient": row["id"]})


def remove(connection: Connection, identifier: str, *, actor: str) -> str:
    """Send nothing there any more, end what is on its way, and return its id. Raises UnknownRecipient."""
    row = get(connection, identifier)
    theirs = models.transfer.c.recipient_id == row["id"]
    ended = transfer_ends.halt(connection, theirs, TransferState.REVOKED, actor=actor)
    gone = update(TABLE).where(TABLE.c.id == row["id"]).values(removed_by=actor, removed_at=now())
    connection.execute(gone)
    transfer_ends.tell(connection, ended, TransferState.REVOKED, actor=actor)
    audit.record(connection, "recipient.removed", actor=actor, detail={"recipient": row["id"]})
    return str(row["id"])


def get(connection: Connection, identifier: str) -> RowMapping:
    """A recipient that is not removed, by its id or domain. Raises UnknownRecipient."""
    named = or_(TABLE.c.id == identifier, TABLE.c.domain == identifier.lower())
    row = connection.execute(select(TABLE).where(named, TABLE.c.removed_at.is_(None))).mappings().first()
    if row is None:
        raise UnknownRecipient("no recipient has that id or domain")
    return row


def approved(connection: Connection, identifier: str) -> RowMapping:
    """A recipient that data may be sent to. Raises UnknownRecipient, WrongState."""
    row = get(connection, identifier)
    if row["approved_at"] is None:
        raise WrongState(f"nobody has approved recipient {row['id']} yet", hint="portability recipients approve ID")
    return row


def rows(connection: Connection, *, approved_only: bool = False) -> Sequence[RowMapping]:
    """All recipients, oldest first; removed ones too unless only those are wanted that data may be sent to."""
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
    if approved_only:
        query = query.where(TABLE.c.approved_at.is_not(None), TABLE.c.removed_at.is_(None))
    return connection.execute(query).mappings().all()


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """A recipient as JSON: all of it is public."""
    names = ("id", "name", "domain", "country", "mechanism", "safeguard", "datasets")
    told: dict[str, JSON] = {name: row[name] for name in names}
    addresses: dict[str, JSON] = {name: row[name] for name in ("age_key", "jwks_url", "webhook_url")}
    return {
        **told,
        "state": state(row),
        **addresses,
        "fingerprint": fingerprint(row["age_key"]),
        "created_at": rfc3339(row["created_at"]),
        "approved_at": rfc3339(row["approved_at"]),
        "removed_at": rfc3339(row["removed_at"]),
    }


def state(row: Mapping[Any, Any]) -> str:
    """`waiting`, `approved` or `removed`."""
    if row["removed_at"] is not None:
        return "removed"
    return "waiting" if row["approved_at"] is None else "approved"


def fingerprint(age_key: str) -> str:
    """What two people read to each other on the phone: the begin of the key's SHA-256, in groups."""
    digest = hashlib.sha256(age_key.encode()).hexdigest()[:32]
    return " ".join(digest[place : place + 4] for place in range(0, len(digest), 4))


def webhook_secret(keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """What webhooks to a recipient are signed with. Raises NoSigningKey."""
    private = keys.private(keys_folder, row["webhook_kid"]).as_der(private=True)
    key = hmac.digest(private, PURPOSE, hashlib.sha256)
    return SECRET_PREFIX + base64.b64encode(hmac.digest(key, row["id"].encode(), hashlib.sha256)).decode()


def checked_datasets(names: Sequence[str]) -> list[str]:
    """Names like `calls` or `calls/transcripts`, sorted and without doubles. Raises BadInput, UnknownExporter."""
    wanted = sorted({name.strip() for name in names})
    if not wanted or not all(map(DATASET.fullmatch, wanted)):
        raise BadInput("datasets are named exporter or exporter/dataset", hint="calls or calls/transcripts")
    check_exporter_names({name.partition("/")[0] for name in wanted})
    return wanted


def covers(scope: Sequence[str] | None, exporter: str, dataset: str | None) -> bool:
    """Whether a list of names covers a dataset, or all of an exporter; None covers everything."""
    return scope is None or exporter in scope or (dataset is not None and f"{exporter}/{dataset}" in scope)


def checked_age_key(text: str) -> str:
    """An age public key for X25519, in lower case. Raises WeakKey."""
    key = text.strip().lower()
    if not key.startswith("age1"):
        raise WeakKey("the key is no age public key: it does not begin with age1")
    try:
        pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        raise WeakKey("the key is no age public key: a character is missing or wrong") from None
    try:
        # With a point of small order whatever is encrypted could be opened by everybody (RFC 7748, section 6.1).
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(_point(key)))
    except ValueError:
        raise WeakKey("anybody could open what is encrypted to this key") from None
    return key


def _point(key: str) -> bytes:
    """The 32 bytes of a key whose checksum holds: 52 characters of 5 bits (BIP 173)."""
    number = 0
    for character in key[4:56]:
        number = number << 5 | AGE_ALPHABET.index(character)
    return (number >> 4).to_bytes(32, "big")


def _ground(country: str, home: str | None, mechanism: str | None, safeguard: str) -> Mechanism:
    if mechanism is None:
        return Mechanism.ADEQUACY if is_adequate(country, home) else Mechanism.NONE
    try:
        ground = Mechanism(mechanism)
    except ValueError:
        raise BadInput("no such mechanism", hint=f"mechanisms are {', '.join(Mechanism)}") from None
    if ground is Mechanism.ADEQUACY and not is_adequate(country, home):
        raise BadInput(f"{country} is not among the countries found adequate", hint="docs/transfers.md#other-countries")
    if ground in SAFEGUARDS and not 0 < len(safeguard) <= NAME_MAX:
        raise BadInput(f"{ground} needs the reference of its safeguard", hint="--safeguard: the contract's number")
    return ground


def _check_domain(outside: Outside, domain: str, jwks_url: str) -> None:
    """Who has the domain has the keys: the key set is on it, or below it."""
    if outside.target(f"https://{domain}").host != domain:
        raise AddressRefused("the domain is none")
    host = outside.target(jwks_url).host
    is_below = host == domain or host.endswith(f".{domain}")
    if not is_below and not (outside.loopback and is_loopback(jwks_url)):
        raise AddressRefused("the key set is not on the recipient's domain")
