"""What the database knows of this deployment: one row, made by the first migration."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Engine, func, select, update

from portability import incidents, models
from portability.db import now, reading, writing
from portability.errors import ForeignStore, ObjectMissing, StorageError
from portability.incidents import Incident
from portability.storage import Storage
from portability.storage.local import LocalStorage

TABLE = models.deployment
OWNER = "portability-owner"
"""Key of the object that says whose archives a storage holds."""


def check_store(engine: Engine, storage: Storage) -> None:
    """Refuse a `file://` storage that is not the one that the database knows; the first one seen becomes it.

    Raises: ForeignStore: another machine's folder would swallow archives that nobody finds again.
    """
    if not isinstance(storage, LocalStorage):
        return
    seen = storage.store_id()
    with writing(engine) as connection:
        connection.execute(update(TABLE).where(TABLE.c.store_id.is_(None)).values(store_id=seen))
        known = connection.execute(select(TABLE.c.store_id)).scalar_one()
    if known != seen:
        incidents.count(engine, Incident.FOREIGN_STORE)
        raise ForeignStore(f"the storage folder has id {seen}, the database knows {known}")


def check_owner(engine: Engine, storage: Storage) -> None:
    """Refuse to sweep a storage that another database's deployment sweeps: to this one its archives are leftovers.

    Raises: ForeignStore; StorageError.
    """
    if _owner(storage) not in {None, _mine(engine)}:
        hint = "give each deployment a folder or prefix of its own; `portability sweep --force` takes this one over"
        raise ForeignStore(f"{storage.url} holds the archives of another deployment", hint=hint)


def take_over(engine: Engine, storage: Storage) -> None:
    """Let every other deployment know that this one sweeps the storage. Raises StorageError."""
    mine = _mine(engine)
    if _owner(storage) == mine:
        return
    upload = storage.begin(OWNER)
    try:
        upload.write(mine.encode())
        upload.complete()
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise


def claim_sweep(engine: Engine, every_seconds: float) -> bool:
    """Whether the storage is due to be swept; of all clocks that ask, one is told so."""
    last_at = func.coalesce(TABLE.c.swept_at, TABLE.c.created_at)
    with writing(engine) as connection:
        due = update(TABLE).where(last_at < now(-every_seconds)).values(swept_at=now())
        return connection.execute(due).rowcount == 1


def clock(engine: Engine) -> datetime:
    """The database's time: the one that all machines agree on."""
    with reading(engine) as connection:
        return connection.execute(select(now())).scalar_one()


def _owner(storage: Storage) -> str | None:
    try:
        return b"".join(storage.read(OWNER)).decode(errors="replace")
    except ObjectMissing:
        return None


def _mine(engine: Engine) -> str:
    """What tells this deployment from others, and nothing about its salt."""
    with reading(engine) as connection:
        salt = connection.execute(select(TABLE.c.pairwise_salt)).scalar_one()
    return hashlib.sha256(f"{OWNER}:{salt}".encode()).hexdigest()[:32]
