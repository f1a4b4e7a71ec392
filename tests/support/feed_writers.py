"""Two writers of a platform that a feed reads: random changes, in transactions that stay open across archives."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import platform_data
from sqlalchemy import Connection, Engine, Table, delete, insert, update
from sqlalchemy.engine import RootTransaction

from exporters.reference import schema

CONTACTS = ("con_1", "con_1", "con_2")
"""Whose row a new row is: mostly of the contact whose feed it is."""


@dataclass
class FeedWriter:
    """One writer with rows of its own, so that it waits for no other."""

    name: str
    connection: Connection
    random: Random
    transaction: RootTransaction | None = None
    calls: list[str] = field(default_factory=list)
    parts: list[tuple[Table, str]] = field(default_factory=list)
    """Transcripts and tickets."""
    count: int = 0

    def step(self) -> None:
        """Change one row; commit now and then."""
        self.transaction = self.transaction or self.connection.begin()
        weights = {self.new_call: 3, self.new_part: 4, self.new_ticket: 2, self.change: 5, self.remove: 3, self.move: 3}
        self.random.choices(list(weights), list(weights.values()))[0]()
        if self.random.random() < 0.15:
            self.commit()

    def commit(self) -> None:
        if self.transaction is not None:
            self.transaction.commit()
        self.transaction = None

    def new_call(self) -> None:
        call = self._new(schema.calls, contact_id=self.random.choice(CONTACTS), caller_number="+620000000")
        self.calls.append(call)
        self.new_part()

    def new_part(self) -> None:
        if self.calls:
            call = self.random.choice(self.calls)
            self.parts.append((schema.transcripts, self._new(schema.transcripts, call_id=call)))

    def new_ticket(self) -> None:
        self.parts.append((schema.tickets, self._new(schema.tickets, contact_id=self.random.choice(CONTACTS))))

    def change(self) -> None:
        """Update a row; half of the time to the value that it has."""
        if self.parts:
            table, identifier = self.random.choice(self.parts)
            column = "text" if table is schema.transcripts else "subject"
            value = f"changed {self.random.randrange(4)}"
            self.connection.execute(update(table).where(table.c.id == identifier).values({column: value}))

    def remove(self) -> None:
        """Delete a part, or a call and what belongs to it; sometimes a row with the same id comes again later."""
        if self.calls and self.random.random() < 0.3:
            call = self.calls.pop(self.random.randrange(len(self.calls)))
            for table, column in (
                (schema.transcripts, schema.transcripts.c.call_id),
                (schema.calls, schema.calls.c.id),
            ):
                self.connection.execute(delete(table).where(column == call))
        elif self.parts:
            table, identifier = self.parts.pop(self.random.randrange(len(self.parts)))
            self.connection.execute(delete(table).where(table.c.id == identifier))
            if self.random.random() < 0.3 and table is schema.tickets:
                self._insert(schema.tickets, identifier, contact_id="con_1")
                self.parts.append((table, identifier))

    def move(self) -> None:
        """Give a call to another contact: its parts follow, and no row of them is touched."""
        if self.calls:
            call, contact = self.random.choice(self.calls), self.random.choice(CONTACTS)
            moved = update(schema.calls).where(schema.calls.c.id == call)
            self.connection.execute(moved.values(contact_id=contact))

    def _new(self, table: Table, **known: Any) -> str:
        self.count += 1
        identifier = f"{table.name}-{self.name}-{self.count}"
        self._insert(table, identifier, **known)
        return identifier

    def _insert(self, table: Table, identifier: str, **known: Any) -> None:
        # A row that comes again has the values that it had first: a recipient does not change a time of creation.
        place = int(identifier.rpartition("-")[2]) % 7
        _table, values = platform_data.row(table, identifier, place, tenant_id="ten_a", **known)
        self.connection.execute(insert(table), values)


def writers(engine: Engine, random: Random) -> tuple[FeedWriter, FeedWriter]:
    """Two writers with a connection each."""
    return FeedWriter("a", engine.connect(), random), FeedWriter("b", engine.connect(), random)
