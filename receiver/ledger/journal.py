"""The journal of one table within one batch: what each row was, what the archive brought, and what it is now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, select

from receiver.ledger.bulk import look_up, put
from receiver.ledger.identifiers import MapScope
from receiver.ledger.seals import JournalCipher
from receiver.ledger.tables import CHANGE

Values = Mapping[str, Any]
PARENTS: Mapping[str, str] = {
    "call_id": "calls",
    "conversation_id": "conversations",
    "inquiry_id": "inquiries",
    "deal_id": "deals",
}
"""Columns by which a row is about the person of another row."""
_PEOPLE = (("contacts", "contact_id"), ("users", "user_id"))
COLUMNS = ("run", "target", "issuer", "name", "local_id", "action", "person", "parent", "sealed")


@dataclass(frozen=True, slots=True)
class RowEntry:
    """What an import did with one row."""

    local_id: str
    action: str
    """`new`, `changed`, or `seen`: the row stayed, and `base` is what the archive had."""
    base: Values
    """What the archive brought; of a new row it is stored only if `after` has other values."""
    before: Values
    """The local values that were replaced; of a deleted row all."""
    after: Values
    """The values that the row has now: all of a new row, else those that were replaced."""
    forms: Values = field(default_factory=dict)
    """Values of `before` in the database's own form, where a conversion may lack some of it."""


class RowJournal:
    """The entries about rows of one table, for one target and issuer."""

    def __init__(self, connection: Connection, scope: MapScope, cipher: JournalCipher, table: Table) -> None:
        self._connection = connection
        self._scope = scope
        self._cipher = cipher
        self._table = table

    def bases(self, local: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return what the last import of this issuer brought, by row."""
        found = self._last(CHANGE.c.sealed, local)
        return {identifier: base_of(self._cipher.open(content)) for identifier, content in found.items()}

    def of_runs(self, local: Collection[str], runs: Collection[str]) -> frozenset[str]:
        """Return the rows that these imports were the last to bring, change or delete."""
        found = self._last(CHANGE.c.run, local) if runs else {}
        return frozenset(identifier for identifier, run in found.items() if run in runs)

    def deleted(self, local: Collection[str]) -> dict[str, Values]:
        """Return the values of the rows that an import of this issuer was the last to touch, and has deleted."""
        actions = self._last(CHANGE.c.action, local)
        gone = [identifier for identifier, action in actions.items() if action == "deleted"]
        found = self._last(CHANGE.c.sealed, gone)
        return {identifier: self._cipher.open(content)["before"] for identifier, content in found.items()}

    def _last(self, column: ColumnElement[Any], local: Collection[str]) -> dict[str, Any]:
        """Return a column of the last entry of this issuer, by row."""
        mine = (CHANGE.c.target == self._scope.target, CHANGE.c.issuer == self._scope.issuer)
        # An expression: PostgreSQL would go through the primary key backwards.
        newest = (CHANGE.c.seq + 0).desc()
        last = select(column).where(*mine, CHANGE.c.name == self._table.name).order_by(newest)
        return look_up(
            self._connection, local, lambda key: last.where(CHANGE.c.local_id == key).limit(1).scalar_subquery()
        )

    def add(self, entries: Collection[RowEntry], rows: Mapping[str, Values]) -> None:
        """Add entries about rows, whose values say whom they are about."""
        if entries:
            lines = (self._line(one, rows[one.local_id]) for one in entries)
            put(self._connection, CHANGE, COLUMNS, lines, is_binary=True)

    def _line(self, entry: RowEntry, row: Values) -> tuple[Any, ...]:
        scope, name = self._scope, self._table.name
        place = (scope.run, scope.target, scope.issuer, name, entry.local_id, entry.action)
        return (*place, person_of(name, row), parent_of(row), self._cipher.seal(_groups(entry)))


def base_of(groups: Mapping[str, Values]) -> dict[str, Any]:
    """Return what the archive brought, of a decrypted entry."""
    if "base" in groups:
        return dict(groups["base"])
    return {name: value for name, value in groups["after"].items() if name not in groups["own"]}


def _groups(entry: RowEntry) -> Mapping[str, Values]:
    if entry.action != "new" or any(entry.after[name] != value for name, value in entry.base.items()):
        groups = {"base": entry.base, "before": entry.before, "after": entry.after}
        return {**groups, "forms": entry.forms} if entry.forms else groups
    # A new row has the archive's values: they are stored once.
    own = dict.fromkeys(entry.after.keys() - entry.base.keys())
    return {"own": own, "before": {}, "after": entry.after}


def person_of(table: str, row: Values) -> str | None:
    """Return the local row of the person whom a row is about, `users/ID` or `contacts/ID`."""
    if table in {"users", "contacts"}:
        return f"{table}/{row['id']}"
    for name, column in _PEOPLE:
        if value := row.get(column):
            return f"{name}/{value}"
    return None


def parent_of(row: Values) -> str | None:
    """Return the local row that a row is a part of, `table/ID`."""
    for column, table in PARENTS.items():
        if value := row.get(column):
            return f"{table}/{value}"
    return None
