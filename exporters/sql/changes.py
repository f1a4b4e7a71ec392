"""What has changed, as a database states it itself: by entries of an outbox table, or by the time of the last change.

An entry must be seen although its transaction may commit later than others. PostgreSQL knows which transactions are
open: the position is the oldest of them, and entries from there on are read again. Elsewhere entries of an overlap of
time are read again. The records are compared with what was delivered, so reading one again delivers nothing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Integer, Select, cast, or_, select, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from exporters.sql.bulk import converted
from exporters.sql.by_keys import key_columns
from exporters.sql.columns import moment_of
from exporters.sql.rows import rows_of
from exporters.sql.source import TableSource
from exporters.sql.values import field_type
from portability.api import JSON, DeclaredChanges, FieldType, RecordKey, Selection, Subject
from portability.api.times import rfc3339

SNAPSHOT = text(
    "select pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text"
    " from pg_catalog.pg_current_snapshot() as s"
)
"""The oldest open transaction, and the transaction that comes next."""
TRANSACTION, TIME = "transaction", "at"


class Xid8(UserDefinedType[str]):
    """The number of a transaction of PostgreSQL, which is not used again."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:  # noqa: ANN401  # the library's own
        return "xid8"


ischema_names["xid8"] = Xid8  # the library has no such type, and warns of each column


@dataclass(frozen=True, slots=True)
class OutboxColumns:
    """The table of entries. Each names a record by the table and the key; a trigger or the software writes it."""

    dataset: Column[Any]
    key: Column[Any]
    """A key as text; a key of several fields as a JSON array."""
    transaction: Column[Any] | None
    """The transaction that wrote it, `pg_current_xact_id()`; None: entries are found by `at`."""
    at: Column[Any] | None
    tenant: Column[Any] | None
    names: Mapping[str, Collection[str]]
    """By dataset: the names that its table has in entries."""


@dataclass(frozen=True, slots=True)
class SqlChanges:
    """Reads what has changed."""

    declared: DeclaredChanges
    overlap: timedelta
    outbox: OutboxColumns | None = field(default=None)
    """None: by the time of the last change of each row."""

    def horizon(self, connection: Connection) -> JSON:
        """Return the position of now."""
        if self.outbox is not None and self.outbox.transaction is not None:
            return {TRANSACTION: int(connection.execute(SNAPSHOT).one()[0])}
        return {TIME: rfc3339(datetime.now(UTC))}

    def changed(
        self, connection: Connection, source: TableSource, subject: Subject, since: JSON, limit: int
    ) -> Collection[RecordKey] | None:
        """Return the keys of a dataset that may have changed since a position; None: it cannot be said.

        Raises: SourceRefused if the key of the dataset is not in its own table.
        """
        columns = key_columns(source, source.dataset)
        if not isinstance(since, Mapping):
            return None
        if self.outbox is None:
            return self._by_time(connection, source, columns, subject, since, limit)
        after = self._after(connection, self.outbox, since)
        if after is None:
            return None
        query = _entries(self.outbox, source, subject).where(after).distinct().limit(limit + 1)
        found = connection.scalars(query).all()
        if len(found) > limit:
            return None
        try:
            return {_key_of(str(entry), columns) for entry in found}
        except (TypeError, ValueError):
            # An entry that names no record may mean any record.
            return None

    def _after(
        self, connection: Connection, outbox: OutboxColumns, since: Mapping[str, Any]
    ) -> ColumnElement[bool] | None:
        """Return the condition for entries since a position; None if it is not one of this table, or of the future."""
        if outbox.transaction is not None:
            position = since.get(TRANSACTION)
            if not isinstance(position, int) or position > int(connection.execute(SNAPSHOT).one()[1]):
                # The database was restored from a backup, or was replaced.
                return None
            kind = BigInteger() if isinstance(outbox.transaction.type, Integer) else Xid8()
            return outbox.transaction >= cast(str(position), kind)
        moment = self._moment(since)
        return None if moment is None or outbox.at is None else moment_of(outbox.at) >= moment

    def _by_time(
        self,
        connection: Connection,
        source: TableSource,
        columns: Collection[Any],
        subject: Subject,
        since: Mapping[str, Any],
        limit: int,
    ) -> Collection[RecordKey] | None:
        moment, rows = self._moment(since), rows_of(source, subject, Selection())
        if moment is None or source.changed is None:
            return None
        if rows is None:
            return ()
        late = moment_of(source.changed)
        query = select(*columns).select_from(source.origin).where(rows, or_(late >= moment, late.is_(None)))
        given = connection.execute(query.limit(limit + 1)).all()
        if len(given) > limit:
            return None
        values = [
            converted(field_type(of.type), one) for of, one in zip(columns, zip(*given, strict=True), strict=False)
        ]
        return set(zip(*values, strict=True))

    def _moment(self, since: Mapping[str, Any]) -> datetime | None:
        try:
            return datetime.fromisoformat(since[TIME]) - self.overlap
        except (KeyError, TypeError, ValueError):
            return None


def _entries(outbox: OutboxColumns, source: TableSource, subject: Subject) -> Select[tuple[Any]]:
    entries = select(outbox.key).where(outbox.dataset.in_(sorted(outbox.names[source.dataset.name])))
    if outbox.tenant is None or subject.tenant is None:
        return entries
    return entries.where(or_(outbox.tenant == subject.tenant, outbox.tenant.is_(None)))


def _key_of(entry: str, columns: Collection[Any]) -> RecordKey:
    """Return the key that an entry names. Raises ValueError, TypeError."""
    values = [entry] if len(columns) == 1 else orjson.loads(entry)
    return tuple(
        int(value) if field_type(column.type) is FieldType.INTEGER else str(value)
        for column, value in zip(columns, values, strict=True)
    )
