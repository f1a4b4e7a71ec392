"""What a map was compiled for, as its database has it now: the types of its columns, and what identifies the rows.

After a change it is another value: another type, a unique key that was dropped, a view in place of a table.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain

from sqlalchemy import Connection, TextClause, bindparam, inspect, text

from exporters.sql.mapped.catalogue import Catalogue
from exporters.sql.mapped.databases import POSTGRESQL, SQLITE
from exporters.sql.mapped.renewed import read_by_views
from exporters.sql.mapped.uses import UsedColumn

TYPES_POSTGRESQL = text(
    "select used.place, a.atttypid, a.atttypmod, a.attnotnull, a.attcollation,"
    " array(select e.enumlabel from pg_catalog.pg_enum e where e.enumtypid = a.atttypid order by 1)::text,"
    " t.oid, t.relkind::text, t.relhassubclass,"
    " array(select pg_catalog.concat_ws(' ', i.indkey, i.indnkeyatts, i.indcollation) from pg_catalog.pg_index i"
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
    " union all select table_schema, table_name, md5(view_definition), null, null, null"
    " from information_schema.views where table_schema in :schemas and table_name in :tables"
    " order by 1, 2, 3, 4"
).bindparams(*(bindparam(name, expanding=True) for name in ("schemas", "tables", "columns")))
READ_POSTGRESQL = text(
    "with recursive reached(oid) as ("
    "select t.oid from unnest(cast(:schemas as text[]), cast(:tables as text[])) as used(schema, of_table)"
    " join pg_catalog.pg_namespace n on n.nspname = used.schema"
    " join pg_catalog.pg_class t on t.relnamespace = n.oid and t.relname = used.of_table"
    " union select found.oid from reached cross join lateral ("
    "select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = reached.oid"
    " union all select d.refobjid from pg_catalog.pg_rewrite w"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass where w.ev_class = reached.oid) as found(oid))"
    " select reached.oid::bigint, pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', w.ev_action, t.relrowsecurity,"
    " t.relforcerowsecurity, (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', p.polpermissive, p.polcmd,"
    " p.polroles, p.polqual), ' ' order by p.oid) from pg_catalog.pg_policy p where p.polrelid = reached.oid)), 0)"
    " from reached left join pg_catalog.pg_class t on t.oid = reached.oid"
    " left join pg_catalog.pg_rewrite w on w.ev_class = reached.oid and w.ev_type = '1'"
)
"""The tables of a map, their partitions, the views and what these read, at any depth; with queries and policies."""
MADE_MYSQL = text(
    "select crc32(concat_ws(' ', @@hostname, @@server_id, @@port, table_schema, table_name)), crc32(create_time)"
    " from information_schema.tables where table_schema in :schemas and table_name in :tables"
    " union all select crc32(concat_ws(' ', 'view', table_schema, table_name)), crc32(view_definition)"
    " from information_schema.views where table_schema in :schemas and table_name in :tables"
).bindparams(*(bindparam(name, expanding=True) for name in ("schemas", "tables")))
"""The tables of a map with the time at which they were made, altered or got their name; the views with their query."""
EXISTING_POSTGRESQL = text("select 1 from pg_catalog.pg_class where oid in :tables limit 1").bindparams(
    bindparam("tables", expanding=True)
)
NO_TYPES = text("select 1")
"""For a map that names no column, such as a draft of which all tables are undecided."""
DEFINED_SQLITE = text("select name, sql from sqlite_schema where lower(tbl_name) in :tables order by name").bindparams(
    bindparam("tables", expanding=True)
)


def query_of_types(connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]) -> TextClause:
    """Return the statement for the types of columns of a catalogue; other columns of these tables may change."""
    schemas, tables, names = _places(connection, catalogue, columns)
    if not names:
        return NO_TYPES
    if connection.dialect.name == SQLITE:
        return DEFINED_SQLITE.bindparams(tables=sorted({name.lower() for name in tables}))
    if connection.dialect.name == POSTGRESQL:
        return TYPES_POSTGRESQL.bindparams(schemas=schemas, tables=tables, columns=names)
    return TYPES_MYSQL.bindparams(schemas=sorted({*schemas}), tables=sorted({*tables}), columns=sorted({*names}))


def query_of_tables(connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]) -> TextClause | None:
    """Return the statement for what is read for the tables of these columns; None: the database does not tell it."""
    schemas, tables, _ = _places(connection, catalogue, columns)
    if connection.dialect.name == SQLITE or not tables:
        return None
    if connection.dialect.name != POSTGRESQL:
        places = {*zip(schemas, tables, strict=True)}
        read = {
            schema: read_by_views(connection, schema, [name for of, name in places if of == schema])
            for schema in schemas
        }
        return MADE_MYSQL.bindparams(schemas=sorted(read), tables=sorted({*chain(*read.values())}))
    return READ_POSTGRESQL.bindparams(schemas=schemas, tables=tables)


def _places(
    connection: Connection, catalogue: Catalogue, columns: Iterable[UsedColumn]
) -> tuple[list[str], list[str], list[str]]:
    """Return the schema, the table and the name of each column."""
    default = inspect(connection).default_schema_name
    named = sorted(
        {(catalogue[one.table].schema or default or "", one.table.rpartition(".")[2], one.column) for one in columns}
    )
    return [one[0] for one in named], [one[1] for one in named], [one[2] for one in named]


def read_types(connection: Connection, query: TextClause) -> Hashable:
    """Return the types that the database has now."""
    return tuple(map(tuple, connection.execute(query)))
