"""When a volume does not come to be: tidy up, try again later, or end the export with its reason."""

from __future__ import annotations

import secrets
from contextlib import suppress

import structlog
from sqlalchemy import delete

from portability import exports, models
from portability.db import reading, writing
from portability.errors import PortabilityError, StorageError, VolumeFault
from portability.states import ExportState
from worker import checkpoint, excerpt
from worker.checkpoint import BACKOFF_MAX_SECONDS, Claim
from worker.workplace import Workplace

log = structlog.get_logger()
VOLUME = models.volume


def tidy(place: Workplace, held: Claim) -> int:
    """Abort what earlier claims began and never stored; returns how many volume numbers are free again."""
    with reading(place.engine) as connection:
        rows = checkpoint.abandoned(connection, held)
    for row in rows:
        place.storage.abort(row["object_key"], row["upload_id"])
        place.storage.delete(row["object_key"])
        excerpt.withdraw(place.storage, row["object_key"])
        with writing(place.engine) as connection:
            checkpoint.forget_volume(connection, held, row)
    return len(rows)


def tried_enough(place: Workplace, held: Claim) -> bool:
    """End an export whose workers died again and again; an error that can be told has ended it before."""
    tried = held.export["attempts"] - 1
    if tried < place.settings.attempts_max:
        return False
    end(place, held, ExportState.FAILED, VolumeFault(f"export {held.id}: its workers died {tried} times"))
    return True


def fail(place: Workplace, held: Claim, error: PortabilityError) -> None:
    """Back off and try again, or end the export: what no retry can mend, or what was tried enough."""
    attempt = held.export["attempts"]
    log.warning("volume.failed", export=held.id, code=error.code, attempt=attempt)
    if not error.retryable or attempt >= place.settings.attempts_max:
        end(place, held, ExportState.FAILED, error)
        return
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    wait_seconds = min(BACKOFF_MAX_SECONDS, place.settings.backoff_seconds * 2 ** (attempt - 1)) * jitter
    with writing(place.engine) as connection:
        checkpoint.back_off(connection, held, wait_seconds, error)


def end(place: Workplace, held: Claim, state: ExportState, error: PortabilityError | None = None) -> None:
    """End without an archive: first the state, so that nobody goes on, then every object that was stored for it."""
    with writing(place.engine) as connection:
        checkpoint.end(connection, held, state, error)
    with reading(place.engine) as connection:
        rows = [*checkpoint.abandoned(connection, held), *exports.stored_volumes(connection, held.id)]
    for row in rows:
        with suppress(StorageError):
            place.storage.abort(row["object_key"], row["upload_id"])
            place.storage.delete(row["object_key"])
            excerpt.withdraw(place.storage, row["object_key"])
            with writing(place.engine) as connection:
                connection.execute(delete(VOLUME).where(VOLUME.c.id == row["id"]))
    log.info("export.ended", export=held.id, state=state, code=None if error is None else error.code)
