"""Pseudonyms: numbers that replace other people in one archive, the same in all its volumes (GDPR Art. 4(5)).

A number is found by an HMAC under a key of its export only. Two archives cannot be joined by their numbers, and once
the key is erased, the number of an id can no longer be determined. The archives of a feed share a key and its numbers:
each continues the one before (docs/feeds.md).
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from portability.database import models
from portability.database.engine import writing
from portability.database.rows import inserting
from portability.errors import LeaseLost

TABLE, EXPORT, FEED, OF_FEED = models.pseudonym, models.export, models.feed, models.feed_pseudonym
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class PseudonymScope:
    """Where the pseudonyms of an archive are: of an export, or of the feed that it belongs to."""

    table: Table
    owner: Column[str]
    """The column of the table that names the export or feed."""
    id: str
    key: bytes = field(repr=False)
    is_new: bool
    """Whether the key was made just now: there are no pseudonyms yet."""


def numbers(connection: Connection, export_id: str, kind: str, values: Iterable[str]) -> Mapping[str, int]:
    """Return the number of each value; a new value gets the next number, on any worker. The export stays locked.

    Raises: LeaseLost if the export or its feed has ended: the key is deleted.
    """
    return _numbers(connection, _scope(connection, export_id), kind, values)


class _NotAlone(Exception):
    """A value or a number is given already, or the export has ended."""


@dataclass(slots=True)
class PseudonymBook:
    """The pseudonyms of one export in one process. While this process alone gives numbers, it reads none."""

    engine: Engine
    export_id: str
    _alone: PseudonymScope | None = field(default=None, repr=False)
    """Where this process has given the first number; None: others may have given numbers, too."""
    _last: Counter[str] = field(default_factory=Counter)
    """The last number of each kind."""

    def numbers(self, kind: str, values: Sequence[str]) -> Mapping[str, int]:
        """Return the number of each value, as the function does. Raises LeaseLost, DatabaseUnavailable."""
        if self._alone and values:
            with suppress(_NotAlone):
                return self._added(self._alone, kind, values)
            self._alone = None
        with writing(self.engine) as connection:
            scope = _scope(connection, self.export_id)
            found = _numbers(connection, scope, kind, values)
        if scope.is_new and scope.table is TABLE:
            self._alone = scope
            self._last[kind] = max(found.values(), default=0)
        return found

    def _added(self, scope: PseudonymScope, kind: str, values: Sequence[str]) -> Mapping[str, int]:
        """Give the next numbers to values. Raises _NotAlone if other slices give numbers, or the export has ended."""
        given = {value: number for number, value in enumerate(dict.fromkeys(values), self._last[kind] + 1)}
        rows = [{"value": _digest(scope.key, kind, value), "next": number} for value, number in given.items()]
        running = select(EXPORT.c.id, literal(kind), bindparam("value", type_=String), bindparam("next", type_=Integer))
        running = running.where(EXPORT.c.id == scope.id, _is_running()).with_for_update()
        columns = [TABLE.c.export_id, TABLE.c.kind, TABLE.c.digest, TABLE.c.number]
        with writing(self.engine) as connection:
            adding = inserting(connection, TABLE).from_select(columns, running).on_conflict_do_nothing()
            if connection.execute(adding.execution_options(preserve_rowcount=True), rows).rowcount != len(rows):
                raise _NotAlone
        self._last[kind] += len(given)
        return given


def forget(connection: Connection, export_id: str) -> None:
    """Erase the key of an ended export, and all its numbers. A second call is not an error."""
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(pseudonym_key=None))
    connection.execute(delete(TABLE).where(TABLE.c.export_id == export_id))


def _scope(connection: Connection, export_id: str) -> PseudonymScope:
    """Return where the export's pseudonyms are, with the key, made at first use; locks the export and its feed."""
    matching = EXPORT.c.id == export_id
    new = secrets.token_hex(KEY_BYTES)
    key = func.coalesce(EXPORT.c.pseudonym_key, new)
    keyed = update(EXPORT).where(matching, _is_running()).values(pseudonym_key=key)
    found = connection.execute(keyed.returning(EXPORT.c.pseudonym_key, EXPORT.c.feed_id)).one_or_none()
    # A failover may have lost the row of an export that a worker still writes.
    if found is None:
        raise LeaseLost(f"export {export_id} is not running: no pseudonyms can be assigned")
    if found.feed_id is None:
        has_new = found.pseudonym_key == new
        return PseudonymScope(TABLE, TABLE.c.export_id, export_id, bytes.fromhex(found.pseudonym_key), has_new)
    new = secrets.token_hex(KEY_BYTES)
    key = func.coalesce(FEED.c.pseudonym_key, new)
    keyed = update(FEED).where(FEED.c.id == found.feed_id, FEED.c.ended_at.is_(None)).values(pseudonym_key=key)
    of_feed: str | None = connection.scalar(keyed.returning(FEED.c.pseudonym_key))
    if of_feed is None:
        raise LeaseLost(f"feed {found.feed_id} has ended: no pseudonyms can be assigned")
    return PseudonymScope(OF_FEED, OF_FEED.c.feed_id, found.feed_id, bytes.fromhex(of_feed), of_feed == new)


def _numbers(connection: Connection, scope: PseudonymScope, kind: str, values: Iterable[str]) -> Mapping[str, int]:
    """Return the number of each value; the caller has locked the export."""
    table = scope.table
    digests = {value: _digest(scope.key, kind, value) for value in values}
    matching = (scope.owner == scope.id, table.c.kind == kind)
    last_number = select(func.max(table.c.number)).where(*matching).scalar_subquery()
    wanted = or_(table.c.digest.in_(list(digests.values())), table.c.number == last_number)
    known: dict[str, int] = {}
    if not scope.is_new:
        found = connection.execute(select(table.c.digest, table.c.number).where(*matching, wanted))
        known = {row.digest: row.number for row in found}
    last = max(known.values(), default=0)
    new = dict.fromkeys(digest for digest in digests.values() if digest not in known)
    given = {digest: number for number, digest in enumerate(new, last + 1)}
    if given:
        same = {scope.owner.name: scope.id, "kind": kind}
        rows = [{**same, "digest": digest, "number": number} for digest, number in given.items()]
        connection.execute(insert(table), rows)
    return {value: (known | given)[digest] for value, digest in digests.items()}


def _is_running() -> ColumnElement[bool]:
    """Return the condition for an export that runs: a worker that lost its lease must not leave anything behind."""
    return and_(EXPORT.c.began_at.is_not(None), EXPORT.c.ended_at.is_(None))


def _digest(key: bytes, kind: str, value: str) -> str:
    return hmac.new(key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), sha256).hexdigest()
