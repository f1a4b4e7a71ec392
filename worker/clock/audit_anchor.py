"""Anchor: the clock writes the signed head of the audit log to its own log, which is stored outside the database."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from sqlalchemy import Engine

from portability.api.errors import PortabilityError
from portability.database.engine import reading
from portability.trust import audit, audit_heads
from portability.trust.audit import Head

log = structlog.get_logger()
EVERY_SECONDS = 3600


def run(
    engine: Engine, keys_folder: Path, issuer: str, stop: threading.Event, every_seconds: float = EVERY_SECONDS
) -> None:
    """Log the head regularly, if it has changed, until stopped; several clocks log it several times."""
    last_head: Head | None = None
    while not stop.is_set():
        last_head = log_head(engine, keys_folder, issuer, last_head)
        stop.wait(every_seconds)


def log_head(engine: Engine, keys_folder: Path, issuer: str, last_head: Head | None) -> Head | None:
    """Log the head if it differs from the last head; returns the last logged head."""
    try:
        with reading(engine) as connection:
            head = audit.head(connection)
            if head == last_head:
                return last_head
            token = audit_heads.signed(connection, keys_folder, issuer)
    except PortabilityError as error:
        log.warning("audit.head_not_signed", code=error.code)
        return last_head
    log.info("audit.head", last_event=head.event_id, token=token)
    return head
