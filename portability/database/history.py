"""The history of the control database: whether it still has everything that was committed (ADR 50).

A promoted replica continues on another timeline, a restored backup on another timeline, in another cluster, or in other
tables of the same cluster. Commits may be lost then, so nothing is claimed, deleted or mailed until the database was
compared with the journal in storage.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from portability.database import models
from portability.errors import ControlError

TABLE = models.journal
BEHIND = "behind"
"""Stored as history while commits are known to be lost: it is the name of no history."""
FORGOTTEN = "forgotten"
"""Stored as history until the next comparison: it is the name of no history either."""


class DatabaseBehind(ControlError):
    """The control database may lack commits after a failover or a restore: nothing is claimed, deleted or mailed."""

    code = "database_behind"
    default_hint = "`portability reconcile` compares it with the journal in storage and restores what was lost"


class present(FunctionElement[str]):  # noqa: N801  # named like an SQL function
    """The name of the history that the server continues now: its cluster, its timeline, its database and its table.

    SQLite has no such name: there only the comparison with the journal finds lost commits, and each start of the stack
    waits for one.
    """

    type = Text()
    name = "present"
    inherit_cache = True


@compiles(present, "sqlite")
def _present_sqlite(_element: present, _compiler: SQLCompiler, **_kw: Any) -> str:  # noqa: ANN401  # the library's own
    return "'sqlite'"


@compiles(present, "postgresql")
def _present_postgresql(_element: present, _compiler: SQLCompiler, **_kw: Any) -> str:  # noqa: ANN401  # as above
    return "portability_history()"


def known() -> ColumnElement[bool]:
    """Return the condition: the database continues the history that was compared with the journal."""
    stored = TABLE.c.history
    return select(or_(stored.is_(None), stored == present())).scalar_subquery()


def is_known(connection: Connection) -> bool:
    """Return whether it does."""
    return bool(connection.scalar(select(known())))


def name(connection: Connection) -> str:
    """Return the name of the history that the server continues now."""
    return connection.execute(select(present())).scalar_one()


def check(connection: Connection) -> None:
    """Check the same. Raises DatabaseBehind."""
    if not is_known(connection):
        raise DatabaseBehind("the control database was promoted or restored, and was not compared with the journal yet")


def settle(connection: Connection, compared: str) -> None:
    """Store that the history with the name `compared` has everything: work continues, unless there is a newer one."""
    connection.execute(update(TABLE).values(history=compared))


def hold(connection: Connection) -> None:
    """Store that commits are lost: work stops until `settle`."""
    connection.execute(update(TABLE).values(history=BEHIND))


def forget(connection: Connection) -> None:
    """Store that the database may have been replaced by an older one: work stops until it was compared."""
    connection.execute(update(TABLE).values(history=FORGOTTEN))
