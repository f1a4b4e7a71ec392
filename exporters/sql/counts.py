"""Counts before an export: the datasets of a person by one statement, those of a tenant by a statement each.

The records of a tenant are many: each count needs the time limit of a call for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, case, func, literal, literal_column, select, union_all

from exporters.sql.faults import reading
from exporters.sql.rows import rows_of
from exporters.sql.slices import stated_bytes
from exporters.sql.source import TableSource
from portability.api import Selection, Size, Sources, Subject

UNSTATED: ColumnElement[int] = literal_column("-1")
"""In place of a number that a dataset does not have: all parts of a UNION have the same columns."""


@dataclass(frozen=True, slots=True)
class TableCount:
    """The count of a table's records of a subject."""

    sources: Sources
    table: TableSource
    subject: Subject
    selection: Selection

    @property
    def asked_of(self) -> Engine:
        """Return the database."""
        return self.sources.database

    def together(self, counts: Sequence[TableCount]) -> Sequence[Size]:
        """Count records, the bytes of their files if they have any, and a tenant's records that lead to no person.

        One statement counts all of these tables of one database. Raises: SourceUnavailable, SourceRefused.
        """
        found = [Size(0, 0)] * len(counts)
        parts = [numbers for place, one in enumerate(counts) if (numbers := one.numbers(place)) is not None]
        if not parts:
            return found
        what = counts[0].table.dataset.name if len(counts) == 1 else "counts"
        with reading(self.asked_of, what, single=True) as connection:
            for place, records, *others in connection.execute(union_all(*parts)):
                found[place] = Size(records, *(None if number < 0 else int(number) for number in others))
        return found

    def numbers(self, place: int) -> Select[Any] | None:
        """Select a place, records, bytes and unrelated records; None: the subject can have no row."""
        table, subject = self.table, self.subject
        rows = rows_of(table, subject, self.selection)
        if rows is None:
            return None
        size: ColumnElement[Any] = func.coalesce(func.sum(stated_bytes(table.file)), 0) if table.file else UNSTATED
        unrelated = table.filter.unrelated(subject, table.origin) if table.filter else None
        if unrelated:
            numbers = (func.count(), size, func.count(case((unrelated.condition, 1))))
            return select(literal(place), *numbers).select_from(unrelated.rows).where(rows)
        return select(literal(place), func.count(), size, UNSTATED).select_from(table.origin).where(rows)
