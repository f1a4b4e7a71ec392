"""Erase: complete running erasures, and sign statements of deletion. Several clocks may run; kills are harmless.

Each step leaves a visible result for the next step: a deleted object, an anonymised row. The next run continues where
the last one stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine, RowMapping

from portability.api.errors import PortabilityError
from portability.api.storages import Storage
from portability.database import deployment, history
from portability.database.engine import reading, writing
from portability.journal import seals
from portability.requests import exports
from portability.requests.states import ONGOING
from portability.retention import attestations, erasures
from worker.clock import turns
from worker.write.withdraw import withdraw_all, withdraw_copies

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
    """Run due erasures regularly until stopped; while a service is down, wait."""
    while not stop.is_set():
        try:
            steps = {
                "erasures": partial(advance, engine, open_storage),
                "attestations": partial(attest, engine, keys_folder, issuer),
            }
            if any((done := turns.take_steps("erase", steps)).values()):
                log.info("erase.done", **done)
        except PortabilityError as error:
            log.warning("erase.waits", code=error.code)
        except Exception as error:
            log.exception("erase.failed", error=type(error).__name__)
        stop.wait(every_seconds)


def advance(engine: Engine, open_storage: Callable[[], Storage], erasure_id: str | None = None) -> int:
    """Continue all running erasures, or one; returns how many have ended now.

    An erasure that waits for a running export to be cancelled is left for the next call. Raises: DatabaseBehind;
    DatabaseUnavailable; the last other error, after all were tried.
    """
    with reading(engine) as connection:
        history.check(connection)
        rows = [row for row in erasures.begun(connection) if erasure_id in {None, row["id"]}]
    by_id = {row["id"]: row for row in rows}
    return turns.try_each(by_id, lambda identifier: _carry_on(engine, open_storage, by_id[identifier]))


def _carry_on(engine: Engine, open_storage: Callable[[], Storage], erasure: RowMapping) -> bool:
    # The row may be of the past: this clock may have been stopped, and another has ended the erasure meanwhile.
    with reading(engine) as connection:
        found = erasures.exports_of(connection, erasure)
    for row in found:
        with writing(engine) as connection:
            # A worker of an earlier release may have finished before it noticed the cancellation.
            erasures.close(connection, exports.lock(connection, row["id"]), actor=ACTOR)
        if row["state"] in ONGOING:
            continue
        withdraw_all(engine, open_storage(), row["id"])
        withdraw_copies(engine, open_storage, export_id=row["id"])
        with writing(engine) as connection:
            erasures.strip(connection, erasure, row["id"])
    with reading(engine) as connection:
        own, ref = deployment.identity(connection), erasures.ref_of(connection, erasure)
    if not ref:
        return False  # another clock has ended it
    seals.destroy(open_storage(), own, ref)
    with writing(engine) as connection:
        return erasures.finish(connection, erasure["id"])


def attest(engine: Engine, keys_folder: Path, issuer: str) -> int:
    """Sign a statement for each completely deleted archive; returns how many.

    Raises: DatabaseUnavailable; the last other error, after all were tried, such as NoSigningKey.
    """

    def sign(export_id: str) -> int:
        with writing(engine) as connection:
            return bool(attestations.attest(connection, keys_folder, issuer, export_id))

    with reading(engine) as connection:
        found = attestations.waiting(connection)
    return turns.try_each(found, sign)
