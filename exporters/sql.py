"""The one table reader: named columns, keyset batches of bounded bytes, short READ ONLY transactions."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise, starmap
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select

from exporters import conversations
from exporters.chunks import chunks
from exporters.conversations import Whole
from exporters.faults import reading
from exporters.files import Promise, find
from exporters.rows import FILE_COLUMNS, Columns, Selected, cursor, gaps_of, named, read, rows_of, statement
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

BATCH_BYTES = 4 << 20
BATCH_ROWS = 10_000
FIRST_ROWS = 64
"""Asked for first, in one round trip instead of six: most datasets of most people have no more."""
FILE_BATCH_ROWS = 100  # each file costs a question to the file store before the batch is given out
FINDERS = 8
"""Questions to the file store at the same time."""
FETCH_ROWS = 512  # what is fetched together; two of them may be in memory beyond a batch

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
        asked, more = min(FIRST_ROWS, limit), True
        while more:
            rows = rows_of(table, subject, selection, after)
            if rows is None:
                return
            page, more = self._read(table, statement(table, rows, asked), asked)
            if page.rows:
                batch = self._batch(table, page)
                yield batch
                after = batch.cursor
            asked = limit

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

    def _read(self, table: Source, query: Selected, limit: int) -> tuple[_Page, bool]:
        """The next rows up to BATCH_BYTES, and whether more may follow."""
        page = _Page(table)
        is_first = limit <= FIRST_ROWS
        with (
            reading(self._sources.database, table.dataset.name, single=is_first) as connection,
            connection.execute(query, execution_options={"stream_results": not is_first}) as result,
        ):
            for fetched in chunks(result, page.room):
                if not page.take(read(table, fetched)):
                    return page, True
        return page, page.rows == limit

    def _batch(self, table: Source, page: _Page) -> Batch:
        rows = Rows(page.names, page.columns, b"".join(page.lines))
        if table.file is None:
            return Batch(rows, cursor(page.key), (), tuple(page.gaps))
        promises = [
            Promise(named(table, record), str(record["id"]), *promised)
            for record, promised in zip(rows, zip(*page.files, strict=True), strict=True)
        ]
        # A store answers in its own time, and several answers at once take no longer.
        with ThreadPoolExecutor(min(len(promises), FINDERS)) as pool:
            found = list(pool.map(partial(find, self._sources.files), promises))
        names = [*page.names, FILE]
        columns: list[Sequence[JSON]] = [*page.columns, [one.name if isinstance(one, File) else None for one in found]]
        files = tuple(one for one in found if isinstance(one, File))
        gaps = (*page.gaps, *(one for one in found if isinstance(one, Gap)))
        return Batch(Rows(names, columns, bytes(lines(names, columns))), cursor(page.key), files, gaps)


class _Page:
    """Rows of one batch while they come."""

    def __init__(self, table: Source) -> None:
        self.names = [str.__str__(field.name) for field in table.dataset.fields[: len(table.columns)]]
        self.columns: list[list[JSON]] = [[] for _name in self.names]
        self.files: list[list[Any]] = [[] for _column in range(FILE_COLUMNS if table.file else 0)]
        self.lines: list[bytearray] = []
        self.bytes = 0
        self.rows = 0
        self.gaps: list[Gap] = []
        self.key: Sequence[JSON] = ()
        self._table = table

    def take(self, found: Columns) -> bool:
        """Add rows up to BATCH_BYTES; False where they are not all in. A larger row makes a batch of its own."""
        count = self._fitting(found)
        for mine, theirs in zip([*self.columns, *self.files], [*found.values, *found.files], strict=True):
            mine.extend(theirs if count == len(found) else theirs[:count])
        if count:
            self.key = found.key(count - 1)
        for place in sorted(found.lost.keys() & range(count)):
            record = dict(zip(self.names, (column[self.rows + place] for column in self.columns), strict=True))
            self.gaps += gaps_of(self._table, record, found.lost[place])
        self.rows += count
        return count == len(found)

    def room(self) -> int:
        """How many rows to fetch next: what the batch has room for, if they are as large as those before."""
        rows = (BATCH_BYTES - self.bytes) * self.rows // max(self.bytes, 1)
        return max(1, min(FETCH_ROWS, rows))

    def _fitting(self, found: Columns) -> int:
        """How many of the rows fit; their lines are added."""
        text = lines(self.names, found.values)
        room = max(BATCH_BYTES - self.bytes, 0)
        count = len(found)
        if len(text) > room:
            first = 0 if self.rows else text.index(b"\n") + 1
            del text[max(first, text.rfind(b"\n", 0, room) + 1) :]
            count = text.count(b"\n")
        self.lines.append(text)
        self.bytes += len(text)
        return count
