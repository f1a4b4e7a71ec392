"""How MariaDB and SQLite store the names of tables: a map may write them in other letters, or with a database."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pymysql.err import MySQLError
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from exporters.sql.faults import error_code, is_passing

LISTED = text(
    "select table_name from information_schema.tables where table_schema = coalesce(:schema, database())"
    " and table_type <> 'SEQUENCE'"
)
"""Of MariaDB. The library leaves out what some versions call SYSTEM VERSIONED instead of BASE TABLE."""
DENIED_MYSQL = frozenset({"1142", "1143", "1370"})
"""Codes for a table that an account sees and may not describe: it lacks SHOW VIEW, or EXECUTE for a function of a view,
or has rights to some columns."""
DESCRIBED = text("select count(*) from pragma_table_xinfo(:table, :schema)")


def table_faults(connection: Connection, schema: str | None = None) -> Mapping[str, str] | None:
    """Return the tables and views of a schema, each with the code of the error by which it cannot be described.

    The code is empty where the database describes the table. None: the library lists the tables itself.

    The library fails as a whole at a table that the database lists and cannot open: a view whose table is gone, a table
    of MERGE without its parts, or one whose file is missing.
    """
    listed = _listed(connection, schema)
    return {name: _fault(connection, schema, name) for name in listed} if isinstance(listed, list) else None


def stored_names(connection: Connection, schema: str | None, wanted: Collection[str]) -> Mapping[str, str]:
    """Return the names that the database has for tables, by those of a map.

    Tables that do not exist, or that the database cannot describe, are left out.
    """
    stored = _listed(connection, schema)
    if isinstance(stored, list):
        found = {name: _same(connection, name, stored) for name in wanted}
        return {name: one for name, one in found.items() if one and not _fault(connection, schema, one)}
    return {name: name for name in wanted}


def _listed(connection: Connection, schema: str | None) -> list[str] | None:
    if connection.dialect.name == "postgresql":
        return None
    inspector = inspect(connection)
    if schema and not _same(connection, schema, inspector.get_schema_names()):
        return []
    if connection.dialect.name != "sqlite":
        return list(connection.scalars(LISTED, {"schema": schema}))
    return [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]


def _same(connection: Connection, name: str, stored: Collection[str]) -> str | None:
    """Return the stored name that a name means."""
    if name in stored or not _ignores_case(connection):
        return name if name in stored else None
    return next((one for one in stored if one.casefold() == name.casefold()), None)


def _ignores_case(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(text("select @@lower_case_table_names")))


def _fault(connection: Connection, schema: str | None, name: str) -> str:
    """Return the code of the error by which the database does not describe a table; empty: it does.

    Raises the error of a database that does not answer now.
    """
    try:
        if connection.dialect.name == "sqlite":
            connection.execute(DESCRIBED, {"table": name, "schema": schema or "main"})
        else:
            quote = connection.dialect.identifier_preparer.quote_identifier
            place = ".".join(quote(one) for one in (schema, name) if one)
            shown = connection.exec_driver_sql(f"SHOW CREATE TABLE {place}")
            if "View" in shown.keys():  # noqa: SIM118  # names of the columns of a result
                connection.exec_driver_sql(f"DESCRIBE {place}")  # as the library does: it evaluates what the view calls
    except DBAPIError as error:
        code = error_code(error.orig)
        is_of_table = code == "SQLITE_ERROR" or isinstance(error.orig, MySQLError)
        if error.connection_invalidated or not is_of_table or is_passing(error.orig):
            raise
        return code
    return ""
