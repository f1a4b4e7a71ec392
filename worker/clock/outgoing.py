"""Outgoing requests to recipients: rows that are taken under a lease, sent, and retried later after a failure.

Several clocks may run. A table of them has the columns `state`, `attempts`, `lease_until`, `not_before`, `reason` and
`created_at`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Engine, RowMapping, Select, Table, and_, or_, select, update

from portability.api.errors import PortabilityError
from portability.database import history
from portability.database.engine import elapsed_seconds, now, reading, writing
from portability.settings import Settings

log = structlog.get_logger()
QUEUED = "queued"
LEASE_SECONDS = 60.0
"""Longer than any attempt: portability/safe_http.py limits its time."""
BACKOFF_MAX_SECONDS = 3600
DOUBLINGS_MAX = 16


def repeat(send_next: Callable[[], bool], name: str, settings: Settings, stop: threading.Event) -> None:
    """Send what is due until stopped; while a service is down, wait.

    Args:
        send_next: sends the next row that is due; returns whether there was one.
        name: of the task, in the log.
        settings: how often to look.
        stop: set when the clock ends.
    """
    while not stop.is_set():
        try:
            while send_next() and not stop.is_set():
                pass
        except PortabilityError as error:
            log.warning("outgoing.waits", task=name, code=error.code)
        except Exception as error:
            log.exception("outgoing.failed", task=name, error=type(error).__name__)
        stop.wait(settings.clock_seconds)


def take(engine: Engine, table: Table, what: Select[Any]) -> RowMapping | None:
    """Take the next row that is due, with `age_seconds`; None if nothing is due.

    `what` selects the rows of the table with what is needed to send them. Raises DatabaseUnavailable, DatabaseBehind.
    """
    chosen = select(table.c.id).where(_due(table)).order_by(table.c.created_at, table.c.id).limit(1)
    with reading(engine) as connection:
        history.check(connection)
        if not connection.scalar(chosen):
            return None
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        this = table.c.id == connection.scalar(chosen)
        taken = {"lease_until": now(LEASE_SECONDS), "attempts": table.c.attempts + 1}
        if not connection.execute(update(table).where(this, _due(table)).values(**taken)).rowcount:
            return None
        age = elapsed_seconds(table.c.created_at, now()).label("age_seconds")
        return connection.execute(what.add_columns(age).where(this)).mappings().one()


def postpone(engine: Engine, settings: Settings, table: Table, row: RowMapping, code: str) -> None:
    """Retry a row later, unless another clock has taken it meanwhile."""
    matching = (table.c.id == row["id"], table.c.attempts == row["attempts"], table.c.state == QUEUED)
    later = {"lease_until": None, "not_before": now(_wait_seconds(settings, row["attempts"])), "reason": code}
    with writing(engine) as connection:
        connection.execute(update(table).where(*matching).values(**later))


def _due(table: Table) -> ColumnElement[bool]:
    free = or_(table.c.lease_until.is_(None), table.c.lease_until < now())
    rested = or_(table.c.not_before.is_(None), table.c.not_before <= now())
    return and_(table.c.state == QUEUED, free, rested)


def _wait_seconds(settings: Settings, attempts: int) -> float:
    """Return how long to wait after this many attempts: doubled each time, up to an hour, and spread by chance."""
    jitter = 0.5 + secrets.randbelow(1000) / 1000
    doublings = min(attempts - 1, DOUBLINGS_MAX)
    return float(min(BACKOFF_MAX_SECONDS, settings.backoff_seconds * 2**doublings) * jitter)
