"""The catalogue of a database: the columns of the tables that a map names, their types, and what identifies a row."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, inspect, text, types
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import Inspector, ObjectKind, ObjectScope
from sqlalchemy.types import TypeEngine

from exporters.sql.catalogue import comparable, meant_schemas, unwarned
from exporters.sql.columns import BLOBS, AlikeText, SourceTime
from exporters.sql.described_columns import multi_columns
from exporters.sql.identifiers import plain_type
from exporters.sql.key_types import coded_texts, unordered_types, unseen_types
from exporters.sql.mapped.collations import collation_of_sqlite, collations
from exporters.sql.mapped.databases import MYSQL, POSTGRESQL, SQLITE
from exporters.sql.mapped.renewed import renewed_columns
from exporters.sql.stored_names import stored_names
from portability.api.errors import BadMap

WRITABLE_POSTGRESQL = text(
    "select c.relname from unnest(cast(:schemas as text[]), cast(:tables as text[])) as w(schema, name)"
    " join pg_catalog.pg_namespace n on n.nspname = w.schema"
    " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name"
    " where (pg_catalog.has_table_privilege(c.oid, 'DELETE, TRUNCATE')"
    " or pg_catalog.has_any_column_privilege(c.oid, 'INSERT, UPDATE'))"
    " and pg_catalog.current_setting('default_transaction_read_only') = 'off' limit 1"
)
PROTECTED_FROM = (
    # A view reads tables with the rights of its owner, or of its caller (security_invoker), at any depth.
    "with recursive reached(name, oid, account, caller) as ("
    "select t.relname, t.oid, r.oid, r.oid"
    " from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " join pg_catalog.pg_roles r on r.rolname = current_user where t.relname = any(:tables) and n.nspname = :schema"
    " union select reached.name, d.refobjid,"
    " case when o.option_value::boolean then reached.caller else v.relowner end,"
    " case when v.relkind = 'm' then v.relowner else reached.caller end"
    " from reached join pg_catalog.pg_class v on v.oid = reached.oid and v.relkind in ('v', 'm')"
    " join pg_catalog.pg_rewrite w on w.ev_class = v.oid"
    " join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid"
    " and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> v.oid"
    " left join pg_catalog.pg_options_to_table(v.reloptions) o on o.option_name = 'security_invoker')"
    " select {0} from reached join pg_catalog.pg_class t on t.oid = reached.oid"
    " join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " join pg_catalog.pg_roles a on a.oid = reached.account"
    " where t.relrowsecurity and not a.rolsuper and not a.rolbypassrls"
    " and (t.relforcerowsecurity or not pg_catalog.pg_has_role(a.oid, t.relowner, 'USAGE'))"
)
HIDING = text(PROTECTED_FROM.format("distinct reached.name"))
PROTECTED = text(PROTECTED_FROM.format("reached.name, n.nspname as schema, t.relname as table, a.rolname as account"))
"""The tables that a table or view reads and whose rows policies filter, each with the account of the policies."""
GRANTS_MYSQL = text("show grants")
"""Of the account, and on MariaDB of its active roles and of everyone, also on single columns."""
QUOTED_MYSQL = re.compile(r"`[^`]*`")
"""Names in a grant: a column may have the name of a right."""
WRITES_MYSQL = re.compile(r"GRANT .*?\b(INSERT|UPDATE|DELETE|ALL PRIVILEGES)\b.* ON ")
UNIQUE: Mapping[str, str] = {
    # Without indexes that PostgreSQL could not build: several rows may have one of their keys.
    # Nor those that tell texts apart which the column's collation takes for equal.
    POSTGRESQL: "select t.relname, i.indexrelid, case when c.collisdeterministic is not false"
    " or c.oid = i.indcollation[k.place - 1] then a.attname end from pg_catalog.pg_index i"
    " join pg_catalog.pg_class t on t.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " cross join lateral pg_catalog.unnest(i.indkey) with ordinality as k(number, place)"
    " left join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = k.number and k.number > 0"
    " left join pg_catalog.pg_collation c on c.oid = a.attcollation"
    " where n.nspname = :schema and t.relname in :tables and k.place <= i.indnkeyatts"
    " and i.indisunique and i.indisvalid and i.indpred is null",
    # A table of MERGE has the rows of several tables, each with keys of its own.
    MYSQL: "select s.table_name, s.index_name, s.column_name from information_schema.statistics s"
    " join information_schema.tables t on t.table_schema = s.table_schema and t.table_name = s.table_name"
    " where s.table_schema = coalesce(:schema, database()) and s.table_name in :tables and s.non_unique = 0"
    " and t.engine <> 'MRG_MyISAM'",
    SQLITE: "select t.name, i.name, c.name, upper(c.coll) from sqlite_schema t join pragma_index_list(t.name) i"
    " join pragma_index_xinfo(i.name) c"
    " where coalesce(:schema, 'main') = 'main' and t.name in :tables and i.\"unique\" and not i.partial and c.key"
    # The primary key may be the number of the row, which has no index.
    " union all select t.name, '', c.name, '' from sqlite_schema t join pragma_table_info(t.name) c"
    " where coalesce(:schema, 'main') = 'main' and t.name in :tables and c.pk"
    " and not exists (select 1 from pragma_index_list(t.name) i where i.origin = 'pk')",
}
"""By database: columns of unique keys of all rows, as (table, key, column); NULL stands for an expression. On SQLite
the collation of the column in the key follows.

The library does not know the period of a key WITHOUT OVERLAPS, nor a key of SQLite beside a type with parentheses.
"""
INHERITED = text(
    "select distinct p.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class p on p.oid = i.inhparent"
    " join pg_catalog.pg_namespace n on n.oid = p.relnamespace"
    " where p.relname = any(:tables) and n.nspname = :schema and p.relkind in ('r', 'f')"
)


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column of the catalogue."""

    type: TypeEngine[Any]
    """The type for comparisons and order."""
    name_of_type: str
    """The type as the database names it."""
    nullable: bool
    is_key: bool = False
    """Whether it is of the primary key. SQLite allows NULL there unless the column says NOT NULL."""
    is_domain: bool = False
    """Whether the type is that of a domain of PostgreSQL."""
    is_renewed: bool = False
    """Whether the database sets it at each change of its row."""
    unordered: str = ""
    """The type as the database names it, if rows cannot be read in its order."""
    unseen: str = ""
    """The type as PostgreSQL names it, if its operators are in no schema of the search path."""
    collation: str = ""
    """By which the database may take different texts for equal."""


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table or view of the catalogue."""

    columns: Mapping[str, FoundColumn]
    is_view: bool = False
    unique: Collection[frozenset[str]] = field(default=())
    """Sets of columns that identify a row."""
    hides_rows: bool = False
    """Whether row-level security filters the rows that this account sees."""
    schema: str | None = None
    """The schema in which it was found; None: that of the connection."""
    is_inherited: bool = False
    """Whether tables inherit from it: its rows are theirs, too, and its constraints say nothing about those."""

    def identifies(self, names: Collection[str]) -> bool:
        """Return whether these columns identify a row; a view does not say it."""
        return self.is_view or (not self.is_inherited and any(columns <= set(names) for columns in self.unique))


Catalogue = Mapping[str, FoundTable]
"""The tables by the names that a map gives them."""


def read_catalogue(connection: Connection, names: Collection[str]) -> Catalogue:
    """Read what the database has of these tables, `table` or `schema.table`; tables that do not exist are left out."""
    inspector, meant = inspect(connection), meant_schemas(connection)
    by_schema: dict[str | None, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(set(names)):
        stated, _, table = name.rpartition(".")
        schema = stated or meant.get(table)
        if schema or connection.dialect.name != POSTGRESQL:
            by_schema[schema][table].append(name)
    with unwarned():
        return {
            name: found
            for schema, tables in by_schema.items()
            for table, found in _read_named(connection, inspector, schema, list(tables))
            for name in tables[table]
        }


def _read_named(
    connection: Connection, inspector: Inspector, schema: str | None, tables: list[str]
) -> Iterator[tuple[str, FoundTable]]:
    """Yield the tables by the names that the map has for them."""
    stored = stored_names(connection, schema, tables)
    if stored:
        found = dict(_read_schema(connection, inspector, schema, sorted({*stored.values()})))
        yield from ((name, found[one]) for name, one in stored.items() if one in found)


def _read_schema(
    connection: Connection, inspector: Inspector, schema: str | None, tables: list[str]
) -> Iterator[tuple[str, FoundTable]]:
    where: Any = {"schema": schema, "filter_names": tables, "kind": ObjectKind.ANY, "scope": ObjectScope.ANY}
    columns, keys = multi_columns(connection, inspector, **where), inspector.get_multi_pk_constraint(**where)
    hiding, inherited = (_stated(connection, query, schema, tables) for query in (HIDING, INHERITED))
    renewed = renewed_columns(connection, schema, tables)
    unique = _unique_keys(connection, schema, tables)
    unordered, coded = unordered_types(connection, schema, tables), coded_texts(connection, schema, tables)
    views = {*inspector.get_view_names(schema), *_materialized(inspector, schema)}
    names = {place[1]: [one["name"] for one in found] for place, found in columns.items()}
    collated = collations(connection, schema, names)
    unseen = unseen_types(connection, schema, tables)
    for place, found in columns.items():
        name = place[1]
        key = keys[place]["constrained_columns"] if keys.get(place) else []
        described = {one["name"]: _column(inspector, one, is_key=one["name"] in key) for one in found}
        for (of, one), collation in collated.items():
            if of == name and one in described:
                kind = AlikeText() if connection.dialect.name == POSTGRESQL else described[one].type
                described[one] = replace(described[one], type=kind, collation=collation)
        described |= {
            one: replace(described[one], is_renewed=True) for one in renewed.get(name, ()) if one in described
        }
        described |= {one: replace(described[one], type=kind) for (of, one), kind in coded.items() if of == name}
        described |= {
            one: replace(described[one], unordered=kind) for (of, one), kind in unordered.items() if of == name
        }
        described |= {one: replace(described[one], unseen=kind) for (of, one), kind in unseen.items() if of == name}
        yield name, FoundTable(described, name in views, unique[name], name in hiding, schema, name in inherited)


def _stated(connection: Connection, query: TextClause, schema: str | None, tables: Collection[str]) -> Collection[str]:
    """Return the names that a query about tables of PostgreSQL finds."""
    return {name for (name,) in _rows(connection, query, schema, tables)}


def _rows(connection: Connection, query: TextClause, schema: str | None, tables: Collection[str]) -> Sequence[Any]:
    if connection.dialect.name != POSTGRESQL:
        return ()
    return connection.execute(query, {"schema": schema, "tables": list(tables)}).all()


def _unique_keys(
    connection: Connection, schema: str | None, tables: Collection[str]
) -> Mapping[str, list[frozenset[str]]]:
    """Return the sets of columns that identify a row, by table."""
    query = text(UNIQUE[connection.dialect.name]).bindparams(bindparam("tables", expanding=True))
    keys: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for table, key, column, *collation in connection.execute(query, {"schema": schema, "tables": list(tables)}).all():
        is_exact = collation == ["BINARY"] and column and collation_of_sqlite(connection, table, column)
        keys[table, key].append(None if is_exact else column)
    found: dict[str, list[frozenset[str]]] = defaultdict(list)
    for (table, _), columns in keys.items():
        if None not in columns:
            found[table].append(frozenset(filter(None, columns)))
    return found


def _materialized(inspector: Inspector, schema: str | None) -> Collection[str]:
    return inspector.get_materialized_view_names(schema) if inspector.dialect.name == POSTGRESQL else ()


def _column(inspector: Inspector, found: ReflectedColumn, *, is_key: bool) -> FoundColumn:
    kind = found["type"]
    try:
        name = kind.compile(inspector.dialect).lower()
    except Exception:  # noqa: BLE001  # a type of an extension may have no name
        name = type(kind).__name__.lower()
    is_sqlite, is_domain = inspector.dialect.name == SQLITE, isinstance(kind, postgresql.DOMAIN)
    kind = plain_type(kind)
    found_type = SourceTime() if is_sqlite and isinstance(kind, types.DateTime) else comparable(kind)
    if inspector.dialect.name == MYSQL and isinstance(kind, BLOBS):
        found_type = types.VARBINARY()  # a BLOB may have texts, too, and is read and compared like it
    return FoundColumn(found_type, name, bool(found["nullable"]) and (is_sqlite or not is_key), is_key, is_domain)


def check_read_only(connection: Connection, catalogue: Catalogue) -> None:
    """Refuse an account that may write to the tables. Raises BadMap, which names one of them."""
    if connection.dialect.name == POSTGRESQL:
        schemas = [catalogue[name].schema for name in sorted(catalogue)]
        tables = [name.rpartition(".")[2] for name in sorted(catalogue)]
        found = connection.scalar(WRITABLE_POSTGRESQL, {"schemas": schemas, "tables": tables})
    elif connection.dialect.name == SQLITE:
        found = None if connection.exec_driver_sql("PRAGMA query_only").scalar() else "the file"
    else:
        grants = (WRITES_MYSQL.match(QUOTED_MYSQL.sub("", one)) for one in connection.scalars(GRANTS_MYSQL))
        found = next((grant[1] for grant in grants if grant), None)
    if found is not None:
        raise BadMap(
            f"the account of the source may write ({found})",
            hint="use an account that has SELECT alone: docs/maps.md#accounts",
        )
