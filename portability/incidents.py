"""Incidents: what should not happen and does, counted in the database, where every process and machine can count.

A count is no log: it says that something needs a look, and `portability metrics` tells it to whoever watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

from sqlalchemy import Engine, RowMapping, select
from sqlalchemy.dialects import postgresql, sqlite

from portability import models
from portability.db import now, reading, writing
from portability.errors import DatabaseUnavailable

TABLE = models.incident


class Incident(StrEnum):
    """What is counted."""

    FORGED_MESSAGE = "forged_message"
    """A message named a function that is not allowed, or was none that a worker can read."""
    FOREIGN_MESSAGE = "foreign_message"
    """A message of another version of this software."""
    UNKNOWN_EXPORT = "unknown_export"
    """A message carried an id that no export has."""
    UNKNOWN_STATE = "unknown_state"
    """A row is in a state that it cannot be in."""
    OVERLAPPING_SLICES = "overlapping_slices"
    """An exporter offered slices that are not one after the other; its dataset was read in one."""
    EXPORTER_FAULT = "exporter_fault"
    """An exporter broke a promise; its dataset has a gap."""
    SOURCE_STALLED = "source_stalled"
    """A source gave nothing within its deadline."""
    HORSE_STALLED = "horse_stalled"
    """A worker's child showed no sign of life and was killed."""
    HORSE_DIED = "horse_died"
    """A worker's child was killed or crashed."""
    LEASE_LOST = "lease_lost"
    """A worker went on after its lease and was stopped by the fence."""
    STORAGE_FULL = "storage_full"
    """No space was left for a volume."""
    SCAN_BLOCKED = "scan_blocked"
    """The scan found what must not leave; the export failed."""
    FOREIGN_STORE = "foreign_store"
    """A process saw another storage folder than the one that the database knows."""
    OBJECT_LOST = "object_lost"
    """A stored volume is no longer there."""
    MAIL_FAILED = "mail_failed"
    """Somebody who should be told of an export cannot be reached by mail."""
    TRANSFER_FAILED = "transfer_failed"
    """A transfer to another provider was given up."""
    WEBHOOK_FAILED = "webhook_failed"
    """A recipient could not be told of a transfer."""
    SWEPT = "swept"
    """A leftover of a dead worker was removed."""


def count(engine: Engine, kind: Incident, times: int = 1) -> None:
    """Add to a count in a transaction of its own. Counting never is a reason to fail: without a database it is lost."""
    with suppress(DatabaseUnavailable), writing(engine) as connection:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        added = insert(TABLE).values(kind=kind, count=times, last_at=now())
        more = {"count": TABLE.c.count + times, "last_at": now()}
        connection.execute(added.on_conflict_do_update(index_elements=[TABLE.c.kind], set_=more))


def counted(engine: Engine) -> Sequence[RowMapping]:
    """All counts, by kind. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        return connection.execute(select(TABLE).order_by(TABLE.c.kind)).mappings().all()
