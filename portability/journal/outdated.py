"""What the journal no longer needs: batches and keys older than any backup, and keys of people who were erased."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Engine

from portability.api.storages import Storage, StoredObject
from portability.database import deployment
from portability.database.engine import reading
from portability.journal import batches, seals


def find(engine: Engine, storage: Storage, at: datetime) -> Iterator[StoredObject]:
    """Yield the objects of the journal that can be deleted at a time of the database's clock. Raises StorageError."""
    with reading(engine) as connection:
        own = deployment.identity(connection)
    oldest = at - timedelta(days=batches.KEPT_DAYS)
    for found in storage.list(f"{batches.FOLDER}/{own}/"):
        if found.modified_at < oldest and batches.BatchName.parse(found.key):
            yield found
    for ref, found in seals.stored(storage, own):
        # A batch of the same day is as old as the key: a writer has other keys the next day.
        if found.modified_at < oldest - timedelta(days=1) or not _is_needed(engine, ref):
            yield found


def is_journal(key: str) -> bool:
    """Return whether a key is one of the journal's, of any deployment."""
    return bool(batches.NAME.fullmatch(key) or seals.NAME.fullmatch(key))


def _is_needed(engine: Engine, ref: str) -> bool:
    with reading(engine) as connection:
        return seals.is_needed(connection, ref)
