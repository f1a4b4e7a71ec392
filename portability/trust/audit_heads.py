"""Signed heads of the audit log: stored elsewhere, they make it impossible to rewrite the log unnoticed (R49)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from portability.api import JSON
from portability.api.errors import BadInput
from portability.trust import audit, keys
from portability.trust.audit import AuditDiffers, Head
from portability.trust.signing import AUDIT_TYPE, Jwks, check, sign


def signed(connection: Connection, keys_folder: Path, issuer: str) -> str:
    """Sign the present head as a JWS with a key used for nothing else. Raises NoSigningKey, AuditDiffers."""
    head, key = audit.head(connection), keys.dated(connection, keys_folder, purpose="audit")
    claims: dict[str, JSON] = {
        "iss": issuer,
        "iat": key.iat,
        "event": head.event_id,
        "hash": head.hash,
    }
    return sign(claims, key.key, typ=AUDIT_TYPE)


def read(connection: Connection, token: str, *, jwks: Jwks | None = None) -> Head:
    """Return the head that a token states; checked with the database's keys, or better with a JWK Set stored elsewhere.

    Raises: SignatureFault; BadInput if the signed content is not a head.
    """
    claims = check(token.strip(), jwks or keys.published(connection, purpose="audit"), typ=AUDIT_TYPE)
    event_id, hashed = claims.get("event"), claims.get("hash")
    if type(event_id) is not int or not isinstance(hashed, str):
        raise BadInput("the signed head names no event")
    return Head(event_id, hashed)


def check_contained(connection: Connection, head: Head) -> None:
    """Check that the log contains the event of a head, with its hash. Raises AuditDiffers."""
    if not audit.contains(connection, head):
        raise AuditDiffers(f"the audit log does not contain event {head.event_id} with the hash of the kept head")
