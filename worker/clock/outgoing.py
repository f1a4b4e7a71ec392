"""Outgoing requests to recipients: rows that are taken under a lease, sent, and retried later after a failure.

Several clocks may run. A table of them has the columns `state`, `attempts`, `lease_until`, `not_before`, `reason` and
`created_at`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Engine, RowMapping, Select, Table, and_, false, update

from portability.api.errors import PortabilityError
from portability.database import leases
from portability.database.engine import elapsed_seconds, now, writing
from portability.safe_http import RemoteUnavailable
from portability.settings import Settings

log = structlog.get_logger()
QUEUED = "queued"
LEASE_SECONDS = 60.0
"""Longer than any attempt: portability/safe_http.py limits its time."""
BACKOFF_MAX_SECONDS = 3600
NO_OTHERS = false()
UNEXPECTED = "internal_error"
"""Reason of a row after an unexpected error, such as a bug: it is retried, and given up, like others."""


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


def unexpected(error: Exception, task: str, row: RowMapping) -> str:
    """Log an unexpected error of one row, and return the code with which it is retried, and given up in its time."""
    log.error("outgoing.fault", task=task, item=row["id"], error=type(error).__name__, exc_info=True)  # noqa: LOG014  # callers are handlers
    return UNEXPECTED


def take(engine: Engine, table: Table, what: Select[Any]) -> RowMapping | None:
    """Take the next row that is due, with `age_seconds`; None if nothing is due.

    `what` selects the rows of the table with what is needed to send them. Raises DatabaseUnavailable, DatabaseBehind.
    """
    due = and_(table.c.state == QUEUED, leases.is_available(table))
    age = elapsed_seconds(table.c.created_at, now()).label("age_seconds")
    return leases.take(engine, table, due, LEASE_SECONDS, what.add_columns(age))


def present(row: RowMapping) -> datetime:
    """Return the time of the database at which a row was taken: the clock of this machine may be wrong."""
    created_at: datetime = row["created_at"]
    return created_at + timedelta(seconds=row["age_seconds"])


def named(row: RowMapping, what: str) -> Mapping[str, str]:
    """Return what the log has of a row: its own id as `what`, and the ids that commands take."""
    return {what: row["id"], **{name: row[f"{name}_id"] for name in ("transfer", "recipient", "export")}}


def unsettled(table: Table, row: RowMapping, *, is_done: bool) -> ColumnElement[bool]:
    """Return the condition that a result settles a row.

    What was done counts also after the lease. A failure counts while no other clock has taken the row: it may succeed.
    """
    is_ours = table.c.id == row["id"] if is_done else leases.is_same(table, row)
    return and_(is_ours, table.c.state == QUEUED)


def postpone(
    engine: Engine,
    settings: Settings,
    table: Table,
    row: RowMapping,
    code: str,
    to_same: ColumnElement[bool] = NO_OTHERS,
) -> None:
    """Retry a row later, unless another clock has taken it meanwhile.

    `to_same` is the condition for rows to the same recipient: while it does not answer, they wait, too. Each attempt
    takes its whole time, so the rows of one recipient would keep those of all others waiting.
    """
    matching = (leases.is_same(table, row), table.c.state == QUEUED)
    wait_seconds = leases.backoff_seconds(settings.backoff_seconds, row["attempts"], BACKOFF_MAX_SECONDS)
    later = {"lease_until": None, "not_before": now(wait_seconds), "reason": code}
    with writing(engine) as connection:
        connection.execute(update(table).where(*matching).values(**later))
        if code == RemoteUnavailable.code:
            others = (to_same, table.c.id != row["id"], table.c.state == QUEUED, leases.is_available(table))
            connection.execute(update(table).where(*others).values(not_before=now(wait_seconds)))
