"""Anchor: the clock writes the signed head of the audit log to its own log, which is stored outside the database.

It also checks that the log continues the head of an hour before: an event that was changed or deleted is an incident.
`portability audit verify` checks the whole log.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, select

from portability.api.errors import PortabilityError
from portability.database import history, incidents, models
from portability.database.engine import snapshot
from portability.database.incidents import Incident
from portability.trust import audit, audit_heads
from portability.trust.audit import AuditDiffers, ChainFault, Head

log = structlog.get_logger()
EVERY_SECONDS = 3600


def run(
    engine: Engine, keys_folder: Path, issuer: str, stop: threading.Event, every_seconds: float = EVERY_SECONDS
) -> None:
    """Log the head regularly, if it has changed, until stopped; several clocks log it several times."""
    last_head: Head | None = None
    while not stop.is_set():
        try:
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


def _count_broken(engine: Engine, code: str, **where: int) -> None:
    log.error("audit.broken", code=code, **where)
    incidents.count(engine, Incident.AUDIT_BROKEN)


def _fault(connection: Connection, since: Head | None) -> ChainFault | None:
    """Return the first fault of the events since a head that this process has seen; None: there is no fault."""
    if since is None or _was_lost(connection, since):
        return None
    return next(iter(audit.verify(connection, since=since).faults), None)


def _was_lost(connection: Connection, head: Head) -> bool:
    """Return whether a failover lost the event of a head, and `portability reconcile` has noted it."""
    lost = models.lost_event
    return connection.scalar(select(lost.c.hash).where(lost.c.hash == head.hash)) is not None
