"""The tables of a map as they were when it was compiled: a read that lasts says whether they were altered meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Engine, TextClause

from exporters.sql.faults import reading
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.column_types import EXISTING_POSTGRESQL, query_of_tables, query_of_types, read_types
from exporters.sql.mapped.uses import UsedColumn
from portability.api import Batch, Dataset, Gap

CHANGED = "changed"
"""The reason of a gap: what is read became something else while it was read."""
SHORT_ROWS = 50
"""With fewer rows in its only batch, a read has one page."""


class SeenTables:
    """The types of columns that were compiled, and when the database was last asked for them."""

    def __init__(
        self, engine: Engine, name: str, connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]
    ) -> None:
        used = tuple(columns)
        self._engine, self._name = engine, name
        self._query_of_types = query_of_types(connection, catalogue, used)
        self._query_of_tables = query_of_tables(connection, catalogue, used)
        self._types = read_types(connection, self._query_of_types)
        self._compared_at = time.monotonic()

    def is_same(self, believed_seconds: float) -> bool:
        """Return whether the columns have the types that were compiled, as far as it was looked at lately.

        Raises: SourceUnavailable, SourceRefused.
        """
        if time.monotonic() - self._compared_at < believed_seconds:
            return True
        with reading(self._engine, f"{self._name}: types", single=True) as connection:
            types = read_types(connection, self._query_of_types)
        if types != self._types:
            return False
        self._compared_at = time.monotonic()
        return True

    def watched(self, dataset: Dataset, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of a dataset, at the end with a gap if the tables were altered since its first page.

        Each page has the rows of its own time: behind the place in the order of another type, rows are missing.
        """
        last: Batch | None = None
        is_watched, tables = False, frozenset[tuple[int, int | None]]()
        for batch in batches:
            may_have_pages = bool(last) or len(batch.records) >= SHORT_ROWS
            if may_have_pages and not is_watched:
                is_watched, tables = True, self._tables()
            yield batch
            last = batch
        if last and is_watched and self._are_altered(tables):
            gap = Gap(f"{dataset.name}: tables or views of the map were altered while it was read", CHANGED)
            yield Batch((), last.cursor, (), (gap,))

    def _tables(self) -> frozenset[tuple[int, int | None]]:
        """Return the tables, partitions and views that are read, by number, with the query of each view."""
        if not isinstance(self._query_of_tables, TextClause):
            return frozenset()
        with reading(self._engine, f"{self._name}: tables", single=True) as connection:
            return frozenset((number, query) for number, query in connection.execute(self._query_of_tables))

    def _are_altered(self, earlier: frozenset[tuple[int, int | None]]) -> bool:
        """Return whether types are others, or something exists that was read and is not read any more.

        What was dropped has no rows any more; a partition that was detached has them.
        """
        if not self.is_same(0):
            return True
        left = [number for number, _ in earlier - self._tables()]
        if not left:
            return False
        with reading(self._engine, f"{self._name}: tables", single=True) as connection:
            return bool(connection.scalar(EXISTING_POSTGRESQL, {"tables": left}))
