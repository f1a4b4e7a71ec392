"""The one table reader: named columns, in keyset batches."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import pairwise, starmap
from typing import TypeAlias

from sqlalchemy import Connection, func, select

from exporters import conversations
from exporters.conversations import Whole
from exporters.faults import reading
from exporters.files import Promise, find_all
from exporters.pages import Page, Pages
from exporters.rows import cursor, named, rows_of
from exporters.slices import cuts, promised_bytes
from exporters.source import FILE, Source
from portability.api import (
    JSON,
    Batch,
    Cursor,
    Dataset,
    File,
    Gap,
    Identity,
    Selection,
    Size,
    Slice,
    Sources,
    Subject,
    SubjectKind,
)
from portability.errors import ExporterFault
from portability.rows import Rows, lines

Finder: TypeAlias = Callable[[Connection, Subject], Iterable[Identity]]


class SqlExporter:
    """An exporter of some tables of the platform's database, which may find further identities there.

    With `whole`, it also offers their conversations, each with all that belongs to it.
    """

    def __init__(
        self, sources: Sources, *tables: Source, finder: Finder | None = None, whole: Whole | None = None
    ) -> None:
        self._sources = sources
        self._tables = {table.dataset.name: table for table in tables}
        self._finder = finder
        self._whole = whole

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
        """Batches of about BATCH_BYTES; a larger record makes one of its own.

        Raises: SourceUnavailable, SourceRefused, ExporterFault (a cursor or slice that is not from here).
        """
        table = self._table(dataset)
        if self._whole is not None and dataset.name == self._whole.dataset.name:
            yield from conversations.batches(self._sources, self._whole, subject, selection, after)
            return
        pages = Pages(self._sources.database, table, subject, selection)
        with closing(pages):
            while pages.more and (page := pages.read(after)) is not None:
                if page.rows:
                    batch = self._batch(table, page)
                    yield batch
                    after = batch.cursor

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        """Records, and bytes of their files where they have any."""
        table = self._table(dataset)
        rows = rows_of(table, subject, selection)
        if rows is None:
            return Size(0, 0)
        files = func.coalesce(func.sum(promised_bytes(table.file)), 0) if table.file else func.count()
        with reading(self._sources.database, table.dataset.name, single=True) as connection:
            found = connection.execute(select(func.count(), files).select_from(table.origin).where(rows)).one()
        return Size(found[0], int(found[1]) if table.file else None)

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        """At most `n` slices of about equal weight, each with a record at least; one where there is nothing to cut.

        Raises: SourceUnavailable, SourceRefused, ExporterFault (a slice that is not from here).
        """
        table = self._table(dataset)
        rows, whole = rows_of(table, subject, selection), selection.slice or Slice()
        if rows is None or n <= 1:
            return (whole,)
        with reading(self._sources.database, dataset.name) as connection:
            inner = cuts(connection, table, rows, n)
        return tuple(starmap(Slice, pairwise((whole.begin, *inner, whole.end))))

    def identities(self, subject: Subject) -> Sequence[Identity]:
        """Further identities of a subject, found by its verified ones; most exporters know none."""
        if self._finder is None:
            return ()
        with reading(self._sources.database, "identities") as connection:
            return tuple(self._finder(connection, subject))

    def _table(self, dataset: Dataset) -> Source:
        if self._whole is not None and dataset.name == self._whole.dataset.name:
            return self._whole.parent
        if dataset.name not in self._tables:
            raise ExporterFault(f"no dataset is named {dataset.name!r} here")
        return self._tables[dataset.name]

    def _batch(self, table: Source, page: Page) -> Batch:
        rows = Rows(page.names, page.columns, b"".join(page.lines), page.texts)
        if table.file is None:
            return Batch(rows, cursor(page.key), (), tuple(page.gaps))
        promises = [
            Promise(named(table, record), str(record["id"]), *promised)
            for record, promised in zip(rows, zip(*page.files, strict=True), strict=True)
        ]
        found = find_all(self._sources.files, promises)
        names = [*page.names, FILE]
        columns: list[Sequence[JSON]] = [*page.columns, [one.name if isinstance(one, File) else None for one in found]]
        files = tuple(one for one in found if isinstance(one, File))
        gaps = (*page.gaps, *(one for one in found if isinstance(one, Gap)))
        return Batch(Rows(names, columns, bytes(lines(names, columns))), cursor(page.key), files, gaps)
