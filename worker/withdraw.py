"""Withdraw: take back whatever was stored for a volume that will never be part of an archive."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, delete, select

from portability import attestations, audit, exports, models, transfers
from portability.db import reading, writing
from portability.errors import StorageError
from portability.states import ExportState
from portability.storage import Storage
from worker import excerpt
from worker.checkpoint import ACTOR, UNKNOWN_UPLOAD

EXPORT, VOLUME, TRANSFER, COPY = models.export, models.volume, models.transfer, models.transfer_copy


def withdraw_all(engine: Engine, storage: Storage, export_id: str) -> int:
    """Withdraw every volume of an export that has ended, and forget those that are gone; returns how many that were.

    What storage does not delete now is left for the sweep. Raises: StorageError, the last one, after all were tried.
    """
    return _withdraw_those(engine, storage, VOLUME.c.export_id == export_id)


def withdraw_recalled(engine: Engine, open_storage: Callable[[], Storage]) -> int:
    """The same for all that was recalled: it does not wait for a sweep. Raises: StorageError."""
    return withdraw_state(engine, open_storage, ExportState.RECALLED)


def withdraw_state(engine: Engine, open_storage: Callable[[], Storage], state: ExportState) -> int:
    """The same for all exports in a last state. Raises: StorageError."""
    ended = VOLUME.c.export_id.in_(select(EXPORT.c.id).where(EXPORT.c.state == state))
    with reading(engine) as connection:
        if connection.scalar(select(VOLUME.c.id).where(ended).limit(1)) is None:
            return 0
    return _withdraw_those(engine, open_storage(), ended)


def _withdraw_those(engine: Engine, storage: Storage, which: ColumnElement[bool]) -> int:
    with reading(engine) as connection:
        rows = connection.execute(select(VOLUME).where(which)).mappings().all()
    trouble: StorageError | None = None
    gone = 0
    for row in rows:
        try:
            withdraw(storage, row)
        except StorageError as error:
            trouble = error
            continue
        gone += _forget(engine, row)
    if trouble is not None:
        raise trouble
    return gone


def _forget(engine: Engine, row: RowMapping) -> int:
    with writing(engine) as connection:
        return int(forget(connection, row))


def forget(connection: Connection, row: RowMapping) -> bool:
    """Drop the row of a volume of which storage holds nothing; whether it was there.

    That what was stored is deleted, is audited; of what was an archive it is noted, to be attested (R41).
    """
    # The export first: that is the order of locks.
    export = exports.lock(connection, row["export_id"])
    if not connection.execute(delete(VOLUME).where(VOLUME.c.id == row["id"])).rowcount:
        return False
    if row["state"] == "stored":
        attestations.note(connection, export, row)
        detail: audit.Detail = {"volume": row["number"], "bytes": row["bytes"]}
        audit.record(connection, "volume.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
    return True


def withdraw_copies(engine: Engine, open_storage: Callable[[], Storage]) -> int:
    """Delete the encrypted copies that no recipient may fetch any more; returns how many. Raises: StorageError."""
    joined = COPY.join(TRANSFER, TRANSFER.c.id == COPY.c.transfer_id).join(EXPORT, EXPORT.c.id == TRANSFER.c.export_id)
    over = select(COPY, TRANSFER.c.export_id).select_from(joined).where(~transfers.wanted_copies())
    with reading(engine) as connection:
        rows = connection.execute(over.order_by(COPY.c.id)).mappings().all()
    if not rows:
        return 0
    storage = open_storage()
    for row in rows:
        withdraw_object(storage, row)
        detail: audit.Detail = {"transfer": row["transfer_id"], "volume": row["number"], "bytes": row["bytes"]}
        with writing(engine) as connection:
            gone = connection.execute(delete(COPY).where(COPY.c.id == row["id"])).rowcount
            if gone and row["state"] == "stored":
                audit.record(connection, "copy.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
    return len(rows)


def withdraw(storage: Storage, row: RowMapping) -> None:
    """Abort the upload of a volume's row, delete its object and what lies beside it. Twice is no error.

    Raises: StorageError.
    """
    withdraw_object(storage, row)
    excerpt.withdraw(storage, row["object_key"])


def withdraw_object(storage: Storage, row: RowMapping) -> None:
    """The same, and nothing beside it: of an encrypted copy. Raises: StorageError."""
    if row["upload_id"] == UNKNOWN_UPLOAD:
        for upload in storage.uploads(row["object_key"]):
            storage.abort(upload.key, upload.upload_id)
    else:
        storage.abort(row["object_key"], row["upload_id"])
    storage.delete(row["object_key"])
