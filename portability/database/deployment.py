"""The deployment's own row in the database, made by the first migration."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection, Engine, func, or_, select, text, update

from portability.api.errors import ForeignStore, ObjectMissing
from portability.api.storages import IdentifiedStorage, Storage, put
from portability.database import incidents, models
from portability.database.engine import now, reading, writing
from portability.database.incidents import Incident

TABLE = models.deployment
OWNER = "portability-owner"
"""Key of the object that names the deployment whose archives a storage contains."""
BESIDE_THE_TABLES = text("SELECT set_config('temp_tablespaces', '', true), set_config('work_mem', '64kB', true)")
SORT_IN_A_FILE = text(
    "SELECT count(*) FROM (SELECT FROM generate_series(1, 500) AS n ORDER BY repeat('x', 500) || n OFFSET 0) AS s"
)
"""It has a quarter of a megabyte in a file of the server: on a full disk, rows still fit into the pages of tables."""


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
    """Check that the database takes writes: it may be a replica, set to read only, or on a disk without room.

    Raises: DatabaseUnavailable.
    """
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            # The lock is a write, and waits for no other writer. It needs no new page, which the sort does.
            connection.execute(select(TABLE.c.id).with_for_update(read=True, key_share=True)).one()
            connection.execute(BESIDE_THE_TABLES)
            connection.execute(SORT_IN_A_FILE)
        else:
            # A transaction that changes no page writes nothing, and SQLite sees that a row stays as it is.
            before = connection.execute(select(TABLE.c.swept_at)).scalar_one()
            for swept_at in (now(), before):
                connection.execute(update(TABLE).values(swept_at=swept_at))


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
