"""The clock of a source's database, by which it writes the times of its rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import SupportsFloat
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, literal_column, select

from exporters.sql.faults import reading
from portability.api import Selection

PRESENT: Mapping[str, str] = {
    "postgresql": "extract(epoch from pg_catalog.clock_timestamp())",
    "mysql": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000000",
    "mariadb": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) / 1000000",
    "sqlite": "(julianday('now') - 2440587.5) * 86400",
}
"""Seconds since 1970 in SQL, by the name of the dialect: servers write times in several forms, and numbers in one."""
COMPARED_SECONDS = 60
"""How long a comparison of two clocks holds."""
_compared: WeakKeyDictionary[Engine, tuple[float, timedelta]] = WeakKeyDictionary()
"""When the clock of a database was compared last, by the monotonic clock, and by how much it was ahead."""


def present(connection: Connection) -> datetime:
    """Return the present by the clock of the database."""
    seconds: SupportsFloat = connection.execute(select(literal_column(PRESENT[connection.dialect.name]))).scalar_one()
    return datetime.fromtimestamp(float(seconds), UTC)


def as_written(selection: Selection, database: Engine) -> Selection:
    """Return the selection with the beginning of the export as the source writes times, if its clock is ahead.

    What existed at the beginning has times up to this. A clock that is behind leaves nothing out, and a file of SQLite
    has no clock of its own. Raises: SourceUnavailable, SourceRefused.
    """
    if selection.began_at is None or database.dialect.name == "sqlite":
        return selection
    return replace(selection, began_at=selection.began_at + _ahead(database))


def _ahead(database: Engine) -> timedelta:
    """Return by how many whole seconds the clock of a database is ahead of that of this machine."""
    compared_at, ahead = _compared.get(database, (-float(COMPARED_SECONDS), timedelta()))
    if time.monotonic() - compared_at < COMPARED_SECONDS:
        return ahead
    with reading(database, "the clock of the source", single=True) as connection:
        # Read in this order, what the comparison takes counts for nothing: equal clocks are equal.
        difference = present(connection) - datetime.now(UTC)
    ahead = max(timedelta(), timedelta(seconds=difference // timedelta(seconds=1)))
    _compared[database] = time.monotonic(), ahead
    return ahead
