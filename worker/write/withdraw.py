"""Withdraw: delete everything that was stored for a volume that will never be part of an archive."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, select

from portability.api.errors import StorageError
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import reading, writing
from portability.requests import exports
from portability.requests.states import DISCARDED, ExportState, VolumeState
from portability.requests.transition import drop_volume
from portability.retention import attestations
from portability.transfers import sending
from portability.trust import audit
from worker.claim.fenced_writes import ACTOR, UNKNOWN_UPLOAD
from worker.write import closing_marker, excerpts, shards

EXPORT, VOLUME, TRANSFER, COPY = models.export, models.volume, models.transfer, models.transfer_copy


def withdraw_all(engine: Engine, storage: Storage, export_id: str) -> int:
    """Withdraw every volume of an ended export, and delete the rows of those that are gone; returns how many.

    What storage cannot delete now is left for the sweep. Raises: the last StorageError, after all were tried.
    """
    return _withdraw_those(engine, storage, VOLUME.c.export_id == export_id)


def withdraw_discarded(
    engine: Engine, open_storage: Callable[[], Storage], states: Collection[ExportState] = DISCARDED
) -> int:
    """Do the same for all discarded exports, without waiting for a sweep. Raises: StorageError."""
    ended = VOLUME.c.export_id.in_(select(EXPORT.c.id).where(EXPORT.c.state.in_(states)))
    with reading(engine) as connection:
        if connection.scalar(select(VOLUME.c.id).where(ended).limit(1)) is None:
            return 0
    return _withdraw_those(engine, open_storage(), ended)


def _withdraw_those(engine: Engine, storage: Storage, which: ColumnElement[bool]) -> int:
    with reading(engine) as connection:
        rows = connection.execute(select(VOLUME).where(which)).mappings().all()
    last_error: StorageError | None = None
    gone = 0
    for row in rows:
        try:
            withdraw(storage, row)
        except StorageError as error:
            last_error = error
            continue
        gone += _forget(engine, row)
    if last_error is not None:
        raise last_error
    return gone


def _forget(engine: Engine, row: RowMapping) -> int:
    with writing(engine) as connection:
        return int(forget(connection, row))


def forget(connection: Connection, row: RowMapping) -> bool:
    """Delete the row of a volume without objects in storage; returns whether it existed.

    The deletion is audited; for a former archive it is noted, to be attested (R41).
    """
    # Lock the export first: that is the order of locks.
    export = exports.lock(connection, row["export_id"])
    if not drop_volume(connection, VOLUME, row):
        return False
    if row["state"] == VolumeState.STORED:
        attestations.note(connection, export, row)
        detail: audit.Detail = {"volume": row["number"], "bytes": row["bytes"]}
        audit.record(connection, "volume.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
    return True


def withdraw_copies(engine: Engine, open_storage: Callable[[], Storage]) -> int:
    """Delete encrypted copies that no recipient may download any more; returns how many. Raises: StorageError."""
    joined = COPY.join(TRANSFER, TRANSFER.c.id == COPY.c.transfer_id).join(EXPORT, EXPORT.c.id == TRANSFER.c.export_id)
    over = select(COPY, TRANSFER.c.export_id).select_from(joined).where(~sending.wanted_copies())
    with reading(engine) as connection:
        rows = connection.execute(over.order_by(COPY.c.id)).mappings().all()
    if not rows:
        return 0
    storage = open_storage()
    for row in rows:
        withdraw_object(storage, row)
        detail: audit.Detail = {"transfer": row["transfer_id"], "volume": row["number"], "bytes": row["bytes"]}
        with writing(engine) as connection:
            if drop_volume(connection, COPY, row) and row["state"] == VolumeState.STORED:
                audit.record(connection, "copy.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
    return len(rows)


def withdraw(storage: Storage, row: RowMapping) -> None:
    """Abort the upload of a volume's row, delete its object and what is beside it. A second call is not an error.

    Raises: StorageError.
    """
    withdraw_object(storage, row)
    excerpts.withdraw(storage, row["object_key"])
    shards.withdraw(storage, row["object_key"])
    closing_marker.remove(storage, row)


def withdraw_object(storage: Storage, row: RowMapping) -> None:
    """Do the same for an encrypted copy, which has nothing beside it. Raises: StorageError."""
    if row["upload_id"] == UNKNOWN_UPLOAD:
        for upload in storage.uploads(row["object_key"]):
            storage.abort(upload.key, upload.upload_id)
    else:
        storage.abort(row["object_key"], row["upload_id"])
    storage.delete(row["object_key"])
