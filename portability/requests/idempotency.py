"""Idempotency keys: a request that is sent twice makes one export (requirement R51)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from portability.api.errors import BadInput
from portability.database import models, named_locks
from portability.database.engine import now, read_once
from portability.errors import KeyReused

TABLE = models.idempotency_key
KEPT_SECONDS = 86_400
KEY_MAX = 255


def once(connection: Connection, key: str, body: bytes, *, caller: str, make: Callable[[], str]) -> tuple[str, bool]:
    """Return (the export id for this caller's key, whether it is new); a new key calls `make`.

    `caller` is the identity of an `Actor`: the same in each role of a person, and different for two people of two
    issuers with the same id.
    `body` is the request as received, or in a canonical form. A key is valid for a day.

    Raises: KeyReused if the key was used with another body; BadInput for an invalid key; and what `make` raises.
    """
    if not 0 < len(key) <= KEY_MAX or not key.isascii() or not key.isprintable():
        raise BadInput(f"invalid idempotency key: use 1 to {KEY_MAX} printable ASCII characters")
    digest, body_digest = _sha256(f"{caller}\0{key}".encode()), _sha256(body)
    # Before the lock of the subject: of two requests with one key the second sees the first one's row.
    named_locks.lock(connection, f"key {digest}")
    connection.execute(delete(TABLE).where(TABLE.c.digest == digest, _is_outdated()))
    known = connection.execute(select(TABLE).where(TABLE.c.digest == digest)).mappings().one_or_none()
    if known is not None:
        if known["request_sha256"] != body_digest:
            raise KeyReused("this idempotency key was already used for a different request")
        return str(known["export_id"]), False
    export_id = make()
    values = {"digest": digest, "request_sha256": body_digest, "export_id": export_id, "created_at": now()}
    connection.execute(insert(TABLE).values(**values))
    return export_id, True


def has_outdated(connection: Connection) -> bool:
    """Return whether `purge` would delete a key."""
    return bool(connection.scalar(select(func.min(TABLE.c.created_at) < now(-KEPT_SECONDS))))


def purge(connection: Connection) -> None:
    """Delete the keys that are no longer valid."""
    connection.execute(delete(TABLE).where(_is_outdated()))


def _is_outdated() -> ColumnElement[bool]:
    return TABLE.c.created_at < read_once(-KEPT_SECONDS)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
