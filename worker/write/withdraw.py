"""Withdraw: delete everything that was stored for a volume that will never be part of an archive."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, literal, select

from portability.api.errors import StorageError
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import reading, writing
from portability.database.history import DatabaseBehind
from portability.errors import DatabaseUnavailable, LeaseLost
from portability.requests import exports
from portability.requests.states import DISCARDED, ExportState, VolumeState
from portability.requests.transition import drop_volume
from portability.retention import attestations
from portability.transfers import sending
from portability.trust import audit
from worker.claim.fenced_writes import ACTOR, UNKNOWN_UPLOAD
from worker.write import closing_marker, excerpts, left, object_keys, shards

EXPORT, VOLUME, TRANSFER, COPY = models.export, models.volume, models.transfer, models.transfer_copy
REFUSED_SECONDS, REFUSED_SECONDS_MAX = 10.0, 600.0
"""How long an object waits that storage refused to delete: doubled with each try, up to the second."""


class RefusedDeletions:
    """Objects that storage refused to delete, such as those that Object Lock keeps for days: each is tried less often.

    A storage that is away is asked at once when it is back: only what it refuses waits.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[str, tuple[float, float]] = {}
        """By object key: when it is retried, and for how long it has waited."""

    def is_due(self, key: str) -> bool:
        """Return whether an object is to be tried now."""
        return self._clock() >= self._waits.get(key, (0.0, 0.0))[0]

    def note(self, key: str, error: StorageError) -> None:
        """Note a failed try."""
        if not error.retryable:
            wait_seconds = min(REFUSED_SECONDS_MAX, max(REFUSED_SECONDS, 2 * self._waits.get(key, (0.0, 0.0))[1]))
            self._waits[key] = (self._clock() + wait_seconds, wait_seconds)

    def keep(self, keys: Collection[str]) -> None:
        """Forget all other objects: they are deleted, or another process has done it."""
        for key in self._waits.keys() - set(keys):
            del self._waits[key]


def withdraw_all(engine: Engine, storage: Storage, export_id: str) -> int:
    """Withdraw every volume of an ended export, and delete the rows of those that are gone; returns how many.

    What storage cannot delete now is left for the sweep. Raises: the last StorageError, after all were tried.
    """
    return _withdraw_those(engine, storage, VOLUME.c.export_id == export_id)


def withdraw_discarded(
    engine: Engine,
    open_storage: Callable[[], Storage],
    states: Collection[ExportState] = DISCARDED,
    *,
    refused: RefusedDeletions | None = None,
) -> int:
    """Do the same for all discarded exports, without waiting for a sweep. Raises: StorageError."""
    rows: list[RowMapping] = []
    found = left.exports(engine, states)
    with reading(engine) as connection:
        for page in left.pages(found):
            rows += connection.execute(select(VOLUME).where(VOLUME.c.export_id.in_(page))).mappings().all()
    gone = _withdraw_rows(engine, open_storage(), rows, refused) if rows else 0
    if found:
        left.mark(engine)
    return gone


def withdraw_given_up(
    engine: Engine,
    open_storage: Callable[[], Storage],
    *,
    export_id: str | None = None,
    refused: RefusedDeletions | None = None,
) -> int:
    """Withdraw the volumes of revisions that were given up, of all exports or of one; returns how many.

    They are those that a ready export has not stored: no worker writes for it. Raises: the last StorageError.
    """
    is_ready = VOLUME.c.export_id.in_(select(EXPORT.c.id).where(EXPORT.c.state == ExportState.READY))
    # As a literal: a parameter would hide the partial index from the planner.
    is_writing = VOLUME.c.state == literal(str(VolumeState.WRITING), literal_execute=True)
    given_up = and_(is_writing, is_ready)
    which = and_(given_up, VOLUME.c.export_id == export_id) if export_id else given_up
    with reading(engine) as connection:
        if not connection.scalar(select(VOLUME.c.id).where(which).limit(1)):
            return 0
    return _withdraw_those(engine, open_storage(), which, refused, {ExportState.READY})


def _withdraw_those(
    engine: Engine,
    storage: Storage,
    which: ColumnElement[bool],
    refused: RefusedDeletions | None = None,
    states: Collection[ExportState] = frozenset(ExportState),
) -> int:
    with reading(engine) as connection:
        rows = connection.execute(select(VOLUME).where(which)).mappings().all()
    return _withdraw_rows(engine, storage, rows, refused, states)


def _withdraw_rows(
    engine: Engine,
    storage: Storage,
    rows: Sequence[RowMapping],
    refused: RefusedDeletions | None = None,
    states: Collection[ExportState] = frozenset(ExportState),
) -> int:
    def delete(row: RowMapping) -> int:
        withdraw(storage, row)
        with writing(engine) as connection:
            return int(forget(connection, row, states))

    return _each(rows, delete, refused)


def _each(rows: Sequence[RowMapping], delete: Callable[[RowMapping], int], refused: RefusedDeletions | None) -> int:
    """Delete what is due; returns how many were deleted. Raises the last error, after all were tried.

    A fault of the database is one of all: it is raised at once.
    """
    last_error: Exception | None = None
    known = refused or RefusedDeletions()
    known.keep({row["object_key"] for row in rows})
    gone = 0
    for row in rows:
        if not known.is_due(row["object_key"]):
            continue
        try:
            gone += delete(row)
        except StorageError as error:
            known.note(row["object_key"], error)
            last_error = error
        except (DatabaseUnavailable, DatabaseBehind):
            raise
        except Exception as error:  # noqa: BLE001  # raised below
            last_error = error
    if last_error:
        raise last_error
    return gone


def forget(connection: Connection, row: RowMapping, states: Collection[ExportState] = frozenset(ExportState)) -> bool:
    """Delete the row of a volume without objects in storage; returns whether it was deleted.

    The deletion is audited; for a former archive it is noted, to be attested (R41). In other `states` of the export the
    row stays: the claim of a retry that has begun meanwhile withdraws the volume itself.
    """
    # Lock the export first: that is the order of locks.
    export = exports.lock(connection, row["export_id"])
    if export["state"] not in states or not drop_volume(connection, VOLUME, row):
        return False
    if row["state"] == VolumeState.STORED:
        attestations.note(connection, export, row)
        detail: audit.Detail = {"volume": row["number"], "bytes": row["bytes"]}
        audit.record(connection, "volume.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
    return True


def withdraw_copies(
    engine: Engine,
    open_storage: Callable[[], Storage],
    *,
    export_id: str | None = None,
    refused: RefusedDeletions | None = None,
) -> int:
    """Delete encrypted copies that no recipient may download any more, or those of one export; returns how many.

    Raises: the last StorageError, after all were tried.
    """
    over = () if export_id else left.transfers(engine)
    rows = _unwanted(engine, over, export_id)
    gone = _withdraw_copies(engine, open_storage(), rows, refused) if rows else 0
    # Also transfers that ended before they had copies: they would be looked at in each round.
    if over or rows:
        left.mark(engine)
    return gone


def _withdraw_copies(
    engine: Engine, storage: Storage, rows: Sequence[RowMapping], refused: RefusedDeletions | None
) -> int:
    def delete(row: RowMapping) -> int:
        withdraw_object(storage, row)
        detail: audit.Detail = {"transfer": row["transfer_id"], "volume": row["number"], "bytes": row["bytes"]}
        with writing(engine) as connection:
            if drop_volume(connection, COPY, row) and row["state"] == VolumeState.STORED:
                audit.record(connection, "copy.deleted", actor=ACTOR, export_id=row["export_id"], detail=detail)
        return 1

    return _each(rows, delete, refused)


def _unwanted(engine: Engine, transfers: Sequence[str], export_id: str | None) -> Sequence[RowMapping]:
    """Return the copies that no recipient may download any more, of these transfers or of those of one export."""
    joined = COPY.join(TRANSFER, TRANSFER.c.id == COPY.c.transfer_id).join(EXPORT, EXPORT.c.id == TRANSFER.c.export_id)
    over = select(COPY, TRANSFER.c.export_id).select_from(joined).where(~sending.wanted_copies())
    pages = left.pages(transfers)
    which = [TRANSFER.c.export_id == export_id] if export_id else [TRANSFER.c.id.in_(page) for page in pages]
    rows: list[RowMapping] = []
    with reading(engine) as connection:
        for each in which:
            rows += connection.execute(over.where(each).order_by(COPY.c.id)).mappings().all()
    return rows


@contextmanager
def withdrawn_if_lost(storage: Storage, row: RowMapping) -> Iterator[None]:
    """Withdraw a published volume or copy if the block finds that its claim is lost.

    Who has deleted its row may have looked for it before it was published: without a row, only a sweep would find it.
    """
    try:
        yield
    except LeaseLost:
        with suppress(StorageError):
            if object_keys.is_copy(row["object_key"]):
                withdraw_object(storage, row)
            else:
                withdraw(storage, row)
        raise


@contextmanager
def discarded_on_error(storage: Storage, object_key: str) -> Iterator[None]:
    """Delete what is stored beside a volume if the block raises, for the same reason: before it is published."""
    try:
        yield
    except BaseException:
        excerpts.discard(storage, [object_key])
        shards.discard(storage, [object_key])
        raise


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
