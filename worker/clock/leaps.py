"""Leaps of the database's clock: leases and waits that were stored while it was ahead end soon after it is right again.

Statements that claim work compare with the present only: an end of tomorrow, of a worker that was killed, would keep
its export until tomorrow. No lease and no wait is as long as `LONGEST_SECONDS`, so the clock of the database has stored
a later end before it was set back.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, Engine, Table, literal, select, tuple_, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.inbox import work
from portability.requests.states import SliceState
from portability.settings import Settings
from worker.clock import message_delivery, outgoing

HELD_SECONDS = 600.0
"""How long the holder of such a lease has to renew it, or to end its work."""
LONGEST_SECONDS = 7200.0
"""Longer than any wait after a failure."""
BATCH = 500

# The states are written into the statements: only so the partial indexes of open rows serve them.
OPEN: Mapping[Table, ColumnElement[bool]] = {
    models.slice: models.slice.c.state == literal(str(SliceState.OPEN), literal_execute=True),
    models.received_transfer: work.has_work(),
    **{
        table: table.c.state == literal(outgoing.QUEUED, literal_execute=True)
        for table in (models.transfer, models.notification, models.webhook, models.recipient_notice)
    },
}
"""Tables with leases, and the condition for their rows with work left."""


def shorten(engine: Engine, settings: Settings) -> int:
    """End waits that are too long, and let such leases end soon; returns how many. Raises DatabaseUnavailable."""
    held_seconds = max(HELD_SECONDS, settings.lease_seconds, message_delivery.lease_seconds(settings))
    return sum(
        _shorten(engine, table, column, seconds, held_seconds + LONGEST_SECONDS)
        for table in OPEN
        for column, seconds in ((table.c.lease_until, held_seconds), (table.c.not_before, 0))
    )


def _shorten(engine: Engine, table: Table, end: Column[object], seconds: float, longest_seconds: float) -> int:
    keys = table.primary_key.columns
    late = select(*keys).where(OPEN[table], end > now(longest_seconds)).limit(BATCH)
    with reading(engine) as connection:
        if not connection.execute(late).first():
            return 0
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            # What another process is changing now has a new end.
            late = late.with_for_update(skip_locked=True)
        chosen = [tuple(row) for row in connection.execute(late)]
        shortened = update(table).where(tuple_(*keys).in_(chosen)).values({end.name: now(seconds)})
        return connection.execute(shortened).rowcount
