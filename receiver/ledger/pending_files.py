"""Files of a batch that has not ended: its rows may be rolled back, and no journal leads to what it has stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, delete, select

from portability.api.errors import BadInput
from portability.database.rows import inserting
from receiver.ledger.tables import PENDING_FILE, RUN, exist


def note(connection: Connection, run: str, keys: Collection[str]) -> None:
    """Note the keys of files before a batch stores them; those of an earlier try may be noted already."""
    adding = inserting(connection, PENDING_FILE).on_conflict_do_nothing()
    connection.execute(adding, [{"run": run, "storage_key": key} for key in sorted({*keys})])


def settle(connection: Connection, run: str, keys: Collection[str]) -> None:
    """Delete the keys of a batch that has ended: its journal has those that were stored."""
    of_batch = PENDING_FILE.c.storage_key.in_(sorted({*keys}))
    connection.execute(delete(PENDING_FILE).where(PENDING_FILE.c.run == run, of_batch))


def of(connection: Connection, run: str) -> Sequence[str]:
    """Return the keys of batches that have not ended."""
    return connection.scalars(select(PENDING_FILE.c.storage_key).where(PENDING_FILE.c.run == run)).all()


def check_none(connection: Connection, run: str) -> None:
    """Check that no batch has left files: an undo without their storage would forget them. Raises BadInput."""
    if count := len(of(connection, run)):
        hint = "name the storage of the import (--files); a new, empty folder if that storage is gone"
        message = f"a batch of import {run} has not ended: up to {count} of its files may be stored"
        raise BadInput(message, hint=hint)


def forget(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete all keys of some imports, which are selected by a condition for their rows."""
    if exist(connection, PENDING_FILE):
        connection.execute(delete(PENDING_FILE).where(PENDING_FILE.c.run.in_(select(RUN.c.id).where(which))))
