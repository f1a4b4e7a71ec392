"""How MariaDB and SQLite store the names of tables: a map may write them in other letters, or with a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

LISTED = text(
    "select table_name from information_schema.tables where table_schema = coalesce(:schema, database())"
    " and table_type <> 'SEQUENCE'"
)
"""Of MariaDB. The library leaves out what some versions call SYSTEM VERSIONED instead of BASE TABLE."""
DESCRIBED = text("select count(*) from pragma_table_xinfo(:table, :schema)")


def described_tables(connection: Connection, schema: str | None = None) -> Sequence[str] | None:
    """Return the tables and views of a schema that the database can describe; None: the library lists them itself.

    A view of SQLite that names a table which no longer exists is not among them.
    """
    if connection.dialect.name == "postgresql":
        return None
    inspector = inspect(connection)
    if schema is not None and not _same(connection, schema, inspector.get_schema_names()):
        return ()
    if connection.dialect.name != "sqlite":
        return list(connection.scalars(LISTED, {"schema": schema}))
    names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    return [name for name in names if _is_described(connection, schema or "main", name)]


def stored_names(connection: Connection, schema: str | None, wanted: Collection[str]) -> Mapping[str, str]:
    """Return the names that the database has for tables, by those of a map; unknown tables are left out."""
    stored = described_tables(connection, schema)
    if stored is not None:
        found = {name: _same(connection, name, stored) for name in wanted}
        return {name: one for name, one in found.items() if one is not None}
    return {name: name for name in wanted}


def _same(connection: Connection, name: str, stored: Collection[str]) -> str | None:
    """Return the stored name that a name means."""
    if name in stored or not _ignores_case(connection):
        return name if name in stored else None
    return next((one for one in stored if one.casefold() == name.casefold()), None)


def _ignores_case(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(text("select @@lower_case_table_names")))


def _is_described(connection: Connection, schema: str, name: str) -> bool:
    try:
        connection.execute(DESCRIBED, {"table": name, "schema": schema})
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", None) == "SQLITE_ERROR":
            return False
        raise
    return True
