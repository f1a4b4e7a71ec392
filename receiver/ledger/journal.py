"""The journal of one table within one batch: what each row was, what the archive brought, and what it is now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Table, insert, select

from receiver.ledger.identifiers import MapScope
from receiver.ledger.seals import sealed, unsealed
from receiver.ledger.tables import CHANGE

Values = Mapping[str, Any]
PARENTS: Mapping[str, str] = {
    "call_id": "calls",
    "conversation_id": "conversations",
    "inquiry_id": "inquiries",
    "deal_id": "deals",
}
"""Columns by which a row is about the person of another row."""


@dataclass(frozen=True, slots=True)
class RowEntry:
    """What an import did with one row."""

    local_id: str
    action: str
    """`new`, `changed`, or `seen`: the row stayed, and `base` is what the archive had."""
    base: Values
    before: Values
    """The local values that were replaced."""
    after: Values
    """The values that the row has now: all of a new row, else those that were replaced."""


class RowJournal:
    """The entries about rows of one table, for one target and issuer."""

    def __init__(self, connection: Connection, scope: MapScope, cipher: Fernet, table: Table) -> None:
        self._connection = connection
        self._scope = scope
        self._cipher = cipher
        self._table = table

    def bases(self, local: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return what the last import of this issuer brought, by row."""
        mine = (CHANGE.c.target == self._scope.target, CHANGE.c.issuer == self._scope.issuer)
        query = select(CHANGE.c.local_id, CHANGE.c.sealed).where(*mine, CHANGE.c.name == self._table.name)
        rows = self._connection.execute(query.where(CHANGE.c.local_id.in_(local)).order_by(CHANGE.c.seq))
        last = {row.local_id: row.sealed for row in rows}
        return {identifier: unsealed(self._cipher, content)["base"] for identifier, content in last.items()}

    def add(self, entries: Collection[RowEntry], rows: Mapping[str, Values]) -> None:
        """Add entries about rows, whose values say whom they are about."""
        scope = self._scope
        fixed = {"run": scope.run, "target": scope.target, "issuer": scope.issuer, "name": self._table.name}
        lines = [
            {
                **fixed,
                "local_id": one.local_id,
                "action": one.action,
                "person": person_of(self._table.name, rows[one.local_id]),
                "parent": parent_of(rows[one.local_id]),
                "sealed": sealed(self._cipher, {"base": one.base, "before": one.before, "after": one.after}),
            }
            for one in entries
        ]
        if lines:
            self._connection.execute(insert(CHANGE), lines)


def person_of(table: str, row: Values) -> str | None:
    """Return the local row of the person whom a row is about, `users/ID` or `contacts/ID`."""
    if table in {"users", "contacts"}:
        return f"{table}/{row['id']}"
    named = ((name, row.get(column)) for name, column in (("contacts", "contact_id"), ("users", "user_id")))
    return next((f"{name}/{value}" for name, value in named if value), None)


def parent_of(row: Values) -> str | None:
    """Return the local row that a row is a part of, `table/ID`."""
    return next((f"{table}/{row[column]}" for column, table in PARENTS.items() if row.get(column)), None)
