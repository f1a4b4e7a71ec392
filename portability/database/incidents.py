"""Incidents: events that should not happen, counted in the database, where every process and machine can count.

A count is not a log: it says that something needs attention, and `portability metrics` shows it to the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

from sqlalchemy import Engine, RowMapping, select

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.database.rows import insert_row, inserting
from portability.errors import DatabaseUnavailable

TABLE = models.incident


class Incident(StrEnum):
    """What is counted."""

    FORGED_MESSAGE = "forged_message"
    """A message named a function that is not allowed, or could not be read by a worker."""
    FOREIGN_MESSAGE = "foreign_message"
    """A message was sent by another version of this software."""
    UNKNOWN_EXPORT = "unknown_export"
    """A message contained an export id that does not exist."""
    UNKNOWN_STATE = "unknown_state"
    """A row is in an impossible state."""
    OVERLAPPING_SLICES = "overlapping_slices"
    """An exporter offered slices that are not consecutive; its dataset was read without slices."""
    EXPORTER_FAULT = "exporter_fault"
    """An exporter violated its contract; its dataset has a gap."""
    SOURCE_STALLED = "source_stalled"
    """A source did not answer within its deadline."""
    HORSE_STALLED = "horse_stalled"
    """A worker's child process sent no heartbeat and was killed."""
    HORSE_DIED = "horse_died"
    """A worker's child process was killed or crashed."""
    LEASE_LOST = "lease_lost"
    """A worker continued after its lease had expired and was stopped by the fence."""
    STORAGE_FULL = "storage_full"
    """There was no space left for a volume or an encrypted copy."""
    SCAN_BLOCKED = "scan_blocked"
    """The scan found data that must not leave; the export failed."""
    FOREIGN_STORE = "foreign_store"
    """A process saw a storage folder other than the one that the database expects."""
    PAST_RETENTION = "past_retention"
    """An archive contains records whose retention period is over: the source did not delete them."""
    OBJECT_LOST = "object_lost"
    """A stored volume no longer exists."""
    MAIL_FAILED = "mail_failed"
    """A person who must be informed about an export cannot be reached by mail."""
    TRANSFER_FAILED = "transfer_failed"
    """A transfer to another provider failed permanently."""
    WEBHOOK_FAILED = "webhook_failed"
    """A recipient could not be informed about a transfer."""
    NOTICE_FAILED = "notice_failed"
    """A recipient has not acknowledged a notice about a transfer."""
    RECEIPT_FAILED = "receipt_failed"
    """A sender has not accepted the receipt for a received transfer."""
    AUDIT_BROKEN = "audit_broken"
    """Events of the audit log were changed or deleted."""
    SWEPT = "swept"
    """An orphan of a dead worker was removed."""


def count(engine: Engine, kind: Incident, times: int = 1) -> None:
    """Add to a count in its own transaction. It never makes the caller fail: without a database the count is lost."""
    with suppress(DatabaseUnavailable), writing(engine) as connection:
        more = {"count": TABLE.c.count + times, "last_at": now()}
        added = inserting(connection, TABLE).on_conflict_do_update(index_elements=[TABLE.c.kind], set_=more)
        insert_row(connection, added, {"kind": kind, "count": times, "last_at": now()})


def counted(engine: Engine) -> Sequence[RowMapping]:
    """Return all counts, by kind. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        return connection.execute(select(TABLE).order_by(TABLE.c.kind)).mappings().all()
