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

from sqlalchemy import Connection, Table, insert, select, update

from receiver.ledger.tables import ID

_PREFIX = re.compile(r"[a-z]{1,8}_")
_PARAMETERS = 500


@dataclass(frozen=True, slots=True)
class MapScope:
    """Whose ids are mapped, and for which target. Another target has a map of its own."""

    target: str
    issuer: str
    run: str


class IdMap:
    """The map of one target and issuer, in the caller's transaction."""

    def __init__(self, connection: Connection, scope: MapScope) -> None:
        self._connection = connection
        self._scope = scope
        self._mine = (ID.c.target == scope.target, ID.c.issuer == scope.issuer)

    def bound(self, name: str) -> str | None:
        """Return the issuer's id of the target itself, once an import has found it."""
        query = select(ID.c.foreign_id).where(*self._mine, ID.c.name == name, ID.c.is_bound)
        return self._connection.scalar(query)

    def bind(self, name: str, foreign: str, local: str) -> None:
        """Map the issuer's id to a row that the caller has named."""
        self._add(name, {foreign: local}, is_bound=True)

    def add(self, name: str, pairs: Mapping[str, str]) -> None:
        """Map the issuer's ids to rows that the caller has named."""
        self._add(name, pairs, is_bound=False)

    def known(self, name: str, foreign: Collection[str]) -> dict[str, str]:
        """Return the local ids that are mapped already."""
        found: dict[str, str] = {}
        for some in _portions(foreign):
            query = select(ID.c.foreign_id, ID.c.local_id).where(*self._mine, ID.c.name == name)
            rows = self._connection.execute(query.where(ID.c.foreign_id.in_(some)))
            found.update((row.foreign_id, row.local_id) for row in rows)
        return found

    def local(self, table: Table | None, name: str, foreign: Collection[str]) -> dict[str, str]:
        """Return local ids, mapping those that are new. Without table each gets a new id."""
        found = self.known(name, foreign)
        new = [one for one in dict.fromkeys(foreign) if one not in found]
        taken = set() if table is None else self._taken(table, new)
        made = {one: _new_id(one) if table is None or one in taken else one for one in new}
        self._add(name, made, is_bound=False)
        return {**found, **made}

    def made(self, name: str, local: Collection[str]) -> set[str]:
        """Return which of these local rows an import into this target has made."""
        found: set[str] = set()
        for some in _portions(local):
            query = select(ID.c.local_id).where(*self._mine, ID.c.name == name, ID.c.is_made, ID.c.local_id.in_(some))
            found.update(self._connection.scalars(query))
        return found

    def note_made(self, name: str, local: Collection[str], *, is_made: bool = True) -> None:
        """Note that these rows were made by an import; or no longer, because an import has deleted them."""
        for some in _portions(local):
            change = update(ID).where(*self._mine, ID.c.name == name, ID.c.local_id.in_(some))
            self._connection.execute(change.values(is_made=is_made))

    def _taken(self, table: Table, foreign: Collection[str]) -> set[str]:
        found: set[str] = set()
        for some in _portions(foreign):
            found.update(self._connection.scalars(select(table.c.id).where(table.c.id.in_(some))))
            others = select(ID.c.local_id).where(ID.c.name == table.name, ID.c.local_id.in_(some))
            found.update(self._connection.scalars(others))
        return found

    def _add(self, name: str, pairs: Mapping[str, str], *, is_bound: bool) -> None:
        scope = self._scope
        fixed = {"target": scope.target, "issuer": scope.issuer, "name": name, "run": scope.run}
        fixed_flags = {"is_bound": is_bound, "is_made": False}
        rows = [{**fixed, **fixed_flags, "foreign_id": theirs, "local_id": ours} for theirs, ours in pairs.items()]
        if rows:
            self._connection.execute(insert(ID), rows)


def _new_id(foreign: str) -> str:
    prefix = _PREFIX.match(foreign)
    return f"{prefix[0] if prefix else 'imp_'}{secrets.token_hex(12)}"


def _portions(values: Collection[str]) -> list[list[str]]:
    """Split into lists that fit the databases' limits of parameters."""
    listed = list(dict.fromkeys(values))
    return [listed[begin : begin + _PARAMETERS] for begin in range(0, len(listed), _PARAMETERS)]
