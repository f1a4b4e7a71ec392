"""When rows were created: which rows an export leaves out because they are newer, and which have an impossible time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, not_, or_

from exporters.sql.moments import has_time, moment_of, never_null_has_time, stated_times
from exporters.sql.source import TableSource
from portability.api import Selection

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far the clock of a source may be ahead: a row within it may have been created since the export began."""


def in_period(source: TableSource, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of the requested period, without rows created since the export began.

    A row that was changed in the period since `since` belongs to it too, if the source says when rows were changed.
    """
    if source.created is not None and selection.since is not None:
        is_new = _or_unknown(source.created, moment_of(source.created) >= selection.since)
        yield is_new if source.changed is None else or_(is_new, moment_of(source.changed) >= selection.since)
    if source.created is not None and selection.until is not None:
        yield _or_unknown(source.created, moment_of(source.created) < selection.until)
    yield from existing(source, selection)


def existing(source: TableSource, selection: Selection) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions that leave out rows created since the export began, and rows that belong to such a row.

    A creation time later than now is a wrong time of the source: the row cannot have been created since then, so it
    belongs to the export. A row that is a part of a newer row is left out with it, so a row is never there without its
    parent. A row without a creation time belongs to it, too; a parent that is missing or has none leaves nothing out.
    """
    if selection.began_at is None or source.created is None or selection.keys is not None:
        # A change that a source has stated does not come again, so nothing of it is left out.
        return
    present = _latest_possible(selection)
    own = moment_of(source.created)
    yield _or_unknown(source.created, not_(and_(own > selection.began_at, own <= present)))
    if source.created_of_parent is not None:
        created = moment_of(source.created_of_parent)
        yield or_(created.is_(None), created <= selection.began_at, created > present)


def _or_unknown(created: Column[Any], condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition that rows without a time of creation fulfil, too: nothing says that they are newer."""
    if stated_times(created):
        return or_(condition, moment_of(created).is_(None))
    return or_(condition, not_(has_time(created) if created.nullable else never_null_has_time(created)))


def in_future(created: Column[Any], selection: Selection) -> ColumnElement[bool]:
    """Return the condition for rows whose own creation time has not come yet."""
    return moment_of(created) > _latest_possible(selection)


def _latest_possible(selection: Selection) -> datetime:
    """Return the latest time at which a row can have been created; the clock of this machine may be behind."""
    present = datetime.now(UTC)
    return max(present, selection.began_at or present) + CLOCK_TOLERANCE
