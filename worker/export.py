"""The pipeline. Read this first: one call of `advance` writes one volume of a claimed slice.

    claim     worker/claim   A worker has claimed a slice. Its lease is renewed until `advance` returns.
    plan      worker/plan    The first claim of an export stores what is read, and cuts large datasets into slices.
    begin     worker/write   The volume gets its row, then an upload. If the worker dies, the next claim finds both.
    read      worker/read    Sources give batches and files. Data that a source does not give is a gap in the ledger.
    write     worker/write   Batches become members of the volume, until it is full or the slice is read.
    close     worker/close   If no slice has more to read, this volume gets export.json, the notice and the viewer.
    seal                     The volume is signed, and storage publishes it.
    commit    worker/close   One transaction stores the volume's row, ledger and gaps, and the slice's next position.
    release                  The same transaction releases the slice. Any worker can make the next claim.

Each step calls only modules of rooms below it. A fault of a source becomes a gap; every other fault is raised up to
`advance`: the upload is aborted, the position does not change, and the next claim writes the volume again.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import structlog

from archive.parts import SealedVolume
from archive.summary.pdf import Typesetter
from archive.write.volume import Volume
from portability.api.storages import StoredObject, Upload
from portability.database import incidents
from portability.database.engine import reading
from portability.database.incidents import Incident
from portability.errors import DatabaseUnavailable, LeaseLost, VolumeFault
from portability.requests import exports
from portability.requests.exports import BegunExport
from portability.tracing import traces
from portability.trust import keys
from worker import prepare
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.claim.lease import Lease
from worker.close import closing_volume, failure
from worker.close.closing_volume import ClosingFiles
from worker.close.commit import ClosingRows, VolumeCommit, apply_commit, draft_commit
from worker.context import WorkerContext
from worker.plan.planned_maps import as_planned
from worker.plan.position import Position
from worker.write import closing_marker, excerpts, shards
from worker.write.begin import begin, describe, withdraw_abandoned
from worker.write.changes import VolumeChanges
from worker.write.collect import fill
from worker.write.forms import VolumeForms
from worker.write.open_volume import OpenVolume, SliceJob
from worker.write.shards import Shards
from worker.write.uploads import aborted_on_error
from worker.write.withdraw import discarded_on_error, withdrawn_if_lost

log = structlog.get_logger()


def advance(context: WorkerContext, claim: Claim) -> int:
    """Write the next volume of a claimed slice; returns how many workers to wake at once."""
    try:
        with (
            Lease(context.engine, claim, context.settings.lease_seconds).renewed() as lease,
            traces.span("volume", claim.id, slice=claim.number, attempt=claim.attempts),
        ):
            try:
                return step(context, claim, lease)
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001  # handled below: logged, and the export ends with its reason
                return failure.handle(context, claim, error)
    except LeaseLost:
        log.warning("lease.lost", export=claim.id, slice=claim.number, fence=claim.fence)
        incidents.count(context.engine, Incident.LEASE_LOST)
    except DatabaseUnavailable as error:
        # The database is down, so nothing can be stored. The lease expires, and the next claim removes the remnants.
        log.warning("volume.left", export=claim.id, slice=claim.number, code=error.code)
    return 0


def step(context: WorkerContext, claim: Claim, lease: Lease) -> int:
    """Plan the export if it has no plan, then write a volume; after cutting, each slice has its own turn instead.

    Returns how many workers to wake. Raises: any error that prevents storing the volume.
    """
    lease.check()
    failure.check_tries(context, claim)
    context = as_planned(context, claim.export)
    job = prepare.job(context, claim, lease.check, lease.report_wait)
    if claim.slice["readings"] is None:
        with traces.span("plan"):
            planned = prepare.write_plan(context, claim, job)
        if planned is None:
            return 0
        job, more_slices = planned
        if more_slices:
            return more_slices + 1
    if claim.export["feed_id"] is None:
        return _write_volume(context, claim, lease, job)
    with VolumeChanges.open(context, claim.export["feed_id"], claim.id) as changes:
        return _write_volume(context, claim, lease, job, changes)


def _write_volume(
    context: WorkerContext, claim: Claim, lease: Lease, job: SliceJob, changes: VolumeChanges | None = None
) -> int:
    """Take one volume from its row to its commit; returns how many workers to wake.

    `changes` compares with what a feed has delivered.
    """
    # Begin.
    envelope = describe(context, claim, None if changes is None else changes.place)
    export = job.begun or _begun(context, claim)
    own = [row for row in export.stored if row["slice"] == claim.number]
    kept = excerpts.load(context.storage, [row["object_key"] for row in own])
    left = withdraw_abandoned(context, claim, fenced_writes.abandoned(export, claim))
    row, upload = begin(context, claim, envelope, left)
    with aborted_on_error(upload), closing(VolumeForms(job.forms)) as forms, closing(Typesetter()) as typesetter:
        if not claim.number:  # the slice that closes
            typesetter.start()
        output, position = Volume(envelope, row["number"], upload.write), Position.from_json(claim.slice["position"])
        volume = OpenVolume(job, output, position, kept, forms, changes=changes, typesetter=typesetter)
        volume.shards = Shards(output) if job.has_shards else None
        lease.progress = volume.progress
        # Read and write.
        fill(volume)
        if volume.has_members:
            job.confirm()
        forms.add_to(output)
        # Close and seal.
        rows = closing_volume.rows_to_close(context, claim, export) if volume.is_read else None
        commit = draft_commit(row, volume, rows)
        if commit.closes or volume.has_members or commit.counts:
            with traces.span("seal", volume=row["number"]):
                sealed, stored_object = _seal(context, claim, volume, upload, commit, rows)
            commit = replace(commit, sealed=sealed, etag=stored_object.etag)
        else:
            upload.abort()
    # Commit and release.
    more = _commit(context, claim, commit)
    if commit.sealed is not None:
        if rows is not None:
            traces.record_export(claim.id, claim.export["created_at"])
            closing_volume.report_remarks(context, claim, commit, rows)
        old = [row["object_key"] for row in rows.volumes] if rows else []
        # If the revision is given up, the one before it needs the excerpt beside its last volume for the next retry.
        before = [row["object_key"] for row in own[-1:] if row["revision"] == claim.export["revision"]]
        excerpts.discard(context.storage, old if rows else before)
        shards.discard(context.storage, old)
        log.info("volume.stored", export=claim.id, slice=claim.number, volume=row["number"], bytes=commit.sealed.bytes)
    return more


def _begun(context: WorkerContext, claim: Claim) -> BegunExport:
    with reading(context.engine) as connection:
        return exports.begun(connection, claim.id)


def _commit(context: WorkerContext, claim: Claim, commit: VolumeCommit) -> int:
    """Write the commit of a published volume; returns how many workers to wake."""
    row = commit.volume
    if commit.closes:
        closing_marker.place(context.engine, context.storage, row)
    with withdrawn_if_lost(context.storage, row), traces.span("commit"):
        return apply_commit(context, claim, commit)


def _seal(
    context: WorkerContext,
    claim: Claim,
    volume: OpenVolume,
    upload: Upload,
    commit: VolumeCommit,
    rows: ClosingRows | None,
) -> tuple[SealedVolume, StoredObject]:
    """Close the export if `rows` are given, then sign the volume and publish it."""
    check = volume.job.check
    check()
    volume.excerpts.note(volume.output.name, volume.output.payload)
    if volume.shards is not None:
        volume.shards.index.note(volume.output.name, volume.output.payload)
    files = ClosingFiles() if rows is None else closing_volume.make_files(context, claim, volume, commit, rows)
    with reading(context.engine) as connection:
        # Read only now: the key of the beginning may have been retired meanwhile.
        signing = keys.dated(connection, context.settings.keys)
    sealed = volume.output.seal(
        signing.key,
        at=signing.at,
        counted=commit.counts,
        closing=files.document,
        notice=files.notice,
        summary=files.summary,
        viewer=files.viewer,
    )
    check()
    object_key = commit.volume["object_key"]
    with discarded_on_error(context.storage, object_key):
        if not files.are_final:
            # The closing volume reads them, and so does that of a retry of gaps.
            excerpts.save(context.storage, object_key, volume.excerpts)
            if volume.shards:
                shards.save(context.storage, object_key, files.index or volume.shards.index)
        with traces.span("store", bytes=sealed.bytes):
            in_storage = upload.complete()
    if in_storage.bytes != sealed.bytes:
        raise VolumeFault(f"{sealed.name}: {sealed.bytes} bytes were written, but storage has {in_storage.bytes}")
    return sealed, in_storage
