"""When rows were created: which rows an export leaves out because they are newer, and which have an impossible time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, FromClause, Table, and_, not_, or_
from sqlalchemy.sql import visitors

from exporters.sql.source import TableSource
from portability.api import Selection

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far the clock of a source may be ahead: a row within it may have been created since the export began."""


def in_period(source: TableSource, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the requested period, without rows created since the export began.

    A row that was changed in the period since `since` belongs to it too, if the source says when rows were changed.
    """
    if source.created is not None and selection.since is not None:
        is_new = source.created >= selection.since
        yield is_new if source.changed is None else or_(is_new, source.changed >= selection.since)
    if source.created is not None and selection.until is not None:
        yield source.created < selection.until
    yield from existing(source, selection)


def existing(source: TableSource, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that leave out rows created since the export began, and rows that belong to such a row.

    A creation time later than now is a wrong time of the source: the row cannot have been created since then, so it
    belongs to the export. A row that belongs to a newer row of a joined table is left out with it, so a row is never
    there without its parent. A parent that is missing has no creation time, and leaves nothing out.
    """
    if selection.began_at is None or source.created is None:
        return
    present = datetime.now(UTC) + CLOCK_TOLERANCE
    yield not_(and_(source.created > selection.began_at, source.created <= present))
    for created in _creation_times_of_parents(source.origin, source.created.table):
        yield or_(created.is_(None), created <= selection.began_at, created > present)


def in_future(created: Column[Any]) -> ColumnElement[bool]:
    """Return the condition for rows whose own creation time has not come yet."""
    return created > datetime.now(UTC) + CLOCK_TOLERANCE


@cache
def _creation_times_of_parents(origin: FromClause, own: FromClause) -> tuple[ColumnElement[Any], ...]:
    tables = (part for part in visitors.iterate(origin) if isinstance(part, Table))
    return tuple(table.c.created_at for table in tables if table is not own and "created_at" in table.c)
