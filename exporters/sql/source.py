"""Declares what an exporter reads: one table with named columns, and the filter for a subject's rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Column, ColumnElement, FromClause, Table
from sqlalchemy.sql.elements import NamedColumn

from exporters.sql.columns import WITHHELD
from exporters.sql.row_filter import RowFilter
from exporters.sql.values import field_type
from portability.api import (
    Dataset,
    DisclosureFields,
    Field,
    FieldType,
    NestedKey,
    Person,
    Provenance,
    Role,
    Subject,
    SubjectKind,
    Withheld,
)

Where: TypeAlias = Callable[[Subject], ColumnElement[bool] | None]
"""The condition for a subject's rows; None: it has no verified identity here, so it has no rows."""

DELETED_AT = "deleted_at"
"""Name of the column that marks a row of the platform as deleted."""
FILE = "file"
FILE_TEXT = (
    "Name of the file beside the records, inside the folder of this dataset; empty (null) where the file could not be "
    "found: the ledger then names the gap."
)


@dataclass(frozen=True, slots=True)
class Named:
    """A column that is exported under its own name. Columns that are not listed are not read."""

    column: str
    description: str
    provenance: Provenance | None = None
    """The provenance, if it differs from the dataset's."""
    third_party: bool = False
    person: Person | None = None
    keys: tuple[NestedKey, ...] | None = None
    """The keys of its JSON values; None: any."""
    value: ColumnElement[Any] | None = None
    """An expression on the source's join that replaces the column's own value; None: the column itself."""


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

    @classmethod
    def of(cls, table: Table) -> FileColumns:
        """Find the columns by these names."""
        return cls(table.c.storage_key, table.c.media_type, table.c.bytes, table.c.sha256)


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
    withheld: tuple[Column[Any], ...] = ()
    """Columns whose values are described and not delivered."""


def table_source(
    table: Table,
    name: str,
    title: str,
    description: str,
    *columns: Named,
    provenance: Provenance,
    role: Role,
    kinds: frozenset[SubjectKind],
    where: Where,
    origin: FromClause | None = None,
    order: Sequence[str] = ("created_at", "id"),
    retention: RowRetention | None = None,
    file: FileColumns | None = None,
    disclosures: DisclosureFields | None = None,
) -> TableSource:
    """Make a source for one table with the key `id`; `origin` is a join if `where` uses a parent's columns."""
    fields = [_field(c, table.c[c.column], c.provenance or provenance) for c in columns]
    if file is not None:
        fields.append(Field(FILE, FieldType.STRING, FILE_TEXT, provenance))
    return TableSource(
        dataset=Dataset(
            *(name, title, description, tuple(fields), provenance, role, ("id",), kinds),
            withheld=_withheld(table),
            of_staff=isinstance(where, RowFilter) and bool(where.belonging.staff),
            disclosures=disclosures,
        ),
        table=table,
        columns=tuple(table.c[c.column] if c.value is None else c.value.label(c.column) for c in columns),
        origin=table if origin is None else origin,
        order=tuple(table.c[key] for key in order),
        created=table.c.created_at,
        where=where,
        filter=where if isinstance(where, RowFilter) else None,
        retention=retention,
        file=file,
        deleted=table.c.get(DELETED_AT),
        withheld=tuple(column for column in table.columns if column.info.get(WITHHELD)),
    )


def _field(named: Named, column: Column[Any], provenance: Provenance) -> Field:
    # A field about another person may be about a third party.
    is_third_party = named.third_party or named.person is not None
    described = (named.column, field_type(column.type), named.description, provenance)
    return Field(*described, is_third_party, named.person, named.keys)


def _withheld(table: Table) -> tuple[Withheld, ...]:
    """Return what the table stores about a subject and does not export."""
    return tuple(column.info[WITHHELD] for column in table.columns if column.info.get(WITHHELD))
