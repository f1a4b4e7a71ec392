"""Columns that a database sets at each change of their row, also as a view shows them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, text

from exporters.sql.mapped.databases import MYSQL, POSTGRESQL

RENEWED_MYSQL = text(
    "select table_name, column_name from information_schema.columns"
    " where table_schema = coalesce(:schema, database()) and table_name in :tables and extra like '%on update%'"
).bindparams(bindparam("tables", expanding=True))
VIEWS_MYSQL = text(
    "select table_name, view_definition from information_schema.views"
    " where table_schema = coalesce(:schema, database()) and table_name in :tables"
).bindparams(bindparam("tables", expanding=True))
"""An account without the right SHOW VIEW sees no definition."""
NAMES_MYSQL = re.compile(r"`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`")
"""In a definition: a table with its database, or a column with its table."""
RENEWED_POSTGRESQL = text(
    "with recursive reached(name, oid) as ("
    "select t.relname, t.oid from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " where n.nspname = :schema and t.relname in :tables"
    " union select reached.name, d.refobjid from reached"
    " join pg_catalog.pg_class v on v.oid = reached.oid and v.relkind in ('v', 'm')"
    " join pg_catalog.pg_rewrite w on w.ev_class = v.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> v.oid)"
    # A trigger of the extension of this name; what other triggers do is not known.
    " select reached.name, pg_catalog.split_part(pg_catalog.encode(g.tgargs, 'escape'), '\\000', 1)"
    " from reached join pg_catalog.pg_trigger g on g.tgrelid = reached.oid"
    " join pg_catalog.pg_proc f on f.oid = g.tgfoid and f.proname = 'moddatetime'"
).bindparams(bindparam("tables", expanding=True))


def renewed_columns(
    connection: Connection, schema: str | None, tables: Collection[str]
) -> Mapping[str, Collection[str]]:
    """Return the columns that the database sets to the time of each change of their row, by table.

    A column of a view counts as one if a table that the view reads has such a column of this name.
    """
    found: dict[str, set[str]] = defaultdict(set)
    if connection.dialect.name == POSTGRESQL:
        for table, column in connection.execute(RENEWED_POSTGRESQL, {"schema": schema, "tables": list(tables)}):
            found[table].add(column)
    if connection.dialect.name == MYSQL:
        views = {view for view, _ in connection.execute(VIEWS_MYSQL, {"schema": schema, "tables": list(tables)})}
        read = {name: _read_by(connection, schema, name) if name in views else {name} for name in tables}
        every = sorted({one for names in read.values() for one in names})
        of_tables: dict[str, set[str]] = defaultdict(set)
        for table, column in connection.execute(RENEWED_MYSQL, {"schema": schema, "tables": every}):
            of_tables[table].add(column)
        for name, names in read.items():
            found[name] = {column for one in names for column in of_tables[one]}
    return found


def _read_by(connection: Connection, schema: str | None, name: str) -> Collection[str]:
    """Return a table or view of MariaDB, with the tables and views of its database that it reads, at any depth."""
    reached, wanted = {name}, {name}
    database = schema or connection.dialect.default_schema_name
    while wanted:
        definitions = connection.execute(VIEWS_MYSQL, {"schema": schema, "tables": sorted(wanted)}).all()
        pairs = (pair for _, definition in definitions for pair in NAMES_MYSQL.findall(definition or ""))
        wanted = {one.replace("``", "`") for of, one in pairs if of.replace("``", "`") == database} - reached
        reached |= wanted
    return reached
