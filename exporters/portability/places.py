"""The order in which the rows of a dataset are read, which damaged times do not change, and the places in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ColumnElement, Integer, and_, case, not_, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from exporters.sql.values import CONVERTERS
from portability.api import Cursor, FieldType, Selection
from portability.api.errors import ExporterFault
from portability.database.engine import now
from portability.database.possible_times import is_possible

AHEAD_SECONDS = 86_400
"""The clock of the database may have been set back by less."""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """After which row reading continues: first are rows in the order of their creation, then those without its time."""

    at: str | None = None
    """When the row was created, as RFC 3339; None: it is among those whose time was damaged."""
    key: str | int | None = None
    """None: before the first row."""

    def cursor(self) -> Cursor:
        """Return it as text."""
        return json.dumps([self.at, self.key])


START = RowPlace()


def written(time: str | None) -> str | None:
    """Return a time of a row, as the database writes it, for a place."""
    return str(CONVERTERS[FieldType.DATETIME](time)) if time else None


def place_of(after: Cursor) -> RowPlace:
    """Return the place of a cursor. Raises ExporterFault."""
    try:
        at, key = json.loads(after)
        if at:
            datetime.fromisoformat(at)
        return RowPlace(at, key)
    except (TypeError, ValueError):
        raise ExporterFault("invalid cursor: start again without it") from None


def is_damaged(time: Column[Any]) -> ColumnElement[bool]:
    """Return the condition for a time that cannot be read, or at which nothing can have happened yet."""
    return not_(and_(is_possible(time), time <= now(AHEAD_SECONDS)))


def rows_after(
    place: RowPlace, created: Column[Any], key: Column[Any], selection: Selection, moment: datetime
) -> ColumnElement[bool]:
    """Return the condition for rows behind a place: created within the selection, until the export began.

    A row that does not say when it was created may be one of them, so it is.
    """
    timeless = is_damaged(created)
    if place.key and not place.at:
        return and_(timeless, key > place.key)
    clauses = [is_possible(created), created <= moment]
    if selection.since:
        clauses.append(created >= selection.since)
    if selection.until:
        clauses.append(created < selection.until)
    if place.at:
        at = datetime.fromisoformat(place.at)
        clauses.append(or_(created > at, and_(created == at, key > place.key)))
    return or_(timeless, and_(*clauses))


def order(created: Column[Any], key: Column[Any]) -> Sequence[ColumnElement[Any]]:
    """Return the order of rows: those without a time are last, by their keys."""
    timeless = is_damaged(created)
    return case((timeless, 1), else_=0), case((not_(timeless), created)), key


class has_key(FunctionElement[bool]):  # noqa: N801  # named like an SQL function
    """Whether a key can be read. PostgreSQL stores no other; SQLite stores bytes in a column of texts."""

    type = Boolean()
    name = "has_key"
    inherit_cache = True


@compiles(has_key)
def _has_key(element: has_key, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # the compiler's own
    return f"({compiler.process(element.clauses, **options)} IS NOT NULL)"


@compiles(has_key, "sqlite")
def _has_key_sqlite(element: has_key, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # as above
    key = compiler.process(element.clauses, **options)
    (column,) = element.clauses
    if isinstance(column.type, Integer):
        return f"(typeof({key}) = 'integer')"
    return f"(typeof({key}) = 'text' AND {key} NOT GLOB '*[^ -~]*')"  # each id is of ASCII
