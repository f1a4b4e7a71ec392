"""The deployment's own row in the database, made by the first migration."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection, Engine, func, or_, select, update

from portability.api.errors import ForeignStore, ObjectMissing
from portability.api.storages import IdentifiedStorage, Storage, put
from portability.database import incidents, models
from portability.database.engine import now, reading, writing
from portability.database.incidents import Incident

TABLE = models.deployment
OWNER = "portability-owner"
"""Key of the object that names the deployment whose archives a storage contains."""


def check_store(engine: Engine, storage: Storage) -> None:
    """Refuse a storage whose id differs from the one in the database; the first id seen is recorded.

    Raises: ForeignStore. On a wrong folder, archives would be written where no other machine finds them.
    """
    if not isinstance(storage, IdentifiedStorage):
        return
    seen = storage.store_id()
    with reading(engine) as connection:
        known = connection.scalar(select(TABLE.c.store_id))
    if known is None:
        with writing(engine) as connection:
            connection.execute(update(TABLE).where(TABLE.c.store_id.is_(None)).values(store_id=seen))
            known = connection.execute(select(TABLE.c.store_id)).scalar_one()
    if known != seen:
        incidents.count(engine, Incident.FOREIGN_STORE)
        raise ForeignStore(f"the storage has id {seen}, but the database expects id {known}")


def check_owner(engine: Engine, storage: Storage) -> None:
    """Refuse to sweep a storage that belongs to another deployment: the sweep would delete its archives as orphans.

    Raises: ForeignStore; StorageError.
    """
    if _owner(storage) not in {None, _identity(engine)}:
        hint = "use a separate folder or prefix for each deployment; `portability sweep --force` takes over this one"
        raise ForeignStore(f"{storage.url} contains the archives of another deployment", hint=hint)


def take_over(engine: Engine, storage: Storage) -> None:
    """Record in the storage that this deployment sweeps it from now on. Raises StorageError."""
    own_id = _identity(engine)
    if _owner(storage) == own_id:
        return
    put(storage, OWNER, own_id.encode())


def claim_sweep(engine: Engine, every_seconds: float) -> bool:
    """Return whether a sweep of the storage is due; of all clocks that ask, only one gets True."""
    last_at = func.coalesce(TABLE.c.swept_at, TABLE.c.created_at)
    with writing(engine) as connection:
        # A sweep of the future was before the clock was set back.
        due = or_(last_at < now(-every_seconds), last_at > now())
        return connection.execute(update(TABLE).where(due).values(swept_at=now())).rowcount == 1


def check_writable(engine: Engine) -> None:
    """Check that the database takes writes: it may be a replica, or set to read only. Raises DatabaseUnavailable."""
    with writing(engine) as connection:
        # To PostgreSQL the lock is a write; it waits for no other writer. With SQLite the transaction itself is one.
        connection.execute(select(TABLE.c.id).with_for_update(read=True, key_share=True)).one()


def clock(engine: Engine) -> datetime:
    """Return the database's time, which all machines use for comparisons."""
    with reading(engine) as connection:
        return clock_of(connection)


def clock_of(connection: Connection) -> datetime:
    """Return the same in a transaction."""
    return connection.execute(select(now())).scalar_one()


def _owner(storage: Storage) -> str | None:
    try:
        return b"".join(storage.read(OWNER)).decode(errors="replace")
    except ObjectMissing:
        return None


def identity(connection: Connection) -> str:
    """Return an id of this deployment, 32 hex digits, that reveals nothing about its salt."""
    salt = connection.execute(select(TABLE.c.pairwise_salt)).scalar_one()
    return hashlib.sha256(f"{OWNER}:{salt}".encode()).hexdigest()[:32]


def _identity(engine: Engine) -> str:
    with reading(engine) as connection:
        return identity(connection)
