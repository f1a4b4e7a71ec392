"""The pipeline. Read this first: one call of `advance` writes one volume of a claimed slice, or ends the export.

claim -> plan -> begin a volume -> collect into it -> (close) -> seal -> upload complete -> commit -> release

Whose fault it is decides. A source's fault is a gap in the ledger, met in reader.py and files.py; nothing of it comes
up here. Whatever does come up here is ours: the upload is aborted, the position stays where it was, the volume is
written anew by the next claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from joserfc.jwk import ECKey
from sqlalchemy import RowMapping, delete, update

from archive.notice import document
from archive.parts import Envelope, SealedVolume
from archive.viewer.pages import pages
from archive.volume import Volume
from portability import exports, incidents, keys, models
from portability.db import now, reading, writing
from portability.errors import (
    Cancelled,
    DatabaseUnavailable,
    Draining,
    Incomplete,
    LeaseLost,
    PortabilityError,
    StorageError,
    VolumeFault,
)
from portability.incidents import Incident
from portability.states import ExportState
from portability.storage import Upload
from worker import checkpoint, close, excerpt, ledger, object_keys, prepare, setback
from worker.claims import Claim
from worker.collect import fill
from worker.collection import Collection, Job
from worker.lease import Lease
from worker.position import Position
from worker.workplace import Workplace

log = structlog.get_logger()
VOLUME = models.volume


def advance(place: Workplace, held: Claim) -> int:
    """Write the next volume of a claimed slice; returns how many workers are worth waking at once."""
    try:
        with Lease(place.engine, held, place.settings.lease_seconds).held() as lease:
            return _advance(place, held, lease)
    except LeaseLost:
        log.warning("lease.lost", export=held.id, slice=held.number, fence=held.fence)
        incidents.count(place.engine, Incident.LEASE_LOST)
    except DatabaseUnavailable as error:
        # Nothing can be written down now. The lease runs out, and the next claim tidies up.
        log.warning("volume.left", export=held.id, slice=held.number, code=error.code)
    return 0


def _advance(place: Workplace, held: Claim, lease: Lease) -> int:
    try:
        lease.check()
        if setback.tried_enough(place, held):
            return 0
        return step(place, held, lease)
    except Draining:
        with writing(place.engine) as connection:
            checkpoint.hand_back(connection, held)
        return 1
    except Cancelled:
        setback.end(place, held, ExportState.CANCELLED)
    except LeaseLost:
        raise
    except PortabilityError as error:
        setback.fail(place, held, error)
    except Exception as error:
        log.exception("volume.fault", export=held.id, slice=held.number, error=type(error).__name__)
        setback.fail(place, held, VolumeFault(f"export {held.id}: a volume failed with {type(error).__name__}"))
    return 0


def step(place: Workplace, held: Claim, lease: Lease) -> int:
    """Plan if nobody has; then a volume, unless the export was cut: the parts are read in their turns.

    Raises: whatever keeps the volume from being stored; `advance` knows what to do then.
    """
    job = prepare.job(place, held, lease.check)
    if held.slice["readings"] is None:
        job, more = prepare.planned(place, held, job)
        if more:
            return more + 1
    return _write_volume(place, held, lease, job)


@dataclass(frozen=True, slots=True)
class _Standing:
    """The export as it stands when all other slices have been read."""

    stored: Sequence[RowMapping]
    lines: Sequence[RowMapping]
    gaps: Sequence[RowMapping]


@dataclass(slots=True)
class _Open:
    """A volume on its way."""

    row: RowMapping
    upload: Upload
    collection: Collection
    position: Position | None = None
    """Where the next one begins; None: all that the slice reads is in."""
    closes: _Standing | None = None
    """What it closes, where it is the last one."""
    sealed: SealedVolume | None = None
    """None where there was nothing to write: no volume is stored."""


def _write_volume(place: Workplace, held: Claim, lease: Lease, job: Job) -> int:
    envelope = _envelope(place, held)
    with reading(place.engine) as connection:
        stored = exports.stored_volumes(connection, held.id)
        abandoned = checkpoint.abandoned(connection, held)
    own = [row["object_key"] for row in stored if row["slice"] == held.number]
    excerpts = excerpt.load(place.storage, own)
    row, upload = _begin(place, held, envelope, setback.tidy(place, held, abandoned))
    volume = _Open(row, upload, Collection(job, Volume(envelope, row["number"], upload.write), excerpts))
    try:
        lease.progress = volume.collection.progress
        volume.position = fill(volume.collection, Position.thaw(held.slice["position"]))
        if volume.position is None and held.number == 0:
            volume.closes = _standing(place, held)
        if volume.closes is not None or volume.collection.begun:
            _seal(place, held, lease, volume, envelope)
        else:
            upload.abort()
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise
    try:
        more = _commit(place, held, volume)
    except LeaseLost:
        # It was published after the lease was over: whoever tidied up meanwhile may have looked too early.
        with suppress(StorageError):
            place.storage.delete(row["object_key"])
        raise
    if volume.sealed is not None:
        closed = None if volume.closes is None else [row["object_key"] for row in volume.closes.stored]
        excerpt.discard(place.storage, own[-1:] if closed is None else closed)
        log.info("volume.stored", export=held.id, slice=held.number, volume=row["number"], bytes=volume.sealed.bytes)
    return more


def _standing(place: Workplace, held: Claim) -> _Standing | None:
    """None: other slices are still read; that they are not only ever becomes true."""
    with reading(place.engine) as connection:
        if exports.get(connection, held.id)["open_slices"]:
            return None
        # Other slices may have stored theirs while this volume was filled: its list names them too.
        stored = exports.stored_volumes(connection, held.id)
        return _Standing(stored, exports.ledger(connection, held.id), exports.gaps(connection, held.id))


def _seal(place: Workplace, held: Claim, lease: Lease, volume: _Open, envelope: Envelope) -> None:
    """Close if it is the closing volume; sign, and publish."""
    lease.check()
    archived, excerpts = volume.collection.volume, volume.collection.excerpts
    excerpts.note(archived.name, archived.payload)
    papers = notice = viewer = None
    if volume.closes is not None:
        papers = _papers(held, volume, volume.closes)
        excerpt.absorb(place.storage, excerpts, volume.closes.stored, held.export["revision"])
        lines = volume.collection.job.plan.lines
        notice = document(envelope, papers, place.notice, close.held(lines))
        viewer = pages(envelope, papers, excerpts.shown(lines), has_notice=True)
    # Asked for again: the key of the beginning may have been retired meanwhile.
    volume.sealed = archived.seal(_signing_key(place), closing=papers, notice=notice, viewer=viewer)
    lease.check()
    if papers is None or not papers["complete"]:
        # For the volume that closes, and for the one that closes a retry of what is missing.
        excerpt.save(place.storage, volume.row["object_key"], excerpts)
    in_storage = volume.upload.complete()
    if in_storage.bytes != volume.sealed.bytes:
        raise VolumeFault(
            f"{volume.sealed.name}: {volume.sealed.bytes} bytes were written, storage holds {in_storage.bytes}"
        )


def _signing_key(place: Workplace) -> ECKey:
    with reading(place.engine) as connection:
        return keys.signing(connection, place.settings.keys)


def _envelope(place: Workplace, held: Claim) -> Envelope:
    export = held.export
    return Envelope(
        issuer=place.settings.iss,
        export=held.id,
        subject=export["subject_ref"],
        profile=export["profile"],
        revision=export["revision"],
        requested_at=export["received_at"],
        produced_at=datetime.now(UTC),
        contact=place.settings.contact,
        register=place.notice,
    )


def _begin(place: Workplace, held: Claim, envelope: Envelope, free: int | None) -> tuple[RowMapping, Upload]:
    """Make the volume known, then begin its upload. A zombie of an older fence writes where nobody looks."""

    def names(number: int) -> tuple[str, str]:
        return object_keys.fresh(held.id, number, held.fence), envelope.volume_name(number)

    def note(upload_id: str) -> None:
        with writing(place.engine) as connection:
            checkpoint.note_upload(connection, held, row, upload_id)

    with writing(place.engine) as connection:
        row = checkpoint.reserve_volume(connection, held, free, names)
    return row, place.storage.begin(row["object_key"], media_type="application/zip", begun=note)


def _papers(held: Claim, volume: _Open, standing: _Standing) -> dict[str, Any]:
    """The closing volume's document: the ledger and the gaps as this volume leaves them, and the list of volumes."""
    collection = volume.collection
    lines = ledger.merge(standing.lines, collection.tallies)
    closed = ledger.filled(collection.tallies)
    gaps = [dict(gap) for gap in standing.gaps if gap["id"] not in closed]
    gaps += ledger.gap_rows(collection.job.plan, collection.tallies, volume.row["number"])
    if held.export["require_complete"] and not close.complete(lines):
        named = sorted({f"{line['exporter']}/{line['dataset']}" for line in lines if line["gaps"]})
        raise Incomplete(f"export {held.id} has gaps in {', '.join(named)} and was to be complete")
    names = ("number", "name", "bytes", "sha256", "tagmanifest_sha256")
    listed = [{name: row[name] for name in names} for row in standing.stored]
    listed.append({"number": volume.row["number"], "name": collection.volume.name})
    return close.document(held.export, collection.job.plan, lines, gaps, listed, datetime.now(UTC))


def _commit(place: Workplace, held: Claim, volume: _Open) -> int:
    """Everything that this volume changes, in one transaction; returns how many workers are worth waking."""
    job, tallies = volume.collection.job, volume.collection.tallies
    with writing(place.engine) as connection:
        checkpoint.lock(connection, held)
        mine = VOLUME.c.id == volume.row["id"]
        if volume.sealed is None:
            connection.execute(delete(VOLUME).where(mine))
        else:
            connection.execute(update(VOLUME).where(mine).values(**_stored(volume.sealed, volume)))
        lines = ledger.commit(connection, held.id, job.plan, tallies, volume.row["number"])
        if volume.closes is not None:
            checkpoint.end_locked(connection, held, ExportState.READY, complete=close.complete(lines))
            return 0
        if volume.position is not None:
            checkpoint.settle(connection, held, position=volume.position.freeze(), large=True)
            return 1
        checkpoint.write(connection, held, position=Position(len(job.readings)).freeze())
        return int(checkpoint.end_slice(connection, held))


def _stored(sealed: SealedVolume, volume: _Open) -> dict[str, object]:
    return {
        "state": "stored",
        "closing": volume.closes is not None,
        "stored_at": now(),
        "bytes": sealed.bytes,
        "sha256": sealed.sha256,
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "files": sealed.files,
        "payload_bytes": sealed.payload_bytes,
    }
