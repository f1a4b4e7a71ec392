"""The reader of tables: named columns, in keyset batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise, starmap
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection

from exporters.sql import by_keys, conversations, reviews
from exporters.sql.changes import SqlChanges
from exporters.sql.clock import as_written
from exporters.sql.conversations import Whole
from exporters.sql.counts import TableCount
from exporters.sql.cursors import cursor
from exporters.sql.existing import stored_keys
from exporters.sql.faults import UndecodableText, reading
from exporters.sql.files import find_all, stated_file
from exporters.sql.marks import remarks, withheld
from exporters.sql.pages import UNREADABLE, Page, Pages
from exporters.sql.rows import identifier, key, named, rows_of, without_place
from exporters.sql.slices import cuts
from exporters.sql.source import FILE, TableSource
from portability.api import (
    JSON,
    Batch,
    Cursor,
    Dataset,
    DeclaredChanges,
    File,
    Gap,
    Identity,
    IdentityUse,
    RecordKey,
    Selection,
    Size,
    Slice,
    Sources,
    Subject,
    SubjectKind,
)
from portability.api.errors import ExporterFault, SourceError, SourceRefused
from portability.api.rows import Rows, lines
from portability.people.resolution import alone, resolving

Finder: TypeAlias = Callable[[Connection, Subject], Iterable[Identity]]
Knower: TypeAlias = Callable[[Connection, Subject], bool | None]
"""Says whether the database knows a subject; None: it cannot tell for this kind of subject."""


class SqlExporter:
    """An exporter of tables of the platform's database, which may also find further identities there.

    With `whole`, it also offers their conversations, each with all its parts; with `changes`, it states what changed.
    """

    def __init__(
        self,
        sources: Sources,
        *tables: TableSource,
        title: str,
        use: IdentityUse | None = None,
        finder: Finder | None = None,
        knower: Knower | None = None,
        whole: Whole | None = None,
        changes: SqlChanges | None = None,
    ) -> None:
        self.title = title
        self._sources = sources
        self._tables = {table.dataset.name: table for table in tables}
        self._finder = finder
        self._knower = knower
        self._whole = whole
        self._changes = changes
        self._use = use or IdentityUse()

    @property
    def identity_use(self) -> IdentityUse:
        """Return the kinds that its tables' filters use, those that it finds, and those that a person must review."""
        return self._use

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]:
        return frozenset(kind for table in self._tables.values() for kind in table.dataset.subject_kinds or ())

    @property
    def datasets(self) -> Sequence[Dataset]:
        wholes = [] if self._whole is None else [self._whole.dataset]
        return [table.dataset for table in self._tables.values()] + wholes

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches of about BATCH_BYTES; a larger record is a batch of its own.

        Raises: SourceUnavailable, SourceRefused, ExporterFault (an invalid cursor or slice).
        """
        table, selection = self._table(dataset), as_written(selection, self._sources.database)
        if reviews.are_due(selection, after) and (gaps := self._gaps(table, dataset, subject, selection)):
            yield Batch((), reviews.START, (), gaps)
        after = None if after == reviews.START else after
        if self._whole is not None and dataset.name == self._whole.dataset.name:
            yield from conversations.batches(self._sources, self._whole, subject, selection, after)
            return
        for number, part, begin in by_keys.parts(selection, after):
            for batch in self._batches(table, subject, part, begin):
                yield replace(batch, cursor=by_keys.cursor(selection, number, batch.cursor))

    def _gaps(self, table: TableSource, dataset: Dataset, subject: Subject, selection: Selection) -> tuple[Gap, ...]:
        """Return the gaps for rows that are not read: those that need a review, and those without a key."""
        waiting, keyless = reviews.queries(table, subject, selection), without_place(table, subject, selection)
        if not (waiting or keyless is not None):
            return ()
        with reading(self._sources.database, dataset.name) as connection:
            found = reviews.gaps(connection, dataset.name, waiting)
            count = (connection.scalar(keyless) if keyless is not None else 0) or 0
        return (*found, Gap(f"{dataset.name}: records without a key: {count}", UNREADABLE)) if count else found

    def _batches(
        self, table: TableSource, subject: Subject, selection: Selection, after: Cursor | None
    ) -> Generator[Batch, None, None]:
        with closing(Pages(self._sources.database, table, subject, selection)) as pages:
            while pages.more and (page := pages.read(after)) is not None:
                if page.rows:
                    batch = self._batch(table, page)
                    yield batch
                    after = batch.cursor

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        """Count records, the bytes of their files if they have any, and a tenant's records that lead to no person."""
        count = TableCount(self._sources, self._table(dataset), subject, as_written(selection, self._sources.database))
        return count.together([count])[0]

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> TableCount | None:
        """Return the count of a person's records, which one statement counts with those of other datasets."""
        if subject.kind is SubjectKind.TENANT:
            return None
        return TableCount(self._sources, self._table(dataset), subject, as_written(selection, self._sources.database))

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        """Return at most `n` slices of about equal weight, each with at least one record; one if it cannot be cut.

        Raises: SourceUnavailable, SourceRefused, ExporterFault (an invalid slice).
        """
        table = self._table(dataset)
        rows, whole = rows_of(table, subject, as_written(selection, self._sources.database)), selection.slice or Slice()
        if rows is None or n <= 1:
            return (whole,)
        try:
            inner = self._cuts(table, rows, n)
        except UndecodableText:
            inner = self._cuts(table, rows, n, lenient=True)
        return tuple(starmap(Slice, pairwise((whole.begin, *inner, whole.end))))

    def _cuts(self, table: TableSource, rows: ColumnElement[bool], n: int, *, lenient: bool = False) -> Sequence[str]:
        with reading(self._sources.database, table.dataset.name, lenient=lenient) as connection:
            return cuts(connection, table, rows, n)

    def existing(self, dataset: Dataset, keys: Sequence[tuple[JSON, ...]]) -> Collection[tuple[JSON, ...]]:
        """Return those of the keys that the dataset's table stores. Raises SourceUnavailable, SourceRefused."""
        return stored_keys(self._sources, self._table(dataset), dataset, keys)

    @property
    def changes(self) -> DeclaredChanges | None:
        """Return what it states about changes; None: nothing."""
        return None if self._changes is None else self._changes.declared

    def horizon(self) -> JSON:
        """Return the position of now among changes. Raises SourceUnavailable, SourceRefused."""
        with reading(self._sources.database, "changes") as connection:
            return self._stated_changes().horizon(connection)

    def changed(self, subject: Subject, dataset: Dataset, since: JSON, limit: int) -> Collection[RecordKey] | None:
        """Return the keys that may have changed since a position; None: it cannot say it, or they are too many.

        Raises: SourceUnavailable, SourceRefused.
        """
        table = self._table(dataset)
        with reading(self._sources.database, f"{dataset.name}: changes") as connection:
            return self._stated_changes().changed(connection, table, subject, since, limit)

    def _stated_changes(self) -> SqlChanges:
        if self._changes is None:
            raise SourceRefused("the source states no changes")
        return self._changes

    def identities(self, subject: Subject) -> Sequence[Identity]:
        """Find further identities of a subject by its verified identities; most exporters find none."""
        if self._finder is None:
            return ()
        try:
            return self._found(self._finder, subject)
        except SourceError:
            if not resolving():
                raise
            with alone():  # another exporter's table may be gone, locked or slow
                return self._found(self._finder, subject)

    def _found(self, finder: Finder, subject: Subject) -> Sequence[Identity]:
        with reading(self._sources.database, "identities") as connection:
            return tuple(finder(connection, subject))

    def knows(self, subject: Subject) -> bool | None:
        """Return whether the database knows the subject; None: it cannot tell."""
        if self._knower is None:
            return None
        with reading(self._sources.database, "subjects") as connection:
            return self._knower(connection, subject)

    def _table(self, dataset: Dataset) -> TableSource:
        if self._whole is not None and dataset.name == self._whole.dataset.name:
            return self._whole.parent
        if dataset.name not in self._tables:
            raise ExporterFault(f"unknown dataset {dataset.name!r}")
        return self._tables[dataset.name]

    def _batch(self, table: TableSource, page: Page) -> Batch:
        rows = Rows(page.names, page.columns, b"".join(page.lines), page.texts)
        if table.file is None:
            return Batch(rows, cursor(page.key), (), tuple(page.gaps), remarks(page.marks), withheld(page.marks))
        stated_files = [
            stated_file(named(table, record), identifier(table, record), file_columns)
            for record, file_columns in zip(rows, zip(*page.files, strict=True), strict=True)
        ]
        found = find_all(self._sources.files, stated_files)
        names = [*page.names, FILE]
        columns: list[Sequence[JSON]] = [*page.columns, [one.name if isinstance(one, File) else None for one in found]]
        files = tuple(one for one in found if isinstance(one, File))
        missing = (
            replace(one, key=key(table, record), fields=(FILE,))
            for one, record in zip(found, rows, strict=True)
            if isinstance(one, Gap)
        )
        gaps = (*page.gaps, *missing)
        rows = Rows(names, columns, bytes(lines(names, columns)))
        return Batch(rows, cursor(page.key), files, gaps, remarks(page.marks), withheld(page.marks))
