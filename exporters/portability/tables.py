"""Declares a dataset of the control database: a table, its exported columns, and whose rows they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, FromClause, and_, case, or_, select

from exporters.portability.places import is_damaged
from exporters.sql.values import CONVERTERS, exact, field_type
from portability.api import JSON, Dataset, Field, Person, Provenance, Role, Subject, SubjectKind, Withheld
from portability.database import models
from portability.people import subject_locks
from portability.requests import policy

OfSubject: TypeAlias = Callable[[Subject, str], ColumnElement[bool]]
"""The condition for a subject's rows; the text is the subject's identifier on the platform."""
PROGRAMS = ("clock", "inbox", "provider", "worker")
BY_SECRET = ("address", "client", "link", "sender", "token", "transfer")
"""People and programs who are known only by a secret that they have shown."""
ROLES = frozenset({*policy.ROLES, *PROGRAMS, *BY_SECRET})
"""Roles of actors (docs/audit.md)."""


@dataclass(frozen=True, slots=True)
class ExportedColumn:
    """A column that is exported."""

    name: str
    column: Column[Any]
    description: str
    set_at: Column[Any] | None = None
    """When the value was set, if that is after the row was created: a later value is left out."""
    is_role: bool = False
    """Only the role of an actor `role:id` is given: members of staff are not named (CJEU C-579/21)."""
    third_party: bool = False
    person: Person | None = None
    """A note is derived: the controller wrote it, so `portability` leaves it out."""

    def as_of(self, moment: datetime) -> ColumnElement[Any]:
        """Return the value as it was at a moment, in the form for `value`."""
        if self.set_at is not None:
            is_earlier = or_(self.set_at <= moment, and_(self.set_at.is_not(None), is_damaged(self.set_at)))
            return case((is_earlier, exact(self.column)))
        return exact(self.column)

    def value(self, found: object) -> JSON:
        """Return a value of a row as JSON. Raises one of NOT_JSON for a value that this software has not stored."""
        match found:
            case None if self.column.nullable or isinstance(self.set_at, Column):
                return None
            case None:
                raise ValueError("each row has this value")
        value = CONVERTERS[field_type(self.column.type)](found)
        return _role(value) if self.is_role else value


def _role(actor: JSON) -> str:
    role = str(actor).partition(":")[0]
    if role not in ROLES:  # it may be the name of a person
        raise ValueError("not an actor")
    return role


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The rows of a table: when each was created, its key, and whose it is."""

    origin: FromClause
    created: Column[Any]
    key: Column[Any]
    where: OfSubject


@dataclass(frozen=True, slots=True)
class OwnTable:
    """One dataset: a table, its exported columns, and whose rows they are."""

    dataset: Dataset
    columns: tuple[ExportedColumn, ...]
    rows: OwnRows
    waiting: OwnRows | None = None
    """Rows of another table that become rows of this table within a moment, unless they were damaged."""


def own_table(
    name: str,
    title: str,
    description: str,
    *columns: ExportedColumn,
    created: Column[Any],
    where: OfSubject,
    origin: FromClause | None = None,
    withheld: Sequence[Withheld] = (),
    kinds: frozenset[SubjectKind] | None = None,
    waiting: OwnRows | None = None,
) -> OwnTable:
    """Declare a dataset; its first column is the key."""
    fields = tuple(_field(one) for one in columns)
    dataset = Dataset(
        *(name, title, description, fields, Provenance.OBSERVED, Role.CONTROLLER, (columns[0].name,)),
        subject_kinds=kinds,
        withheld=tuple(withheld),
        of_requests=True,
    )
    table = columns[0].column.table
    rows = OwnRows(origin if origin is not None else table, created, columns[0].column, where)
    return OwnTable(dataset, columns, rows, waiting)


def _field(shown: ExportedColumn) -> Field:
    provenance = Provenance.DERIVED if shown.person is Person.NOTE else Provenance.OBSERVED
    kind = field_type(shown.column.type)
    return Field(shown.name, kind, shown.description, provenance, shown.third_party, shown.person)


def about(table: FromClause) -> OfSubject:
    """Return the condition for rows with the columns subject_kind, subject_id and tenant."""

    def where(subject: Subject, identifier: str) -> ColumnElement[bool]:
        return subject_locks.of(table, subject.kind, identifier, subject.tenant)  # type: ignore[arg-type]  # a table

    return where


def of_request(export_id: Column[Any]) -> OfSubject:
    """Return the condition for rows that belong to a request of the subject."""

    def where(subject: Subject, identifier: str) -> ColumnElement[bool]:
        return export_id.in_(select(models.export.c.id).where(about(models.export)(subject, identifier)))

    return where
