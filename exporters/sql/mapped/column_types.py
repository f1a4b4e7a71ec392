"""The types of the columns that a map names, as its database has them now: a value that is another after a change."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, TableClause, bindparam, column, inspect, select, text, union_all

from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import POSTGRESQL, SQLITE
from exporters.sql.mapped.uses import UsedColumn

TYPES_POSTGRESQL = text(
    "select used.place, a.atttypid, a.atttypmod, a.attnotnull, a.attcollation,"
    " (select count(*) from pg_catalog.pg_enum e where e.enumtypid = a.atttypid)"
    " from unnest(cast(:schemas as text[]), cast(:tables as text[]), cast(:columns as text[]))"
    " with ordinality as used(schema, of_table, name, place)"
    " join pg_catalog.pg_namespace n on n.nspname = used.schema"
    " join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = used.of_table"
    " join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attname = used.name order by used.place"
)
COLUMNS_MYSQL = TableClause(
    "columns",
    *map(column, ("table_schema", "table_name", "column_name", "column_type", "is_nullable", "collation_name")),
    schema="information_schema",
)
DEFINED_SQLITE = text("select name, sql from sqlite_schema where lower(name) in :tables order by name").bindparams(
    bindparam("tables", expanding=True)
)


def column_types(connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]) -> Hashable:
    """Return the types of columns of a catalogue, by one statement. Other columns of these tables may change."""
    named = sorted(
        {(catalogue[one.table].schema, one.table.rpartition(".")[2], one.column) for one in columns}, key=str
    )
    if connection.dialect.name == POSTGRESQL:
        schemas, tables, names = map(list, zip(*named, strict=True))
        found = connection.execute(TYPES_POSTGRESQL, {"schemas": schemas, "tables": tables, "columns": names})
    elif connection.dialect.name == SQLITE:
        found = connection.execute(DEFINED_SQLITE, {"tables": sorted({one[1].lower() for one in named})})
    else:
        found = connection.execute(union_all(*_of_tables(connection, named)))
    return tuple(map(tuple, found))


def _of_tables(connection: Connection, named: Sequence[tuple[str | None, str, str]]) -> Iterable[Select[Any]]:
    """Yield a statement for each table: MariaDB looks at all tables of the server if several are asked for at once."""
    default, found = inspect(connection).default_schema_name, COLUMNS_MYSQL.c
    for place in sorted({(schema or default, table) for schema, table, _ in named}):
        names = {name for schema, table, name in named if (schema or default, table) == place}
        of_table = (found.table_schema == place[0], found.table_name == place[1])
        yield select(COLUMNS_MYSQL).where(*of_table, found.column_name.in_(sorted(names)))
