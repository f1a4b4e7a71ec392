"""What lies in storage and belongs to nobody: whose it was, and how it is removed.

Storage is listed first and the database asked afterwards, a page at a time: a row is committed before the first byte
of its upload, so whatever a worker owned when it was listed has its row by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, and_, or_, select

from portability import exports, models, transfers
from portability.db import reading, writing
from portability.errors import StorageRefused
from portability.states import OPEN, ExportState
from portability.storage import LitteredStorage, OpenUpload, Storage, StoredObject, VersionedStorage
from portability.storage.local import STORE_FILE, UPLOADS
from portability.storage.probe import PROBE, PROBES
from worker import object_keys
from worker.withdraw import forget, withdraw

EXPORT, VOLUME = models.export, models.volume
ENDED = (ExportState.FAILED, ExportState.CANCELLED, ExportState.RECALLED, ExportState.EXPIRED)
YOUNG = timedelta(hours=24)
"""How long what no row knows is left alone: its row may be on its way, or its database may be restored."""
PAGE = 1_000

_LITTER = re.compile(rf"{re.escape(STORE_FILE)}\.[0-9a-f]+|{re.escape(UPLOADS)}(/.*)?|{PROBES}")

T = TypeVar("T")


class Kind(StrEnum):
    """What is left over."""

    UPLOAD = "upload"
    """An open upload; of a half-written file under `file://`."""
    VOLUME = "volume"
    EXCERPT = "excerpt"
    VERSION = "version"
    """What a bucket with versioning keeps of an object that is deleted."""
    COPY = "copy"
    """Encrypted to a recipient."""
    PROBE = "probe"
    """Of `portability doctor`."""
    LITTER = "litter"
    """Temporary files of the storage, empty folders."""
    ROW = "row"
    """A volume's row whose export has ended without it."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that belongs to nobody."""

    kind: Kind
    bytes: int
    """0 where the storage does not tell."""
    remove: Callable[[], None]
    """Safe to call twice, and in two processes. Raises StorageError, DatabaseUnavailable."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An upload or an object with a name of ours."""

    key: str
    volume: str
    """Key of the volume that it belongs to; its own key for a probe or an encrypted copy."""
    at: datetime
    bytes: int
    upload_id: str | None

    @property
    def kind(self) -> Kind:
        if self.upload_id is not None:
            return Kind.UPLOAD
        if PROBE.fullmatch(self.key):
            return Kind.PROBE
        if object_keys.is_copy(self.key):
            return Kind.COPY
        return Kind.VOLUME if object_keys.is_volume(self.key) else Kind.EXCERPT


def find(engine: Engine, storage: Storage, at: datetime) -> Iterator[Leftover]:
    """All leftovers at a time of the database's clock; may be removed as they come. Raises StorageError."""
    for listing in (storage.uploads(), storage.list()):
        for page in pages(filter(None, map(_ours, listing)), PAGE):
            rows = _rows(engine, page)
            copies = _copies(engine, page)
            for found in page:
                if object_keys.is_copy(found.key):
                    owned = copies.get(found.key, found.at > at - YOUNG)
                else:
                    owned = _owned(found, rows.get(found.volume), young=found.at > at - YOUNG)
                if not owned:
                    yield Leftover(found.kind, found.bytes, partial(_remove, storage, found))
    yield from _hidden(storage)
    yield from _dead_rows(engine, storage)
    if isinstance(storage, LitteredStorage):
        for litter in storage.litter():
            ours = _LITTER.fullmatch(litter.name) or object_keys.is_folder(litter.name)
            if ours and litter.modified_at <= at - YOUNG:
                yield Leftover(Kind.LITTER, litter.bytes, partial(storage.clear, litter.name))


def _hidden(storage: Storage) -> Iterator[Leftover]:
    """Whatever was deleted once is nobody's. A store that does not let us see its versions is left alone."""
    if not isinstance(storage, VersionedStorage):
        return
    with suppress(StorageRefused):
        for found in storage.hidden():
            if _ours(found):
                yield Leftover(Kind.VERSION, found.bytes, partial(storage.purge, found.key))


def pages(things: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The same things in order, so many at a time."""
    rest = iter(things)
    while page := tuple(islice(rest, size)):
        yield page


def _ours(listed: OpenUpload | StoredObject) -> _Found | None:
    alone = PROBE.fullmatch(listed.key) or object_keys.is_copy(listed.key)
    volume = listed.key if alone else object_keys.volume_of(listed.key)
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
    """Of encrypted copies that have a row: whether their transfer still wants them."""
    keys = {found.key for found in page if object_keys.is_copy(found.key)}
    if not keys:
        return {}
    copy, transfer = models.transfer_copy, models.transfer
    joined = copy.join(transfer, transfer.c.id == copy.c.transfer_id).join(EXPORT, EXPORT.c.id == transfer.c.export_id)
    query = select(copy.c.object_key, transfers.wanted_copies().label("wanted")).select_from(joined)
    with reading(engine) as connection:
        return {
            row.object_key: bool(row.wanted) for row in connection.execute(query.where(copy.c.object_key.in_(keys)))
        }


def _volumes(*which: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    columns = (
        VOLUME.c.id,
        VOLUME.c.export_id,
        VOLUME.c.object_key,
        VOLUME.c.upload_id,
        VOLUME.c.state,
        VOLUME.c.closing,
    )
    joined = VOLUME.join(EXPORT, VOLUME.c.export_id == EXPORT.c.id)
    return select(*columns, EXPORT.c.state.label("export_state")).select_from(joined).where(*which)


def _owned(found: _Found, row: RowMapping | None, *, young: bool) -> bool:
    """The rule; docs/storage.md tells it."""
    if row is None:
        return young
    if row["export_state"] in ENDED:
        return False
    is_open = row["export_state"] in OPEN
    is_upload = found.upload_id is not None
    if is_upload and found.key == found.volume and found.upload_id != row["upload_id"]:
        return young
    if row["state"] == "writing":
        # Also the object: its worker is about to commit it, or died then, and the next claim tidies up.
        return is_open
    if is_upload:
        # Completed since it was listed; of an excerpt nobody has noted the upload.
        return young or found.key == found.volume
    # A ready archive needs no excerpts but those that its last volume may have for a further revision.
    return found.kind is Kind.VOLUME or is_open or bool(row["closing"])


def _remove(storage: Storage, found: _Found) -> None:
    if found.upload_id is None:
        storage.delete(found.key)
    else:
        storage.abort(found.key, found.upload_id)


def _dead() -> ColumnElement[bool]:
    unfinished = and_(EXPORT.c.state == ExportState.READY, VOLUME.c.state == "writing")
    return or_(EXPORT.c.state.in_(ENDED), unfinished)


def _dead_rows(engine: Engine, storage: Storage) -> Iterator[Leftover]:
    last_id = 0
    while True:
        with reading(engine) as connection:
            some = _volumes(VOLUME.c.id > last_id, _dead()).order_by(VOLUME.c.id).limit(PAGE)
            rows = connection.execute(some).mappings().all()
        if not rows:
            return
        last_id = rows[-1]["id"]
        for row in rows:
            yield Leftover(Kind.ROW, 0, partial(_bury, engine, storage, row))


def _bury(engine: Engine, storage: Storage, row: RowMapping) -> None:
    """Forget a volume once storage holds nothing of it."""
    withdraw(storage, row)
    if any(storage.uploads(row["object_key"])):
        # A part that was on its way during the abort keeps the upload open: the row stays, the next sweep goes on.
        return
    with writing(engine) as connection:
        exports.lock(connection, row["export_id"])
        found = select(VOLUME).select_from(VOLUME.join(EXPORT)).where(VOLUME.c.id == row["id"], _dead())
        if (dead := connection.execute(found).mappings().one_or_none()) is not None:
            forget(connection, dead)
