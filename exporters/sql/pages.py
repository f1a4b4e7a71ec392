"""Pages: the rows of one dataset in batches of bounded size, each read in a short READ ONLY transaction."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from operator import eq
from typing import Any

from sqlalchemy import Engine, false

from exporters.sql import joined
from exporters.sql.cells import NotJoined
from exporters.sql.chunks import chunks
from exporters.sql.cursors import StoredKey, cursor, key_of
from exporters.sql.cut_values import refuse_cut_values
from exporters.sql.faults import UndecodableText, reading
from exporters.sql.marks import remarks_of, withheld_of
from exporters.sql.prefetch import Ahead
from exporters.sql.rows import FILE_COLUMNS, Columns, gaps_of, read, rows_of, statement, with_place
from exporters.sql.source import TableSource
from portability.api import JSON, Cursor, Gap, Selection, Subject
from portability.api.errors import SourceRefused
from portability.api.rows import lines

UNREADABLE = "unreadable"
"""The reason of a gap: records exist that could not be read."""
BATCH_BYTES = 4 << 20
BATCH_ROWS = 10_000
FIRST_ROWS = (64, 512)
"""Rows of the first page, read in one round trip instead of six: most datasets of most people have no more."""
FILE_BATCH_ROWS = 100  # each file costs a request to the file store before the batch is yielded
CHUNK_ROWS = 512  # rows fetched together, value by value; one chunk may be in memory beyond a batch
BATCH_FILLED = 0.9
"""The estimated number of rows that fill a batch is fetched at once: rows that do not fit are read twice."""


class Page:
    """The rows of one batch while they arrive."""

    def __init__(self, table: TableSource) -> None:
        self.names = [str.__str__(field.name) for field in table.dataset.fields[: len(table.columns)]]
        self.lines: list[bytes | bytearray] = []
        self.bytes = 0
        self.rows = 0
        self.gaps: list[Gap] = []
        self.marks: dict[str, list[int]] = {}
        """Indexes of the rows that fulfil a mark."""
        self.first: Sequence[Any] = ()
        """The key of the first row."""
        self.key: Sequence[Any] = ()
        self.repeats = 0
        """Rows with the key of the row before them."""
        self._table = table
        self._held: list[list[Any]] = []
        self._ends = (len(self.names), len(self.names) + (FILE_COLUMNS if table.file else 0))

    @property
    def columns(self) -> Sequence[Sequence[JSON]]:
        """Return one column for each name."""
        return self._held[: self._ends[0]]

    @property
    def files(self) -> Sequence[Sequence[Any]]:
        """Return what the rows state about their files."""
        return self._held[self._ends[0] : self._ends[1]]

    @property
    def texts(self) -> Sequence[Sequence[str]] | None:
        """Return the JSON of the columns, if it was delivered with them."""
        return self._held[self._ends[1] :] or None

    def take(self, found: Columns) -> bool:
        """Add rows up to BATCH_BYTES; False if some did not fit. A larger row is a batch of its own."""
        count = self._fitting(found)
        arrived: list[Sequence[Any]] = [*found.values, *found.files, *found.texts]
        if count < len(found):
            arrived = [column[:count] for column in arrived]
        if self._held:
            for column, more in zip(self._held, arrived, strict=True):
                column.extend(more)
        else:
            self._held = [column if isinstance(column, list) else list(column) for column in arrived]
        if count:
            keys = [tuple(self.key), *islice(zip(*found.keys, strict=True), count)]
            self.repeats += sum(map(eq, keys, keys[1:]))
            self.first = self.first or keys[1]
            self.key = keys[-1]
        for place in sorted(found.lost.keys() & range(count)):
            record = dict(zip(self.names, (column[self.rows + place] for column in self.columns), strict=True))
            self.gaps += gaps_of(self._table, record, found.lost[place])
        for name, places in found.marks.items():
            self.marks.setdefault(name, []).extend(self.rows + place for place in places if place < count)
        self.rows += count
        return count == len(found)

    def room(self) -> int:
        """Return how many rows to fetch next, if they are as large as the earlier rows."""
        rows = (BATCH_BYTES - self.bytes) * self.rows // max(self.bytes, 1)
        return max(1, min(CHUNK_ROWS, rows))

    def _fitting(self, found: Columns) -> int:
        """Return how many of the rows fit; their lines are added."""
        text = found.lines if found.lines is not None else lines(self.names, found.values)
        room = max(BATCH_BYTES - self.bytes, 0)
        count = len(found)
        if len(text) > room:
            first = 0 if self.rows else text.index(b"\n") + 1
            text = text[: max(first, text.rfind(b"\n", 0, room) + 1)]
            count = text.count(b"\n")
        self.lines.append(text)
        self.bytes += len(text)
        return count


class Pages:
    """One page after the other: the first rows in one round trip, then joined columns if the server supports them."""

    def __init__(self, database: Engine, table: TableSource, subject: Subject, selection: Selection) -> None:
        self.more = True
        """Whether rows may follow."""
        self._database = database
        self._table = table
        self._subject = subject
        self._selection = selection
        self._marks = {**remarks_of(table, subject, selection), **withheld_of(database, table, selection)}
        self._limit = BATCH_ROWS if table.file is None else FILE_BATCH_ROWS
        self._read = 0
        self._repeats = False
        self._joins = table.file is None and database.dialect.driver == "psycopg"
        self._query: joined.Query | None = None
        self._ahead: Ahead[joined.JoinedAnswer] | None = None
        self._row_bytes = 0.0

    def read(self, after: Cursor | None) -> Page | None:
        """Return the rows after a cursor up to BATCH_BYTES; None: the subject can have none.

        Raises: SourceUnavailable, SourceRefused, ExporterFault (an invalid cursor or slice).
        """
        page = None
        if self._joins and after is not None and self._read >= len(FIRST_ROWS):
            page = self._read_joined(after)
        if page is None or (not page.rows and self.more):
            try:
                page = self._read_single(after)
            except UndecodableText:
                page = self._read_single(after, lenient=True)
        self._read += 1
        if page and page.rows:
            if cursor(page.first) == after:
                hint = "order by other columns that are together unique, or by a view that writes them as texts"
                what = f"{self._table.dataset.name}: the rows after a key begin with this key again"
                raise SourceRefused(what, hint=hint)
            self._row_bytes = page.bytes / page.rows
            if not self._repeats and (page.repeats or self._ends_at_several(page)):
                page.gaps.append(Gap(f"{self._table.dataset.name}: several records have the same key", UNREADABLE))
                self._repeats = True
        return page

    def close(self) -> None:
        """Wait until no request is running."""
        if self._ahead is not None:
            self._ahead.wait()
            self._ahead = None

    def _ends_at_several(self, page: Page) -> bool:
        """Return whether rows of the source share the key of the last row: the next page begins after all of them."""
        if not (self._table.is_view and self.more):
            return False
        query = with_place(self._table, self._subject, self._selection, cursor(page.key))
        with reading(self._database, self._table.dataset.name, single=True) as connection:
            return query is not None and connection.execute(query).scalar_one() > 1

    def _read_joined(self, after: Cursor) -> Page:
        """Read as long as the joined columns are usable; the next request starts before these rows are processed."""
        page = Page(self._table)
        ahead, self._ahead = self._ahead, None
        try:
            answer = self._ask(key_of(self._table, after)) if ahead is None else ahead.result()
            self.more = answer.rows > 0
            self._ahead = Ahead(partial(self._ask, answer.last)) if self.more else None
            if not page.take(joined.columns(answer)):
                self.close()  # the running request does not continue this page
        except NotJoined:
            self.close()
        except SourceRefused:
            self.more, self._joins = True, False  # only the join may have failed
        return page

    def _ask(self, key: Sequence[object]) -> joined.JoinedAnswer:
        if self._query is None:
            rows = rows_of(self._table, self._subject, self._selection, joined.behind(self._table))
            rows = false() if rows is None else rows
            self._query = joined.query(self._table, rows, self._database, BATCH_BYTES, self._marks)
        plain = [value.value if isinstance(value, StoredKey) else value for value in key]
        return joined.ask(self._database, self._query, plain, min(self._rows_of_a_batch(), BATCH_ROWS))

    def _rows_of_a_batch(self) -> int:
        """Return how many rows fill a batch, if they are as large as those of the last page."""
        return max(1, int(BATCH_FILLED * BATCH_BYTES / max(self._row_bytes, 1)))

    def _read_single(self, after: Cursor | None, *, lenient: bool = False) -> Page | None:
        """Read value by value; `lenient`: also texts that cannot be decoded."""
        rows = rows_of(self._table, self._subject, self._selection, after)
        if rows is None:
            return None
        page = Page(self._table)
        is_early = self._read < len(FIRST_ROWS)
        # Batches with files end at the same rows wherever reading begins: their files are looked for again.
        wanted_rows = self._limit
        if is_early and self._table.file is None:
            wanted_rows = min(self._limit, FIRST_ROWS[self._read], self._rows_of_a_batch())
        query = statement(self._table, rows, wanted_rows, self._marks)
        fits = True
        with reading(self._database, self._table.dataset.name, single=is_early, lenient=lenient) as connection:
            with connection.execute(query, execution_options={"stream_results": not is_early}) as result:
                for fetched in chunks(result, page.room):
                    if not (fits := page.take(read(self._table, fetched, self._marks))):
                        break
            if not is_early:
                refuse_cut_values(connection)
        self.more = not fits or page.rows == wanted_rows
        return page
