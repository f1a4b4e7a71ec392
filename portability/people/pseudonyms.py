"""Pseudonyms: numbers that replace other people in one archive, the same in all its volumes (GDPR Art. 4(5)).

A number is found by an HMAC under a key of its export only. Two archives cannot be joined by their numbers, and once
the key is erased, the number of an id can no longer be determined.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from portability.database import models
from portability.errors import LeaseLost

TABLE, EXPORT = models.pseudonym, models.export
KEY_BYTES = 32


def numbers(connection: Connection, export_id: str, kind: str, values: Iterable[str]) -> Mapping[str, int]:
    """Return the number of each value; a new value gets the next number, on any worker. The export stays locked.

    Raises: LeaseLost if the export has ended: its key is deleted.
    """
    key = _key(connection, export_id)
    digests = {value: _digest(key, kind, value) for value in values}
    matching = (TABLE.c.export_id == export_id, TABLE.c.kind == kind)
    last_number = select(func.max(TABLE.c.number)).where(*matching).scalar_subquery()
    wanted = or_(TABLE.c.digest.in_(list(digests.values())), TABLE.c.number == last_number)
    found = connection.execute(select(TABLE.c.digest, TABLE.c.number).where(*matching, wanted))
    known: dict[str, int] = {row.digest: row.number for row in found}
    last = max(known.values(), default=0)
    new = dict.fromkeys(digest for digest in digests.values() if digest not in known)
    given = {digest: number for number, digest in enumerate(new, last + 1)}
    if given:
        same = {"export_id": export_id, "kind": kind}
        rows = [{**same, "digest": digest, "number": number} for digest, number in given.items()]
        connection.execute(insert(TABLE), rows)
    return {value: (known | given)[digest] for value, digest in digests.items()}


def forget(connection: Connection, export_id: str) -> None:
    """Erase the key of an ended export, and all its numbers. A second call is not an error."""
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(pseudonym_key=None))
    connection.execute(delete(TABLE).where(TABLE.c.export_id == export_id))


def _key(connection: Connection, export_id: str) -> bytes:
    """Return the export's key, made at first use; locks the export."""
    matching = EXPORT.c.id == export_id
    # A worker that lost its lease must not leave a key behind that would never be erased.
    is_running = and_(EXPORT.c.began_at.is_not(None), EXPORT.c.ended_at.is_(None))
    key = func.coalesce(EXPORT.c.pseudonym_key, secrets.token_hex(KEY_BYTES))
    keyed = update(EXPORT).where(matching, is_running).values(pseudonym_key=key).returning(EXPORT.c.pseudonym_key)
    found: str | None = connection.scalar(keyed)
    # A failover may have lost the row of an export that a worker still writes.
    if found is None:
        raise LeaseLost(f"export {export_id} is not running: no pseudonyms can be assigned")
    return bytes.fromhex(found)


def _digest(key: bytes, kind: str, value: str) -> str:
    return hmac.new(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), sha256).hexdigest()
