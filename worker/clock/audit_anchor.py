"""Anchor: the clock writes the signed head of the audit log to its own log, which is stored outside the database.

It also checks that the log continues the head of an hour before: an event that was changed or deleted is an incident.
`portability audit verify` checks the whole log.
"""

from __future__ import annotations

import threading
from collections.abc import Set as AbstractSet
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, select

from portability.api.errors import PortabilityError
from portability.database import history, incidents, models
from portability.database.engine import reading, snapshot
from portability.database.incidents import Incident
from portability.trust import audit, audit_heads, unchained
from portability.trust.audit import UNCHAINABLE, AuditDiffers, ChainFault, Head

log = structlog.get_logger()
EVERY_SECONDS = 3600


def run(
    engine: Engine, keys_folder: Path, issuer: str, stop: threading.Event, every_seconds: float = EVERY_SECONDS
) -> None:
    """Log the head regularly, if it has changed, until stopped; several clocks log it several times."""
    last_head: Head | None = None
    counted: AbstractSet[int] = frozenset()
    while not stop.is_set():
        try:
            counted = log_unchainable(engine, counted)
            last_head = log_head(engine, keys_folder, issuer, last_head)
        except Exception as error:
            log.exception("audit.head_failed", error=type(error).__name__)
        stop.wait(every_seconds)


def log_head(engine: Engine, keys_folder: Path, issuer: str, last_head: Head | None) -> Head | None:
    """Log the head if it differs from the last head; returns the last logged head."""
    try:
        with snapshot(engine) as connection:
            head = audit.head(connection)
            if head == last_head or not history.is_known(connection):
                return last_head
            fault = _fault(connection, last_head)
            token = audit_heads.signed(connection, keys_folder, issuer)
    except AuditDiffers as error:
        _count_broken(engine, error.code)
        return last_head
    except PortabilityError as error:
        log.warning("audit.head_not_signed", code=error.code)
        return last_head
    if fault:
        _count_broken(engine, fault.code, broken_at=fault.event_id)
    log.info("audit.head", last_event=head.event_id, token=token)
    return head


def log_unchainable(engine: Engine, counted: AbstractSet[int]) -> AbstractSet[int]:
    """Log the events that the chain cannot take, and count those that are not in `counted`; returns all of them."""
    try:
        with reading(engine) as connection:
            damaged = frozenset(unchained.unchainable(connection))
    except PortabilityError as error:
        log.warning("audit.unchained_not_read", code=error.code)
        return counted
    for event_id in sorted(damaged):
        log.error("audit.broken", code=UNCHAINABLE, broken_at=event_id)
    if more := len(damaged - counted):
        incidents.count(engine, Incident.AUDIT_BROKEN, more)
    return damaged | counted


def _count_broken(engine: Engine, code: str, **where: int) -> None:
    log.error("audit.broken", code=code, **where)
    incidents.count(engine, Incident.AUDIT_BROKEN)


def _fault(connection: Connection, since: Head | None) -> ChainFault | None:
    """Return the first fault of the events since a head that this process has seen; None: there is no fault."""
    if since is None or _was_lost(connection, since):
        return None
    faults = audit.verify(connection, since=since).faults
    return next((fault for fault in faults if fault.code != UNCHAINABLE), None)


def _was_lost(connection: Connection, head: Head) -> bool:
    """Return whether a failover lost the event of a head, and `portability reconcile` has noted it."""
    lost = models.lost_event
    return connection.scalar(select(lost.c.hash).where(lost.c.hash == head.hash)) is not None
