"""Marks of rows: conditions that a query evaluates for each row, beside its columns.

A mark says that a row is remarkable, or that a column is filled whose value is withheld. It never filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Engine,
    Integer,
    MetaData,
    bindparam,
    not_,
    text,
    true,
    type_coerce,
)

from exporters.sql.columns import WITHHELD as IS_WITHHELD
from exporters.sql.columns import IntegerTruth
from exporters.sql.creation import in_future
from exporters.sql.faults import reading
from exporters.sql.moments import has_time, is_unset, stated_times
from exporters.sql.source import TableSource
from portability.api import RowRemark, Selection, Subject

Marks: TypeAlias = Mapping[str, ColumnElement[bool]]
"""The condition of each mark, by its name: a `RowRemark`, or WITHHELD with the name of a column."""

MarkedRows: TypeAlias = Mapping[str, Sequence[int]]
"""The indexes of the rows that fulfil a mark, by its name."""

WITHHELD = "withheld:"
"""Prefix of the marks of withheld columns."""

RIGHTS = text(
    "select n.nspname, t.relname, a.attname, pg_catalog.pg_table_is_visible(t.oid) from pg_catalog.pg_class t"
    " join pg_catalog.pg_namespace n on n.oid = t.relnamespace join pg_catalog.pg_attribute a on a.attrelid = t.oid"
    " where (t.relname, a.attname) in :withheld and pg_catalog.has_column_privilege(t.oid, a.attnum, 'SELECT')"
).bindparams(bindparam("withheld", expanding=True))
"""Which of some columns the role may read; a table or column that does not exist is not among them."""


def remarks_of(source: TableSource, subject: Subject, selection: Selection) -> Marks:
    """Return the marks for remarkable rows of one subject and export."""
    marks: dict[str, ColumnElement[bool]] = {}
    if source.retention is not None:
        moment = selection.began_at or datetime.now(UTC)
        past = source.retention.past(subject, moment, selection.retention_cutoff)
        if past is not None:
            marks[RowRemark.PAST_RETENTION] = past
    if source.deleted is not None:
        marks[RowRemark.SOFT_DELETED] = is_set(source.deleted)
    if selection.began_at is not None and source.created is not None:
        marks[RowRemark.CREATED_IN_FUTURE] = in_future(source.created, selection)
    return marks


def is_set(column: Column[Any]) -> ColumnElement[bool]:
    """Return the condition that a truth value is true, or that a time is set. It is never NULL for a time."""
    if stated_times(column):
        return not_(is_unset(column))
    if isinstance(column.type, IntegerTruth):
        return type_coerce(column, Integer) != 0
    return column == true() if isinstance(column.type, Boolean) else has_time(column)


def withheld_of(database: Engine, source: TableSource, selection: Selection) -> Marks:
    """Return the marks for rows with a withheld value, of columns that this role may read.

    Its role should not have the right to read them: then the archive says that they may be stored.

    Raises: SourceUnavailable, SourceRefused.
    """
    columns = source.withheld
    if columns and database.dialect.name == "postgresql":
        # Rights are looked up once for an export, not for each dataset.
        look_up = _readable if selection.began_at else _readable.__wrapped__
        readable = look_up(database, source.table.metadata, selection.began_at)
        columns = tuple(one for one in columns if (one.table.schema, one.table.name, one.name) in readable)
    return {f"{WITHHELD}{column.name}": column.is_not(None) for column in columns}


@lru_cache(maxsize=1)
def _readable(database: Engine, tables: MetaData, _began_at: datetime | None) -> frozenset[tuple[str | None, str, str]]:
    """Return the withheld columns of all tables that this role may read, as (schema, table, column).

    Without a schema a name means the table that the role finds by it.
    """
    withheld = [(t.name, column.name) for t in tables.sorted_tables for column in t.c if column.info.get(IS_WITHHELD)]
    with reading(database, "rights", single=True) as connection:
        rows = connection.execute(RIGHTS, {"withheld": withheld}).all()
    named = {(row[0], row[1], row[2]) for row in rows}
    return frozenset(named | {(None, row[1], row[2]) for row in rows if row[3]})


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
