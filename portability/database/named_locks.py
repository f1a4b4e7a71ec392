"""Locks by name until the end of a transaction: PostgreSQL's advisory locks, of which two names do not share one.

On SQLite nothing is locked here: a transaction that writes already excludes all others (`BEGIN IMMEDIATE`).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from portability.database import models

EVERYTHING = "everything"
"""Each transaction with a named lock shares it, so that one transaction can wait for all others and exclude them."""


def lock(connection: Connection, *names: str, shared: Collection[str] = ()) -> None:
    """Take the locks of some names alone, and of others together with all transactions that share them too.

    They are taken in the order of their names, so call it once in a transaction. A name leads to its lock through the
    deployment's salt, so that no person can be found by the server's own views and messages.
    """
    if connection.dialect.name != "postgresql":
        return
    alone = set(names)
    ordered = sorted({EVERYTHING, *alone, *shared}, key=lambda name: (name != EVERYTHING, name))
    statement = _taking(tuple(name not in alone for name in ordered))
    connection.execute(statement, {_parameter(place): name for place, name in enumerate(ordered)})


def lock_everything(connection: Connection) -> None:
    """Exclude all transactions with a named lock."""
    lock(connection, EVERYTHING)


@lru_cache(maxsize=32)
def _taking(shared: tuple[bool, ...]) -> Select[*tuple[Any, ...]]:
    """Return the statement that takes a lock for each of these, shared or alone.

    They are taken in this order: the server evaluates the list of columns from left to right.
    """
    taken = (_taken(_parameter(place), is_shared=is_shared) for place, is_shared in enumerate(shared))
    return select(*taken).select_from(models.deployment)


def _parameter(place: int) -> str:
    return f"name_{place}"


def _taken(parameter: str, *, is_shared: bool) -> ColumnElement[object]:
    function = func.pg_advisory_xact_lock_shared if is_shared else func.pg_advisory_xact_lock
    return function(func.hashtextextended(models.deployment.c.pairwise_salt.concat(bindparam(parameter)), 0))
