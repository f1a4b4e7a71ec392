"""Begin a volume: remnants of dead workers are removed, the row is reserved, then the upload starts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping

from archive.parts import ArchiveFeed, VolumeMetadata
from portability.api.storages import Upload
from portability.database.engine import writing
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.context import WorkerContext
from worker.write import object_keys
from worker.write.withdraw import withdraw


def describe(context: WorkerContext, claim: Claim, feed: ArchiveFeed | None = None) -> VolumeMetadata:
    """Describe the volumes that this claim writes, for their files and signatures; `feed` is their place in a feed."""
    export = claim.export
    return VolumeMetadata(
        issuer=context.settings.iss,
        export=claim.id,
        subject=export["subject_ref"],
        profile=export["profile"],
        revision=export["revision"],
        requested_at=export["received_at"],
        produced_at=claim.present(),
        contact=context.settings.contact,
        register=context.notice,
        brand=context.brand,
        feed=feed,
    )


def withdraw_abandoned(context: WorkerContext, claim: Claim, abandoned: Sequence[RowMapping]) -> int | None:
    """Withdraw volumes that other claims of this slice never stored; returns a number that is free again.

    The claim is checked before each: a worker that has lost it withdraws nothing of its successor. Raises LeaseLost,
    StorageError.
    """
    for row in abandoned:
        with writing(context.engine) as connection:
            fenced_writes.write(connection, claim)
        withdraw(context.storage, row)
        with writing(context.engine) as connection:
            fenced_writes.forget_volume(connection, claim, row)
    return min((row["number"] for row in abandoned), default=None)


def begin(
    context: WorkerContext, claim: Claim, envelope: VolumeMetadata, number: int | None
) -> tuple[RowMapping, Upload]:
    """Insert the volume's row, then begin its upload; without a number it gets a new one. Raises LeaseLost.

    A worker that has lost its lease writes to a key that is never read.
    """

    def names(number: int) -> tuple[str, str]:
        return object_keys.fresh(claim.id, number, claim.fence), envelope.volume_name(number)

    def note(upload_id: str) -> None:
        with writing(context.engine) as connection:
            fenced_writes.note_upload(connection, claim, row, upload_id)

    with writing(context.engine) as connection:
        row = fenced_writes.reserve_volume(connection, claim, number, names)
    return row, context.storage.begin(row["object_key"], media_type="application/zip", begun=note)
