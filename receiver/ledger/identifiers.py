"""The map of ids: from an id of an issuer's archive to the id of the local row, for one target.

An id that is free here is kept, so that links within texts and JSON stay valid. If any row or another target has it,
the local row gets a new id. Ids of accounts are never kept: an account of the
issuer is not the account with this id here.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ScalarSelect, Select, Table, bindparam, func, select, update

from receiver.ledger.bulk import look_up, put
from receiver.ledger.tables import ID

_PREFIX = re.compile(r"[a-z]{1,8}_")


@dataclass(frozen=True, slots=True)
class MapScope:
    """Whose ids are mapped, and for which target. Another target has a map of its own."""

    target: str
    issuer: str
    run: str


@dataclass(slots=True)
class _NewId:
    """An id that a batch adds."""

    local: str
    is_bound: bool
    is_made: bool = False


class IdMap:
    """The map of one target and issuer, in the caller's transaction. What is added is stored by `write`."""

    def __init__(self, connection: Connection, scope: MapScope) -> None:
        self._connection = connection
        self._scope = scope
        self._mine = (ID.c.target == scope.target, ID.c.issuer == scope.issuer)
        # As expressions: PostgreSQL, without statistics, would read all of the target's rows by the primary key.
        self._also_mine = tuple(func.coalesce(one.left, "") == one.right for one in self._mine)
        self._new: dict[str, dict[str, _NewId]] = {}
        """By table and the issuer's id."""

    def bound(self, name: str) -> str | None:
        """Return the issuer's id of the target itself, once an import has found it."""
        added = (foreign for foreign, new in self._new.get(name, {}).items() if new.is_bound)
        query = select(ID.c.foreign_id).where(*self._mine, ID.c.name == name, ID.c.is_bound)
        return next(added, None) or self._connection.scalar(query)

    def bind(self, name: str, foreign: str, local: str) -> None:
        """Map the issuer's id to a row that the caller has named."""
        self._add(name, {foreign: local}, is_bound=True)

    def add(self, name: str, pairs: Mapping[str, str]) -> None:
        """Map the issuer's ids to rows that the caller has named."""
        self._add(name, pairs, is_bound=False)

    def known(self, name: str, foreign: Collection[str]) -> dict[str, str]:
        """Return the local ids that are mapped already."""
        new = self._new.get(name, {})
        added = {one: new[one].local for one in foreign if one in new}
        stored = look_up(
            self._connection,
            [one for one in foreign if one not in added],
            lambda key: _first(select(ID.c.local_id).where(*self._mine, ID.c.name == name, ID.c.foreign_id == key)),
        )
        return {**stored, **added}

    def local(self, table: Table | None, name: str, foreign: Collection[str]) -> dict[str, str]:
        """Return local ids, mapping those that are new. Without table each gets a new id."""
        found = self.known(name, foreign)
        new = [one for one in dict.fromkeys(foreign) if one not in found]
        taken = set() if table is None else self._taken(table, new)
        made = {one: _new_id(one) if table is None or one in taken else one for one in new}
        self._add(name, made, is_bound=False)
        return {**found, **made}

    def is_new(self, name: str, foreign: str) -> bool:
        """Return whether this batch maps an id first: no row can have its local id."""
        new = self._new.get(name, {}).get(foreign)
        return new is not None and not new.is_bound

    def made(self, name: str, local: Collection[str]) -> set[str]:
        """Return which of these local rows an import into this target has made, in an earlier batch."""
        made = select(ID.c.is_made).where(*self._also_mine, ID.c.name == name, ID.c.is_made)
        return set(look_up(self._connection, local, lambda key: _first(made.where(ID.c.local_id == key))))

    def note_made(self, name: str, rows: Mapping[str, str]) -> None:
        """Note that an import has made rows: local ids by the issuer's ids."""
        new = self._new.get(name, {})
        for foreign in rows.keys() & new.keys():
            new[foreign].is_made = True
        self._change(name, [local for foreign, local in rows.items() if foreign not in new], is_made=True)

    def note_deleted(self, name: str, local: Collection[str]) -> None:
        """Note that an import has deleted rows."""
        self._change(name, local, is_made=False)

    def write(self) -> None:
        """Store what was added."""
        scope = self._scope
        fixed = (scope.target, scope.issuer, scope.run)
        columns = ("target", "issuer", "run", "name", "foreign_id", "local_id", "is_bound", "is_made")
        rows = (
            (*fixed, name, foreign, new.local, new.is_bound, new.is_made)
            for name, added in self._new.items()
            for foreign, new in added.items()
        )
        if self._new:
            put(self._connection, ID, columns, rows, is_binary=True)
        self._new = {}

    def _taken(self, table: Table, foreign: Collection[str]) -> set[str]:
        rows = look_up(self._connection, foreign, lambda key: _first(select(table.c.id).where(table.c.id == key)))
        others = look_up(
            self._connection,
            foreign,
            lambda key: _first(select(ID.c.local_id).where(ID.c.name == table.name, ID.c.local_id == key)),
        )
        return {*rows, *others, *(new.local for new in self._new.get(table.name, {}).values())}

    def _change(self, name: str, local: Collection[str], *, is_made: bool) -> None:
        change = update(ID).where(*self._also_mine, ID.c.name == name, ID.c.local_id == bindparam("row"))
        if local:
            self._connection.execute(change.values(is_made=is_made), [{"row": one} for one in local])

    def _add(self, name: str, pairs: Mapping[str, str], *, is_bound: bool) -> None:
        self._new.setdefault(name, {}).update({theirs: _NewId(ours, is_bound) for theirs, ours in pairs.items()})


def _first(query: Select[Any]) -> ScalarSelect[Any]:
    return query.limit(1).scalar_subquery()


def _new_id(foreign: str) -> str:
    prefix = _PREFIX.match(foreign)
    return f"{prefix[0] if prefix else 'imp_'}{secrets.token_hex(12)}"
