"""Pseudonyms: numbers that stand for other people in one archive, the same in all its volumes (GDPR Art. 4(5)).

A number is found again by an HMAC under a key of its export alone. Two archives can't be joined by their numbers, and
once the key is erased nobody can tell from an id which number it had.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256

from sqlalchemy import Connection, delete, func, insert, select, update

from portability import models
from portability.errors import LeaseLost
from portability.states import ExportState

TABLE, EXPORT = models.pseudonym, models.export
KEY_BYTES = 32
BEGUN = frozenset({ExportState.RUNNING, ExportState.CLOSING})
"""States in which a worker may ask: a zombie must not leave a key where none will be erased."""


def numbers(connection: Connection, export_id: str, kind: str, values: Iterable[str]) -> Mapping[str, int]:
    """The number of each value; a new one gets the next, whichever worker asks. The export stays locked.

    Raises: LeaseLost where the export has ended: its key is gone, and so is whoever waits for a number.
    """
    key = _key(connection, export_id)
    digests = {value: _digest(key, kind, value) for value in values}
    mine = (TABLE.c.export_id == export_id, TABLE.c.kind == kind)
    found = select(TABLE.c.digest, TABLE.c.number).where(*mine, TABLE.c.digest.in_(list(digests.values())))
    known: dict[str, int] = {row.digest: row.number for row in connection.execute(found)}
    last = connection.scalar(select(func.max(TABLE.c.number)).where(*mine)) or 0
    new = dict.fromkeys(digest for digest in digests.values() if digest not in known)
    given = {digest: number for number, digest in enumerate(new, last + 1)}
    if given:
        same = {"export_id": export_id, "kind": kind}
        rows = [{**same, "digest": digest, "number": number} for digest, number in given.items()]
        connection.execute(insert(TABLE), rows)
    return {value: (known | given)[digest] for value, digest in digests.items()}


def forget(connection: Connection, export_id: str) -> None:
    """Erase the key of an export that has ended, and all that was made with it. Twice is no error."""
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(pseudonym_key=None))
    connection.execute(delete(TABLE).where(TABLE.c.export_id == export_id))


def _key(connection: Connection, export_id: str) -> bytes:
    """Of the export, made when it is first needed; locks the export."""
    mine = EXPORT.c.id == export_id
    query = select(EXPORT.c.state, EXPORT.c.pseudonym_key).where(mine).with_for_update()
    state, key = connection.execute(query).one()
    if state not in BEGUN:
        raise LeaseLost(f"export {export_id} is {state}: it gives out no pseudonyms")
    if key is None:
        key = secrets.token_hex(KEY_BYTES)
        connection.execute(update(EXPORT).where(mine).values(pseudonym_key=key))
    return bytes.fromhex(key)


def _digest(key: bytes, kind: str, value: str) -> str:
    return hmac.new(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), sha256).hexdigest()
