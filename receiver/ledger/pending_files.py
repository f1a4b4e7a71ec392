"""Files of a batch that has not ended: its rows may be rolled back, and no journal leads to what it has stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, Connection, delete, select

from portability.api.errors import BadInput
from portability.database.rows import inserting
from receiver.ledger.bulk import among
from receiver.ledger.tables import PENDING_FILE, RUN, exist


def note(connection: Connection, run: str, keys: Collection[str]) -> None:
    """Note the keys of files before a batch stores them; those of an earlier try may be noted already."""
    adding = inserting(connection, PENDING_FILE).on_conflict_do_nothing()
    connection.execute(adding, [{"run": run, "storage_key": key} for key in sorted({*keys})])


def settle(connection: Connection, run: str, keys: Collection[str]) -> None:
    """Delete the keys of a batch that has ended: its journal has those that were stored."""
    of_batch = PENDING_FILE.c.storage_key.in_(sorted({*keys}))
    connection.execute(delete(PENDING_FILE).where(PENDING_FILE.c.run == run, of_batch))


def of(connection: Connection, which: ColumnElement[bool]) -> Sequence[str]:
    """Return the keys of batches that have not ended, of imports that are selected by a condition for their rows."""
    if exist(connection, PENDING_FILE):
        query = select(PENDING_FILE.c.storage_key).where(_of_runs(which)).distinct()
        return connection.scalars(query.order_by(PENDING_FILE.c.storage_key)).all()
    return ()  # of an earlier release


def check_none(connection: Connection, which: ColumnElement[bool]) -> None:
    """Check that no batch has left files: who forgets their keys would leave them for good. Raises BadInput."""
    if keys := of(connection, which):
        joined = select(PENDING_FILE.c.run).where(_of_runs(which)).order_by(PENDING_FILE.c.run).limit(1)
        run = connection.scalar(joined)
        hint = "name the storage of the import (--files); a new, empty folder if that storage is gone"
        message = f"a batch of import {run} has not ended: up to {len(keys)} of its files may be stored"
        raise BadInput(message, hint=hint)


def forget(connection: Connection, which: ColumnElement[bool], keys: Collection[str]) -> None:
    """Delete keys of some imports: each of their files is deleted, or a row needs it."""
    if keys:
        connection.execute(
            delete(PENDING_FILE).where(_of_runs(which), among(connection, PENDING_FILE.c.storage_key, keys))
        )


def move(connection: Connection, run: str, to: str) -> None:
    """Let another import of the same archive lead to the files of an import that is deleted."""
    if keys := of(connection, RUN.c.id == run):
        note(connection, to, keys)
        settle(connection, run, keys)


def _of_runs(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return PENDING_FILE.c.run.in_(select(RUN.c.id).where(which))
