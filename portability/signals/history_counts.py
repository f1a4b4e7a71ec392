"""Counts of whole tables for the metrics: a clock counts them now and then, and a scrape reads the last result.

Counting reads each export that has ever ended, so a scrape must not do it. The result is one value in the deployment's
row. What still changes has indexes, and is counted by the scrape itself (portability/metrics.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, literal, select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.signals import time_to_ready

DEPLOYMENT, EXPORT, VOLUME = models.deployment, models.export, models.volume
NOTIFICATION = models.notification
STALE_SECONDS = 3600
"""Age from which a result is not used: no clock has counted for a long time."""
Counts = Mapping[str, Sequence[Sequence[Any]]]
"""By name of the table: rows of two labels, the number, and a sum. Also those of `time_to_ready.counted`."""
NO_LABEL, NO_SUM = literal(""), literal(0)
OF_TABLES: Mapping[str, Select[Any]] = {
    "export": select(
        EXPORT.c.state, EXPORT.c.profile, func.count(), func.count().filter(EXPORT.c.complete.is_(False))
    ).group_by(EXPORT.c.state, EXPORT.c.profile),
    "volume": select(VOLUME.c.state, NO_LABEL, func.count(), func.coalesce(func.sum(VOLUME.c.bytes), 0)).group_by(
        VOLUME.c.state
    ),
    "gap": select(models.gap.c.reason, NO_LABEL, func.count(), NO_SUM).group_by(models.gap.c.reason),
    "notification": select(NOTIFICATION.c.state, NOTIFICATION.c.kind, func.count(), NO_SUM).group_by(
        NOTIFICATION.c.state, NOTIFICATION.c.kind
    ),
    **{
        table.name: select(table.c.state, NO_LABEL, func.count(), NO_SUM).group_by(table.c.state)
        for table in (models.transfer, models.recipient_notice, models.received_transfer)
    },
}
COUNTED = OF_TABLES.keys() | time_to_ready.NAMES


def present(connection: Connection) -> Counts:
    """Return the last result of a clock; without one, or with an old one, count now.

    A clock of an earlier release has not counted everything.
    """
    is_fresh = DEPLOYMENT.c.counted_at > now(-STALE_SECONDS)
    stored: Counts | None = connection.scalar(select(DEPLOYMENT.c.counts).where(is_fresh))
    is_whole = stored and stored.keys() >= COUNTED
    return stored if stored and is_whole else counted(connection)


def counted(connection: Connection) -> Counts:
    """Count the rows of all tables."""
    tables = {
        name: [[*labels, int(number), int(total)] for *labels, number, total in connection.execute(query)]
        for name, query in OF_TABLES.items()
    }
    return {**tables, **time_to_ready.counted(connection)}


def count(engine: Engine) -> None:
    """Count, and store the result. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        found = counted(connection)
    with writing(engine) as connection:
        connection.execute(update(DEPLOYMENT).values(counts=found, counted_at=now()))
