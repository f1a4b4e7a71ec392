"""Writes rows into one table by their id, repeatably: existing equal rows are not changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from receiver.importer import parts
from receiver.importer.report import DatasetResult, RefusedRecord
from receiver.importer.tenancy import ArchiveOwner, tenant_column
from receiver.importer.values import Reason, is_same

BATCH_ROWS = 500
BATCH_BYTES = 4 << 20

Values: TypeAlias = Mapping[str, Any]
TENANT = "tenant_id"


class Writer:
    """Collects rows of one table and writes them in batches, in the caller's transaction."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        taken: DatasetResult,
        owner: ArchiveOwner,
        accepted: Callable[[list[str]], None],
    ) -> None:
        self._connection = connection
        self._table = table
        self._taken = taken
        self._owner = owner
        self._dataset = f"{taken.exporter}/{taken.dataset}"
        self._accepted = accepted
        """Called with the ids of each batch that were not refused."""
        self._rows: dict[str, tuple[int, Values]] = {}
        self._columns: frozenset[str] = frozenset()
        self._bytes = 0

    def add(self, line: int, values: Values, size: int) -> None:
        """Add a row with its id; `size` is its approximate size in memory."""
        # All rows of a statement must have the same columns, and no row may occur twice.
        if values.keys() != self._columns or values["id"] in self._rows:
            self.flush()
            self._columns = frozenset(values)
        self._rows[values["id"]] = line, values
        self._bytes += size
        if len(self._rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows."""
        if not self._rows:
            return
        stored = self._stored()
        new: list[Values] = []
        changed: list[Values] = []
        refused: set[str] = set()
        rows = [row for _line, row in self._rows.values()]
        misplaced = set(parts.of_other_tenants(self._connection, self._dataset, rows))
        for identifier, (line, values) in self._rows.items():
            row = stored.get(identifier)
            is_equal = row is not None and self._is_equal(row, values)
            differing = None if is_equal else row
            if self._owner.refuses(self._dataset, values, differing) or identifier in misplaced:
                # Tenant isolation: an archive of one tenant never changes a row of another, whatever ids it contains,
                # and adds no part to it.
                field = tenant_column(self._dataset) or "id"
                self._taken.refuse(RefusedRecord(line, identifier, field, Reason.ANOTHER_TENANT))
                refused.add(identifier)
            elif row is None:
                new.append(values)
            elif is_equal:
                self._taken.same += 1
            else:
                changed.append(values)
        self._put([*new, *changed])
        self._taken.new += len(new)
        self._taken.changed += len(changed)
        self._accepted([identifier for identifier in self._rows if identifier not in refused])
        self._rows, self._bytes = {}, 0

    def _is_equal(self, row: Values, values: Values) -> bool:
        return all(is_same(self._table.c[name], row[name], value) for name, value in values.items())

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
        if others and self._owner.may_replace(self._dataset):
            # Also correct beside another import: meanwhile another process may have inserted this row.
            same_tenant = self._table.c[TENANT] == statement.excluded[TENANT] if TENANT in others else None
            statement = statement.on_conflict_do_update(index_elements=["id"], set_=others, where=same_tenant)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=["id"])
        self._connection.execute(statement, [dict(row) for row in rows])
