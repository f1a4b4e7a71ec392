"""Signing keys: private halves as PEM files that never leave their folder, public halves in database and JWKS."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from joserfc.jwk import ECKey
from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, models
from portability.api import JSON
from portability.errors import BadInput, NoSigningKey, UnknownKey, WrongState
from portability.exports import rfc3339
from portability.signing import Jwks, PublicKey

TABLE = models.signing_key
PURPOSES = ("archive", "link", "transfer", "receipt", "audit")
PUBLISHED = frozenset({"archive", "transfer", "receipt", "audit"})
"""Purposes whose public keys are in the JWKS; link keys are ours alone."""


def new(connection: Connection, folder: Path, *, purpose: str = "archive", actor: str) -> str:
    """Make an ES256 key that signs from now on, retire its predecessor, and return the kid. Raises BadInput."""
    if purpose not in PURPOSES:
        raise BadInput(f"no keys are made for {purpose!r}", hint=f"purposes are {', '.join(PURPOSES)}")
    active = (TABLE.c.purpose == purpose, TABLE.c.retired_at.is_(None), TABLE.c.revoked_at.is_(None))
    connection.execute(update(TABLE).where(*active).values(retired_at=datetime.now(UTC)))
    kid = add(connection, folder, purpose=purpose)
    audit.record(connection, "key.created", actor=actor, detail={"kid": kid})
    return kid


def add(connection: Connection, folder: Path, *, purpose: str = "archive") -> str:
    """Make an ES256 key beside those that there are, and return the kid; the newest one signs."""
    moment = datetime.now(UTC)
    kid = f"{purpose}-{moment:%Y%m%d}-{secrets.token_hex(4)}"
    key = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
    _write_private(folder / f"{kid}.pem", key.as_pem(private=True))
    row = {"kid": kid, "purpose": purpose, "public_jwk": key.as_dict(private=False), "created_at": moment}
    connection.execute(insert(TABLE).values(row))
    return kid


def ensure(connection: Connection, folder: Path, *, purposes: Sequence[str] = PURPOSES, actor: str) -> None:
    """Make the keys of those purposes that have none to sign with on this machine. Raises BadInput."""
    for purpose in purposes:
        try:
            signing(connection, folder, purpose=purpose)
        except NoSigningKey:
            new(connection, folder, purpose=purpose, actor=actor)


def signing(connection: Connection, folder: Path, *, purpose: str = "archive") -> ECKey:
    """The newest active key of a purpose. Raises NoSigningKey, also where its file is not on this machine."""
    rows = [row for row in listed(connection, purpose) if row["retired_at"] is None and row["revoked_at"] is None]
    if not rows:
        hint = f"`portability keys new --purpose {purpose}` makes one"
        raise NoSigningKey(f"there is no active key for {purpose}", hint=hint)
    return private(folder, rows[-1]["kid"])


def private(folder: Path, kid: str) -> ECKey:
    """The private half of a key that the database knows. Raises NoSigningKey where its file is not on this machine."""
    try:
        return _read_private(folder / f"{kid}.pem")
    except OSError as error:
        hint = "put the keys folder on every machine that signs: PORTABILITY_KEYS_DIR"
        raise NoSigningKey(f"the private half of {kid} cannot be read: {type(error).__name__}", hint=hint) from None


def own(connection: Connection, folder: Path, *, purpose: str) -> Jwks:
    """What this machine itself can check with: keys whose file it holds, with the end of life that the database knows.

    The database alone is not believed: whoever can only write there makes no signature of ours.
    """
    known: dict[str, PublicKey] = {}
    for row in listed(connection, purpose):
        with suppress(NoSigningKey):
            known[row["kid"]] = PublicKey(private(folder, row["kid"]), row["retired_at"], row["revoked_at"])
    return Jwks(known)


def listed(connection: Connection, purpose: str | None = None) -> Sequence[RowMapping]:
    """All keys, oldest first, retired and revoked ones too."""
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.kid)
    return connection.execute(query if purpose is None else query.where(TABLE.c.purpose == purpose)).mappings().all()


def retire(connection: Connection, kid: str, *, actor: str) -> None:
    """Sign no more with it; what it signed stays valid. Raises UnknownKey, WrongState."""
    _end(connection, kid, "retired_at", actor)


def revoke(connection: Connection, kid: str, *, actor: str) -> None:
    """It is compromised: nothing that it ever signed verifies any more. Raises UnknownKey, WrongState."""
    _end(connection, kid, "revoked_at", actor)


def published(connection: Connection, *, purpose: str) -> Jwks:
    """The public keys of one purpose, as the database has them."""
    return Jwks.parse({"keys": [_published(row) for row in listed(connection, purpose)]})


def jwks(connection: Connection) -> dict[str, JSON]:
    """The JWK Set (RFC 7517) of published keys; `retired_at` and `revoked_at` are members of ours (RFC 3339)."""
    return {"keys": [_published(row) for row in listed(connection) if row["purpose"] in PUBLISHED]}


def _published(row: RowMapping) -> Mapping[str, JSON]:
    ended = {name: rfc3339(row[name]) for name in ("retired_at", "revoked_at") if row[name] is not None}
    return {**row["public_jwk"], **ended}


def _end(connection: Connection, kid: str, column: str, actor: str) -> None:
    rows = [row for row in listed(connection) if row["kid"] == kid]
    if not rows:
        raise UnknownKey(f"no key has the id {kid!r}")
    if rows[0][column] is not None or rows[0]["revoked_at"] is not None:
        raise WrongState(f"key {kid} is {'revoked' if rows[0]['revoked_at'] else 'retired'} already")
    connection.execute(update(TABLE).where(TABLE.c.kid == kid).values({column: datetime.now(UTC)}))
    audit.record(connection, f"key.{column.removesuffix('_at')}", actor=actor, detail={"kid": kid})


@lru_cache(maxsize=64)
def _read_private(path: Path) -> ECKey:
    # A kid is never given twice and its file never changes.
    return ECKey.import_key(path.read_bytes(), {"kid": path.stem, "use": "sig", "alg": "ES256"})


def _write_private(path: Path, pem: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
