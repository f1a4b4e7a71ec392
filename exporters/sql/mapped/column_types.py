"""What a map was compiled for, as its database has it now: the types of its columns, and what identifies the rows.

After a change it is another value: another type, a unique key that was dropped, a view in place of a table.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from sqlalchemy import Connection, TextClause, bindparam, inspect, text

from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import POSTGRESQL, SQLITE
from exporters.sql.mapped.uses import UsedColumn

TYPES_POSTGRESQL = text(
    "select used.place, a.atttypid, a.atttypmod, a.attnotnull, a.attcollation,"
    " array(select e.enumlabel from pg_catalog.pg_enum e where e.enumtypid = a.atttypid order by 1)::text,"
    " t.relkind::text, t.relhassubclass,"
    " array(select i.indexrelid from pg_catalog.pg_index i"
    " where i.indrelid = t.oid and i.indisunique and i.indisvalid and i.indpred is null order by 1)::text"
    " from unnest(cast(:schemas as text[]), cast(:tables as text[]), cast(:columns as text[]))"
    " with ordinality as used(schema, of_table, name, place)"
    " join pg_catalog.pg_namespace n on n.nspname = used.schema"
    " join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = used.of_table"
    " join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attname = used.name order by used.place"
)
TYPES_MYSQL = text(
    "select table_schema, table_name, column_name, column_type, is_nullable, collation_name"
    " from information_schema.columns where table_schema in :schemas and table_name in :tables"
    " and column_name in :columns"
    " union all select table_schema, table_name, table_type, engine, null, null"
    " from information_schema.tables where table_schema in :schemas and table_name in :tables"
    " union all select table_schema, table_name, index_name, column_name, null, null"
    " from information_schema.statistics where table_schema in :schemas and table_name in :tables and non_unique = 0"
    " order by 1, 2, 3, 4"
).bindparams(*(bindparam(name, expanding=True) for name in ("schemas", "tables", "columns")))
NO_TYPES = text("select 1")
"""For a map that names no column, such as a draft of which all tables are undecided."""
DEFINED_SQLITE = text("select name, sql from sqlite_schema where lower(tbl_name) in :tables order by name").bindparams(
    bindparam("tables", expanding=True)
)


def query_of_types(connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]) -> TextClause:
    """Return the statement for the types of columns of a catalogue; other columns of these tables may change."""
    default = inspect(connection).default_schema_name
    named = sorted(
        {(catalogue[one.table].schema or default or "", one.table.rpartition(".")[2], one.column) for one in columns}
    )
    if not named:
        return NO_TYPES
    schemas, tables, names = map(list, zip(*named, strict=True))
    if connection.dialect.name == SQLITE:
        return DEFINED_SQLITE.bindparams(tables=sorted({name.lower() for name in tables}))
    if connection.dialect.name == POSTGRESQL:
        return TYPES_POSTGRESQL.bindparams(schemas=schemas, tables=tables, columns=names)
    return TYPES_MYSQL.bindparams(schemas=sorted({*schemas}), tables=sorted({*tables}), columns=sorted({*names}))


def read_types(connection: Connection, query: TextClause) -> Hashable:
    """Return the types that the database has now."""
    return tuple(map(tuple, connection.execute(query)))
