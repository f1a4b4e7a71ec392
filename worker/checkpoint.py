"""Fenced writes: what is certain of a slice and its export.

Every write carries the fence of its claim; when no row matches, somebody else owns the slice, or the export has
ended, and this worker stops. What changes the export takes its lock first, so that slices change it one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from portability import audit, models, notify, pseudonyms, slices
from portability.db import now, writing
from portability.errors import LeaseLost, PortabilityError
from portability.states import ExportState, SliceState
from worker.claims import Claim

EXPORT, SLICE, VOLUME = models.export, models.slice, models.volume
ACTOR = "worker"
BACKOFF_MAX_SECONDS = 300
TOLD = {ExportState.READY: notify.Kind.READY, ExportState.FAILED: notify.Kind.FAILED}
"""Last states that people are told of; who cancels knows."""
UNKNOWN_UPLOAD = ""
"""Of a volume whose upload may or may not have begun: it is found by its key."""
VolumeNames: TypeAlias = Callable[[int], tuple[str, str]]
"""From a volume's number to its object key and its name."""


def renew(engine: Engine, held: Claim, lease_seconds: float, progress: Mapping[str, int]) -> bool:
    """Prolong the lease and tell how far the volume is; returns whether cancelling was asked for. Raises LeaseLost."""
    with writing(engine) as connection:
        write(connection, held, lease_until=now(lease_seconds), progress=dict(progress))
        asked = select(EXPORT.c.cancel_requested_at).where(EXPORT.c.id == held.id)
        return connection.scalar(asked) is not None


def lock(connection: Connection, held: Claim, **values: object) -> RowMapping:
    """Lock the export and then its slice under the fence, changing it; returns the export's row. Raises LeaseLost."""
    row = connection.execute(select(EXPORT).where(EXPORT.c.id == held.id).with_for_update()).mappings().one()
    write(connection, held, **values)
    return row


def write(connection: Connection, held: Claim, **values: object) -> None:
    """Change the slice under the fence; without values, only check and lock. Raises LeaseLost."""
    mine = update(SLICE).where(
        SLICE.c.export_id == held.id,
        SLICE.c.number == held.number,
        SLICE.c.fence == held.fence,
        SLICE.c.state == SliceState.OPEN,
        # What was given back is nobody's: the thread that renews must not lease it once more.
        SLICE.c.lease_until.is_not(None),
    )
    if not connection.execute(mine.values(fence=held.fence, **values)).rowcount:
        raise LeaseLost(f"slice {held.number} of export {held.id} is no longer this worker's (fence {held.fence})")


def write_export(connection: Connection, held: Claim, **values: object) -> None:
    """Change the export of a slice that `lock` has locked."""
    connection.execute(update(EXPORT).where(EXPORT.c.id == held.id).values(**values))


def release(connection: Connection, held: Claim, **values: object) -> None:
    """Give the slice back, claimable at once unless `not_before` says otherwise. Raises LeaseLost."""
    write(connection, held, owner=None, lease_until=None, progress=None, **values)


def back_off(connection: Connection, held: Claim, wait_seconds: float, error: PortabilityError) -> None:
    """Give it back after a fault of ours, to be tried again later. Raises LeaseLost."""
    lock(connection, held)
    release(connection, held, not_before=now(wait_seconds))
    write_export(connection, held, error_code=error.code, error_message=str(error))
    detail: dict[str, str | int | bool | None] = {
        "code": error.code,
        "slice": held.number,
        "attempt": held.attempts,
    }
    audit.record(connection, "volume.failed", actor=ACTOR, export_id=held.id, detail=detail)


def hand_back(connection: Connection, held: Claim) -> None:
    """Give it back unharmed when the worker must stop: no attempt is counted. Raises LeaseLost."""
    release(connection, held, attempts=SLICE.c.attempts - 1)


def settle(connection: Connection, held: Claim, **values: object) -> None:
    """Give it back after a volume that succeeded, with its new position. Raises LeaseLost."""
    release(connection, held, attempts=0, not_before=None, **values)
    write_export(connection, held, error_code=None, error_message=None)


def end_slice(connection: Connection, held: Claim) -> bool:
    """All that this slice reads is stored; returns whether the export can close now. The export is locked.

    Slice 0 waits for the others, and the last of the others lets it close.
    """
    export = connection.execute(select(EXPORT).where(EXPORT.c.id == held.id)).mappings().one()
    others: int = export["open_slices"] - (1 if held.number else 0)
    closes = others == 0
    if held.number:
        settle(connection, held, state=SliceState.DONE)
        write_export(connection, held, open_slices=others)
        waiting = (SLICE.c.export_id == held.id, SLICE.c.number == 0, SLICE.c.state == SliceState.WAITING)
        if closes:
            closes = bool(connection.execute(update(SLICE).where(*waiting).values(state=SliceState.OPEN)).rowcount)
    else:
        settle(connection, held, state=SliceState.OPEN if closes else SliceState.WAITING)
    if closes:
        write_export(connection, held, state=ExportState.CLOSING)
    return closes


def end(connection: Connection, held: Claim, state: ExportState, error: PortabilityError | None = None) -> None:
    """The export's last state, with its reason; no slice of it can be written to any more. Raises LeaseLost."""
    lock(connection, held)
    end_locked(connection, held, state, error)


def end_locked(
    connection: Connection,
    held: Claim,
    state: ExportState,
    error: PortabilityError | None = None,
    **values: object,
) -> None:
    """The same of an export that `lock` has locked, with whatever else changes of it."""
    code, message = (None, None) if error is None else (error.code, str(error))
    slices.end_all(connection, held.id)
    ended = {"state": state, "error_code": code, "error_message": message, "ended_at": now(), "open_slices": 0}
    write_export(connection, held, **ended, **values)
    if state != ExportState.READY:
        pseudonyms.forget(connection, held.id)
    audit.record(connection, f"export.{state}", actor=ACTOR, export_id=held.id, detail={"code": code})
    if state in TOLD:
        notify.queue(connection, TOLD[state], held.id)


def reserve_volume(connection: Connection, held: Claim, number: int | None, names: VolumeNames) -> RowMapping:
    """Make a volume known before its upload begins: whatever happens, it can be found and aborted. Raises LeaseLost.

    Without a number it gets one that no other slice has. Unused ones are legal: the closing list says what belongs.
    """
    counted = {"volume_counter": EXPORT.c.volume_counter + (1 if number is None else 0)}
    mine = update(EXPORT).where(EXPORT.c.id == held.id).values(counted)
    counter, revision = connection.execute(mine.returning(EXPORT.c.volume_counter, EXPORT.c.revision)).one()
    write(connection, held)
    number = counter if number is None else number
    object_key, name = names(number)
    row = {
        "export_id": held.id,
        "number": number,
        "slice": held.number,
        "revision": revision,
        "fence": held.fence,
        "state": "writing",
        "object_key": object_key,
        "upload_id": UNKNOWN_UPLOAD,
        "closing": False,
        "name": name,
        "began_at": now(),
    }
    return connection.execute(insert(VOLUME).values(**row).returning(VOLUME)).mappings().one()


def note_upload(connection: Connection, held: Claim, volume: RowMapping, upload_id: str) -> None:
    """Keep the id of the upload that has begun, before its first byte. Raises LeaseLost."""
    write(connection, held)
    connection.execute(update(VOLUME).where(VOLUME.c.id == volume["id"]).values(upload_id=upload_id))


def abandoned(connection: Connection, held: Claim) -> list[RowMapping]:
    """Volumes of this slice that earlier claims began and never stored.

    A zombie that asks after its lease must not find its heir's.
    """
    mine = (VOLUME.c.export_id == held.id, VOLUME.c.slice == held.number)
    begun = select(VOLUME).where(*mine, VOLUME.c.state == "writing", VOLUME.c.fence < held.fence)
    return list(connection.execute(begun.order_by(VOLUME.c.number)).mappings())


def forget_volume(connection: Connection, held: Claim, row: RowMapping) -> None:
    """Drop an aborted volume. Raises LeaseLost."""
    write(connection, held)
    connection.execute(delete(VOLUME).where(VOLUME.c.id == row["id"]))
