"""When a volume does not come to be: tidy up, try again later, or end the export with its reason."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress

import structlog
from sqlalchemy import RowMapping

from portability import incidents
from portability.db import writing
from portability.errors import (
    NoSigningKey,
    PortabilityError,
    SourceStalled,
    SourceUnavailable,
    StorageError,
    StorageFull,
    StorageUnavailable,
    VolumeFault,
    WrongClock,
)
from portability.incidents import Incident
from portability.scan import ScanBlocked
from portability.states import ExportState
from worker import checkpoint
from worker.checkpoint import BACKOFF_MAX_SECONDS
from worker.claims import Claim
from worker.withdraw import withdraw, withdraw_all
from worker.workplace import Workplace

log = structlog.get_logger()
OUTAGES = (StorageUnavailable, StorageFull, WrongClock, SourceUnavailable, SourceStalled, NoSigningKey)
"""What is away or full: waited for, since an operator has to see it first."""
OUTAGE_TRIES = 8
"""As many times the tries of a fault of ours; at the longest wait of 300 s that is some hours."""
DOUBLINGS_MAX = 16


def tidy(place: Workplace, held: Claim, abandoned: Sequence[RowMapping]) -> int | None:
    """Abort what earlier claims of this slice began and never stored; returns a volume number that is free again."""
    for row in abandoned:
        withdraw(place.storage, row)
        with writing(place.engine) as connection:
            checkpoint.forget_volume(connection, held, row)
    return min((row["number"] for row in abandoned), default=None)


def tried_enough(place: Workplace, held: Claim) -> bool:
    """End an export whose workers died again and again; an error that can be told has ended it before."""
    tried = held.attempts - 1
    if tried < place.settings.attempts_max * OUTAGE_TRIES:
        return False
    end(place, held, ExportState.FAILED, VolumeFault(f"export {held.id}: its workers died {tried} times"))
    return True


def fail(place: Workplace, held: Claim, error: PortabilityError) -> None:
    """Back off and try again, or end the export: what no retry can mend, or what was tried enough."""
    log.warning("volume.failed", export=held.id, slice=held.number, code=error.code, attempt=held.attempts)
    if isinstance(error, StorageFull):
        incidents.count(place.engine, Incident.STORAGE_FULL)
    if isinstance(error, ScanBlocked):
        incidents.count(place.engine, Incident.SCAN_BLOCKED)
    if isinstance(error, SourceStalled):
        incidents.count(place.engine, Incident.SOURCE_STALLED)
    if not error.retryable or held.attempts >= tries(error, place.settings.attempts_max):
        end(place, held, ExportState.FAILED, error)
        return
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    doublings = min(held.attempts - 1, DOUBLINGS_MAX)
    wait_seconds = min(BACKOFF_MAX_SECONDS, place.settings.backoff_seconds * 2**doublings) * jitter
    with writing(place.engine) as connection:
        checkpoint.back_off(connection, held, wait_seconds, error)


def tries(error: PortabilityError, attempts_max: int) -> int:
    """How many tries of one volume an error is worth: what is away comes back, what is broken seldom mends itself."""
    return attempts_max * OUTAGE_TRIES if isinstance(error, OUTAGES) else attempts_max


def end(place: Workplace, held: Claim, state: ExportState, error: PortabilityError | None = None) -> None:
    """End without an archive: first the state, so that nobody goes on, then every object that was stored for it."""
    with writing(place.engine) as connection:
        checkpoint.end(connection, held, state, error)
    with suppress(StorageError):
        withdraw_all(place.engine, place.storage, held.id)
    log.info("export.ended", export=held.id, state=state, code=None if error is None else error.code)
