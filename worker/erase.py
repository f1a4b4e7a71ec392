"""Erase: carry through what has begun, and sign for what was deleted. Safe in several clocks, and after a kill.

Each step leaves something that the next one sees: an object that is gone, a row that is stripped. So whoever comes
begins where the last one stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from sqlalchemy import Engine, RowMapping

from portability import attestations, erasures, exports
from portability.db import reading, writing
from portability.errors import PortabilityError, StorageError
from portability.storage import Storage
from worker.withdraw import withdraw_all, withdraw_copies

log = structlog.get_logger()
ACTOR = "clock"


def run(
    engine: Engine,
    open_storage: Callable[[], Storage],
    keys_folder: Path,
    issuer: str,
    every_seconds: float,
    stop: threading.Event,
) -> None:
    """Do what is to be done, every so many seconds until told to stop; whatever is away is waited for."""
    while not stop.is_set():
        try:
            ended, signed = advance(engine, open_storage), attest(engine, keys_folder, issuer)
            if ended or signed:
                log.info("erase.done", erasures=ended, attestations=signed)
        except PortabilityError as error:
            log.warning("erase.waits", code=error.code)
        except Exception as error:
            log.exception("erase.failed", error=type(error).__name__)
        stop.wait(every_seconds)


def advance(engine: Engine, open_storage: Callable[[], Storage], erasure_id: str | None = None) -> int:
    """Carry on with all erasures that have begun, or with one; returns how many have ended now.

    One that waits for a running export to be cancelled is left for the next time. Raises: StorageError, the last one,
    after all were tried; DatabaseUnavailable.
    """
    with reading(engine) as connection:
        rows = [row for row in erasures.begun(connection) if erasure_id in {None, row["id"]}]
    trouble: StorageError | None = None
    ended = 0
    for row in rows:
        try:
            ended += _carry_on(engine, open_storage, row)
        except StorageError as error:
            trouble = error
    if trouble is not None:
        raise trouble
    return ended


def _carry_on(engine: Engine, open_storage: Callable[[], Storage], erasure: RowMapping) -> bool:
    with reading(engine) as connection:
        found = erasures.exports_of(connection, erasure)
    for row in found:
        with writing(engine) as connection:
            # A worker may have come to its end before it saw that it was cancelled.
            erasures.close(connection, exports.lock(connection, row["id"]), actor=ACTOR)
        if row["state"] in erasures.RUNNING:
            continue
        withdraw_all(engine, open_storage(), row["id"])
        withdraw_copies(engine, open_storage)
        with writing(engine) as connection:
            erasures.strip(connection, erasure, row["id"])
    with writing(engine) as connection:
        return erasures.finish(connection, erasure["id"])


def attest(engine: Engine, keys_folder: Path, issuer: str) -> int:
    """Sign for every archive that is deleted whole; returns for how many. Raises NoSigningKey, DatabaseUnavailable."""
    with reading(engine) as connection:
        found = attestations.waiting(connection)
    signed = 0
    for export_id in found:
        with writing(engine) as connection:
            signed += attestations.attest(connection, keys_folder, issuer, export_id) is not None
    return signed
