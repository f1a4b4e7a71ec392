"""The process of the receiving service: takes the next received transfer under a lease, and does what its state says.

offered -> fetch -> fetched -> (an officer assigns) -> compare -> compared -> (an officer accepts) -> import -> receipt

Each step can be repeated: after a kill the next process continues it when the lease has ended.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog
from sqlalchemy import RowMapping

from portability.api.errors import PortabilityError
from portability.database import incidents
from portability.database.engine import writing
from portability.database.incidents import Incident
from portability.errors import WrongState
from portability.inbox import work
from portability.inbox.states import RECEIVED, ReceiptState, ReceivedState
from receiver.faults import SenderRefused
from receiver.fetch.download import Stopped
from receiver.inbox import quarantine, steps
from receiver.inbox.steps import ReceivingService

log = structlog.get_logger()
HOUSEKEEPING_SECONDS = 60.0
UNEXPECTED = "internal_error"
REFUSALS_MAX = 20
"""Attempts with a receipt that the sender refuses."""
STEPS: Mapping[ReceivedState, Callable[[ReceivingService, RowMapping, threading.Event], None]] = {
    ReceivedState.OFFERED: steps.fetch,
    ReceivedState.COMPARING: steps.compare,
    ReceivedState.IMPORTING: steps.import_,
    ReceivedState.UNDOING: steps.undo_import,
}


def run(service: ReceivingService, stop: threading.Event) -> None:
    """Work until stopped; while a service is down, wait."""
    every = service.settings.clock_seconds
    rounds = max(1, int(HOUSEKEEPING_SECONDS / every))
    number = 0
    while not stop.is_set():
        try:
            if number % rounds == 0:
                tidy(service)
            number += 1
            while not stop.is_set() and advance(service, stop):
                pass
        except PortabilityError as error:
            log.warning("inbox.waits", code=error.code)
        except Exception as error:
            log.exception("inbox.failed", error=type(error).__name__)
        stop.wait(every)


def tidy(service: ReceivingService) -> None:
    """End what was not fetched or decided in time, and delete files that have left the quarantine."""
    with writing(service.engine) as connection:
        ended = work.expire(connection, service.settings.inbox_days)
    swept = quarantine.sweep(service.engine, service.quarantine)
    if ended or swept:
        log.info("inbox.tidied", ended=ended, swept=swept)


def advance(service: ReceivingService, stop: threading.Event | None = None) -> bool:
    """Do the next step that is due; returns whether there was one. Raises DatabaseUnavailable, DatabaseBehind."""
    row = work.claim(service.engine, service.settings.lease_seconds)
    if row is None:
        return False
    step = STEPS.get(ReceivedState(row["state"]), steps.send_receipt)
    with _leased(service, row, stop) as ended:
        try:
            step(service, row, ended)
        except Stopped:
            work.postpone(service.engine, row, "stopped", 0)
        except WrongState:
            # An officer or the sender has decided meanwhile; or another process has the lease.
            log.info("inbox.overtaken", received=row["id"], state=row["state"])
        except PortabilityError as error:
            _failed(service, row, error)
        except OSError as error:
            log.warning("inbox.retries", received=row["id"], state=row["state"], error=type(error).__name__)
            work.postpone(service.engine, row, "io_error", service.settings.backoff_seconds)
        except Exception as error:
            log.exception("inbox.failed", received=row["id"], state=row["state"], error=type(error).__name__)
            work.postpone(service.engine, row, UNEXPECTED, service.settings.backoff_seconds)
    _discard(service, row)
    return True


def _failed(service: ReceivingService, row: RowMapping, error: PortabilityError) -> None:
    """Retry later, or give up a receipt; steps settle their own final errors."""
    log.warning("inbox.retries", received=row["id"], state=row["state"], code=error.code, attempt=row["attempts"])
    is_receipt = row["receipt"] == ReceiptState.QUEUED and not RECEIVED[ReceivedState(row["state"])].is_work
    refused = isinstance(error, SenderRefused) and row["attempts"] >= REFUSALS_MAX
    if is_receipt and (refused or work.is_too_late(service.engine, row)):
        work.settle_receipt(service.engine, row, ReceiptState.FAILED, error.code)
        incidents.count(service.engine, Incident.RECEIPT_FAILED)
        return
    work.postpone(service.engine, row, error.code, service.settings.backoff_seconds)


def _discard(service: ReceivingService, row: RowMapping) -> None:
    """Delete the files of a transfer that has left the quarantine."""
    if row["id"] not in steps.quarantined(service):
        shutil.rmtree(service.quarantine / row["id"], ignore_errors=True)


@contextmanager
def _leased(service: ReceivingService, row: RowMapping, stop: threading.Event | None) -> Iterator[threading.Event]:
    """Renew the lease during the block; the yielded event is set when it is lost, or the process ends."""
    ended, done = threading.Event(), threading.Event()
    seconds = service.settings.lease_seconds

    def renew() -> None:
        while not done.wait(seconds / 4):
            if stop is not None and stop.is_set():
                ended.set()
            try:
                if not work.renew(service.engine, row, seconds):
                    ended.set()
            except PortabilityError as error:
                log.warning("inbox.lease", received=row["id"], code=error.code)

    thread = threading.Thread(target=renew, name="inbox-lease", daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        done.set()
        thread.join()
