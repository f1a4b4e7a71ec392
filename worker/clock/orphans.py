"""Orphans: remnants in storage that belong to no export: how they are recognised, and how they are removed.

Storage is listed first and the database is read afterwards, page by page: a row is committed before the first byte
of its upload, so everything that a worker owned at the time of listing has a row by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, and_, or_, select

from portability.api.errors import StorageRefused
from portability.api.storage_probes import PROBE, PROBES
from portability.api.storages import (
    LitteredStorage,
    OpenUpload,
    Storage,
    StoredObject,
    VersionedStorage,
)
from portability.database import models
from portability.database.engine import reading, writing
from portability.journal import outdated
from portability.requests import exports
from portability.requests.states import DISCARDED, KEPT, OPEN, ExportState, VolumeState
from portability.storage.local_files import STORE_FILE, UPLOADS
from portability.transfers import sending
from worker.write import object_keys
from worker.write.withdraw import forget, withdraw

EXPORT, VOLUME = models.export, models.volume
YOUNG = timedelta(hours=24)
"""How long an object without row is left alone: its row may be on its way, or its database may be restored."""
PAGE = 1_000

_LITTER = re.compile(rf"{re.escape(STORE_FILE)}\.[0-9a-f]+|{re.escape(UPLOADS)}(/.*)?|{PROBES}")

T = TypeVar("T")


class OrphanKind(StrEnum):
    """The kind of a remnant."""

    UPLOAD = "upload"
    """An open upload; with `file://` a half-written file."""
    VOLUME = "volume"
    EXCERPT = "excerpt"
    VERSION = "version"
    """Stored versions of a deleted object, in a bucket with versioning."""
    COPY = "copy"
    """A copy that is encrypted for a recipient."""
    PROBE = "probe"
    """A test object of `portability doctor`."""
    LITTER = "litter"
    """Temporary files of the storage, and empty folders."""
    MARKER = "marker"
    """A note that a revision is closed, of an export that is not kept."""
    JOURNAL = "journal"
    """A batch of the journal, or a key to some, whose time is over, or whose person was erased."""
    ROW = "row"
    """The row of a volume whose export has ended without it."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """One object that belongs to no export."""

    kind: OrphanKind
    bytes: int
    """0 if the storage does not report it."""
    remove: Callable[[], None]
    """Removes it. Safe to call twice, and in two processes. Raises StorageError, DatabaseUnavailable."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An upload or an object whose name has the form of our names."""

    key: str
    volume: str
    """Key of the volume that it belongs to; for a probe or an encrypted copy its own key."""
    at: datetime
    bytes: int
    upload_id: str | None

    @property
    def kind(self) -> OrphanKind:
        if self.upload_id is not None:
            return OrphanKind.UPLOAD
        if PROBE.fullmatch(self.key):
            return OrphanKind.PROBE
        if object_keys.is_copy(self.key):
            return OrphanKind.COPY
        if object_keys.closes(self.key):
            return OrphanKind.MARKER
        return OrphanKind.VOLUME if object_keys.is_volume(self.key) else OrphanKind.EXCERPT


@dataclass(frozen=True, slots=True)
class _Owners:
    """What the database says about a page of objects."""

    rows: Mapping[str, RowMapping]
    copies: Mapping[str, bool]
    kept: Collection[str]
    young_since: datetime

    def has(self, found: _Found) -> bool:
        """Return whether an object belongs to something that is kept."""
        young = found.at > self.young_since
        if found.kind is OrphanKind.MARKER:
            return object_keys.closes(found.key) in self.kept or young
        if object_keys.is_copy(found.key):
            return self.copies.get(found.key, young)
        return _owned(found, self.rows.get(found.volume), young=young)


def find(engine: Engine, storage: Storage, at: datetime) -> Iterator[Orphan]:
    """Yield all orphans at a time of the database's clock; they may be removed meanwhile. Raises StorageError."""
    for listing in (storage.uploads(), storage.list()):
        for page in pages(filter(None, map(_recognised, listing)), PAGE):
            rows = _rows(engine, page)
            owned = _Owners(rows, _copies(engine, page), _kept_exports(engine, page), at - YOUNG)
            for found in page:
                if not owned.has(found):
                    yield Orphan(found.kind, found.bytes, partial(_remove, storage, found))
    for journaled in outdated.find(engine, storage, at):
        yield Orphan(OrphanKind.JOURNAL, journaled.bytes, partial(storage.delete, journaled.key))
    yield from _hidden(storage)
    yield from _dead_rows(engine, storage)
    if isinstance(storage, LitteredStorage):
        for litter in storage.litter():
            ours = _LITTER.fullmatch(litter.name) or object_keys.is_folder(litter.name)
            if ours and litter.modified_at <= at - YOUNG:
                yield Orphan(OrphanKind.LITTER, litter.bytes, partial(storage.clear, litter.name))


def _hidden(storage: Storage) -> Iterator[Orphan]:
    """Yield hidden versions of deleted objects. A store that does not allow us to list versions is skipped."""
    if not isinstance(storage, VersionedStorage):
        return
    with suppress(StorageRefused):
        for found in storage.hidden():
            if _recognised(found):
                yield Orphan(OrphanKind.VERSION, found.bytes, partial(storage.purge, found.key))


def pages(things: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield the same things in order, in tuples of `size`."""
    rest = iter(things)
    while page := tuple(islice(rest, size)):
        yield page


def _recognised(listed: OpenUpload | StoredObject) -> _Found | None:
    # A killed process leaves the upload of a batch; whether a stored batch is needed is the journal's own rule.
    is_batch_upload = isinstance(listed, OpenUpload) and outdated.is_journal(listed.key)
    has_no_volume = PROBE.fullmatch(listed.key) or object_keys.is_copy(listed.key) or object_keys.closes(listed.key)
    volume = listed.key if has_no_volume or is_batch_upload else object_keys.volume_of(listed.key)
    if volume is None:
        return None
    if isinstance(listed, OpenUpload):
        return _Found(listed.key, volume, listed.begun_at, listed.bytes or 0, listed.upload_id)
    return _Found(listed.key, volume, listed.modified_at, listed.bytes, None)


def _rows(engine: Engine, page: tuple[_Found, ...]) -> Mapping[str, RowMapping]:
    with reading(engine) as connection:
        known = _volumes(VOLUME.c.object_key.in_({found.volume for found in page}))
        return {row["object_key"]: row for row in connection.execute(known).mappings()}


def _copies(engine: Engine, page: tuple[_Found, ...]) -> Mapping[str, bool]:
    """Return, for the encrypted copies with a row, whether their transfer still needs them."""
    keys = {found.key for found in page if object_keys.is_copy(found.key)}
    if not keys:
        return {}
    copy, transfer = models.transfer_copy, models.transfer
    joined = copy.join(transfer, transfer.c.id == copy.c.transfer_id).join(EXPORT, EXPORT.c.id == transfer.c.export_id)
    query = select(copy.c.object_key, sending.wanted_copies().label("wanted")).select_from(joined)
    with reading(engine) as connection:
        return {
            row.object_key: bool(row.wanted) for row in connection.execute(query.where(copy.c.object_key.in_(keys)))
        }


def _kept_exports(engine: Engine, page: tuple[_Found, ...]) -> set[str]:
    """Return the exports of closing markers that are not discarded."""
    marked = {export_id for found in page if (export_id := object_keys.closes(found.key))}
    if not marked:
        return set()
    with reading(engine) as connection:
        return set(connection.scalars(select(EXPORT.c.id).where(EXPORT.c.id.in_(marked), EXPORT.c.state.in_(KEPT))))


def _volumes(*which: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    columns = (
        VOLUME.c.id,
        VOLUME.c.export_id,
        VOLUME.c.object_key,
        VOLUME.c.upload_id,
        VOLUME.c.state,
        VOLUME.c.closing,
        VOLUME.c.slice,
        VOLUME.c.revision,
    )
    joined = VOLUME.join(EXPORT, VOLUME.c.export_id == EXPORT.c.id)
    return select(*columns, EXPORT.c.state.label("export_state")).select_from(joined).where(*which)


def _owned(found: _Found, row: RowMapping | None, *, young: bool) -> bool:
    """Return whether it belongs to an export; docs/storage.md describes the rule."""
    if row is None:
        return young
    if row["export_state"] in DISCARDED:
        return False
    is_open = row["export_state"] in OPEN
    is_upload = found.upload_id is not None
    if is_upload and found.key == found.volume and found.upload_id != row["upload_id"]:
        return young
    if row["state"] == VolumeState.WRITING:
        # Also the object: its worker is about to commit it, or died then, and the next claim removes it.
        return is_open
    if is_upload:
        # Completed since it was listed; the upload id of an excerpt is not stored.
        return young or found.key == found.volume
    # A ready archive needs no excerpts except those of its last volume, for a further revision.
    return found.kind is OrphanKind.VOLUME or is_open or bool(row["closing"])


def _remove(storage: Storage, found: _Found) -> None:
    if found.upload_id is None:
        storage.delete(found.key)
    else:
        storage.abort(found.key, found.upload_id)


def _dead() -> ColumnElement[bool]:
    unfinished = and_(EXPORT.c.state == ExportState.READY, VOLUME.c.state == VolumeState.WRITING)
    return or_(EXPORT.c.state.in_(DISCARDED), unfinished)


def _dead_rows(engine: Engine, storage: Storage) -> Iterator[Orphan]:
    last_id = 0
    while True:
        with reading(engine) as connection:
            some = _volumes(VOLUME.c.id > last_id, _dead()).order_by(VOLUME.c.id).limit(PAGE)
            rows = connection.execute(some).mappings().all()
        if not rows:
            return
        last_id = rows[-1]["id"]
        for row in rows:
            yield Orphan(OrphanKind.ROW, 0, partial(_drop_row, engine, storage, row))


def _drop_row(engine: Engine, storage: Storage, row: RowMapping) -> None:
    """Delete a volume's row once storage has nothing of it."""
    withdraw(storage, row)
    if any(storage.uploads(row["object_key"])):
        # A part that was being sent during the abort keeps the upload open: the row stays for the next sweep.
        return
    with writing(engine) as connection:
        exports.lock(connection, row["export_id"])
        found = select(VOLUME).select_from(VOLUME.join(EXPORT)).where(VOLUME.c.id == row["id"], _dead())
        if (dead := connection.execute(found).mappings().one_or_none()) is not None:
            forget(connection, dead)
