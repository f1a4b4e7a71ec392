"""Transfer: encrypt the volumes of an export for a recipient, one for each claim, and offer them when all are stored.

claim (lease, fence, token) -> insert the copy's row -> storage -> age -> storage -> commit -> next volume, or the offer

A kill repeats at most the open volume: its copy's row exists before the first byte, and the next claim withdraws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, func, literal, select, update

from portability.api.errors import PortabilityError
from portability.database import history, incidents, leases, models
from portability.database.engine import now, reading, writing
from portability.database.incidents import Incident
from portability.errors import DatabaseUnavailable, Draining, LeaseLost, VolumeFault
from portability.requests import exports, transfer_ends
from portability.requests.states import ExportState, TransferState, VolumeState
from portability.requests.transition import begin_volume, drop_volume, store_volume, transition_transfer
from portability.tracing import traces
from portability.transfers import recipients, sending
from portability.trust import audit
from worker.claim.claims import new_token
from worker.claim.fenced_writes import BACKOFF_MAX_SECONDS, UNKNOWN_UPLOAD
from worker.claim.lease import Lease
from worker.close import failure
from worker.context import WorkerContext
from worker.write import object_keys
from worker.write.encryption import EncryptedSink, VolumeSource, encrypt
from worker.write.uploads import aborted_on_error
from worker.write.withdraw import withdraw_object, withdrawn_if_lost

log = structlog.get_logger()
TABLE, COPY, EXPORT, VOLUME = models.transfer, models.transfer_copy, models.export, models.volume
ACTOR = "worker"


@dataclass(frozen=True, slots=True)
class TransferClaim:
    """The right to continue a transfer, valid while its fence and token are those in the row."""

    row: RowMapping

    @property
    def id(self) -> str:
        """The id of the export."""
        return str(self.row["export_id"])

    @property
    def transfer_id(self) -> str:
        return str(self.row["id"])

    @property
    def cancelled(self) -> bool:
        """Always False: a revoked transfer raises LeaseLost instead."""
        return False


def claimable() -> ColumnElement[bool]:
    """Return the condition for claimable transfers: queued, without a valid lease, and of a ready export."""
    ready = select(EXPORT.c.id).where(EXPORT.c.id == TABLE.c.export_id, EXPORT.c.state == ExportState.READY).exists()
    return and_(TABLE.c.state == TransferState.QUEUED, leases.is_available(TABLE), ready)


def claim(engine: Engine, owner: str, lease_seconds: float) -> TransferClaim | None:
    """Claim the transfer that has waited longest; None without a claimable transfer. Raises DatabaseUnavailable."""
    chosen = select(TABLE.c.id).where(claimable()).order_by(TABLE.c.claimed_at.asc().nulls_first(), TABLE.c.created_at)
    taken = {
        "owner": owner,
        "fence": TABLE.c.fence + 1,
        "token": new_token(),
        "attempts": TABLE.c.attempts + 1,
    }
    with writing(engine) as connection:
        if not history.is_known(connection):
            return None
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        leasing = update(TABLE).where(TABLE.c.id == connection.scalar(chosen.limit(1)), claimable())
        leased = leasing.values(**taken, lease_until=now(lease_seconds), claimed_at=now()).returning(TABLE)
        row = connection.execute(leased).mappings().one_or_none()
    return None if row is None else TransferClaim(row)


def advance(context: WorkerContext, claim: TransferClaim) -> bool:
    """Encrypt the next volume, or offer a complete transfer; returns whether to wake another worker at once."""
    lease = Lease(context.engine, claim, context.settings.lease_seconds, partial(_renew, context.engine, claim))
    try:
        with lease.renewed(), traces.span("transfer", claim.id, attempt=claim.row["attempts"]):
            return _advance(context, claim, lease)
    except LeaseLost:
        # Also for a transfer that was revoked meanwhile: the clock deletes stored copies.
        log.warning("transfer.lost", transfer=claim.transfer_id, fence=claim.row["fence"])
    except DatabaseUnavailable as error:
        log.warning("transfer.left", transfer=claim.transfer_id, code=error.code)
    return False


def _advance(context: WorkerContext, claim: TransferClaim, lease: Lease) -> bool:
    try:
        lease.check()
        _withdraw_abandoned(context, claim)
        volume = _next_volume(context, claim)
        if volume is None:
            return not _offer(context, claim)
        _copy(context, claim, lease, volume)
    except Draining:
        with writing(context.engine) as connection:
            _write(connection, claim, owner=None, lease_until=None, attempts=TABLE.c.attempts - 1)
    except LeaseLost:
        raise
    except PortabilityError as error:
        _fail(context, claim, error)
        return False
    except Exception as error:
        log.exception("transfer.fault", transfer=claim.transfer_id, error=type(error).__name__)
        _fail(context, claim, VolumeFault(f"a copy failed with {type(error).__name__}"))
        return False
    return True


def _next_volume(context: WorkerContext, claim: TransferClaim) -> RowMapping | None:
    """Return a stored volume without a copy: that after the last copy, or the first that was passed over.

    Few rows are read, however many volumes there are: all of them are compared once, when the last has its copy.
    """
    made = (COPY.c.transfer_id == claim.transfer_id, COPY.c.state == VolumeState.STORED)
    last = select(COPY.c.number).where(*made).order_by(COPY.c.number.desc()).limit(1).scalar_subquery()
    stored = (VOLUME.c.export_id == claim.id, VOLUME.c.state == VolumeState.STORED)
    query = select(VOLUME).where(*stored).order_by(VOLUME.c.number).limit(1)
    copied = select(COPY.c.id).where(*made, COPY.c.number == VOLUME.c.number).exists()
    with reading(context.engine) as connection:
        following = connection.execute(query.where(VOLUME.c.number > func.coalesce(last, 0))).mappings().first()
        return following or connection.execute(query.where(~copied)).mappings().first()


def _copy(context: WorkerContext, claim: TransferClaim, lease: Lease, volume: RowMapping) -> None:
    """Encrypt one volume while it is copied; memory contains one mebibyte of it, plus the upload's buffers."""
    with reading(context.engine) as connection:
        to = recipients.approved(connection, claim.row["recipient_id"])
    row, age_key = _note(context, claim, volume, to["age_key"])
    upload = context.storage.begin(row["object_key"])
    with aborted_on_error(upload):
        with closing(VolumeSource(context.storage, volume, lease.check)) as source:
            nonce = claim.row["nonce"]
            sink = EncryptedSink(upload, bytes.fromhex(nonce) if nonce else None)
            encrypt(source, sink, age_key)
            source.check_whole(volume)
        lease.check()
        sink.complete()
    with withdrawn_if_lost(context.storage, row), writing(context.engine) as connection:
        _write(connection, claim, owner=None, lease_until=None, attempts=0, not_before=None, error_code=None)
        stored = {"bytes": sink.bytes, "sha256": sink.sha256, "possession": sink.possession}
        store_volume(connection, COPY, row, stored)
        detail: audit.Detail = {"transfer": claim.transfer_id, "volume": volume["number"], "bytes": sink.bytes}
        audit.record(connection, "copy.stored", actor=ACTOR, export_id=claim.id, detail=detail)
    log.info("copy.stored", transfer=claim.transfer_id, volume=volume["number"], bytes=sink.bytes)


def _offer(context: WorkerContext, claim: TransferClaim) -> bool:
    """Offer the transfer if all volumes have copies, unless the export has new volumes meanwhile."""
    with writing(context.engine) as connection:
        export = exports.lock(connection, claim.id)
        row = _write(connection, claim, owner=None, lease_until=None, attempts=0, not_before=None)
        stored = {volume["number"] for volume in exports.stored_volumes(connection, claim.id)}
        done = {copy["number"] for copy in sending.copies(connection, claim.transfer_id)}
        if export["state"] != ExportState.READY or stored != done:
            return False
        sending.offer(connection, context.settings, row)
    log.info("transfer.offered", transfer=claim.transfer_id)
    return True


def _note(context: WorkerContext, claim: TransferClaim, volume: RowMapping, present_key: str) -> tuple[RowMapping, str]:
    """Insert the copy's row before its upload begins; returns it with the key to encrypt to. Raises LeaseLost.

    All copies of a transfer have one key: that of its first copy, also when the recipient gets a new one meanwhile.
    """
    fence = claim.row["fence"]
    row = {
        "transfer_id": claim.transfer_id,
        "number": volume["number"],
        "name": volume["name"],
        "plain_bytes": volume["bytes"],
        "plain_sha256": volume["sha256"],
        "fence": fence,
        "token": claim.row["token"],
        "object_key": object_keys.fresh_copy(claim.id, volume["number"], fence),
        "upload_id": UNKNOWN_UPLOAD,
    }
    with writing(context.engine) as connection:
        transfer = _write(connection, claim, age_key=func.coalesce(TABLE.c.age_key, present_key))
        begun = begin_volume(connection, COPY, row, condition=select(TABLE.c.id).where(TABLE.c.id == transfer["id"]))
    if begun is None:
        raise LeaseLost(f"transfer {claim.transfer_id} is gone")
    return begun, str(transfer["age_key"])


def _withdraw_abandoned(context: WorkerContext, claim: TransferClaim) -> None:
    """Withdraw copies that other claims began and never stored. Raises LeaseLost, StorageError.

    The claim is checked before each: a worker that has lost it withdraws nothing of its successor.
    """
    begun = (
        COPY.c.transfer_id == claim.transfer_id,
        # Written into the statement: only so an index of unfinished copies serves each plan of the server.
        COPY.c.state == literal(str(VolumeState.WRITING), literal_execute=True),
        COPY.c.token.is_distinct_from(claim.row["token"]),
    )
    with reading(context.engine) as connection:
        rows = connection.execute(select(COPY).where(*begun)).mappings().all()
    for row in rows:
        with writing(context.engine) as connection:
            _write(connection, claim)
        withdraw_object(context.storage, row)
        with writing(context.engine) as connection:
            _write(connection, claim)
            if not drop_volume(connection, COPY, row):
                raise LeaseLost(f"copy {row['id']} of transfer {claim.transfer_id} is gone")


def _renew(
    engine: Engine, claim: TransferClaim, lease_seconds: float, _progress: Mapping[str, int | str | None]
) -> bool:
    with writing(engine) as connection:
        _write(connection, claim, lease_until=now(lease_seconds))
    return False


def _write(connection: Connection, claim: TransferClaim, **values: object) -> RowMapping:
    """Change the transfer under fence and token. Raises LeaseLost, also if it is no longer to be encrypted."""
    fenced = update(TABLE).where(
        TABLE.c.id == claim.transfer_id,
        TABLE.c.fence == claim.row["fence"],
        TABLE.c.token == claim.row["token"],
        TABLE.c.state == TransferState.QUEUED,
        TABLE.c.lease_until.is_not(None),
    )
    row = (
        connection.execute(fenced.values(fence=claim.row["fence"], **values).returning(TABLE)).mappings().one_or_none()
    )
    if row is None:
        raise LeaseLost(f"transfer {claim.transfer_id} no longer belongs to this worker (fence {claim.row['fence']})")
    return row


def _fail(context: WorkerContext, claim: TransferClaim, error: PortabilityError) -> None:
    """Release the transfer for a retry, or end it as failed."""
    attempts = claim.row["attempts"]
    log.warning("transfer.failed", transfer=claim.transfer_id, code=error.code, attempt=attempts)
    failure.count(context, error)
    given_up = not error.retryable or attempts >= failure.tries(error, context.settings.attempts_max)
    values: dict[str, Any] = {"owner": None, "lease_until": None, "error_code": error.code}
    if not given_up:
        wait_seconds = leases.backoff_seconds(context.settings.backoff_seconds, attempts, BACKOFF_MAX_SECONDS)
        values |= {"not_before": now(wait_seconds)}
    with writing(context.engine) as connection:
        if given_up:
            transfer_ends.lock_exports(connection, TABLE.c.id == claim.transfer_id)
        row = _write(connection, claim, **values)
        detail: audit.Detail = {"transfer": claim.transfer_id, "code": error.code, "attempt": attempts}
        if given_up:
            transition_transfer(
                connection, row, TransferState.FAILED, actor=ACTOR, detail=detail, columns={"ended_at": now()}
            )
        else:
            audit.record(connection, "copy.failed", actor=ACTOR, export_id=claim.id, detail=detail)
    if given_up:
        incidents.count(context.engine, Incident.TRANSFER_FAILED)
