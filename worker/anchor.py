"""Anchor: the clock tells the signed head of the audit log to its log, which is kept elsewhere than the database."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from sqlalchemy import Engine

from portability import audit, audit_heads
from portability.audit import Head
from portability.db import reading
from portability.errors import PortabilityError

log = structlog.get_logger()
EVERY_SECONDS = 3600


def run(
    engine: Engine, keys_folder: Path, issuer: str, stop: threading.Event, every_seconds: float = EVERY_SECONDS
) -> None:
    """Tell the head every so often until told to stop, where it has moved; several clocks tell it several times."""
    told: Head | None = None
    while not stop.is_set():
        told = tell(engine, keys_folder, issuer, told)
        stop.wait(every_seconds)


def tell(engine: Engine, keys_folder: Path, issuer: str, told: Head | None) -> Head | None:
    """Tell the head if it is another one than the last; returns the one that was told last."""
    try:
        with reading(engine) as connection:
            head = audit.head(connection)
            if head == told:
                return told
            token = audit_heads.signed(connection, keys_folder, issuer)
    except PortabilityError as error:
        log.warning("audit.head_not_signed", code=error.code)
        return told
    log.info("audit.head", last_event=head.event_id, token=token)
    return head
