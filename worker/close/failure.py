"""Failures of a volume: release the slice, retry later, or end the export with its reason."""

from __future__ import annotations

from contextlib import suppress

import structlog

from portability.api.errors import (
    ObjectMissing,
    PortabilityError,
    StorageError,
    StorageFull,
    StorageUnavailable,
    WrongClock,
)
from portability.database import incidents, leases
from portability.database.engine import reading, writing
from portability.database.incidents import Incident
from portability.errors import Cancelled, DatabaseUnavailable, Draining, NoSigningKey, VolumeFault
from portability.law.scan_rules import ScanBlocked
from portability.requests import exports
from portability.requests.states import ExportState
from portability.tracing import traces
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.claim.fenced_writes import BACKOFF_MAX_SECONDS, OUTAGE_TRIES
from worker.close import stored_volumes
from worker.context import WorkerContext
from worker.read.identities import SubjectNotConfirmed
from worker.write.closing_marker import RevisionClosed
from worker.write.temporary import NoTemporaryRoom, disk_fault
from worker.write.withdraw import withdraw_all, withdraw_given_up

log = structlog.get_logger()
OUTAGES = (
    StorageUnavailable,
    StorageFull,
    WrongClock,
    NoSigningKey,
    RevisionClosed,
    NoTemporaryRoom,
    SubjectNotConfirmed,
    DatabaseUnavailable,
)
"""Errors of services that are down, full or busy changing: retried longer, because an operator or time has to act."""
INCIDENTS = {StorageFull: Incident.STORAGE_FULL, ScanBlocked: Incident.SCAN_BLOCKED}


def check_tries(context: WorkerContext, claim: Claim) -> None:
    """Check that workers did not die repeatedly on this volume. Raises VolumeFault."""
    tried = claim.attempts - 1
    if tried >= context.settings.attempts_max * OUTAGE_TRIES:
        raise VolumeFault(f"export {claim.id}: its workers died {tried} times")


def handle(context: WorkerContext, claim: Claim, error: Exception) -> int:
    """Handle the error of a volume; returns how many workers to wake at once.

    Raises: LeaseLost, DatabaseUnavailable.
    """
    match error:
        case Draining():
            with writing(context.engine) as connection:
                fenced_writes.hand_back(connection, claim)
        case Cancelled():
            end(context, claim, ExportState.CANCELLED)
        case PortabilityError():
            fail(context, claim, error)
        case _ if (seen := disk_fault(error)) is not None:
            fail(context, claim, NoTemporaryRoom(f"export {claim.id}: a temporary file cannot be written: {seen}"))
        case _:
            name = type(error).__name__
            log.error("volume.fault", export=claim.id, slice=claim.number, error=name, exc_info=error)
            fail(context, claim, VolumeFault(f"export {claim.id}: a volume failed with {name}"))
    return int(isinstance(error, Draining))


def fail(context: WorkerContext, claim: Claim, error: PortabilityError) -> None:
    """Release the slice for a retry, or end the export after a permanent error or too many attempts."""
    log.warning("volume.failed", export=claim.id, slice=claim.number, code=error.code, attempt=claim.attempts)
    traces.fault(error.code)
    count(context, error)
    if not error.retryable or claim.attempts >= tries(error, context.settings.attempts_max):
        end(context, claim, ExportState.FAILED, error)
        return
    wait_seconds = leases.backoff_seconds(context.settings.backoff_seconds, claim.attempts, BACKOFF_MAX_SECONDS)
    if isinstance(error, RevisionClosed):
        wait_seconds = max(wait_seconds, error.retry_after.total_seconds())
    with writing(context.engine) as connection:
        fenced_writes.back_off(connection, claim, wait_seconds, error)


def count(context: WorkerContext, error: PortabilityError) -> None:
    """Count the error of a volume or an encrypted copy as an incident, if operators must hear of it at once."""
    for kind, incident in INCIDENTS.items():
        if isinstance(error, kind):
            incidents.count(context.engine, incident)


def tries(error: PortabilityError, attempts_max: int) -> int:
    """Return how many attempts an error allows: outages end by themselves, faults rarely do."""
    return attempts_max * OUTAGE_TRIES if isinstance(error, OUTAGES) else attempts_max


def end(context: WorkerContext, claim: Claim, state: ExportState, error: PortabilityError | None = None) -> None:
    """End an export without an archive: first the state, so that no worker continues, then its stored objects.

    Of a revision that fails only its own objects go, unless a volume of the archive before it is lost.
    """
    is_lost = isinstance(error, ObjectMissing) and not _has_earlier(context, claim)
    with writing(context.engine) as connection:
        reached = fenced_writes.end(connection, claim, state, error, with_archive=is_lost)
    traces.record_export(claim.id, claim.export["created_at"], state if error is None else error.code)
    with suppress(StorageError):
        if reached is ExportState.READY:
            withdraw_given_up(context.engine, lambda: context.storage, export_id=claim.id)
        else:
            withdraw_all(context.engine, context.storage, claim.id)
    log.info("export.ended", export=claim.id, state=reached, code=error.code if error else None)


def _has_earlier(context: WorkerContext, claim: Claim) -> bool:
    """Return whether the archive before a revision can be delivered, as far as storage answers now."""
    with reading(context.engine) as connection:
        stored = exports.stored_volumes(connection, claim.id)
    with suppress(StorageError):
        return stored_volumes.has_earlier(context, stored, claim.export["revision"])
    return True
