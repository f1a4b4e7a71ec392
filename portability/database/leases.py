"""Leases: rows that a process takes for a time, and that rest for a while after a failure.

A table of such rows has the columns `id`, `created_at`, `attempts`, `lease_until` and `not_before`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, RowMapping, Select, Table, and_, or_, select, update

from portability.database import history
from portability.database.engine import now, reading, writing

DOUBLINGS_MAX = 16


def is_free(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows without a valid lease."""
    return or_(table.c.lease_until.is_(None), table.c.lease_until < now())


def is_available(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows without a valid lease that do not rest after a failure."""
    return and_(is_free(table), or_(table.c.not_before.is_(None), table.c.not_before <= now()))


def take(
    engine: Engine,
    table: Table,
    due: ColumnElement[bool],
    lease_seconds: float,
    what: Select[Any],
    **values: Any,  # noqa: ANN401  # columns of any type
) -> RowMapping | None:
    """Take the oldest row that is due, and count the attempt; None if nothing is due.

    `due` is its condition, with `is_available`; `what` selects what to return; `values` are stored with the lease.

    Raises: DatabaseUnavailable, DatabaseBehind.
    """
    chosen = select(table.c.id).where(due).order_by(table.c.created_at, table.c.id).limit(1)
    with reading(engine) as connection:
        history.check(connection)
        if not connection.scalar(chosen):
            return None
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        this = table.c.id == connection.scalar(chosen)
        taken = {"lease_until": now(lease_seconds), "attempts": table.c.attempts + 1, **values}
        if not connection.execute(update(table).where(this, due).values(**taken)).rowcount:
            return None
        return connection.execute(what.where(this)).mappings().one()


def is_same(table: Table, row: Mapping[Any, Any]) -> ColumnElement[bool]:
    """Return the condition that no other process has taken a row since `take` returned it."""
    return and_(table.c.id == row["id"], table.c.attempts == row["attempts"])


def backoff_seconds(
    first: float, attempts: int, longest: float, *, below: Callable[[int], int] = secrets.randbelow
) -> float:
    """Return how long to wait after this many attempts: doubled each time up to `longest`, and spread by chance.

    `below` returns a random number below its argument.
    """
    jitter = 0.5 + below(1000) / 1000
    return float(min(longest, first * 2 ** min(attempts - 1, DOUBLINGS_MAX)) * jitter)
