"""Transfer: encrypt the volumes of an export to a recipient, one a claim, and offer them when all are stored.

claim (a lease, a fence) -> note the copy -> storage -> age -> storage -> commit -> the next one, or the offer

A kill repeats at most the open volume: its copy's row was there before the first byte, and the next claim withdraws it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, delete, insert, or_, select, update

from portability import audit, exports, incidents, models, recipients, transfers
from portability.db import now, reading, writing
from portability.errors import (
    DatabaseUnavailable,
    Draining,
    LeaseLost,
    PortabilityError,
    StorageError,
    VolumeFault,
)
from portability.incidents import Incident
from portability.states import ExportState, TransferState
from worker import object_keys
from worker.checkpoint import BACKOFF_MAX_SECONDS, UNKNOWN_UPLOAD
from worker.encryption import Sink, Source, encrypt
from worker.lease import Lease
from worker.setback import DOUBLINGS_MAX, tries
from worker.withdraw import withdraw_object
from worker.workplace import Workplace

log = structlog.get_logger()
TABLE, COPY, EXPORT, VOLUME = models.transfer, models.transfer_copy, models.export, models.volume
ACTOR = "worker"


@dataclass(frozen=True, slots=True)
class Held:
    """The right to go on with a transfer, for as long as the fence holds."""

    row: RowMapping

    @property
    def id(self) -> str:
        """Of the export."""
        return str(self.row["export_id"])

    @property
    def transfer_id(self) -> str:
        return str(self.row["id"])

    @property
    def cancelled(self) -> bool:
        """A transfer that is taken back is lost, not cancelled."""
        return False


def claimable() -> ColumnElement[bool]:
    """To be encrypted, nobody's or left behind by a worker whose lease has run out, and of an export that is ready."""
    free = or_(TABLE.c.lease_until.is_(None), TABLE.c.lease_until < now())
    due = or_(TABLE.c.not_before.is_(None), TABLE.c.not_before <= now())
    ready = select(EXPORT.c.id).where(EXPORT.c.id == TABLE.c.export_id, EXPORT.c.state == ExportState.READY).exists()
    return and_(TABLE.c.state == TransferState.QUEUED, free, due, ready)


def claim(engine: Engine, owner: str, lease_seconds: float) -> Held | None:
    """Claim the transfer that has waited longest, or None. Raises DatabaseUnavailable."""
    chosen = select(TABLE.c.id).where(claimable()).order_by(TABLE.c.claimed_at.asc().nulls_first(), TABLE.c.created_at)
    with reading(engine) as connection:
        if connection.scalar(chosen.limit(1)) is None:
            return None
    taken = {"owner": owner, "fence": TABLE.c.fence + 1, "attempts": TABLE.c.attempts + 1}
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        mine = update(TABLE).where(TABLE.c.id == connection.scalar(chosen.limit(1)), claimable())
        leased = mine.values(**taken, lease_until=now(lease_seconds), claimed_at=now()).returning(TABLE)
        row = connection.execute(leased).mappings().one_or_none()
    return None if row is None else Held(row)


def advance(place: Workplace, held: Held) -> bool:
    """Encrypt the next volume, or offer what is whole; returns whether another worker is worth waking at once."""
    lease = Lease(place.engine, held, place.settings.lease_seconds, partial(_renew, place.engine, held))
    try:
        with lease.held():
            return _advance(place, held, lease)
    except LeaseLost:
        # Also of one that was taken back meanwhile: what was stored is deleted by the clock.
        log.warning("transfer.lost", transfer=held.transfer_id, fence=held.row["fence"])
    except DatabaseUnavailable as error:
        log.warning("transfer.left", transfer=held.transfer_id, code=error.code)
    return False


def _advance(place: Workplace, held: Held, lease: Lease) -> bool:
    try:
        lease.check()
        _tidy(place, held)
        volume = _next_volume(place, held)
        if volume is None:
            return not _offer(place, held)
        _copy(place, held, lease, volume)
    except Draining:
        with writing(place.engine) as connection:
            _write(connection, held, owner=None, lease_until=None, attempts=TABLE.c.attempts - 1)
    except LeaseLost:
        raise
    except PortabilityError as error:
        _fail(place, held, error)
        return False
    except Exception as error:
        log.exception("transfer.fault", transfer=held.transfer_id, error=type(error).__name__)
        _fail(place, held, VolumeFault(f"a copy failed with {type(error).__name__}"))
        return False
    return True


def _next_volume(place: Workplace, held: Held) -> RowMapping | None:
    """The first stored volume that has no copy yet."""
    with reading(place.engine) as connection:
        done = {copy["number"] for copy in transfers.copies(connection, held.transfer_id)}
        return next((row for row in exports.stored_volumes(connection, held.id) if row["number"] not in done), None)


def _copy(place: Workplace, held: Held, lease: Lease, volume: RowMapping) -> None:
    """One volume, encrypted on its way; a mebibyte of it at a time is in memory, beside what the upload holds."""
    with reading(place.engine) as connection:
        to = recipients.approved(connection, held.row["recipient_id"])
    row = _note(place, held, volume)
    upload = place.storage.begin(row["object_key"])
    try:
        with closing(Source(place.storage, volume, lease.check)) as source:
            sink = Sink(upload)
            encrypt(source, sink, to["age_key"])
            source.check_whole(volume)
        lease.check()
        sink.complete()
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise
    with writing(place.engine) as connection:
        _write(connection, held, owner=None, lease_until=None, attempts=0, not_before=None, error_code=None)
        whole = {"state": "stored", "bytes": sink.bytes, "sha256": sink.sha256, "stored_at": now()}
        connection.execute(update(COPY).where(COPY.c.id == row["id"]).values(**whole))
        detail: audit.Detail = {"transfer": held.transfer_id, "volume": volume["number"], "bytes": sink.bytes}
        audit.record(connection, "copy.stored", actor=ACTOR, export_id=held.id, detail=detail)
    log.info("copy.stored", transfer=held.transfer_id, volume=volume["number"], bytes=sink.bytes)


def _offer(place: Workplace, held: Held) -> bool:
    """All volumes have their copies: offer them, unless the export has got more of them meanwhile."""
    with writing(place.engine) as connection:
        export = exports.lock(connection, held.id)
        row = _write(connection, held, owner=None, lease_until=None, attempts=0, not_before=None)
        stored = {volume["number"] for volume in exports.stored_volumes(connection, held.id)}
        done = {copy["number"] for copy in transfers.copies(connection, held.transfer_id)}
        if export["state"] != ExportState.READY or stored != done:
            return False
        transfers.offer(connection, place.settings, row)
    log.info("transfer.offered", transfer=held.transfer_id)
    return True


def _note(place: Workplace, held: Held, volume: RowMapping) -> RowMapping:
    """Make the copy known before its upload begins. Raises LeaseLost."""
    fence = held.row["fence"]
    row = {
        "transfer_id": held.transfer_id,
        "number": volume["number"],
        "name": volume["name"],
        "plain_bytes": volume["bytes"],
        "plain_sha256": volume["sha256"],
        "fence": fence,
        "state": "writing",
        "object_key": object_keys.fresh_copy(held.id, volume["number"], fence),
        "upload_id": UNKNOWN_UPLOAD,
        "began_at": now(),
    }
    with writing(place.engine) as connection:
        _write(connection, held)
        return connection.execute(insert(COPY).values(**row).returning(COPY)).mappings().one()


def _tidy(place: Workplace, held: Held) -> None:
    """Withdraw what earlier claims began and never stored. Raises LeaseLost, StorageError."""
    begun = (COPY.c.transfer_id == held.transfer_id, COPY.c.state == "writing", COPY.c.fence < held.row["fence"])
    with reading(place.engine) as connection:
        rows = connection.execute(select(COPY).where(*begun)).mappings().all()
    for row in rows:
        withdraw_object(place.storage, row)
        with writing(place.engine) as connection:
            _write(connection, held)
            connection.execute(delete(COPY).where(COPY.c.id == row["id"]))


def _renew(engine: Engine, held: Held, lease_seconds: float, _progress: Mapping[str, int]) -> bool:
    with writing(engine) as connection:
        _write(connection, held, lease_until=now(lease_seconds))
    return False


def _write(connection: Connection, held: Held, **values: object) -> RowMapping:
    """Change the transfer under the fence; one that is not to be encrypted any more is lost. Raises LeaseLost."""
    mine = update(TABLE).where(
        TABLE.c.id == held.transfer_id,
        TABLE.c.fence == held.row["fence"],
        TABLE.c.state == TransferState.QUEUED,
        TABLE.c.lease_until.is_not(None),
    )
    row = connection.execute(mine.values(fence=held.row["fence"], **values).returning(TABLE)).mappings().one_or_none()
    if row is None:
        raise LeaseLost(f"transfer {held.transfer_id} is no longer this worker's (fence {held.row['fence']})")
    return row


def _fail(place: Workplace, held: Held, error: PortabilityError) -> None:
    """Back off and try again, or give the transfer up."""
    attempts = held.row["attempts"]
    log.warning("transfer.failed", transfer=held.transfer_id, code=error.code, attempt=attempts)
    given_up = not error.retryable or attempts >= tries(error, place.settings.attempts_max)
    values: dict[str, Any] = {"owner": None, "lease_until": None, "error_code": error.code}
    if given_up:
        values |= {"state": TransferState.FAILED, "ended_at": now()}
    else:
        jitter = 0.5 + secrets.randbelow(1000) / 1000
        doublings = min(attempts - 1, DOUBLINGS_MAX)
        wait_seconds = min(BACKOFF_MAX_SECONDS, place.settings.backoff_seconds * 2**doublings) * jitter
        values |= {"not_before": now(wait_seconds)}
    with writing(place.engine) as connection:
        _write(connection, held, **values)
        action = "transfer.failed" if given_up else "copy.failed"
        detail: audit.Detail = {"transfer": held.transfer_id, "code": error.code, "attempt": attempts}
        audit.record(connection, action, actor=ACTOR, export_id=held.id, detail=detail)
    if given_up:
        incidents.count(place.engine, Incident.TRANSFER_FAILED)
