"""The tables of a map as they were when it was compiled: a read that lasts says whether they were altered meanwhile."""

from __future__ import annotations

import time
from collections.abc import Generator, Hashable, Iterable
from dataclasses import replace
from hashlib import blake2b

from sqlalchemy import Connection, Engine, TextClause

from exporters.sql.faults import reading
from exporters.sql.mapped.baselines import Baseline, ReadStart, Tables
from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.column_types import EXISTING_POSTGRESQL, query_of_tables, query_of_types, read_types
from exporters.sql.mapped.databases import POSTGRESQL
from exporters.sql.mapped.uses import UsedColumn
from exporters.sql.reviews import START
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

    def baseline(self) -> Baseline:
        """Return what is read now, for the types that were compiled. Raises SourceUnavailable, SourceRefused."""
        return Baseline(_number(self._types), self._tables())

    def watched(
        self, dataset: Dataset, batches: Iterable[Batch], start: ReadStart
    ) -> Generator[tuple[Batch, Baseline], None, None]:
        """Yield the batches of a dataset, at the end with a gap if the tables were altered since its first page.

        Each page has the rows of its own time: behind the place in the order of another type, rows are missing. With
        each batch comes what the tables were, so that a read that is continued elsewhere compares with it.
        """
        last: Batch | None = None
        is_watched, known = bool(start.since), start.since or Baseline(_number(self._types))
        for batch in batches:
            is_watched = is_watched or bool(last) or len(batch.records) >= SHORT_ROWS
            if is_watched and not known.tables:
                known = replace(known, tables=self._tables())
            yield batch, known
            last = batch
        if is_watched and self._are_altered(known):
            gap = Gap(f"{dataset.name}: tables or views of the map were altered while it was read", CHANGED)
            place = last.cursor if last else start.place
            yield Batch((), place or START, (), (gap,)), known

    def _tables(self) -> Tables:
        """Return the tables, partitions and views that are read, by number."""
        if not isinstance(self._query_of_tables, TextClause):
            return frozenset()
        with reading(self._engine, f"{self._name}: tables", single=True) as connection:
            return frozenset((number, kind or 0) for number, kind in connection.execute(self._query_of_tables))

    def _are_altered(self, earlier: Baseline) -> bool:
        """Return whether types are others, or something that was read is not read any more.

        On PostgreSQL, what was dropped has no rows any more; a partition that was detached has them. On MariaDB only
        times of one server are compared: another one made the same tables at another time.
        """
        if not self.is_same(0) or _number(self._types) != earlier.types:
            return True
        now = self._tables() if earlier.tables else frozenset()
        left = [number for number, _ in earlier.tables - now]
        if self._engine.dialect.name != POSTGRESQL:
            return not {number for number, _ in now}.isdisjoint(left)
        if not left:
            return False
        with reading(self._engine, f"{self._name}: tables", single=True) as connection:
            return bool(connection.scalar(EXISTING_POSTGRESQL, {"tables": left}))


def _number(types: Hashable) -> int:
    """Return a number that is the same in every process."""
    return int.from_bytes(blake2b(repr(types).encode(), digest_size=7).digest())
