"""Rows into one table by their id, as often as one likes: what is there and the same stays untouched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from importer.report import RefusedRecord, Taken
from importer.values import Reason, is_same

BATCH_ROWS = 500
BATCH_BYTES = 4 << 20

Values: TypeAlias = Mapping[str, Any]
WALL = "tenant_id"


class Writer:
    """Collects rows of one table and writes them in batches, all within the caller's transaction."""

    def __init__(
        self, connection: Connection, table: Table, taken: Taken, accepted: Callable[[list[str]], None]
    ) -> None:
        self._connection = connection
        self._table = table
        self._taken = taken
        self._accepted = accepted
        """Told of the ids of each batch that was not refused."""
        self._rows: dict[str, tuple[int, Values]] = {}
        self._columns: frozenset[str] = frozenset()
        self._bytes = 0

    def add(self, line: int, values: Values, size: int) -> None:
        """One row with its id; `size` is about what it takes in memory."""
        # One statement has the same columns for all its rows, and must not meet one row twice.
        if values.keys() != self._columns or values["id"] in self._rows:
            self.flush()
            self._columns = frozenset(values)
        self._rows[values["id"]] = line, values
        self._bytes += size
        if len(self._rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is collected."""
        if not self._rows:
            return
        stored = self._stored()
        new: list[Values] = []
        changed: list[Values] = []
        refused: set[str] = set()
        for identifier, (line, values) in self._rows.items():
            row = stored.get(identifier)
            if row is None:
                new.append(values)
            elif WALL in values and row[WALL] != values[WALL]:
                # Tenants are walls: an archive of one never touches a row of another, whatever ids it uses.
                self._taken.refuse(RefusedRecord(line, identifier, WALL, Reason.ANOTHER_TENANT))
                refused.add(identifier)
            elif all(is_same(self._table.c[name], row[name], value) for name, value in values.items()):
                self._taken.same += 1
            else:
                changed.append(values)
        self._put([*new, *changed])
        self._taken.new += len(new)
        self._taken.changed += len(changed)
        self._accepted([identifier for identifier in self._rows if identifier not in refused])
        self._rows, self._bytes = {}, 0

    def _stored(self) -> Mapping[str, Mapping[str, Any]]:
        columns = [self._table.c[name] for name in self._columns]
        query = select(*columns).where(self._table.c.id.in_(self._rows))
        return {row["id"]: dict(row) for row in self._connection.execute(query).mappings()}

    def _put(self, rows: Sequence[Values]) -> None:
        if not rows:
            return
        insert = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        statement = insert(self._table)
        others = {name: statement.excluded[name] for name in sorted(self._columns - {"id"})}
        if others:
            # Beside another import, too: between the look and this nobody else's row may have come.
            wall = self._table.c[WALL] == statement.excluded[WALL] if WALL in others else None
            statement = statement.on_conflict_do_update(index_elements=["id"], set_=others, where=wall)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=["id"])
        self._connection.execute(statement, [dict(row) for row in rows])
