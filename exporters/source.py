"""How an exporter declares what it reads: one table by named columns, and which of its rows are a subject's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Column, ColumnElement, FromClause, Table

from exporters.columns import WITHHELD
from exporters.translations import indonesian
from exporters.values import field_type
from portability.api import Dataset, Field, FieldType, Person, Provenance, Role, Subject, SubjectKind, Withheld

Where: TypeAlias = Callable[[Subject], ColumnElement[bool] | None]
"""The rows of a subject; None: it has no verified identity here, so none are."""

FILE = "file"
FILE_TEXT = (
    "Name of the file beside the records, inside the folder of this dataset; empty (null) where the file could not be "
    "found: the ledger then names the gap."
)


@dataclass(frozen=True, slots=True)
class Named:
    """A column that is exported under its own name. What is not named is not read."""

    column: str
    description: str
    provenance: Provenance | None = None
    """Where it differs from the dataset's."""
    third_party: bool = False
    person: Person | None = None


class Retention(Protocol):
    """How long rows are kept: what is past its time is not exported, be it still there (GDPR Art. 5(1)(e))."""

    def kept(self, subject: Subject, moment: datetime) -> ColumnElement[bool] | None:
        """The rows that are kept at a moment, or held for a legal reason; None: all of this subject's."""
        ...


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Where a row says which file belongs to it, and what to expect of it."""

    storage_key: Column[Any]
    media_type: Column[Any]
    bytes: Column[Any]
    sha256: Column[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset and how to read it."""

    dataset: Dataset
    columns: tuple[Column[Any], ...]
    """Of the fields, in their order; without the one that names a file."""
    origin: FromClause
    order: tuple[Column[Any], ...]
    """Unique, never NULL and never changed: the keyset of the reader's cursor."""
    created: Column[Any]
    where: Where
    retention: Retention | None = None
    file: FileColumns | None = None


def source(
    table: Table,
    name: str,
    title: str,
    description: str,
    *,
    columns: Sequence[Named],
    provenance: Provenance,
    role: Role,
    kinds: frozenset[SubjectKind],
    where: Where,
    origin: FromClause | None = None,
    order: Sequence[str] = ("created_at", "id"),
    retention: Retention | None = None,
    file: FileColumns | None = None,
) -> Source:
    """A source on one table with the key `id`; `origin` is a join where `where` looks at a parent's columns."""
    fields = [_field(c, table.c[c.column], c.provenance or provenance) for c in columns]
    if file is not None:
        fields.append(Field(FILE, FieldType.STRING, FILE_TEXT, provenance, description_id=indonesian(FILE_TEXT)))
    return Source(
        dataset=Dataset(
            *(name, title, description, tuple(fields), provenance, role, ("id",), kinds),
            withheld=_withheld(table),
            title_id=indonesian(title),
            description_id=indonesian(description),
        ),
        columns=tuple(table.c[c.column] for c in columns),
        origin=table if origin is None else origin,
        order=tuple(table.c[key] for key in order),
        created=table.c.created_at,
        where=where,
        retention=retention,
        file=file,
    )


def _field(named: Named, column: Column[Any], provenance: Provenance) -> Field:
    # Whatever tells of another person may be about a third party.
    is_third_party = named.third_party or named.person is not None
    kind, text = field_type(column.type), named.description
    return Field(named.column, kind, text, provenance, is_third_party, named.person, indonesian(text))


def _withheld(table: Table) -> tuple[Withheld, ...]:
    """What the table holds of a subject and does not give out."""
    held = [column.info[WITHHELD] for column in table.columns if column.info.get(WITHHELD)]
    return tuple(replace(one, what_id=indonesian(one.what), reason_id=indonesian(one.reason)) for one in held)
