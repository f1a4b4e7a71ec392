"""Idempotency keys: the same request sent twice makes one export (requirement R51)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select

from portability import models
from portability.db import now
from portability.errors import BadInput
from portability.refusals import KeyReused

TABLE = models.idempotency_key
KEPT_SECONDS = 86_400
KEY_MAX = 255


def once(connection: Connection, key: str, body: bytes, *, actor: str, make: Callable[[], str]) -> tuple[str, bool]:
    """The export of this actor's key: made now by `make`, or known from before. Returns (its id, whether it is new).

    `body` is the request as it came, or in a canonical form. A key counts for a day.

    Raises: KeyReused where the key came with another body; BadInput where it is none; and what `make` raises.
    """
    if not 0 < len(key) <= KEY_MAX or not key.isascii() or not key.isprintable():
        raise BadInput(f"an idempotency key is 1 to {KEY_MAX} printable ASCII characters")
    # One at a time, as requests are accepted; the lock is the first in the order of locks.
    connection.execute(select(models.deployment.c.id).with_for_update())
    connection.execute(delete(TABLE).where(TABLE.c.created_at < now(-KEPT_SECONDS)))
    digest, asked = _sha256(f"{actor}\0{key}".encode()), _sha256(body)
    known = connection.execute(select(TABLE).where(TABLE.c.digest == digest)).mappings().one_or_none()
    if known is not None:
        if known["request_sha256"] != asked:
            raise KeyReused("this idempotency key came with another request before")
        return str(known["export_id"]), False
    export_id = make()
    values = {"digest": digest, "request_sha256": asked, "export_id": export_id, "created_at": now()}
    connection.execute(insert(TABLE).values(**values))
    return export_id, True


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
