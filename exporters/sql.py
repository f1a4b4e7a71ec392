"""The one table reader: named columns, keyset batches of bounded bytes, short READ ONLY transactions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import pairwise, starmap
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select

from exporters import conversations
from exporters.conversations import Whole
from exporters.faults import next_rows, reading
from exporters.files import Promise, find
from exporters.rows import Columns, Selected, cursor, gaps_of, named, read, rows_of, statement
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
    Record,
    Selection,
    Size,
    Slice,
    Sources,
    Subject,
    SubjectKind,
)
from portability.errors import ExporterFault
from portability.rows import Rows, line

BATCH_BYTES = 1 << 20
BATCH_ROWS = 2_000
FILE_BATCH_ROWS = 100  # each file costs a question to the file store before the batch is given out
FETCH_ROWS = 256  # rows that may be in memory beyond a batch

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
        limit = BATCH_ROWS if table.file is None else FILE_BATCH_ROWS
        more = True
        while more:
            rows = rows_of(table, subject, selection, after)
            if rows is None:
                return
            page, more = self._read(table, statement(table, rows, limit), limit)
            if page.values:
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
        with reading(self._sources.database, table.dataset.name) as connection:
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

    def _read(self, table: Source, query: Selected, limit: int) -> tuple[_Page, bool]:
        """The next rows up to BATCH_BYTES, and whether more may follow."""
        page = _Page(table)
        with (
            reading(self._sources.database, table.dataset.name) as connection,
            connection.execute(query, execution_options={"stream_results": True}) as result,
        ):
            while fetched := next_rows(result, _fetch_rows(len(page.values), len(page.lines))):
                if not page.take(read(table, fetched)):
                    return page, True
        return page, len(page.values) == limit

    def _batch(self, table: Source, page: _Page) -> Batch:
        if table.file is None:
            return Batch(Rows(page.names, page.values, bytes(page.lines)), cursor(page.key), (), tuple(page.gaps))
        records: list[Record] = []
        files: list[File] = []
        gaps = list(page.gaps)
        for values, promised in zip(page.values, page.files, strict=True):
            record = dict(zip(page.names, values, strict=True))
            found = find(self._sources.files, Promise(named(table, record), str(record["id"]), *promised))
            if isinstance(found, File):
                files.append(found)
            else:
                gaps.append(found)
            records.append({**record, FILE: found.name if isinstance(found, File) else None})
        return Batch(records, cursor(page.key), tuple(files), tuple(gaps))


class _Page:
    """Rows of one batch while they come."""

    def __init__(self, table: Source) -> None:
        self.names = [str.__str__(field.name) for field in table.dataset.fields[: len(table.columns)]]
        self.values: list[Sequence[JSON]] = []
        self.lines = bytearray()
        self.files: list[Sequence[Any]] = []
        self.gaps: list[Gap] = []
        self.key: Sequence[JSON] = ()
        self._table = table

    def take(self, found: Columns) -> bool:
        """Add rows up to BATCH_BYTES; False where they are not all in. A larger row makes a batch of its own."""
        names, lines = self.names, self.lines
        for place, values in enumerate(found.values):
            one = line(names, values)
            if self.values and len(lines) + len(one) > BATCH_BYTES:
                return False
            lines += one
            self.values.append(values)
            self.key = found.keys[place]
            if found.files:
                self.files.append(found.files[place])
            if place in found.lost:
                record = dict(zip(names, values, strict=True))
                self.gaps += gaps_of(self._table, record, found.lost[place])
        return True


def _fetch_rows(rows: int, total_bytes: int) -> int:
    """How many rows to ask for: one to learn their size, then what the batch has room for."""
    if not rows:
        return 1
    room = (BATCH_BYTES - total_bytes) * rows // max(total_bytes, 1)
    return max(1, min(FETCH_ROWS, room))
