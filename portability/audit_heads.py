"""Signed heads of the audit log: what one keeps elsewhere, so that nobody can rewrite the log unseen (R49)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from portability import audit, keys
from portability.api import JSON
from portability.audit import Head
from portability.errors import BadInput
from portability.signing import AUDIT_TYPE, Jwks, check, sign


def signed(connection: Connection, keys_folder: Path, issuer: str) -> str:
    """The present head as a JWS of a key that is for nothing else. Raises NoSigningKey."""
    head = audit.head(connection)
    claims: dict[str, JSON] = {
        "iss": issuer,
        "iat": int(datetime.now(UTC).timestamp()),
        "event": head.event_id,
        "hash": head.hash,
    }
    return sign(claims, keys.signing(connection, keys_folder, purpose="audit"), typ=AUDIT_TYPE)


def read(connection: Connection, token: str, *, jwks: Jwks | None = None) -> Head:
    """The head that a token states; by the keys that the database knows, or better by a JWK Set that was kept too.

    Raises: SignatureFault; BadInput where it is signed and yet no head.
    """
    claims = check(token.strip(), jwks or keys.published(connection, purpose="audit"), typ=AUDIT_TYPE)
    event_id, hashed = claims.get("event"), claims.get("hash")
    if type(event_id) is not int or not isinstance(hashed, str):
        raise BadInput("the signed head names no event")
    return Head(event_id, hashed)
