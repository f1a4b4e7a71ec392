"""Reads a subject's rows of the control database, as they were when the export began.

An export is itself one of the subject's requests, and its rows change while it runs. So every value is given as of the
beginning of the export: a row that is newer is left out, and so is a value that was set later. A resumed export
therefore gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Select, case, func, literal, not_, select, union_all

from exporters.portability.places import START, RowPlace, has_key, is_damaged, order, place_of, rows_after, written
from exporters.portability.tables import OwnRows, OwnTable
from exporters.sql.faults import UndecodableText, reading
from exporters.sql.values import NOT_JSON, exact
from portability.api import (
    JSON,
    Batch,
    Cursor,
    Dataset,
    Gap,
    IdentityUse,
    Record,
    Selection,
    Size,
    Subject,
    SubjectKind,
)
from portability.api.nouns import FIRST_IDENTITY

BATCH_RECORDS = 4000
"""Each batch sorts all of a subject's rows: with 500 records a batch, 100,000 events take a minute."""
NOT_JSON_REASON, UNREADABLE = "not_json", "unreadable"
"""Reasons of gaps: a value of a record was damaged; a record was."""


@dataclass(frozen=True, slots=True)
class OwnNumbers:
    """How many rows of a dataset are exported, and how many cannot be."""

    records: int = 0
    lost: int = 0


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
    title = "Your requests and copies"

    def __init__(self, engine: Callable[[], Engine], tables: Sequence[OwnTable]) -> None:
        self._engine = engine
        self._tables: Mapping[str, OwnTable] = {table.dataset.name: table for table in tables}
        self._counted: tuple[object, Mapping[str, OwnNumbers]] | None = None
        """The last counts, and what they are of: a subject at a moment."""

    @property
    def datasets(self) -> Sequence[Dataset]:
        """Return the datasets, in the order of reading."""
        return [table.dataset for table in self._tables.values()]

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches in the order of creation. Raises SourceUnavailable, ExporterFault for an invalid cursor."""
        table, place = self._tables[dataset.name], place_of(after) if after else START
        if not _may_have(table, subject):
            return
        if not after:
            found = self._counts(subject, selection)[dataset.name]
            if found.lost:
                gap = Gap(f"{dataset.name}: damaged records: {found.lost}", UNREADABLE)
                yield Batch((), START.cursor(), gaps=(gap,))
            if not found.records:
                return
        while True:
            rows = self._read(_query(table, subject, selection, place), dataset.name)
            if rows:
                place = RowPlace(written(rows[-1][0]), rows[-1][1])
                yield _batch(table, dataset, [row[2:] for row in rows], place)
            if len(rows) < BATCH_RECORDS:
                return

    def _read(self, query: Select[*tuple[Any, ...]], what: str) -> Sequence[Row[*tuple[Any, ...]]]:
        """Return rows. Of a text that is not UTF-8 there are the bytes."""
        try:
            with reading(self._engine(), what, lenient=False) as connection:
                return connection.execute(query).all()
        except UndecodableText:
            with reading(self._engine(), what, lenient=True) as connection:
                return connection.execute(query).all()

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        """Return the number of records. Raises SourceUnavailable."""
        return Size(self._counts(subject, selection)[dataset.name].records)

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> OwnCount:
        """Return the count of a dataset, which is known together with those of all others."""
        return OwnCount(self, dataset, subject, selection)

    def _counts(self, subject: Subject, selection: Selection) -> Mapping[str, OwnNumbers]:
        """Return the rows by dataset; what existed when an export began is counted once for all datasets."""
        times = (selection.since, selection.until, selection.began_at)
        asked = (subject.kind, subject.tenant, _identifier(subject), times)
        if self._counted and self._counted[0] == asked and selection.began_at:
            return self._counted[1]
        counts = dict.fromkeys(self._tables, OwnNumbers())
        parts = [_number(one, subject, selection) for one in self._tables.values() if _may_have(one, subject)]
        if parts:
            with reading(self._engine(), "counts") as connection:
                counts |= {name: OwnNumbers(*numbers) for name, *numbers in connection.execute(union_all(*parts))}
        self._counted = (asked, counts)
        return counts


def _number(table: OwnTable, subject: Subject, selection: Selection) -> Select[str, int, int]:
    """Return the query for the name of a dataset, its records, and those that cannot be read."""
    is_read = has_key(table.rows.key)
    lost: ColumnElement[int] = func.count().filter(not_(is_read))
    if table.waiting:
        waiting = _where(table.waiting, subject, selection, START)
        lost = lost + select(func.count()).select_from(table.waiting.origin).where(*waiting).scalar_subquery()
    name = literal(table.dataset.name)
    return (
        select(name, func.count().filter(is_read), lost)
        .select_from(table.rows.origin)
        .where(*_where(table.rows, subject, selection, START))
    )


def _may_have(table: OwnTable, subject: Subject) -> bool:
    """Return whether a subject is one that may have rows: of a kind that has, and identified on the platform."""
    return bool(_identifier(subject)) and subject.kind in (table.dataset.subject_kinds or frozenset(SubjectKind))


def _where(rows: OwnRows, subject: Subject, selection: Selection, place: RowPlace) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a subject's rows after a place."""
    whose = rows.where(subject, _identifier(subject) or "")
    return whose, rows_after(place, rows.created, rows.key, selection, _moment(selection))


def _query(table: OwnTable, subject: Subject, selection: Selection, place: RowPlace) -> Select[*tuple[Any, ...]]:
    """Return the query for the rows of a batch."""
    rows = table.rows
    created = case((not_(is_damaged(rows.created)), exact(rows.created)))
    columns = [created, rows.key, *(shown.as_of(_moment(selection)) for shown in table.columns)]
    labelled = [column.label(f"c{number}") for number, column in enumerate(columns)]
    where = (*_where(rows, subject, selection, place), has_key(rows.key))
    ordered = select(*labelled).select_from(rows.origin).where(*where).order_by(*order(rows.created, rows.key))
    return ordered.limit(BATCH_RECORDS)


def _moment(selection: Selection) -> datetime:
    return selection.began_at or datetime.now(UTC)


def _identifier(subject: Subject) -> str | None:
    """Return the identifier that the request named, verified and valid for the subject's tenant."""
    source, kind = FIRST_IDENTITY[subject.kind]
    named = (i for i in subject.identities if i.verified and (i.source, i.kind) == (source, kind))
    return next((i.value for i in named if i.tenant == subject.tenant), None)


def _batch(table: OwnTable, dataset: Dataset, rows: Sequence[Sequence[Any]], place: RowPlace) -> Batch:
    """Return rows as records. A value that was damaged is null, and a gap names it."""
    chosen = {field.name for field in dataset.fields}
    records: list[Record] = []
    gaps: list[Gap] = []
    for row in rows:
        record: dict[str, JSON] = {}
        for shown, found in zip(table.columns, row, strict=True):
            if shown.name not in chosen:
                continue
            try:
                record[shown.name] = shown.value(found)
            except NOT_JSON:
                record[shown.name] = None
                what = f"{dataset.name}/{row[0]}/{shown.name}"
                gaps.append(Gap(what, NOT_JSON_REASON, key=(row[0],), fields=(shown.name,)))
        records.append(record)
    return Batch(records, place.cursor(), gaps=tuple(gaps))
