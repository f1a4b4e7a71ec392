"""What the database knows of this deployment: one row, made by the first migration."""

from __future__ import annotations

from sqlalchemy import Engine, select, update

from portability import models
from portability.db import writing
from portability.errors import ForeignStore
from portability.storage import Storage
from portability.storage.local import LocalStorage

TABLE = models.deployment


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
        raise ForeignStore(f"the storage folder has id {seen}, the database knows {known}")
