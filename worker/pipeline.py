"""The pipeline. Read this first: one call of `advance` writes one volume of a claimed export, or ends the export.

claim -> plan -> begin a volume -> collect into it -> (close) -> seal -> upload complete -> commit -> release

Whose fault it is decides. A source's fault is a gap in the ledger, met in reader.py and files.py; nothing of it comes
up here. Whatever does come up here is ours: the upload is aborted, the position stays where it was, the volume is
written anew by the next claim.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from joserfc.jwk import ECKey
from sqlalchemy import Connection, update

from archive.parts import Envelope, SealedVolume
from archive.viewer.pages import pages
from archive.volume import Volume
from portability import exports, instructions, keys, models, subjects
from portability.api import Selection, Subject, SubjectKind
from portability.db import now, reading, writing
from portability.errors import (
    Cancelled,
    Draining,
    Incomplete,
    LeaseLost,
    PortabilityError,
    StorageError,
    VolumeFault,
)
from portability.plugins import load_document_formats, load_formats
from portability.requests import Profile
from portability.states import ExportState
from portability.storage import Upload
from worker import checkpoint, close, excerpt, ledger, plan, setback
from worker.checkpoint import Claim, Position
from worker.collect import Collection, Job, Limits, fill
from worker.lease import Lease
from worker.reader import Patience
from worker.workplace import Workplace

log = structlog.get_logger()
VOLUME = models.volume


def advance(place: Workplace, held: Claim) -> bool:
    """Write the next volume of a claimed export; returns whether there is more to do at once."""
    try:
        with Lease(place.engine, held, place.settings.lease_seconds).held() as lease:
            return _advance(place, held, lease)
    except LeaseLost:
        log.warning("lease.lost", export=held.id, fence=held.fence)
        return False


def _advance(place: Workplace, held: Claim, lease: Lease) -> bool:
    try:
        lease.check()
        if setback.tried_enough(place, held):
            return False
        return _write_volume(place, held, lease)
    except Draining:
        with writing(place.engine) as connection:
            checkpoint.hand_back(connection, held)
        return True
    except Cancelled:
        setback.end(place, held, ExportState.CANCELLED)
    except LeaseLost:
        raise
    except PortabilityError as error:
        setback.fail(place, held, error)
    except Exception as error:
        log.exception("volume.fault", export=held.id, error=type(error).__name__)
        setback.fail(place, held, VolumeFault(f"export {held.id}: a volume failed with {type(error).__name__}"))
    return False


def _write_volume(place: Workplace, held: Claim, lease: Lease) -> bool:
    _signing_key(place)  # none: told before hours of reading
    number = held.export["volume_counter"] + 1 - setback.tidy(place, held)
    job = _job(place, held, lease)
    envelope = _envelope(place, held)
    with reading(place.engine) as connection:
        earlier = [row["object_key"] for row in exports.stored_volumes(connection, held.id)]
    excerpts = excerpt.load(place.storage, earlier)
    object_key, upload = _begin(place, held, envelope, number)
    try:
        collection = Collection(job, Volume(envelope, number, upload.write), excerpts)
        lease.progress = collection.progress
        position = fill(collection, Position.thaw(held.export["position"]))
        lines, gaps, papers = _books(place, held, collection, number, closing=position is None)
        lease.check()
        excerpts.note(collection.volume.name, collection.volume.payload)
        viewer = None if papers is None else pages(envelope, papers, excerpts.shown(job.plan.lines))
        # Asked for again: the key of the beginning may have been retired meanwhile.
        sealed = collection.volume.seal(_signing_key(place), closing=papers, viewer=viewer)
        lease.check()
        if position is not None:
            excerpt.save(place.storage, object_key, excerpts)
        _publish(upload, sealed)
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise
    with writing(place.engine) as connection:
        _commit(connection, held, sealed, position, lines, gaps)
    excerpt.discard(place.storage, earlier if position is None else earlier[-1:])
    log.info("volume.stored", export=held.id, volume=number, bytes=sealed.bytes, files=sealed.files)
    return position is not None


def _job(place: Workplace, held: Claim, lease: Lease) -> Job:
    export, settings = held.export, place.settings
    subject = _subject(place, held)
    with reading(place.engine) as connection:
        orders = instructions.orders(connection)
        planned = bool(exports.ledger(connection, held.id))
    formats, documents = load_formats(export["formats"]), load_document_formats(export["formats"])
    made = plan.make(
        *(Profile(export["profile"]), subject, place.exporters, orders, export["include"]),
        records=bool(formats),
        documents=bool(documents),
    )
    selection = Selection(since=export["since"], until=export["until"], began_at=export["began_at"])
    if not planned:
        expected = [ledger.expect(place.exporters[line.exporter], line, selection) for line in made.lines]
        with writing(place.engine) as connection:
            checkpoint.write(connection, held)
            ledger.open_lines(connection, held, made, expected)
    return Job(
        plan=made,
        exporters=place.exporters,
        formats=formats,
        selection=selection,
        limits=Limits(settings.volume_bytes, settings.volume_members, settings.piece_bytes),
        patience=Patience(settings.source_retries),
        check=lease.check,
        document_formats=documents,
    )


def _signing_key(place: Workplace) -> ECKey:
    with reading(place.engine) as connection:
        return keys.signing(connection, place.settings.keys)


def _subject(place: Workplace, held: Claim) -> Subject:
    export = held.export
    kind, identifier, tenant = SubjectKind(export["subject_kind"]), export["subject_id"], export["tenant"]
    first = subjects.first_identity(kind, identifier, tenant)
    return subjects.resolve(Subject(kind, tenant, export["subject_ref"], (first,)), place.exporters)


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
    )


def _begin(place: Workplace, held: Claim, envelope: Envelope, number: int) -> tuple[str, Upload]:
    """Begin the upload and make it known, with its key. A zombie of an older fence writes where nobody looks."""
    object_key = f"{held.id}/{number:05}.{held.fence}.{secrets.token_hex(4)}.zip"
    upload = place.storage.begin(object_key, media_type="application/zip")
    try:
        with writing(place.engine) as connection:
            name = envelope.volume_name(number)
            row = {"number": number, "object_key": object_key, "upload_id": upload.id, "closing": False, "name": name}
            checkpoint.begin_volume(connection, held, row)
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise
    return object_key, upload


def _books(
    place: Workplace, held: Claim, collection: Collection, number: int, *, closing: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any] | None]:
    """The ledger and the new gaps as this volume leaves them, and the closing volume's document if it is one."""
    with reading(place.engine) as connection:
        rows = exports.ledger(connection, held.id)
        earlier = [dict(row) for row in exports.gaps(connection, held.id)] if closing else []
        volumes = exports.stored_volumes(connection, held.id) if closing else []
    lines = ledger.merge(rows, collection.tallies)
    gaps = ledger.gap_rows(collection.job.plan, collection.tallies, number)
    if not closing:
        return lines, gaps, None
    if held.export["require_complete"] and not close.complete(lines):
        named = sorted({f"{line['exporter']}/{line['dataset']}" for line in lines if line["gaps"]})
        raise Incomplete(f"export {held.id} has gaps in {', '.join(named)} and was to be complete")
    names = ("number", "name", "bytes", "sha256", "tagmanifest_sha256")
    listed = [{name: row[name] for name in names} for row in volumes]
    listed.append({"number": number, "name": collection.volume.name})
    papers = close.document(held.export, collection.job.plan, lines, [*earlier, *gaps], listed, datetime.now(UTC))
    return lines, gaps, papers


def _publish(upload: Upload, sealed: SealedVolume) -> None:
    stored = upload.complete()
    if stored.bytes != sealed.bytes:
        raise VolumeFault(f"{sealed.name}: {sealed.bytes} bytes were written, storage holds {stored.bytes}")


def _commit(
    connection: Connection,
    held: Claim,
    sealed: SealedVolume,
    position: Position | None,
    lines: list[dict[str, Any]],
    gaps: list[dict[str, Any]],
) -> None:
    checkpoint.write(connection, held)
    stored = {
        "state": "stored",
        "closing": position is None,
        "stored_at": now(),
        "bytes": sealed.bytes,
        "sha256": sealed.sha256,
        "tagmanifest_sha256": sealed.tagmanifest_sha256,
        "files": sealed.files,
        "payload_bytes": sealed.payload_bytes,
    }
    mine = (VOLUME.c.export_id == held.id, VOLUME.c.number == sealed.number, VOLUME.c.fence == held.fence)
    connection.execute(update(VOLUME).where(*mine).values(**stored))
    ledger.commit(connection, held, lines, gaps)
    settled = {"attempts": 0, "not_before": None, "error_code": None, "error_message": None}
    if position is None:
        checkpoint.write(connection, held, complete=close.complete(lines), position=None, **settled)
        checkpoint.end(connection, held, ExportState.READY)
    else:
        checkpoint.release(connection, held, position=position.freeze(), **settled)
