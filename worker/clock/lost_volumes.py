"""Lost volumes: stored volumes whose object is gone; an archive that cannot be delivered is not ready."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, select

from portability.api.errors import ForeignStore, ObjectMissing
from portability.api.storages import Storage
from portability.database import incidents, models
from portability.database.engine import reading, writing
from portability.database.incidents import Incident
from portability.requests import exports, reversions
from portability.requests.states import MAY_FAIL, ExportState, VolumeState
from portability.requests.transition import transition
from portability.trust import audit
from worker.clock.orphans import PAGE, pages
from worker.write import object_keys

EXPORT, VOLUME = models.export, models.volume
FEW = 4
"""With fewer volumes than these, more than half may be gone without suspecting a wrong storage."""
NAMED = 5
"""How many numbers a message lists."""


def find(engine: Engine, storage: Storage, at: datetime, *, force: bool = False) -> Mapping[str, Sequence[int]]:
    """Return the numbers of volumes stored before `at` whose objects are certainly missing, by export.

    Raises: StorageError; ForeignStore if so much is missing that it is probably the wrong storage, unless `force` says
        that it was lost.
    """
    seen, empty = _seen(engine, storage)
    expected, absent = 0, []
    for row in _stored(engine, at):
        expected += 1
        if row["id"] not in seen:
            absent.append(row)
    many = expected >= FEW and len(absent) * 2 > expected
    if absent and (many or empty) and not force:
        raise ForeignStore(
            f"{len(absent)} of {expected} stored volumes are not in {storage.url}",
            hint="check PORTABILITY_STORAGE_URL; if they are really lost, use `portability sweep --force`",
        )
    lost: dict[str, list[int]] = defaultdict(list)
    for row in absent:
        if _is_gone(storage, row["object_key"]):
            lost[row["export_id"]].append(row["number"])
    return lost


def fail(engine: Engine, export_id: str, numbers: Sequence[int], at: datetime, *, actor: str) -> None:
    """End an export whose volumes are gone; its workers stop at the next fenced write.

    If they are all of a revision that is being made, only that revision ends.

    `at` is the time of `find`: volumes with these numbers that were stored later have objects of their own.
    """
    others = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    named = f"volume{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:NAMED]))}{others}"
    error = ObjectMissing(f"export {export_id}: storage has lost {named}")
    detail: audit.Detail = {"code": error.code, "volume": numbers[0], "volumes": len(numbers)}
    with writing(engine) as connection:
        export = exports.lock(connection, export_id)
        still = select(EXPORT.c.id).where(
            EXPORT.c.id == export_id, EXPORT.c.state.in_(MAY_FAIL), _has_stored(numbers, at)
        )
        if connection.scalar(still) is None:
            return
        if not connection.scalar(_earlier(export, numbers, at)) and reversions.revert(
            connection, export, code=error.code, actor=actor
        ):
            return
        transition(connection, export, ExportState.FAILED, actor=actor, error=error, detail=detail)
    incidents.count(engine, Incident.OBJECT_LOST, len(numbers))


def _earlier(export: RowMapping, numbers: Sequence[int], at: datetime) -> Select[Any]:
    """Select the lost volumes that belong to a revision before the one that is being made."""
    return select(EXPORT.c.id).where(EXPORT.c.id == export["id"], _has_stored(numbers, at, export["revision"]))


def _seen(engine: Engine, storage: Storage) -> tuple[set[int], bool]:
    """Return the ids of volumes whose objects are listed, and whether the storage has none of our objects at all."""
    seen: set[int] = set()
    empty = True
    for page in pages(storage.list(), PAGE):
        keys = [found.key for found in page]
        empty = empty and not any(map(object_keys.volume_of, keys))
        with reading(engine) as connection:
            seen.update(connection.scalars(select(VOLUME.c.id).where(VOLUME.c.object_key.in_(keys))))
    return seen, empty and not seen


def _stored(engine: Engine, at: datetime) -> Iterator[RowMapping]:
    """Yield the volumes that may still be requested; those stored after the listing are not included."""
    columns = (VOLUME.c.id, VOLUME.c.export_id, VOLUME.c.number, VOLUME.c.object_key)
    joined = VOLUME.join(EXPORT, VOLUME.c.export_id == EXPORT.c.id)
    which = (VOLUME.c.state == VolumeState.STORED, VOLUME.c.stored_at < at, EXPORT.c.state.in_(MAY_FAIL))
    last_id = 0
    while True:
        query = select(*columns).select_from(joined).where(VOLUME.c.id > last_id, *which)
        with reading(engine) as connection:
            rows = connection.execute(query.order_by(VOLUME.c.id).limit(PAGE)).mappings().all()
        if not rows:
            return
        yield from rows
        last_id = rows[-1]["id"]


def _is_gone(storage: Storage, key: str) -> bool:
    try:
        storage.stat(key)
    except ObjectMissing:
        return True
    return False


def _has_stored(numbers: Sequence[int], at: datetime, before_revision: int | None = None) -> ColumnElement[bool]:
    """Return the condition that a volume is one that was looked for, and was not written again since `at`."""
    stored = [VOLUME.c.state == VolumeState.STORED, VOLUME.c.stored_at < at]
    if before_revision:
        stored.append(VOLUME.c.revision < before_revision)
    matching = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.number.in_(numbers), *stored)
    return select(VOLUME.c.id).where(*matching).exists()
