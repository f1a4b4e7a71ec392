"""Columns that a database sets at each change of their row, also as a view shows them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
NAME = "`((?:[^`]|``)+)`"
NAMES_MYSQL = re.compile(rf"{NAME}\.{NAME}")
"""In a definition: a table with its database, or a column with its table."""
TEXTS_MYSQL = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
TABLES_MYSQL = re.compile(rf"{NAME}\.{NAME}(?: {NAME})?(?![.`])")
"""Behind `from`: a table with its database, and its other name in the definition."""
COLUMNS_MYSQL = re.compile(rf"(?:^select |\bdistinct |,)(?:{NAME}\.)?{NAME}\.{NAME} AS {NAME}(?=,| from )")  # noqa: S608  # no query
"""Columns of a view that are those of a table, as the database writes them."""
OF_SEVERAL_MYSQL = re.compile(r"\b(?:union|intersect|except|with)\b|\(select ")
"""In a definition: it has several queries, and a column may be of each of them."""
ROOTS_POSTGRESQL = text(
    "select t.relname, t.oid from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " where n.nspname = :schema and t.relname in :tables"
).bindparams(bindparam("tables", expanding=True))
READ_POSTGRESQL = text(
    "with recursive reached(reader, oid) as ("
    "select t.oid, t.oid from pg_catalog.pg_class t where t.oid in :tables"
    " union select v.oid, d.refobjid from reached"
    " join pg_catalog.pg_class v on v.oid = reached.oid and v.relkind in ('v', 'm')"
    " join pg_catalog.pg_rewrite w on w.ev_class = v.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> v.oid)"
    " select reader, oid from reached"
).bindparams(bindparam("tables", expanding=True))
"""The tables and views that each view reads, at any depth; a table reads itself."""
COLUMNS_POSTGRESQL = text(
    # The stored query says of each column that is that of a table, of which.
    "select w.ev_class, found[1], found[2]::oid, a.attname, w.ev_action::text like '%\\:setOperations {%'"
    " from pg_catalog.pg_rewrite w cross join lateral pg_catalog.regexp_matches(w.ev_action::text,"
    " '\\:resname (\\S+) \\:ressortgroupref \\d+ \\:resorigtbl (\\d+) \\:resorigcol (\\d+)', 'g') as found"
    " left join pg_catalog.pg_attribute a on a.attrelid = found[2]::oid and a.attnum = found[3]::int and a.attnum > 0"
    " where w.ev_class in :tables and w.ev_type = '1'"
).bindparams(bindparam("tables", expanding=True))
RENEWED_POSTGRESQL = text(
    # A trigger of the extension of this name; what other triggers do is not known.
    "select g.tgrelid, pg_catalog.split_part(pg_catalog.encode(g.tgargs, 'escape'), '\\000', 1)"
    " from pg_catalog.pg_trigger g join pg_catalog.pg_proc f on f.oid = g.tgfoid and f.proname = 'moddatetime'"
    " where g.tgrelid in :tables"
).bindparams(bindparam("tables", expanding=True))

Place = tuple[Any, str]
"""A table or view, by its name or number, and a column."""


@dataclass
class _Below:
    """What is below tables and views: what each view reads, its plain columns, and the renewed columns of tables."""

    reads: dict[Any, set[Any]] = field(default_factory=lambda: defaultdict(set))
    columns: dict[Place, set[Place]] = field(default_factory=lambda: defaultdict(set))
    """By column of a view: the columns of which it is one. Other columns are computed, or not understood."""
    renewed: dict[Any, set[str]] = field(default_factory=lambda: defaultdict(set))

    def of(self, name: Any) -> set[str]:  # noqa: ANN401  # a name, or a number
        """Return the renewed columns of a table or view."""
        below = self._below(name)
        candidates = {column for one in below for column in self.renewed[one]}
        candidates |= {column for view, column in self.columns if view == name}
        return {column for column in candidates if self._is_renewed(name, column, below)}

    def _is_renewed(self, name: Any, column: str, below: Collection[Any]) -> bool:  # noqa: ANN401  # as above
        """Return whether a column is renewed; one that is computed is, if a table below has such a column."""
        if name not in self.reads:
            return column in self.renewed[name]
        if (name, column) not in self.columns:
            return any(column in self.renewed[one] for one in below)
        return any(self._is_renewed(of, one, self._below(of)) for of, one in self.columns[name, column])

    def _below(self, name: Any) -> set[Any]:  # noqa: ANN401  # as above
        reached, wanted = {name}, {name}
        while wanted:
            wanted = {read for one in wanted if one in self.reads for read in self.reads[one]} - reached
            reached |= wanted
        return reached


def renewed_columns(
    connection: Connection, schema: str | None, tables: Collection[str]
) -> Mapping[str, Collection[str]]:
    """Return the columns that the database sets to the time of each change of their row, by table.

    A column of a view counts as one if it is such a column of a table. One that a view computes counts if a table that
    the view reads has such a column of this name.
    """
    if connection.dialect.name == POSTGRESQL:
        return _of_postgresql(connection, schema, tables)
    return _of_mysql(connection, schema, tables) if connection.dialect.name == MYSQL else {}


def _of_postgresql(
    connection: Connection, schema: str | None, tables: Collection[str]
) -> Mapping[str, Collection[str]]:
    found = connection.execute(ROOTS_POSTGRESQL, {"schema": schema, "tables": list(tables)})
    roots: dict[str, int] = {row.relname: row.oid for row in found}
    if not roots:
        return {}
    below = _Below()
    every = {*roots.values()}
    for reader, read in connection.execute(READ_POSTGRESQL, {"tables": sorted(every)}):
        every |= {reader, read}
        if reader != read:
            below.reads[reader].add(read)
    computed: set[Place] = set()
    for view, quoted, table, name, has_several in connection.execute(COLUMNS_POSTGRESQL, {"tables": sorted(every)}):
        column = re.sub(r"\\(.)", r"\1", quoted)
        below.columns[view, column].add((table, name))
        computed |= {(view, column)} if has_several or not name else set()
    for place in computed:
        del below.columns[place]
    for table, column in connection.execute(RENEWED_POSTGRESQL, {"tables": sorted(every)}):
        below.renewed[table].add(column)
    return {name: below.of(number) for name, number in roots.items()}


def read_by_views(connection: Connection, schema: str | None, tables: Collection[str]) -> Collection[str]:
    """Return these tables and views of MariaDB, and what the views among them read in their database, at any depth."""
    return _read_mysql(connection, schema, tables)[1]


def _of_mysql(connection: Connection, schema: str | None, tables: Collection[str]) -> Mapping[str, Collection[str]]:
    below, every = _read_mysql(connection, schema, tables)
    for table, column in connection.execute(RENEWED_MYSQL, {"schema": schema, "tables": sorted(every)}):
        below.renewed[table].add(column)
    return {name: below.of(name) for name in tables}


def _read_mysql(connection: Connection, schema: str | None, tables: Collection[str]) -> tuple[_Below, Collection[str]]:
    below, database = _Below(), schema or connection.dialect.default_schema_name
    every, wanted = {*tables}, {*tables}
    while wanted:
        found = connection.execute(VIEWS_MYSQL, {"schema": schema, "tables": sorted(wanted)})
        wanted = set()
        for view, definition in found:
            query = TEXTS_MYSQL.sub("''", definition or "")
            below.reads[view] = {one for of, one in _plain(NAMES_MYSQL.findall(query)) if of == database}
            below.columns |= _columns_mysql(view, query, database or "")
            wanted |= below.reads[view] - every
        every |= wanted
    return below, every


def _columns_mysql(view: str, query: str, database: str) -> Mapping[Place, set[Place]]:
    """Return the columns of a view that are those of a table of its database."""
    outside = re.sub(NAME, "``", query)
    if OF_SEVERAL_MYSQL.search(outside):
        return {}
    selected, _, behind = query.partition(" from ")
    aliases = {other or table: table for of, table, other in _plain(TABLES_MYSQL.findall(behind)) if of == database}
    found = _plain(COLUMNS_MYSQL.findall(f"{selected} from "))
    return {
        (view, name): {(aliases[table], column)}
        for of, table, column, name in found
        if of in {"", database} and table in aliases
    }


def _plain(found: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Return names as the database has them."""
    return (tuple(one.replace("``", "`") for one in names) for names in found)
