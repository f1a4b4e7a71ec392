"""Marks of rows: conditions that a query evaluates for each row, beside its columns.

A mark says that a row is remarkable, or that a column is filled whose value is withheld. It never filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, Engine, func, select

from exporters.sql.creation import in_future
from exporters.sql.faults import reading
from exporters.sql.source import TableSource
from portability.api import RowRemark, Selection, Subject

Marks: TypeAlias = Mapping[str, ColumnElement[bool]]
"""The condition of each mark, by its name: a `RowRemark`, or WITHHELD with the name of a column."""

MarkedRows: TypeAlias = Mapping[str, Sequence[int]]
"""The indexes of the rows that fulfil a mark, by its name."""

WITHHELD = "withheld:"
"""Prefix of the marks of withheld columns."""


def remarks_of(source: TableSource, subject: Subject, selection: Selection) -> Marks:
    """Return the marks for remarkable rows of one subject and export."""
    marks: dict[str, ColumnElement[bool]] = {}
    if source.retention is not None:
        moment = selection.began_at or datetime.now(UTC)
        past = source.retention.past(subject, moment, selection.retention_cutoff)
        if past is not None:
            marks[RowRemark.PAST_RETENTION] = past
    if source.deleted is not None:
        marks[RowRemark.SOFT_DELETED] = source.deleted.is_not(None)
    if selection.began_at is not None:
        marks[RowRemark.CREATED_IN_FUTURE] = in_future(source)
    return marks


def withheld_of(database: Engine, source: TableSource) -> Marks:
    """Return the marks for rows with a withheld value, of columns that this role may read.

    Its role should not have the right to read them: then the archive says that they may be stored.

    Raises: SourceUnavailable, SourceRefused.
    """
    columns = source.withheld
    if columns and database.dialect.name == "postgresql":
        rights = [func.has_column_privilege(column.table.name, column.name, "SELECT") for column in columns]
        with reading(database, source.dataset.name, single=True) as connection:
            may_read = connection.execute(select(*rights)).one()
        columns = tuple(column for column, may in zip(columns, may_read, strict=True) if may)
    return {f"{WITHHELD}{column.name}": column.is_not(None) for column in columns}


def marked(marks: Iterable[str], columns: Sequence[Sequence[object]]) -> dict[str, list[int]]:
    """Return the marked rows of a chunk; each mark has a column of truth values."""
    return {
        name: [place for place, value in enumerate(column) if value]
        for name, column in zip(marks, columns, strict=True)
    }


def remarks(rows: MarkedRows) -> dict[RowRemark, Sequence[int]]:
    """Return the remarks among marks, without those that no row fulfils."""
    return {RowRemark(name): places for name, places in rows.items() if not name.startswith(WITHHELD) and places}


def withheld(rows: MarkedRows) -> dict[str, Sequence[int]]:
    """Return the withheld columns among marks, also those that are empty in every row."""
    return {name.removeprefix(WITHHELD): places for name, places in rows.items() if name.startswith(WITHHELD)}
