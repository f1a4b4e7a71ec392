"""Fenced writes: changes of a slice and its export that only the owner of the newest claim can make.

Every write carries the fence and the token of its claim, and must change exactly one row. If no row matches, another
worker owns the slice, the database has lost the claim in a failover, or the export has ended: this worker stops.
Changes of the export lock it first, so that slices change it one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, Select, exists, select, update

from portability.api.errors import PortabilityError
from portability.database import history, models
from portability.database.engine import now, writing
from portability.errors import AddressOfAccount, Cancelled, LeaseLost
from portability.messages.outbox import MessageKind
from portability.requests import reversions, slices
from portability.requests.exports import BegunExport
from portability.requests.states import ExportState, SliceState, VolumeState
from portability.requests.transition import begin_volume, drop_volume, transition
from portability.trust import audit
from worker.claim.claims import Claim

EXPORT, SLICE, VOLUME = models.export, models.slice, models.volume
ACTOR = "worker"
BACKOFF_MAX_SECONDS = 300
OUTAGE_TRIES = 8
"""How many times more attempts outages get than internal faults; with waits of 300 s these are some hours."""
UNKNOWN_UPLOAD = ""
"""The upload id of a volume whose upload may or may not have begun: it is found by its key."""
VolumeNames: TypeAlias = Callable[[int], tuple[str, str]]
"""Makes a volume's object key and name from its number."""


def renew(engine: Engine, claim: Claim, lease_seconds: float, progress: Mapping[str, int | str | None]) -> bool:
    """Renew the lease and store the progress; returns whether cancellation was requested. Raises LeaseLost."""
    cancelled = select(EXPORT.c.cancel_requested_at).where(EXPORT.c.id == SLICE.c.export_id).scalar_subquery()
    renewed = update(SLICE).where(*_fenced(claim)).values(lease_until=now(lease_seconds), progress=dict(progress))
    with writing(engine) as connection:
        found = connection.execute(renewed.returning(cancelled)).all()
    if not found:
        raise _lost(claim)
    return found[0][0] is not None


def lock(connection: Connection, claim: Claim, **values: object) -> RowMapping:
    """Lock the export and then its slice under the fence, and change it; returns the export's row. Raises LeaseLost."""
    row = lock_export(connection, claim)
    write(connection, claim, **values)
    return row


def lock_export(connection: Connection, claim: Claim) -> RowMapping:
    """Lock the export alone, before a statement that has the condition `own`; returns its row. Raises LeaseLost.

    The claim is also lost if the database continues another history: it may have lost commits since the claim. The row
    has the present time of the database, too (`present`).
    """
    known = history.known().label("is_known")
    locked = select(EXPORT, known, now().label("present")).where(EXPORT.c.id == claim.id).with_for_update(of=EXPORT)
    row = connection.execute(locked).mappings().one_or_none()
    if not (row and row["is_known"]):
        raise LeaseLost(f"the control database was promoted or restored since slice {claim.number} was claimed")
    return row


def check_wanted(export: Mapping[Any, Any]) -> None:
    """Check that no one has asked to cancel a locked export since the lease looked last. Raises Cancelled."""
    if export["cancel_requested_at"]:
        raise Cancelled(f"export {export['id']} was cancelled")


def write(connection: Connection, claim: Claim, **values: object) -> None:
    """Change the slice under the fence; without values, only check and lock it. Raises LeaseLost."""
    fenced = update(SLICE).where(*_fenced(claim))
    if connection.execute(fenced.values(fence=claim.fence, **values)).rowcount != 1:
        raise _lost(claim)


def _fenced(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the slice as this claim owns it, in the history in which it was claimed."""
    return (
        SLICE.c.export_id == claim.id,
        SLICE.c.number == claim.number,
        SLICE.c.fence == claim.fence,
        SLICE.c.token == claim.token,
        SLICE.c.state == SliceState.OPEN,
        # A released slice has no owner: the renewing thread must not lease it again.
        SLICE.c.lease_until.is_not(None),
        history.known(),
    )


def own(claim: Claim) -> Select[int]:
    """Select the slice if this claim still owns it, as a condition of a statement that locks it."""
    return select(SLICE.c.number).where(*_fenced(claim))


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(
        f"slice {claim.number} of export {claim.id} no longer belongs to this worker (fence {claim.fence})"
    )


def write_export(connection: Connection, claim: Claim, **values: object) -> None:
    """Change the export of a slice that `lock` has locked. Raises LeaseLost if it has left the claimed revision."""
    same = update(EXPORT).where(EXPORT.c.id == claim.id, EXPORT.c.revision == claim.export["revision"])
    if connection.execute(same.values(**values)).rowcount != 1:
        raise LeaseLost(f"export {claim.id} is no longer in revision {claim.export['revision']}")


def release(connection: Connection, claim: Claim, **values: object) -> None:
    """Release the slice; it can be claimed at once unless `not_before` is set. Raises LeaseLost."""
    write(connection, claim, owner=None, lease_until=None, progress=None, asked=None, **values)


def back_off(connection: Connection, claim: Claim, wait_seconds: float, error: PortabilityError) -> None:
    """Release the slice after an internal fault, to be retried later. Raises LeaseLost."""
    lock(connection, claim)
    release(connection, claim, not_before=now(wait_seconds))
    write_export(connection, claim, error_code=error.code, error_message=str(error))
    detail: dict[str, str | int | bool | None] = {
        "code": error.code,
        "slice": claim.number,
        "attempt": claim.attempts,
    }
    audit.record(connection, "volume.failed", actor=ACTOR, export_id=claim.id, detail=detail)


def hand_back(connection: Connection, claim: Claim) -> None:
    """Release the slice when the worker must stop: no attempt is counted. Raises LeaseLost."""
    release(connection, claim, attempts=SLICE.c.attempts - 1)


def settle(connection: Connection, claim: Claim, **values: object) -> None:
    """Release the slice after a successful volume, with its new position. Raises LeaseLost."""
    release(connection, claim, attempts=0, not_before=None, **values)
    write_export(connection, claim, error_code=None, error_message=None)


def end_slice(connection: Connection, claim: Claim) -> bool:
    """End a slice whose data is all stored; returns whether the export can close now. The export is locked.

    Slice 0 waits for the others, and the last of the others allows it to close.
    """
    export = connection.execute(select(EXPORT).where(EXPORT.c.id == claim.id)).mappings().one()
    others: int = export["open_slices"] - (1 if claim.number else 0)
    closes = others == 0
    if claim.number:
        settle(connection, claim, state=SliceState.DONE)
        write_export(connection, claim, open_slices=others)
        closes = closes and slices.let_close(connection, claim.id)
    else:
        settle(connection, claim, state=SliceState.OPEN if closes else SliceState.WAITING)
    if closes:
        transition(connection, export, ExportState.CLOSING, actor=ACTOR)
    return closes


def end(
    connection: Connection,
    claim: Claim,
    state: ExportState,
    error: PortabilityError | None = None,
    *,
    with_archive: bool = False,
) -> ExportState:
    """Set the export's final state, with its reason; its slices can no longer be written. Raises LeaseLost.

    Returns the state. A revision that fails ends alone, and the archive before it is ready again, unless that is lost
    (`with_archive`). What fails after it was to be cancelled is cancelled: the person waits for nothing.
    """
    export = lock(connection, claim)
    if error and export["cancel_requested_at"]:
        state, error = ExportState.CANCELLED, None
    if error and not with_archive and reversions.revert(connection, export, code=error.code, actor=ACTOR):
        return ExportState.READY
    end_locked(connection, export, state, error)
    return state


def end_locked(
    connection: Connection,
    export: RowMapping,
    state: ExportState,
    error: PortabilityError | None = None,
    columns: Mapping[str, object] | None = None,
    detail: audit.Detail | None = None,
) -> None:
    """Do the same for an export that `lock` has locked and returned, with other columns and details of the event."""
    detail = {"code": None if error is None else error.code, **(detail or {})}
    message = MessageKind.LOG_IN if isinstance(error, AddressOfAccount) else None
    transition(connection, export, state, actor=ACTOR, detail=detail, error=error, columns=columns, message=message)


def reserve_volume(connection: Connection, claim: Claim, number: int | None, names: VolumeNames) -> RowMapping:
    """Insert a volume's row before its upload begins, so that it can always be found and aborted. Raises LeaseLost.

    Without a number it gets one that no other slice has. Numbers may stay unused: the closing list names the volumes.
    """
    counted = {"volume_counter": EXPORT.c.volume_counter + (1 if number is None else 0)}
    counting = update(EXPORT).where(EXPORT.c.id == claim.id).values(counted)
    counted_now = connection.execute(counting.returning(EXPORT.c.volume_counter, EXPORT.c.revision)).one_or_none()
    if not counted_now:
        raise LeaseLost(f"the control database has no export {claim.id} any more")
    counter, revision = counted_now
    number = counter if number is None else number
    object_key, name = names(number)
    row = {
        "export_id": claim.id,
        "number": number,
        "slice": claim.number,
        "revision": revision,
        "fence": claim.fence,
        "token": claim.token,
        "object_key": object_key,
        "upload_id": UNKNOWN_UPLOAD,
        "closing": False,
        "name": name,
    }
    # Inserted only if the slice is still this worker's, and with the slice locked.
    begun = begin_volume(connection, VOLUME, row, condition=own(claim))
    if begun is None:
        raise _lost(claim)
    return begun


def note_upload(connection: Connection, claim: Claim, volume: RowMapping, upload_id: str) -> None:
    """Store the id of the upload that has begun, before its first byte is sent. Raises LeaseLost."""
    begun = update(VOLUME).where(
        VOLUME.c.id == volume["id"],
        VOLUME.c.token == claim.token,
        VOLUME.c.state == VolumeState.WRITING,
        exists(own(claim).with_for_update()),
    )
    if connection.execute(begun.values(upload_id=upload_id)).rowcount != 1:
        raise LeaseLost(f"volume {volume['id']} of export {claim.id} is no longer written by this worker")


def abandoned(export: BegunExport, claim: Claim) -> list[RowMapping]:
    """Return volumes of this slice that other claims began and never stored.

    A worker that has lost its claim finds those of its successor, too: `write` comes before anything is withdrawn.
    """
    return [row for row in export.writing if row["slice"] == claim.number and row["token"] != claim.token]


def forget_volume(connection: Connection, claim: Claim, row: RowMapping) -> None:
    """Delete the row of an aborted volume. Raises LeaseLost, also if the row is gone."""
    write(connection, claim)
    if not drop_volume(connection, VOLUME, row):
        raise LeaseLost(f"volume {row['id']} of export {claim.id} is gone")
