"""Signing keys: private keys are PEM files in a folder, or in a key store; public keys are in database and JWKS."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from sqlalchemy import Connection, RowMapping, and_, insert, or_, select, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models, named_locks
from portability.database.engine import now
from portability.errors import NoSigningKey, UnknownKey, WrongState
from portability.trust import audit, external_keys, key_files
from portability.trust.external_keys import ExternalKey
from portability.trust.signing import SKEW_SECONDS, DatedKey, Jwks, PublicKey, SigningKey

TABLE = models.signing_key
PURPOSES = ("archive", "link", "transfer", "receipt", "audit")
SIGNING_ONLY = ("archive", "transfer", "receipt", "audit")
"""Purposes whose keys can be in a key store. Keys for links also encrypt, which needs the private half."""
RETIRES_SECONDS = SKEW_SECONDS
"""How long signatures of a retired key verify: workers of 0.1.0 date them by their own clocks."""
CHANGES = "signing keys"
"""The named lock of changes of keys: two that begin at once would each see the predecessor alone."""
COPY_HINT = "copy it to PORTABILITY_KEYS_DIR again, whole, or remove it if `portability keys list` does not have it"
READ_HINT = "let this account read PORTABILITY_KEYS_DIR and its files: they belong to another one"
SUFFIXES = (".pem", external_keys.SUFFIX)
"""Of files in the keys folder: private keys, and references to keys in key stores."""
PUBLISHED = frozenset({"archive", "transfer", "receipt", "audit"})
"""Purposes whose public keys are in the JWKS; link keys are internal."""


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """A key that is revoked, and when it could sign."""

    kid: str
    created_at: datetime
    """The earliest time by the clock of the database: the machine that made the key dated it by its own."""
    replaced_at: datetime | None
    """When the next key, or no key, signed in its place; None: it signed until it was revoked."""
    revoked_at: datetime

    def may_have_signed(self, began_at: datetime, stored_at: datetime) -> bool:
        """Return whether it can be the key of a volume that was written and signed between two times.

        What is stored after the revocation has another key: its commit has checked it.
        """
        is_replaced = self.replaced_at and self.replaced_at < began_at
        return not is_replaced and self.created_at <= stored_at <= self.revoked_at


def new(connection: Connection, folder: Path, *, purpose: str = "archive", actor: str) -> str:
    """Make an ES256 key that signs from now on, retire its predecessor, and return the kid. Raises BadInput."""
    if purpose not in PURPOSES:
        raise BadInput(f"unknown purpose of a key: {purpose!r}", hint=f"known purposes: {', '.join(PURPOSES)}")
    named_locks.lock(connection, CHANGES)
    _retire_active(connection, purpose)
    kid = add(connection, folder, purpose=purpose)
    audit.record(connection, "key.created", actor=actor, detail={"kid": kid})
    return kid


def register(connection: Connection, folder: Path, uri: str, *, purpose: str = "archive", actor: str) -> str:
    """Let a key of a key store sign from now on, retire its predecessor, and return the kid.

    Raises: BadInput for a purpose whose key also encrypts; BadSetting for the URI; NoSigningKey if it does not sign.
    """
    if purpose not in SIGNING_ONLY:
        hint = f"purposes that can be in a key store: {', '.join(SIGNING_ONLY)}"
        raise BadInput(f"the key for {purpose} also encrypts, and is a file", hint=hint)
    named_locks.lock(connection, CHANGES)
    kid = _new_kid(purpose, moment := datetime.now(UTC))
    key = external_keys.found(kid, uri)
    _retire_active(connection, purpose)
    key_files.make(folder / f"{kid}{external_keys.SUFFIX}", external_keys.written(key), for_owner_of_folder=True)
    row = {"kid": kid, "purpose": purpose, "public_jwk": key.public.as_dict(private=False), "created_at": moment}
    connection.execute(insert(TABLE).values(row))
    audit.record(connection, "key.created", actor=actor, detail={"kid": kid})
    return kid


def add(connection: Connection, folder: Path, *, purpose: str = "archive") -> str:
    """Make an ES256 key without retiring others, and return the kid; the newest key signs."""
    moment = datetime.now(UTC)
    kid = _new_kid(purpose, moment)
    key = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
    key_files.make(folder / f"{kid}.pem", key.as_pem(private=True), for_owner_of_folder=True)
    row = {"kid": kid, "purpose": purpose, "public_jwk": key.as_dict(private=False), "created_at": moment}
    connection.execute(insert(TABLE).values(row))
    return kid


def ensure(connection: Connection, folder: Path, *, purposes: Sequence[str] = PURPOSES, actor: str) -> None:
    """Make keys for those purposes that have no usable key on this machine. Raises BadInput."""
    for purpose in purposes:
        try:
            signing(connection, folder, purpose=purpose)
        except NoSigningKey:
            new(connection, folder, purpose=purpose, actor=actor)


def signing(connection: Connection, folder: Path, *, purpose: str = "archive") -> SigningKey:
    """Return the newest active key of a purpose. Raises NoSigningKey, also if its file is not on this machine."""
    return dated(connection, folder, purpose=purpose).key


def dated(connection: Connection, folder: Path, *, purpose: str = "archive") -> DatedKey:
    """Return the same with the time of the database: the clock of this machine may be wrong. Raises NoSigningKey."""
    if row := active(connection, purpose):
        return DatedKey(_own(folder, row), row["present"])
    hint = f"`portability keys new --purpose {purpose}` makes one"
    raise NoSigningKey(f"no active key for the purpose {purpose}", hint=hint)


def active(connection: Connection, purpose: str) -> RowMapping | None:
    """Return the row of the key that signs for a purpose, with the time as `present`; None: there is no such key."""
    is_active = (TABLE.c.purpose == purpose, TABLE.c.retired_at.is_(None), TABLE.c.revoked_at.is_(None))
    newest = TABLE.c.created_at.desc(), TABLE.c.kid.desc()
    query = select(TABLE, now().label("present")).where(*is_active).order_by(*newest).limit(1)
    return connection.execute(query).mappings().one_or_none()


def check_file(folder: Path, row: Mapping[Any, Any]) -> None:
    """Check that the folder has the key of a row in the database. What this process has read is neither used nor lost.

    Raises: NoSigningKey if its file is missing, cannot be read, is damaged, or has another key.
    """
    with _named(row["kid"]):
        _check_same(_found(folder, row["kid"]), row)


def check_unrevoked(connection: Connection, folder: Path, kid: str | None, *, purpose: str) -> None:
    """Check that the folder has a key, if it is a key of this purpose and not revoked. Raises NoSigningKey."""
    for row in listed(connection, purpose):
        if row["kid"] == kid and not row["revoked_at"]:
            _own(folder, row)


def forget_files() -> None:
    """Forget what was read from files: one of them has another key, and the right file may take its place."""
    _read.cache_clear()
    _read_private.cache_clear()


def _own(folder: Path, row: Mapping[Any, Any]) -> ECKey | ExternalKey:
    key = _signing(folder, row["kid"])
    try:
        _check_same(key, row)
    except NoSigningKey:
        forget_files()
        raise
    return key


def _check_same(key: ECKey | ExternalKey, row: Mapping[Any, Any]) -> None:
    public = _public(key).as_dict(private=False)
    if any(public[name] != row["public_jwk"][name] for name in ("x", "y")):
        seen = f"the file of the private key {row['kid']} has another key than the database"
        raise NoSigningKey(seen, hint=COPY_HINT)


def private(folder: Path, kid: str) -> ECKey:
    """Return the private key of a kid in the database. Raises NoSigningKey if its file is not on this machine."""
    with _named(kid):
        return _read_private(folder / f"{kid}.pem")


def known(folder: Path, kid: str) -> ECKey:
    """Return a key of this machine to check signatures with. Raises NoSigningKey if its file is not here."""
    return _public(_signing(folder, kid))


def _public(key: ECKey | ExternalKey) -> ECKey:
    return key if isinstance(key, ECKey) else key.public


def kids(folder: Path, purpose: str) -> Sequence[str]:
    """Return the kids of a purpose whose files are in the folder. Raises NoSigningKey if it cannot be read."""
    try:
        found = [path.name for path in folder.iterdir() if path.name.startswith(f"{purpose}-")]
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise NoSigningKey(f"cannot read the folder of private keys: {type(error).__name__}", hint=READ_HINT) from None
    names = (name.removesuffix(suffix) for name in found for suffix in SUFFIXES if name.endswith(suffix))
    return sorted(names)


def _signing(folder: Path, kid: str) -> ECKey | ExternalKey:
    with _named(kid):
        return _read(folder, kid)


@contextmanager
def _named(kid: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        away = "copy the folder PORTABILITY_KEYS_DIR to every machine that signs"
        hint = READ_HINT if isinstance(error, PermissionError) else away
        raise NoSigningKey(f"cannot read the private key {kid}: {type(error).__name__}", hint=hint) from None
    except (JoseError, TypeError, ValueError) as error:
        seen = f"the file of the private key {kid} has no key: {type(error).__name__}"
        raise NoSigningKey(seen, hint=COPY_HINT) from None


def own(connection: Connection, folder: Path, *, purpose: str) -> Jwks:
    """Return the keys that this machine can check with: their files are here; end dates come from the database.

    Keys that exist only in the database do not count: write access to the database is not enough to forge a signature.
    """
    here: dict[str, PublicKey] = {}
    for row in listed(connection, purpose):
        with suppress(NoSigningKey):
            key = _public(_own(folder, row))
            here[row["kid"]] = PublicKey(key, row["retired_at"], row["revoked_at"])
    return Jwks(here)


def listed(connection: Connection, purpose: str | None = None) -> Sequence[RowMapping]:
    """Return all keys, oldest first, retired and revoked keys too."""
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.kid)
    return connection.execute(query if purpose is None else query.where(TABLE.c.purpose == purpose)).mappings().all()


def retire(connection: Connection, kid: str, *, actor: str) -> None:
    """Retire a key: it signs no more, and its signatures stay valid. Raises UnknownKey, WrongState."""
    _end(connection, kid, "retired_at", actor)


def revoke(connection: Connection, kid: str, *, actor: str) -> None:
    """Revoke a compromised key: all its signatures become invalid. Raises UnknownKey, WrongState."""
    _end(connection, kid, "revoked_at", actor)


def revoked(connection: Connection, *, purpose: str, used: str) -> Sequence[RevokedKey]:
    """Return the revoked keys of a purpose, with the times between which they signed.

    The key with the kid `used` is not revoked, if it is not now, until the end of this writing transaction.
    """
    is_revoked = and_(TABLE.c.purpose == purpose, TABLE.c.revoked_at.is_not(None))
    query = select(TABLE).where(or_(TABLE.c.kid == used, is_revoked)).with_for_update(read=True)
    early, late = (timedelta(seconds=seconds) for seconds in (SKEW_SECONDS, RETIRES_SECONDS))
    return [
        RevokedKey(row.kid, row.created_at - early, row.retired_at and row.retired_at - late, row.revoked_at)
        for row in connection.execute(query)
        if row.revoked_at
    ]


def published(connection: Connection, *, purpose: str) -> Jwks:
    """Return the public keys of one purpose from the database."""
    return Jwks.parse({"keys": [_published(row) for row in listed(connection, purpose)]})


def jwks(connection: Connection) -> dict[str, JSON]:
    """Return the JWK Set (RFC 7517) of published keys; `retired_at` and `revoked_at` (RFC 3339) are our own members."""
    return {"keys": [_published(row) for row in listed(connection) if row["purpose"] in PUBLISHED]}


def _published(row: RowMapping) -> Mapping[str, JSON]:
    ended = {name: rfc3339(row[name]) for name in ("retired_at", "revoked_at") if row[name] is not None}
    return {**row["public_jwk"], **ended}


def _new_kid(purpose: str, moment: datetime) -> str:
    return f"{purpose}-{moment:%Y%m%d}-{secrets.token_hex(4)}"


def _retire_active(connection: Connection, purpose: str) -> None:
    is_active = (TABLE.c.purpose == purpose, TABLE.c.retired_at.is_(None), TABLE.c.revoked_at.is_(None))
    connection.execute(update(TABLE).where(*is_active).values(retired_at=now(RETIRES_SECONDS)))


def _end(connection: Connection, kid: str, column: str, actor: str) -> None:
    named_locks.lock(connection, CHANGES)
    rows = [row for row in listed(connection) if row["kid"] == kid]
    if not rows:
        raise UnknownKey(f"unknown key {kid!r}")
    if rows[0][column] is not None or rows[0]["revoked_at"] is not None:
        raise WrongState(f"key {kid} is already {'revoked' if rows[0]['revoked_at'] else 'retired'}")
    # Commits of volumes that this key has signed hold its row: what they store is older than its end.
    connection.execute(select(TABLE.c.kid).where(TABLE.c.kid == kid).with_for_update())
    ended_at = {"retired_at": now(RETIRES_SECONDS), "revoked_at": now()}[column]
    connection.execute(update(TABLE).where(TABLE.c.kid == kid).values({column: ended_at}))
    audit.record(connection, f"key.{column.removesuffix('_at')}", actor=actor, detail={"kid": kid})


@lru_cache(maxsize=64)
def _read(folder: Path, kid: str) -> ECKey | ExternalKey:
    # A kid is never reused and its file never changes, unless it has another key. The folder is read once: a
    # process goes on with the keys that it has read while the folder is away.
    return _found(folder, kid)


@lru_cache(maxsize=64)
def _read_private(path: Path) -> ECKey:
    return _parsed(path)


def _found(folder: Path, kid: str) -> ECKey | ExternalKey:
    external = folder / f"{kid}{external_keys.SUFFIX}"
    return external_keys.parsed(external) if external.exists() else _parsed(folder / f"{kid}.pem")


def _parsed(path: Path) -> ECKey:
    key = ECKey.import_key(key_files.content(path), {"kid": path.stem, "use": "sig", "alg": "ES256"})
    if key.is_private and key.curve_name == "P-256":
        return key
    raise ValueError("a public key, or a key of another curve")
