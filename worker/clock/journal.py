"""Journal: ship new events of the audit log to storage at once, and stop work while the database lacks commits.

Several clocks may run: each has a chain of batches, and an event that two of them ship is known by its hash.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import structlog
from sqlalchemy import Engine

from portability.api.errors import PortabilityError
from portability.api.storages import Storage
from portability.database import history
from portability.database.engine import reading
from portability.journal import comparison
from portability.journal.shipping import Journal

log = structlog.get_logger()
EVERY_SECONDS = 0.1
"""How long an event waits at most, if the process that recorded it did not ship it."""
PAUSE_SECONDS = 2.0
"""The wait after a fault."""


def run(
    engine: Engine, journal: Journal, open_storage: Callable[[], Storage], stop: threading.Event, ready: threading.Event
) -> None:
    """Ship until stopped. `ready` is set once the database was compared with the journal, and lacked nothing."""
    faults: dict[str, str] = {}
    while not stop.is_set():
        _attempt("ship", journal.ship, faults)
        _attempt("compare", partial(_compare, engine, open_storage, ready), faults)
        stop.wait(PAUSE_SECONDS if faults else EVERY_SECONDS)


def _attempt(step: str, work: Callable[[], object], faults: dict[str, str]) -> None:
    """Do a step; a fault is logged once until it ends, or becomes a different fault."""
    try:
        work()
    except PortabilityError as error:
        if faults.get(step) != error.code:
            log.warning("journal.waits", step=step, code=error.code)
        faults[step] = error.code
    except Exception as error:
        log.exception("journal.failed", step=step, error=type(error).__name__)
        faults[step] = type(error).__name__
    else:
        faults.pop(step, None)


def _compare(engine: Engine, open_storage: Callable[[], Storage], ready: threading.Event) -> None:
    """Compare at the beginning, and whenever the server continues another history. Raises DatabaseBehind."""
    with reading(engine) as connection:
        is_known = history.is_known(connection)
    if ready.is_set() and is_known:
        return
    if not comparison.settle(engine, open_storage()):
        raise history.DatabaseBehind("the journal in storage has events that the control database lacks")
    ready.set()


def after(ready: threading.Event, stop: threading.Event, work: Callable[..., None], *args: object) -> None:
    """Do work that a database without its last commits must not do: it begins once `ready` is set."""
    while not ready.wait(EVERY_SECONDS):
        if stop.is_set():
            return
    work(*args)
