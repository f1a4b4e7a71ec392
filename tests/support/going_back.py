"""A control database that is copied, and brought back to an earlier copy, as a restore from a backup does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import servers
from factories import World
from psycopg import sql
from reused import LEAVE, NAME
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading
from portability.journal.reconcile import Reconciled, reconcile
from portability.journal.shipping import Journal


class Backups:
    """Copies of a world's control database."""

    def __init__(self, made: World, server: servers.Postgres | None) -> None:
        self._made = made
        self._server = server
        self._copies: list[str] = []

    def take(self) -> int:
        """Copy the database as it is now; returns the number of the copy."""
        self._made.engine.dispose()
        if self._server:
            with self._server.connect() as connection:
                connection.execute(LEAVE, [self._name, NAME])  # a database in use is not copied
            self._copies.append(self._server.create_database(self._name))
        else:
            path = Path(self._name)
            self._copies.append(str(path.with_name(f"copy-{len(self._copies)}.sqlite")))
            with closing(self._made.engine.raw_connection()) as connection:
                connection.cursor().execute(f"VACUUM INTO '{self._copies[-1]}'")  # with what its journal has
        return len(self._copies) - 1

    def restore(self, number: int) -> None:
        """Replace the database by a copy."""
        self._made.engine.dispose()
        if self._server:
            self._server.drop_database(self._name)
            names = (sql.Identifier(self._name), sql.Identifier(self._copies[number]))
            self._server.execute(sql.SQL("create database {} template {}").format(*names))
            return
        # By the library: other connections of this process may have the file open.
        with closing(sqlite3.connect(self._copies[number])) as copy, closing(sqlite3.connect(self._name)) as target:
            copy.backup(target)

    def drop(self) -> None:
        """Remove the copies from the server."""
        for name in self._copies if self._server else ():
            self._server.drop_database(name)  # type: ignore[union-attr]  # there is one

    @property
    def _name(self) -> str:
        return str(self._made.engine.url.database)


def journal_of(made: World) -> Journal:
    """The journal of another process of a world."""
    settings = made.place.settings
    return Journal(made.engine, lambda: made.place.storage, settings.keys, settings.iss)


def reconciled(made: World, **how: Any) -> Reconciled:
    """What `portability reconcile` does."""
    return reconcile(made.engine, made.place.storage, made.place.settings.keys, actor="operator:test", **how)


PROCESS = frozenset({"owner", "fence", "token", "lease_until", "claimed_at", "woken_at"})
"""Columns that belong to the process that works on a row."""
COUNTED = frozenset({"gap", "link_claim", "deadline_event", "deleted_volume", "transfer_receipt"})
"""Tables whose ids are counted, and given anew."""
APART = {"audit_event", "audit_head", "journal", "lost_event", "subject_ref", "incident", "turn", "code"}
APART |= {"idempotency_key", "audit_unchained"}
"""Tables that are not restored exactly: the log, pseudonyms, counts of the deployment, what is valid for minutes."""


def contents(made: World) -> Mapping[str, list[dict[str, Any]]]:
    """Return all rows that a restore has to bring back."""
    with reading(made.engine) as connection:
        return {
            table.name: sorted(_rows(connection.execute(select(table)).mappings(), table.name), key=str)
            for table in models.metadata.sorted_tables
            if table.name not in APART
        }


def _rows(rows: Any, table: str) -> Iterator[dict[str, Any]]:
    left_out = PROCESS if table in {"slice", "transfer", "notification", "webhook"} else frozenset()
    for row in rows:
        yield {
            name: value
            for name, value in row.items()
            if name not in left_out and not (name == "id" and table in COUNTED)
        }
