"""What has changed, as a database states it itself: by entries of an outbox table, or by the time of the last change.

An entry must be seen although its transaction may commit later than others. PostgreSQL knows which transactions are
open: the position is the oldest of them, and entries from there on are read again. Elsewhere entries of an overlap of
time are read again. The records are compared with what was delivered, so reading one again delivers nothing twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Text,
    Uuid,
    cast,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from exporters.sql.by_keys import KeyColumn, delivered_keys, key_columns, selected_keys
from exporters.sql.clock import present
from exporters.sql.columns import FixedText, SourceTime
from exporters.sql.cursors import StoredKey, as_stored
from exporters.sql.identifiers import fitting, names_any, plain_type
from exporters.sql.moments import has_time, is_unset, moment_of, stated_times
from exporters.sql.rows import rows_of
from exporters.sql.source import TableSource
from exporters.sql.values import NOT_JSON, WITHOUT_CHARACTERS, exact
from portability.api import JSON, DeclaredChanges, FieldType, RecordKey, Selection, Subject
from portability.api.times import rfc3339

SNAPSHOT = text(
    "select pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text"
    " from pg_catalog.pg_current_snapshot() as s"
)
"""The oldest open transaction, and the transaction that comes next."""
PARTITIONS = text(
    "with recursive part(oid) as ("
    "select i.inhrelid from pg_catalog.pg_inherits i join pg_catalog.pg_class t on t.oid = i.inhparent"
    " join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " where t.relname = any(:names) or n.nspname || '.' || t.relname = any(:names)"
    " union select i.inhrelid from pg_catalog.pg_inherits i join part on part.oid = i.inhparent)"
    " select n.nspname, t.relname from part join pg_catalog.pg_class t on t.oid = part.oid"
    " join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
)
"""Partitions of tables with these names, at any depth: a trigger knows the partition of its row, and not the table."""
TRANSACTION, TIME = "transaction", "at"
LAST = "last"
"""In a position: an entry that was there. A backup that was restored does not have it.

Without one nothing shows whether later entries were deleted, as by a program that takes each out as soon as it comes.
"""


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

    @property
    def place(self) -> Column[Any]:
        """Return the column by which entries are found. Raises ValueError without one."""
        column = self.transaction if self.transaction is not None else self.at
        if column is not None:
            return column
        raise ValueError("an outbox has `transaction` or `at`")


@dataclass(frozen=True, slots=True)
class SqlChanges:
    """Reads what has changed."""

    declared: DeclaredChanges
    overlap: timedelta
    outbox: OutboxColumns | None = field(default=None)
    """None: by the time of the last change of each row."""

    def horizon(self, connection: Connection) -> JSON:
        """Return the position of now."""
        last = {LAST: _last_entry(connection, self.outbox)} if self.outbox else {}
        if self.outbox and self.outbox.transaction is not None:
            return {TRANSACTION: int(connection.execute(SNAPSHOT).one()[0]), **last}
        # The programs that write the times may have the clock of the database, or a correct one like this machine.
        return {TIME: rfc3339(min(present(connection), datetime.now(UTC))), **last}

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
        names = _names_of_entries(connection, self.outbox.names[source.dataset.name])
        query = _entries(self.outbox, names, subject).where(after).distinct().limit(limit + 1)
        found = connection.scalars(query).all()
        if len(found) > limit:
            return None
        try:
            pads = connection.dialect.name == "postgresql"
            return {_key_of(entry, columns, pads=pads) for entry in found}
        except (TypeError, ValueError):
            # An entry that names no record may mean any record.
            return None

    def _after(
        self, connection: Connection, outbox: OutboxColumns, since: Mapping[str, Any]
    ) -> ColumnElement[bool] | None:
        """Return the condition for entries since a position; None if it is not one of this table, or of the future."""
        if LAST in since and not (since[LAST] and _has_entry(connection, outbox, *since[LAST])):
            return None
        if outbox.transaction is not None:
            position = since.get(TRANSACTION)
            if not isinstance(position, int) or position > int(connection.execute(SNAPSHOT).one()[1]):
                # The database was restored from a backup, or was replaced.
                return None
            return or_(outbox.transaction >= _number(outbox.transaction, position), outbox.transaction.is_(None))
        moment = self._moment(connection, since)
        if moment is not None and outbox.at is not None:
            return _may_be_since(outbox.at, moment, connection.dialect.name)
        return None

    def _by_time(
        self,
        connection: Connection,
        source: TableSource,
        columns: Sequence[KeyColumn],
        subject: Subject,
        since: Mapping[str, Any],
        limit: int,
    ) -> Collection[RecordKey] | None:
        moment, rows = self._moment(connection, since), rows_of(source, subject, Selection())
        if moment is None or source.changed is None:
            return None
        if rows is None:
            return ()
        late = _may_be_since(source.changed, moment, connection.dialect.name)
        query = select(*selected_keys(columns)).select_from(source.origin).where(rows, late)
        given = connection.execute(query.limit(limit + 1)).all()
        if len(given) > limit:
            return None
        try:
            return set(delivered_keys(columns, given))
        except NOT_JSON:
            return None

    def _moment(self, connection: Connection, since: Mapping[str, Any]) -> datetime | None:
        """Return the time from which on to read; None for another position, or one of the future: a clock was wrong."""
        try:
            position = datetime.fromisoformat(since[TIME])
            return position - self.overlap if position <= present(connection) else None
        except (KeyError, TypeError, ValueError):
            return None


def _may_be_since(column: Column[Any], moment: datetime, database: str) -> ColumnElement[bool]:
    """Return the condition that a time is not before a moment, as far as it is known: unset times may be any."""
    if stated := stated_times(column):
        # As the numbers that they are, so that an index serves.
        return or_(column >= literal(stated.count(moment), BigInteger()), is_unset(column))
    unknown: list[ColumnElement[bool]] = [column.is_(None)]
    if isinstance(column.type, SourceTime):
        unknown += [func.julianday(column).is_(None), not_(has_time(column))]
    elif database == "mysql":
        unknown.append(column == literal_column("0"))  # a day of zeros, in a form that an index serves
    return or_(moment_of(column) >= moment, *unknown)


def _number(column: Column[Any], transaction: int | str) -> ColumnElement[Any]:
    return cast(str(transaction), BigInteger() if isinstance(column.type, Integer) else Xid8())


def _last_entry(connection: Connection, outbox: OutboxColumns) -> JSON:
    """Return the place of the last entry and a sum of what it names; None: there is no entry."""
    place = outbox.place
    last = select(exact(place), outbox.dataset, outbox.key).where(place.is_not(None)).order_by(place.desc()).limit(1)
    found = connection.execute(last).first()
    return [found[0], _sum_of(*found[1:])] if found else None


def _has_entry(connection: Connection, outbox: OutboxColumns, value: Any, expected: str) -> bool:  # noqa: ANN401  # as in JSON
    """Return whether an entry of a position is still there; it is not in a backup, and may have been deleted."""
    place = outbox.place
    same = place == (_number(place, value) if outbox.transaction is not None else as_stored(place, StoredKey(value)))
    streamed = {"stream_results": True}  # one transaction may have written a million entries
    with connection.execute(select(outbox.dataset, outbox.key).where(same), execution_options=streamed) as entries:
        return any(_sum_of(*entry) == expected for entry in entries)


def _sum_of(*names: object) -> str:
    """Return 16 bits of a hash: a recipient has the position, and must not learn a key by trying all of them."""
    return blake2b(orjson.dumps([*map(str, names)]), digest_size=2).hexdigest()


def _names_of_entries(connection: Connection, names: Collection[str]) -> Sequence[str]:
    """Return the names that a table has in entries, with those of its partitions of now."""
    found = {*names}
    if connection.dialect.name == "postgresql":
        for schema, table in connection.execute(PARTITIONS, {"names": sorted(names)}):
            found |= {table, f"{schema}.{table}"}
    return sorted(found)


def _entries(outbox: OutboxColumns, names: Sequence[str], subject: Subject) -> Select[tuple[Any]]:
    # A key of `char(n)` has blanks at its end that are not of the key.
    key = cast(outbox.key, Text) if isinstance(outbox.key.type, FixedText) else outbox.key
    entries = select(key).where(outbox.dataset.in_(fitting(outbox.dataset, names)))
    if outbox.tenant is None or subject.tenant is None:
        return entries
    return entries.where(or_(names_any(outbox.tenant, [subject.tenant]), outbox.tenant.is_(None)))


def _key_of(entry: Any, columns: Sequence[KeyColumn], *, pads: bool) -> RecordKey:  # noqa: ANN401  # as the driver gives it
    """Return the key that an entry names, as an archive has it.

    `pads`: whether the database gives `char(n)` with its blanks, which its own conversion to a text removes.
    Raises: ValueError, TypeError.
    """
    values = [entry] if len(columns) == 1 else orjson.loads(entry)
    return tuple(_named(value, key, pads=pads) for value, key in zip(values, columns, strict=True))


def _named(value: Any, key: KeyColumn, *, pads: bool) -> JSON:  # noqa: ANN401  # of a JSON array
    """Return a value of an entry as an archive has it.

    Raises: TypeError, or ValueError if an archive may have it in another form.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("neither a text nor an integer")
    kind = plain_type(key.stored.type)
    if isinstance(kind, Integer):
        return int(value) if key.kind is FieldType.INTEGER else str(int(value))
    if isinstance(kind, Uuid):
        return str(UUID(str(value)))
    if isinstance(kind, FixedText) and pads:
        return str(value).ljust(kind.characters)
    if isinstance(kind, (String, *WITHOUT_CHARACTERS)):
        return str(value)
    raise ValueError("a text that depends on the session")
