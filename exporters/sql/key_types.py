"""Types of columns by which rows cannot be read in order, or whose texts have another form in an archive."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, String, bindparam, text
from sqlalchemy.types import TypeEngine

from exporters.sql.coded_texts import KEPT, UNPADDED, CodedText

ORDERED_POSTGRESQL = (
    *("int2", "int4", "int8", "oid", "numeric", "float8", "money", "bool", "bit", "varbit"),
    *("text", "varchar", "bpchar", "name", "citext", "bytea", "uuid", "ltree", "isbn", "isbn13", "ean13", "issn"),
    *("tsvector", "tsquery", "cube", "seg"),
    *("date", "timestamp", "timestamptz", "time", "timetz", "interval"),
    *("inet", "cidr", "macaddr", "macaddr8", "pg_lsn", "xid8", "tid"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
    *("int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange", "tstzmultirange"),
)
"""Types that are compared with the text of their value in the order in which they are sorted.

Not so `"char"`, which is compared as a text, `real`, which is compared as a double, JSON, rows, and what has no order.
"""
USED_POSTGRESQL = (
    "with recursive used(of_table, name, kind, is_domain) as ("
    "select t.relname, a.attname, a.atttypid, false from pg_catalog.pg_attribute a"
    " join pg_catalog.pg_class t on t.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " where t.relname in :tables and n.nspname = :schema and a.attnum > 0 and not a.attisdropped"
    # The values of a domain are those of its type.
    " union all select used.of_table, used.name, d.typbasetype, true from used"
    " join pg_catalog.pg_type d on d.oid = used.kind and d.typtype = 'd')"
)
UNORDERED_POSTGRESQL = text(
    f"{USED_POSTGRESQL}"  # noqa: S608  # no values
    " select used.of_table, used.name, pg_catalog.format_type(y.oid, null) from used"
    " join pg_catalog.pg_type y on y.oid = used.kind"
    " left join pg_catalog.pg_type e on e.oid = y.typelem and y.typcategory = 'A'"
    # A domain of an enumeration is compared as a text.
    " where y.typtype <> 'd' and (y.typtype <> 'e' or used.is_domain)"
    " and not coalesce(e.typname, y.typname) = any(:ordered)"
).bindparams(bindparam("tables", expanding=True, type_=String))
UNSEEN_POSTGRESQL = text(
    f"{USED_POSTGRESQL} select used.of_table, used.name, pg_catalog.format_type(y.oid, null) from used"  # noqa: S608  # no values
    " join pg_catalog.pg_type y on y.oid = used.kind"
    " join pg_catalog.pg_namespace n on n.oid = y.typnamespace and n.nspname <> 'pg_catalog'"
    " where y.typtype = 'b' and y.typcategory <> 'A' and not pg_catalog.pg_type_is_visible(y.oid)"
).bindparams(bindparam("tables", expanding=True, type_=String))
"""Types of extensions whose operators PostgreSQL does not find: it sorts by them, and compares with those of a text."""
CODED_MYSQL = text(
    "select table_name, column_name, data_type, character_set_name, collation_name from information_schema.columns"
    " where table_schema = coalesce(:schema, database()) and table_name in :tables"
    " and data_type not in ('enum', 'set') and collation_name is not null"
    " and (character_set_name not in :kept or collation_name like :unpadded or collation_name in :unsorted)"
).bindparams(*(bindparam(name, expanding=True, type_=String) for name in ("tables", "kept", "unsorted")))
UNSORTED = (
    *("big5_chinese_ci", "big5_chinese_nopad_ci"),
    "cp1250_czech_cs",
    *("latin7_estonian_cs", "latin7_general_ci", "latin7_general_cs"),
)
"""Collations in which MariaDB sorts texts otherwise than it compares them."""

Place = tuple[str, str]
"""A table and its column."""


def unordered_types(connection: Connection, schema: str | None, tables: Collection[str]) -> Mapping[Place, str]:
    """Return the types of the columns that give no order, as the database names them."""
    if connection.dialect.name == "mysql":
        found = _collated(connection, schema, tables)
        return {
            place: f"{kind} collate {text.collated_by}"
            for place, (kind, text) in found.items()
            # MariaDB sorts `char` as if blanks were at its end, and compares it without them.
            if text.collated_by in UNSORTED or (kind == "char" and text.is_unpadded)
        }
    if connection.dialect.name != "postgresql":
        return {}
    names = {"schema": schema, "tables": list(tables), "ordered": list(ORDERED_POSTGRESQL)}
    return {(table, column): kind for table, column, kind in connection.execute(UNORDERED_POSTGRESQL, names)}


def unseen_types(connection: Connection, schema: str | None, tables: Collection[str]) -> Mapping[Place, str]:
    """Return the types of the columns that are of no schema in the search path, as the database names them."""
    if connection.dialect.name != "postgresql":
        return {}
    found = connection.execute(UNSEEN_POSTGRESQL, {"schema": schema, "tables": list(tables)})
    return {(table, column): kind for table, column, kind in found}


def coded_texts(connection: Connection, schema: str | None, tables: Collection[str]) -> Mapping[Place, TypeEngine[str]]:
    """Return the types of the columns of MariaDB whose keys are compared by their bytes in their character set."""
    return {place: text for place, (_, text) in _collated(connection, schema, tables).items()}


def _collated(
    connection: Connection, schema: str | None, tables: Collection[str]
) -> Mapping[Place, tuple[str, CodedText]]:
    if connection.dialect.name != "mysql":
        return {}
    names = {"schema": schema, "tables": list(tables), "kept": KEPT, "unpadded": f"%{UNPADDED}%", "unsorted": UNSORTED}
    found = connection.execute(CODED_MYSQL, names)
    return {(table, column): (kind, CodedText(coded, collation)) for table, column, kind, coded, collation in found}
