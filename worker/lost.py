"""Stored volumes whose object is gone: an archive that cannot be delivered is not ready."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, RowMapping, select, update

from portability import audit, incidents, models, notify, pseudonyms, slices
from portability.db import now, reading, writing
from portability.errors import ForeignStore, ObjectMissing
from portability.incidents import Incident
from portability.states import OPEN, ExportState
from portability.storage import Storage
from worker import object_keys
from worker.leftovers import PAGE, pages

EXPORT, VOLUME = models.export, models.volume
LIVE = (*OPEN, ExportState.READY)
FEW = 4
"""Of fewer volumes than these, more than half may be gone without anything else being wrong."""
NAMED = 5
"""How many numbers a message holds."""


def find(engine: Engine, storage: Storage, at: datetime, *, force: bool = False) -> Mapping[str, Sequence[int]]:
    """Numbers of the volumes that were stored before `at` and that storage definitely has not, by export.

    Raises: StorageError; ForeignStore where so much is gone that it is another storage rather than a loss, unless
        `force` says that it is one.
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
            hint="check PORTABILITY_STORAGE_URL; where they are lost indeed, `portability sweep --force` says so",
        )
    lost: dict[str, list[int]] = defaultdict(list)
    for row in absent:
        if _is_gone(storage, row["object_key"]):
            lost[row["export_id"]].append(row["number"])
    return lost


def fail(engine: Engine, export_id: str, numbers: Sequence[int], *, actor: str) -> None:
    """End an export whose volumes are gone; whoever works on it stops at the next fenced write."""
    others = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    named = f"volume{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:NAMED]))}{others}"
    failed = {
        "state": ExportState.FAILED,
        "error_code": ObjectMissing.code,
        "error_message": f"export {export_id}: storage has lost {named}",
        "ended_at": now(),
    }
    with writing(engine) as connection:
        theirs = (EXPORT.c.id == export_id, EXPORT.c.state.in_(LIVE), _has_stored(numbers))
        if not connection.execute(update(EXPORT).where(*theirs).values(**failed)).rowcount:
            return
        slices.end_all(connection, export_id)
        pseudonyms.forget(connection, export_id)
        audit.record(
            connection,
            f"export.{ExportState.FAILED}",
            actor=actor,
            export_id=export_id,
            detail={"code": ObjectMissing.code, "volume": numbers[0], "volumes": len(numbers)},
        )
        notify.queue(connection, notify.Kind.FAILED, export_id)
    incidents.count(engine, Incident.OBJECT_LOST, len(numbers))


def _seen(engine: Engine, storage: Storage) -> tuple[set[int], bool]:
    """Ids of the volumes whose objects are listed; and whether there is nothing at all that a worker stored."""
    seen: set[int] = set()
    empty = True
    for page in pages(storage.list(), PAGE):
        keys = [found.key for found in page]
        empty = empty and not any(map(object_keys.volume_of, keys))
        with reading(engine) as connection:
            seen.update(connection.scalars(select(VOLUME.c.id).where(VOLUME.c.object_key.in_(keys))))
    return seen, empty and not seen


def _stored(engine: Engine, at: datetime) -> Iterator[RowMapping]:
    """Volumes that somebody may still ask for; those of after the listing cannot be judged by it."""
    columns = (VOLUME.c.id, VOLUME.c.export_id, VOLUME.c.number, VOLUME.c.object_key)
    joined = VOLUME.join(EXPORT, VOLUME.c.export_id == EXPORT.c.id)
    which = (VOLUME.c.state == "stored", VOLUME.c.stored_at < at, EXPORT.c.state.in_(LIVE))
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


def _has_stored(numbers: Sequence[int]) -> ColumnElement[bool]:
    """The volume is still the one that was looked for: nobody has written it anew meanwhile."""
    mine = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.state == "stored", VOLUME.c.number.in_(numbers))
    return select(VOLUME.c.id).where(*mine).exists()
