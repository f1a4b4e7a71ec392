"""Declares what an exporter reads: one table with named columns, and the filter for a subject's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Column, ColumnElement, FromClause, Table
from sqlalchemy.sql.elements import NamedColumn

from exporters.sql.row_filter import RowFilter
from portability.api import (
    Dataset,
    Subject,
)

Where: TypeAlias = Callable[[Subject], ColumnElement[bool] | None]
"""The condition for a subject's rows; None: it has no verified identity here, so it has no rows."""

FILE = "file"
FILE_TEXT = (
    "Name of the file beside the records, inside the folder of this dataset; empty (null) where the file could not be "
    "found: the ledger then names the gap."
)


class RowRetention(Protocol):
    """How a row shows the end of its retention period. What is readable is delivered; rows past their end are marked.

    The register of the notice states the length of the period.
    """

    def past(self, subject: Subject, moment: datetime, cutoff: datetime | None) -> ColumnElement[bool] | None:
        """Return the condition for rows past their period at a moment, and not under a legal hold; None: no row is.

        `cutoff` is `Selection.retention_cutoff`. The end is exclusive: a period that ends at `moment` is over.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Columns that say which file belongs to a row, with its expected properties; an empty expression is not stated."""

    storage_key: ColumnElement[Any]
    media_type: ColumnElement[Any]
    bytes: ColumnElement[Any]
    sha256: ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class TableSource:
    """One dataset and how to read it."""

    dataset: Dataset
    table: Table
    columns: tuple[NamedColumn[Any], ...]
    """Columns or labelled expressions of the fields, in order, without the field that names a file."""
    origin: FromClause
    order: tuple[Column[Any], ...]
    """Unique, never NULL and never changed: the keyset of the reader's cursor."""
    created: Column[Any] | None
    """When the row was created; None: the source does not say, so no time limits its rows."""
    where: Where
    filter: RowFilter | None = None
    """The filter of `where`, if it is declared as a belonging."""
    retention: RowRetention | None = None
    file: FileColumns | None = None
    deleted: Column[Any] | None = None
    """When the source marked the row as deleted, NULL if it did not; or whether it did."""
    changed: Column[Any] | None = None
    """When the row was last changed."""
    created_of_parent: Column[Any] | None = None
    """When the row of which the row is a part was created: a column of `origin`."""
    is_view: bool = False
    """Whether the database does not enforce that the order is unique."""
    withheld: tuple[Column[Any], ...] = ()
    """Columns whose values are described and not delivered."""
