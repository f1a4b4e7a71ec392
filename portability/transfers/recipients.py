"""Recipients: other providers that data may be sent to, each recorded by one person and approved by another (R46).

The records are public: names, addresses, public keys. The secret for signing webhooks is derived from the link key
and is not in the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models, named_locks
from portability.database.engine import now
from portability.errors import NotAllowed, WrongState
from portability.law.countries import COUNTRIES, SAFEGUARDS, Mechanism, is_adequate
from portability.locale.isolation import is_name
from portability.plugins import check_exporter_names
from portability.requests.policy import Actor
from portability.safe_http import AddressRefused, SafeHttpClient
from portability.setting_values import is_loopback
from portability.transfers import age_keys
from portability.trust import audit, keys

TABLE = models.recipient
NAME_MAX = 200
REDIRECTS_MAX, URI_MAX = 10, 500
PURPOSE = b"portability webhook secret 1"
SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix that Standard Webhooks defines
DATASET = re.compile(r"[A-Za-z0-9_-]{1,100}(/[A-Za-z0-9_-]{1,100})?")


class RecipientState(StrEnum):
    """The state of a recipient."""

    WAITING = "waiting"
    """Recorded; another person has to approve it."""
    APPROVED = "approved"
    REMOVED = "removed"


class UnknownRecipient(BadInput):
    """No active recipient has this id or domain."""

    code = "unknown_recipient"
    default_hint = "`portability recipients list` lists them"


class NotProven(WrongState):
    """A recipient has not shown that its key, key set and webhook are its own."""

    code = "not_proven"
    default_hint = "the recipient's webhook must answer challenges: docs/receiving.md#challenges-and-new-keys"


@dataclass(frozen=True, slots=True)
class RecipientEntry:
    """The data of a recipient to record; `checked` makes one."""

    name: str
    domain: str
    country: str
    mechanism: Mechanism
    safeguard: str | None
    age_key: str
    jwks_url: str
    webhook_url: str
    datasets: tuple[str, ...] | None
    redirect_uris: tuple[str, ...] = ()
    """Where people return to after a consent that it asks for; empty: it asks for none."""


def checked(
    client: SafeHttpClient,
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
    redirect_uris: Sequence[str] = (),
    exporters: Collection[str] | None = None,
) -> RecipientEntry:
    """Return the entry if it is valid. It resolves names: call it outside of a transaction.

    `exporters` are the deployment's exporter names; None: all installed exporters.

    Raises: BadInput, WeakKey, AddressRefused, RemoteUnavailable, UnknownExporter.
    """
    clean_name = name.strip()
    if not 0 < len(clean_name) <= NAME_MAX or not is_name(clean_name):
        raise BadInput("invalid name of the recipient: use 1 to 200 characters")
    where = country.strip().upper()
    if where not in COUNTRIES:
        raise BadInput("unknown country", hint="use a code of ISO 3166-1 with two letters: ID, DE, SG")
    ground = _ground(where, home, mechanism, (safeguard or "").strip())
    host = domain.strip().lower().rstrip(".")
    kept = safeguard.strip() if safeguard and safeguard.strip() else None
    scope = None if datasets is None else tuple(checked_datasets(datasets, exporters))
    key = age_keys.checked(age_key)
    check_addresses(client, host, jwks_url, webhook_url)
    returns = tuple(check_redirects(client, host, redirect_uris))
    return RecipientEntry(clean_name, host, where, ground, kept, key, jwks_url, webhook_url, scope, returns)


def add(
    connection: Connection, keys_folder: Path, entry: RecipientEntry, *, actor: Actor, approved: bool
) -> tuple[str, str]:
    """Record a recipient; returns its id and its webhook secret, which is shown only once.

    `approved`: without a second person, if the deployment requires none. Raises: WrongState, NoSigningKey.
    """
    # Of two that are recorded at the same moment the second sees the first one's row.
    named_locks.lock(connection, f"recipient {entry.domain}")
    living = select(TABLE.c.id).where(TABLE.c.domain == entry.domain, TABLE.c.removed_at.is_(None))
    if connection.scalar(living) is not None:
        raise WrongState("a recipient with this domain is already recorded", hint="remove that recipient first")
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    identifier = f"rcp_{secrets.token_hex(10)}"
    values: dict[str, Any] = {
        **{name: getattr(entry, name) for name in RecipientEntry.__dataclass_fields__},
        "datasets": None if entry.datasets is None else list(entry.datasets),
        "redirect_uris": list(entry.redirect_uris),
        "id": identifier,
        "webhook_kid": kid,
        "created_by": str(actor),
        "created_identity": actor.identity,
        "created_at": now(),
    }
    if approved:
        values |= {"approved_by": str(actor), "approved_at": now()}
    connection.execute(insert(TABLE).values(**values))
    audit.record(
        connection, "recipient.added", actor=str(actor), detail={"recipient": identifier, "approved": approved}
    )
    return identifier, webhook_secret(keys_folder, {"id": identifier, "webhook_kid": kid})


def approvable(connection: Connection, identifier: str, *, actor: Actor) -> RowMapping:
    """Return a recipient that this person may approve. Raises UnknownRecipient, WrongState, NotAllowed."""
    row = get(connection, identifier)
    if row["approved_at"] is not None:
        raise WrongState(f"recipient {row['id']} is already approved")
    if actor.did(row["created_by"], row["created_identity"]):
        raise NotAllowed("you cannot approve a recipient that you have recorded", hint="ask a colleague")
    return row


def approve(connection: Connection, identifier: str, *, actor: Actor) -> None:
    """Approve a recipient that has answered the challenge; another person must have recorded it.

    Raises: UnknownRecipient, WrongState, NotProven, NotAllowed.
    """
    row = approvable(connection, identifier, actor=actor)
    if not row["proven_at"]:
        raise NotProven(f"recipient {row['id']} has not answered the challenge")
    waiting = (TABLE.c.id == row["id"], TABLE.c.approved_at.is_(None), TABLE.c.removed_at.is_(None))
    changed = update(TABLE).where(*waiting).values(approved_by=str(actor), approved_at=now())
    if not connection.execute(changed).rowcount:
        raise WrongState(f"recipient {row['id']} was approved or removed meanwhile")
    audit.record(connection, "recipient.approved", actor=str(actor), detail={"recipient": row["id"]})


def get(connection: Connection, identifier: str, *, is_kept: bool = False) -> RowMapping:
    """Return a recipient that is not removed, by its id or domain. Raises UnknownRecipient.

    `is_kept`: it cannot be removed before the transaction ends.
    """
    named = or_(TABLE.c.id == identifier, TABLE.c.domain == identifier.lower())
    query = select(TABLE).where(named, TABLE.c.removed_at.is_(None))
    row = connection.execute(query.with_for_update(read=True) if is_kept else query).mappings().first()
    if row is None:
        raise UnknownRecipient("unknown recipient: no recipient has this id or domain")
    return row


def ids_of(connection: Connection, name: str) -> Sequence[str]:
    """Return the ids of all recipients with an id or domain, removed recipients too. Raises UnknownRecipient."""
    named = or_(TABLE.c.id == name, TABLE.c.domain == name.lower())
    found = connection.scalars(select(TABLE.c.id).where(named).order_by(TABLE.c.created_at)).all()
    if not found:
        raise UnknownRecipient("unknown recipient: no recipient has this id or domain")
    return found


def known_as(connection: Connection, recipient_id: str) -> str:
    """Return name and domain of a recipient, for people; also of a recipient that was removed."""
    row = connection.execute(select(TABLE.c.name, TABLE.c.domain).where(TABLE.c.id == recipient_id)).one()
    return f"{row.name} ({row.domain})"


def approved(connection: Connection, identifier: str, *, is_kept: bool = False) -> RowMapping:
    """Return an approved recipient; `is_kept` as in `get`. Raises UnknownRecipient, WrongState."""
    row = get(connection, identifier, is_kept=is_kept)
    if row["approved_at"] is None:
        raise WrongState(
            f"recipient {row['id']} is not approved yet",
            hint="`portability recipients approve ID` approves it",
            caller_hint="an officer who did not record the recipient has to approve it first",
        )
    return row


def rows(connection: Connection, *, approved_only: bool = False) -> Sequence[RowMapping]:
    """Return all recipients, oldest first, removed recipients too; or only the approved recipients."""
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
    if approved_only:
        query = query.where(TABLE.c.approved_at.is_not(None), TABLE.c.removed_at.is_(None))
    return connection.execute(query).mappings().all()


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a recipient as JSON: all of it is public."""
    names = ("id", "name", "domain", "country", "mechanism", "safeguard", "datasets")
    clean_name: dict[str, JSON] = {name: row[name] for name in names}
    addresses: dict[str, JSON] = {name: row[name] for name in ("age_key", "jwks_url", "webhook_url")}
    return {
        **clean_name,
        "state": state(row),
        **addresses,
        "redirect_uris": row["redirect_uris"] or [],
        "fingerprint": age_keys.fingerprint(row["age_key"]),
        "created_at": rfc3339(row["created_at"]),
        "approved_at": rfc3339(row["approved_at"]),
        **{name: rfc3339(row[name]) for name in ("removed_at", "proven_at", "rotated_at")},
    }


def state(row: Mapping[Any, Any]) -> RecipientState:
    """Return the state, which follows from the times of the row."""
    if row["removed_at"] is not None:
        return RecipientState.REMOVED
    return RecipientState.APPROVED if row["approved_at"] else RecipientState.WAITING


def webhook_secret(keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """Return the secret that signs webhooks to a recipient. Raises NoSigningKey."""
    private = keys.private(keys_folder, row["webhook_kid"]).as_der(private=True)
    key = hmac.digest(private, PURPOSE, hashlib.sha256)
    return SECRET_PREFIX + base64.b64encode(hmac.digest(key, row["id"].encode(), hashlib.sha256)).decode()


def checked_datasets(names: Sequence[str], exporters: Collection[str] | None = None) -> list[str]:
    """Return names like `calls` or `calls/transcripts`, sorted and unique. Raises BadInput, UnknownExporter."""
    wanted = sorted({name.strip() for name in names})
    if not wanted or not all(map(DATASET.fullmatch, wanted)):
        raise BadInput(
            "invalid name of a dataset: use EXPORTER or EXPORTER/DATASET", hint="for example calls or calls/transcripts"
        )
    check_exporter_names({name.partition("/")[0] for name in wanted}, exporters)
    return wanted


def covers(scope: Sequence[str] | None, exporter: str, dataset: str | None) -> bool:
    """Return whether a list of names covers a dataset, or all of an exporter; None covers everything."""
    return scope is None or exporter in scope or (dataset is not None and f"{exporter}/{dataset}" in scope)


def _ground(country: str, home: str | None, mechanism: str | None, safeguard: str) -> Mechanism:
    if mechanism is None:
        return Mechanism.ADEQUACY if is_adequate(country, home) else Mechanism.NONE
    try:
        ground = Mechanism(mechanism)
    except ValueError:
        raise BadInput("unknown mechanism", hint=f"known mechanisms: {', '.join(Mechanism)}") from None
    if ground is Mechanism.ADEQUACY and not is_adequate(country, home):
        raise BadInput(
            f"{country} is not among the countries found adequate", hint="see docs/transfers.md#other-countries"
        )
    if ground in SAFEGUARDS and not 0 < len(safeguard) <= NAME_MAX:
        raise BadInput(
            f"the mechanism {ground} needs a safeguard", hint="add --safeguard with the number of the contract"
        )
    return ground


def check_addresses(client: SafeHttpClient, domain: str, jwks_url: str, webhook_url: str) -> None:
    """Check the addresses of a recipient outside of a transaction. Raises AddressRefused, RemoteUnavailable."""
    check_domain(client, domain, jwks_url)
    # Checks that need no network come first, so that a name that does not resolve hides no other fault.
    client.target(webhook_url)
    client.check(webhook_url)
    client.check(jwks_url)


def check_redirects(client: SafeHttpClient, domain: str, uris: Sequence[str]) -> Sequence[str]:
    """Return the addresses that people return to, which are on the domain or below it. Raises BadInput."""
    if len(uris) > REDIRECTS_MAX or any("#" in uri or len(uri) > URI_MAX for uri in uris):
        raise BadInput(f"use at most {REDIRECTS_MAX} redirect URIs of at most {URI_MAX} characters, without a fragment")
    for uri in uris:
        check_domain(client, domain, uri, what="a redirect URI")
    return uris


def check_domain(client: SafeHttpClient, domain: str, url: str, *, what: str = "the key set") -> None:
    """Check that a URL is on the recipient's domain or below it: the owner of the domain owns the keys."""
    if client.target(f"https://{domain}").host != domain:
        raise AddressRefused("the domain is not a valid host name")
    host = client.target(url).host
    is_below = host == domain or host.endswith(f".{domain}")
    if not is_below and not (client.loopback and is_loopback(url)):
        raise AddressRefused(f"{what} is not on the recipient's domain")
