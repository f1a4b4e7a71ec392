"""The clock of a source's database, by which it writes the times of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, literal_column, select

PRESENT: Mapping[str, str] = {
    "postgresql": "pg_catalog.clock_timestamp()",
    "mysql": "utc_timestamp(6)",
    "mariadb": "utc_timestamp(6)",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
}
"""The present in SQL, by the name of the dialect: with a time zone, or in UTC."""


def present(connection: Connection) -> datetime:
    """Return the present by the clock of the database."""
    given: datetime | str = connection.execute(select(literal_column(PRESENT[connection.dialect.name]))).scalar_one()
    moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
