"""Proofs: a recipient shows that its recorded age key, key set and webhook are its own (ADR 55).

A challenge is a text that is encrypted to the age key and posted to the webhook. The answer is a JWS by the key set
with SHA-256 of the text: it takes all three to give it. A new key is announced by a JWS of the recorded key set.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyrage
from sqlalchemy import Connection, update

from portability.api.times import rfc3339
from portability.database.engine import now
from portability.errors import WrongState
from portability.messages import webhooks
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.transfers import age_keys, key_sets, recipients
from portability.transfers.recipients import NotProven
from portability.trust import audit
from portability.trust.signing import CHALLENGE_TYPE, ROTATION_TYPE, SignatureFault, check, check_clock

TABLE = recipients.TABLE
CHALLENGE = "recipient.challenge"
BEGIN = "recipient-challenge-1"
"""The first line of each challenge: a recipient answers no other text, so it decrypts nothing else for anyone."""
OK = 200


class WrongRotation(WrongState):
    """A statement about a new key that does not hold for this recipient now."""

    code = "wrong_rotation"
    default_hint = "see its claims in docs/transfers.md#new-keys"


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """The new values of a recipient, checked and proven."""

    age_key: str
    jwks_url: str
    webhook_url: str
    redirect_uris: Sequence[str] = ()


def challenge(
    client: SafeHttpClient, settings: Settings, row: Mapping[Any, Any], present: datetime | None = None
) -> None:
    """Send a challenge to a recipient and check its answer. It sends requests: call it outside of a transaction.

    `present` is the time of the control database; None: that of this machine.

    Raises: NotProven, ClockSkew, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    text = f"{BEGIN}\n{settings.iss}\n{row['domain']}\n{secrets.token_hex(32)}\n".encode()
    sealed = pyrage.encrypt(text, [pyrage.x25519.Recipient.from_str(row["age_key"])])
    present = present or datetime.now(UTC)
    data = {"recipient": row["id"], "issuer": settings.iss, "audience": row["domain"]}
    document = {**data, "sealed": base64.b64encode(sealed).decode()}
    body = orjson.dumps({"type": CHALLENGE, "timestamp": rfc3339(present), "data": document})
    secret = recipients.webhook_secret(settings.keys, row)
    headers = webhooks.headers({"id": f"msg_{secrets.token_hex(12)}"}, body, secret, present)
    answer = client.post(row["webhook_url"], body, headers=headers)
    if answer.status != OK:
        raise NotProven(f"the recipient's webhook answered the challenge with status {answer.status}; expected {OK}")
    token = answer.body.decode("ascii", "replace").strip()
    try:
        claims = check(token, key_sets.fetch(client, row["jwks_url"]), typ=CHALLENGE_TYPE)
    except SignatureFault as fault:
        raise NotProven(f"the answer to the challenge is not signed by the key set: {fault.fault}") from None
    wanted = {"iss": row["domain"], "aud": settings.iss, "proof": hashlib.sha256(text).hexdigest()}
    if wrong := sorted(name for name, value in wanted.items() if claims.get(name) != value):
        raise NotProven(f"the answer to the challenge has wrong claims: {', '.join(wrong)}")
    check_clock(claims["iat"], what="the answer to the challenge", earliest=present, present=present)


def record(connection: Connection, row: Mapping[Any, Any], *, actor: str) -> None:
    """Record that a recipient has answered the challenge for what this row contains.

    Raises: UnknownRecipient if it was removed, NotProven if it was changed meanwhile.
    """
    recipients.get(connection, row["id"])
    same = (TABLE.c[name] == row[name] for name in ("id", "age_key", "jwks_url", "webhook_url"))
    if not connection.execute(update(TABLE).where(*same).values(proven_at=now())).rowcount:
        raise NotProven(f"recipient {row['id']} has got another key meanwhile")
    audit.record(connection, "recipient.proven", actor=actor, detail={"recipient": row["id"]})


def rotation(
    client: SafeHttpClient,
    settings: Settings,
    row: Mapping[Any, Any],
    token: str,
    present: datetime | None = None,  # the time of the control database; None: of this machine
) -> KeyRotation:
    """Return the new values that a recipient has signed, once it has answered a challenge for them.

    It sends requests: call it outside of a transaction.

    Raises: WrongRotation, NotProven, ClockSkew, WeakKey, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    try:
        claims = check(token, key_sets.fetch(client, row["jwks_url"]), typ=ROTATION_TYPE)
    except SignatureFault as fault:
        raise WrongRotation(f"the statement is not signed by the recorded key set: {fault.fault}") from None
    wanted = {"iss": row["domain"], "aud": settings.iss, "recipient": row["id"], "replaces": row["age_key"]}
    if wrong := sorted(name for name, value in wanted.items() if claims.get(name) != value):
        raise WrongRotation(f"the statement does not match this recipient; wrong claims: {', '.join(wrong)}")
    check_clock(claims["iat"], what="the statement", present=present)
    if row["rotated_at"] is not None and claims["iat"] <= row["rotated_at"].timestamp():
        raise WrongRotation("claim iat: the statement is older than the last change of the key")
    texts = [claims.get(name, row[name]) for name in ("age_key", "jwks_url", "webhook_url")]
    if not all(isinstance(text, str) for text in texts):
        raise WrongRotation("claims age_key, jwks_url and webhook_url: they must be texts")
    age_key, jwks_url, webhook_url = texts
    rotated = KeyRotation(age_keys.checked(age_key), jwks_url, webhook_url, row["redirect_uris"] or [])
    recipients.check_addresses(client, row["domain"], jwks_url, webhook_url)
    changed = {name: getattr(rotated, name) for name in KeyRotation.__dataclass_fields__}
    challenge(client, settings, {**row, **changed}, present)
    return rotated


def rotate(connection: Connection, row: Mapping[Any, Any], rotated: KeyRotation, *, actor: str) -> None:
    """Give a recipient its new values; consents stay, and transfers that have begun keep the key that they began with.

    Raises: UnknownRecipient if it was removed, WrongRotation if it was changed meanwhile.
    """
    recipients.get(connection, row["id"])
    changed = {name: getattr(rotated, name) for name in KeyRotation.__dataclass_fields__}
    same = (TABLE.c.id == row["id"], TABLE.c.age_key == row["age_key"], TABLE.c.jwks_url == row["jwks_url"])
    values = {**changed, "proven_at": now(), "rotated_at": now()}
    if not connection.execute(update(TABLE).where(*same).values(**values)).rowcount:
        raise WrongRotation(f"recipient {row['id']} has got another key meanwhile")
    audit.record(connection, "recipient.rotated", actor=actor, detail={"recipient": row["id"]})
