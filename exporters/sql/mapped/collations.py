"""Collations of columns: a comparison of two columns may take texts for equal that differ in one column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, bindparam, text

from exporters.sql.mapped.databases import MYSQL, POSTGRESQL

Place = tuple[str, str]
"""A table and its column."""
COLLATED_MYSQL = text(
    "select table_name, column_name, collation_name from information_schema.columns"
    " where table_schema = coalesce(:schema, database()) and table_name in :tables and collation_name is not null"
).bindparams(bindparam("tables", expanding=True))
ALIKE_POSTGRESQL = text(
    "select t.relname, a.attname, c.collname from pg_catalog.pg_attribute a"
    " join pg_catalog.pg_class t on t.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = t.relnamespace"
    " join pg_catalog.pg_collation c on c.oid = a.attcollation"
    " where t.relname = any(:tables) and n.nspname = :schema and not c.collisdeterministic"
)
"""Columns whose collation takes different texts for equal."""
IN_SQLITE = "(select count(*) from (select {} as found from {} where 0 union all select 'a') where found = '{}')"
"""Whether a column's values are compared so that `a` is equal to a text: no pragma says what its collation is."""
UNICODE = ("utf8mb4", "utf", "ucs2")
"""Begins of names of character sets in which MariaDB compares texts of two sets; the first of them decides."""


def collations(connection: Connection, schema: str | None, columns: Mapping[str, Iterable[str]]) -> Mapping[Place, str]:
    """Return the collations of the columns of tables by which the database may take different texts for equal.

    `columns` has the names of the columns by table. On MariaDB every column of texts has a collation.
    """
    if connection.dialect.name in {POSTGRESQL, MYSQL}:
        query = ALIKE_POSTGRESQL if connection.dialect.name == POSTGRESQL else COLLATED_MYSQL
        found = connection.execute(query, {"schema": schema, "tables": list(columns)})
        return {(table, column): collation for table, column, collation in found}
    places = [(table, column) for table, names in columns.items() for column in names]
    return {place: name for place in places for name in (collation_of_sqlite(connection, *place),) if name}


def collation_of_sqlite(connection: Connection, table: str, column: str) -> str:
    """Return the collation of a column of SQLite; empty if all texts differ in it."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    alike = {"nocase": "A", "rtrim": "a "}
    asked = ", ".join(IN_SQLITE.format(quote(column), quote(table), other) for other in alike.values())
    answers = connection.exec_driver_sql(f"select {asked}").one()
    return next((name for name, answer in zip(alike, answers, strict=True) if answer), "")


def may_mistake(one: str, other: str, kind: str) -> bool:
    """Return whether a comparison of columns with these collations may take texts for equal that differ in one column.

    `kind` is that of the database. Of two collations of one character set MariaDB takes the one that compares bytes, or
    refuses the statement.
    """
    if kind != MYSQL:
        return one != other
    (set_of_one, _, rule), (set_of_other, _, other_rule) = one.partition("_"), other.partition("_")
    if not (one and other) or rule == other_rule or set_of_one == set_of_other:
        return False
    decisive = next((name for begin in UNICODE for name in (one, other) if name.startswith(begin)), "")
    return not decisive.endswith("_bin")
