"""Counts before an export: the datasets of a person by one statement, those of a tenant by a statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, literal, literal_column, select, union_all

from exporters.sql.faults import reading
from exporters.sql.rows import rows_of
from exporters.sql.slices import stated_bytes
from exporters.sql.source import TableSource
from portability.api import Selection, Size, Sources, Subject, SubjectKind
from portability.api.errors import SourceError

UNSTATED: ColumnElement[int] = literal_column("-1")
"""In place of a number that a dataset does not have: all parts of a UNION have the same columns."""


class DatasetCounter:
    """Counts the records of an exporter's tables.

    An export counts each dataset once, one after the other, so the first count of a person's export asks for all of
    them. The records of a tenant are many: each count needs the time limit of a call for itself.
    """

    def __init__(self, sources: Sources, tables: Sequence[TableSource]) -> None:
        self._sources = sources
        self._tables = tables
        self._counted: tuple[object, Mapping[str, Size]] | None = None
        """The last counts, and what they are of: a subject at a moment."""

    def count(self, table: TableSource, subject: Subject, selection: Selection) -> Size:
        """Count records, the bytes of their files if they have any, and a tenant's records that lead to no person.

        Raises: SourceUnavailable, SourceRefused.
        """
        name, asked = table.dataset.name, (subject, selection)
        if subject.kind is SubjectKind.TENANT or selection.began_at is None:
            return self._ask([table], subject, selection)[name]
        if self._counted is None or self._counted[0] != asked:
            try:
                self._counted = (asked, self._ask(self._tables, subject, selection))
            except SourceError:
                # A fault of one table must not prevent the counts of the others.
                return self._ask([table], subject, selection)[name]
        return self._counted[1][name]

    def _ask(self, tables: Sequence[TableSource], subject: Subject, selection: Selection) -> Mapping[str, Size]:
        sizes = {table.dataset.name: Size(0, 0) for table in tables}
        parts = {table.dataset.name: _numbers(table, subject, selection) for table in tables}
        asked = [part for part in parts.values() if part is not None]
        if not asked:
            return sizes
        what = tables[0].dataset.name if len(tables) == 1 else "counts"
        with reading(self._sources.database, what, single=True) as connection:
            for name, records, *others in connection.execute(union_all(*asked)):
                sizes[name] = Size(records, *(None if number < 0 else int(number) for number in others))
        return sizes


def _numbers(table: TableSource, subject: Subject, selection: Selection) -> Select[Any] | None:
    """Select a dataset's name, records, bytes and unrelated records; None: the subject can have no row."""
    rows = rows_of(table, subject, selection)
    if rows is None:
        return None
    size: ColumnElement[Any] = func.coalesce(func.sum(stated_bytes(table.file)), 0) if table.file else UNSTATED
    unrelated = table.filter.unrelated(subject, table.origin) if table.filter else None
    if unrelated:
        numbers = (func.count(), size, func.count(case((unrelated.condition, 1))))
        return select(literal(table.dataset.name), *numbers).select_from(unrelated.rows).where(rows)
    return select(literal(table.dataset.name), func.count(), size, UNSTATED).select_from(table.origin).where(rows)
