"""Reads a subject's rows of the control database, as they were when the export began.

An export is itself one of the subject's requests, and its rows change while it runs. So every value is given as of the
beginning of the export: a row that is newer is left out, and so is a value that was set later. A resumed export
therefore gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)

from exporters.sql.values import field_type, rfc3339
from portability.api import (
    JSON,
    Batch,
    Cursor,
    Dataset,
    Field,
    IdentityUse,
    Person,
    Provenance,
    Record,
    Role,
    Selection,
    Size,
    Subject,
    SubjectKind,
    Withheld,
)
from portability.api.errors import ExporterFault, SourceUnavailable
from portability.api.nouns import FIRST_IDENTITY
from portability.database import models
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable
from portability.people import subject_locks

BATCH_RECORDS = 500
OfSubject: TypeAlias = Callable[[Subject, str], ColumnElement[bool]]
"""The condition for a subject's rows; the text is the subject's identifier on the platform."""


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
        """Return the value as it was at a moment."""
        if self.set_at is not None:
            return case((self.set_at <= moment, self.column))
        return self.column

    def value(self, found: Any) -> JSON:  # noqa: ANN401  # a value of any column
        """Return a value of a row as JSON."""
        if self.is_role and isinstance(found, str):
            return found.partition(":")[0]
        if isinstance(found, datetime):
            return rfc3339(found)
        checked: JSON = found
        return checked


@dataclass(frozen=True, slots=True)
class OwnTable:
    """One dataset: a table, its exported columns, and whose rows they are."""

    dataset: Dataset
    columns: tuple[ExportedColumn, ...]
    origin: FromClause
    created: Column[Any]
    key: Column[Any]
    where: OfSubject


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
    rows = origin if origin is not None else table
    return OwnTable(dataset, columns, rows, created, key=columns[0].column, where=where)


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


@dataclass(frozen=True, slots=True)
class OwnCount:
    """The count of a dataset; those of all datasets are one."""

    asked_of: OwnRecords
    dataset: Dataset
    subject: Subject
    selection: Selection

    def together(self, counts: Sequence[OwnCount]) -> Sequence[Size]:
        """Return the numbers of records. Raises SourceUnavailable."""
        return [self.asked_of.count(one.subject, one.dataset, one.selection) for one in counts]


class OwnRecords:
    """The exporter. It reads the control database, not the source.

    Most people have rows in few tables. So the rows of all tables are counted by one statement, and a table without
    rows is not read.
    """

    identity_use = IdentityUse(frozenset(), frozenset())
    subject_kinds = frozenset(SubjectKind)

    def __init__(self, engine: Callable[[], Engine], tables: Sequence[OwnTable]) -> None:
        self._engine = engine
        self._tables: Mapping[str, OwnTable] = {table.dataset.name: table for table in tables}
        self._counted: tuple[object, Mapping[str, int]] | None = None
        """The last counts, and what they are of: a subject at a moment."""

    @property
    def datasets(self) -> Sequence[Dataset]:
        """Return the datasets, in the order of reading."""
        return [table.dataset for table in self._tables.values()]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches in the order of creation. Raises SourceUnavailable, ExporterFault for an invalid cursor."""
        table = self._tables[dataset.name]
        place = _position(after) if after is not None else None
        if not place and not self._counts(subject, selection)[dataset.name]:
            return
        while (query := _query(table, subject, selection, place)) is not None:
            with _reading(self._engine(), dataset.name) as connection:
                rows = connection.execute(query.limit(BATCH_RECORDS)).all()
            if rows:
                place = (rows[-1][0], rows[-1][1])
                records = [_record(table, dataset, row[2:]) for row in rows]
                yield Batch(records, json.dumps([rfc3339(place[0]), place[1]]))
            if len(rows) < BATCH_RECORDS:
                return

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        """Return the number of records. Raises SourceUnavailable."""
        return Size(self._counts(subject, selection)[dataset.name])

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> OwnCount:
        """Return the count of a dataset, which is known together with those of all others."""
        return OwnCount(self, dataset, subject, selection)

    def _counts(self, subject: Subject, selection: Selection) -> Mapping[str, int]:
        """Return the number of rows by dataset; what existed when an export began is counted once for all datasets."""
        times = (selection.since, selection.until, selection.began_at)
        asked = (subject.kind, subject.tenant, _identifier(subject), times)
        if self._counted is not None and self._counted[0] == asked and selection.began_at is not None:
            return self._counted[1]
        counts = dict.fromkeys(self._tables, 0)
        rows = {name: _rows(table, subject, selection, None) for name, table in self._tables.items()}
        parts = [_number(self._tables[name], found) for name, found in rows.items() if found]
        if parts:
            with _reading(self._engine(), "counts") as connection:
                counts |= {row[0]: row[1] for row in connection.execute(union_all(*parts))}
        self._counted = (asked, counts)
        return counts


@contextmanager
def _reading(engine: Engine, what: str) -> Iterator[Connection]:
    """Open a short read transaction. Raises SourceUnavailable: the reading is retried, as that of any source."""
    try:
        with reading(engine) as connection:
            yield connection
    except DatabaseUnavailable as error:
        raise SourceUnavailable(f"{what}: {error}") from error


def _number(table: OwnTable, rows: Sequence[ColumnElement[bool]]) -> Select[str, int]:
    return select(literal(table.dataset.name), func.count()).select_from(table.origin).where(*rows)


def _rows(
    table: OwnTable, subject: Subject, selection: Selection, place: tuple[datetime, Any] | None
) -> Sequence[ColumnElement[bool]] | None:
    """Return the conditions of the rows after a place; None: the subject is not identified on the platform."""
    identifier = _identifier(subject)
    kinds = table.dataset.subject_kinds or frozenset(SubjectKind)
    if not identifier or subject.kind not in kinds:
        return None
    moment = selection.began_at or datetime.now(UTC)
    clauses = [table.where(subject, identifier), table.created <= moment]
    if selection.since is not None:
        clauses.append(table.created >= selection.since)
    if selection.until is not None:
        clauses.append(table.created < selection.until)
    if place is not None:
        at, key = place
        clauses.append(or_(table.created > at, and_(table.created == at, table.key > key)))
    return clauses


def _query(
    table: OwnTable, subject: Subject, selection: Selection, place: tuple[datetime, Any] | None
) -> Select[*tuple[Any, ...]] | None:
    """Return the query for the rows after a place; None: the subject is not identified on the platform."""
    rows, moment = _rows(table, subject, selection, place), selection.began_at or datetime.now(UTC)
    if not rows:
        return None
    columns = [table.created, table.key, *(shown.as_of(moment) for shown in table.columns)]
    labelled = [column.label(f"c{number}") for number, column in enumerate(columns)]
    return select(*labelled).select_from(table.origin).where(*rows).order_by(table.created, table.key)


def _identifier(subject: Subject) -> str | None:
    """Return the identifier that the request named, verified and valid for the subject's tenant."""
    source, kind = FIRST_IDENTITY[subject.kind]
    named = (i for i in subject.identities if i.verified and (i.source, i.kind) == (source, kind))
    return next((i.value for i in named if i.tenant == subject.tenant), None)


def _record(table: OwnTable, dataset: Dataset, values: Sequence[Any]) -> Record:
    chosen = {field.name for field in dataset.fields}
    pairs = zip(table.columns, values, strict=True)
    return {shown.name: shown.value(value) for shown, value in pairs if shown.name in chosen}


def _position(after: Cursor) -> tuple[datetime, Any]:
    """Return the creation time and the key of the last row before a cursor. Raises ExporterFault."""
    try:
        at, key = json.loads(after)
        return datetime.fromisoformat(at), key
    except (TypeError, ValueError):
        raise ExporterFault("invalid cursor: start again without it") from None
