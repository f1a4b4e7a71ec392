"""Names that the library does not read or write as a database has them: with line breaks, quotes, brackets and blanks.

Tables that were made of spreadsheets have such columns. The library reads tables of MariaDB, and foreign keys of
PostgreSQL, from the text of a statement, line by line; and it names the parameters of a statement after columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, text
from sqlalchemy.dialects.mysql.reflection import MySQLTableDefinitionParser, ReflectedState
from sqlalchemy.engine.interfaces import TableKey
from sqlalchemy.engine.reflection import Inspector

QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|`((?:[^`]|``)+)`", re.DOTALL)
"""A text in a statement of MariaDB, or a name."""
PLAIN = re.compile(r"(?!.*PARTITION)[\w $-]+")
"""Names that the library reads; it takes each line with the word PARTITION for one that describes no key."""
REFERENCES = text(
    "select t.relname, k.oid, a.attname, n.nspname, f.relname, b.attname from pg_catalog.pg_constraint k"
    " join pg_catalog.pg_class t on t.oid = k.conrelid join pg_catalog.pg_class f on f.oid = k.confrelid"
    " join pg_catalog.pg_namespace n on n.oid = f.relnamespace"
    " cross join rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey))"
    " with ordinality as u(here, there, place)"
    " join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.here"
    " join pg_catalog.pg_attribute b on b.attrelid = k.confrelid and b.attnum = u.there"
    " join pg_catalog.pg_namespace s on s.oid = t.relnamespace where k.contype = 'f' and s.nspname = :schema"
    " order by t.relname, k.conname, u.place"
)
BLANKS = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign != " ")
"""Blanks that end the name of a parameter for the library: all but the usual one, which it replaces itself."""


class NamesInQuotes(MySQLTableDefinitionParser):
    """Reads a description of MariaDB in which unusual names are replaced, and gives these names back."""

    def parse(self, show_create: str, charset: str | None) -> ReflectedState:
        """Return what the library reads."""
        names: dict[str, str] = {}

        def replaced(found: re.Match[str]) -> str:
            name = (found[1] or "").replace("``", "`")
            if name == "" or PLAIN.fullmatch(name):
                return found[0]
            names[sign := f"\ue000{len(names)}\ue000"] = name
            return f"`{sign}`"

        state = super().parse(QUOTED.sub(replaced, show_create), charset)
        for column in state.columns:
            column["name"] = names.get(column["name"], column["name"])
        for key in state.keys:
            key["columns"] = [(names.get(name, name), *more) for name, *more in key["columns"]]
        for one in state.fk_constraints:
            one |= {part: [names.get(name, name) for name in one[part]] for part in ("table", "local", "foreign")}
        return state

    def _describe_to_create(self, table_name: str, columns: Sequence[tuple[str, str, str, str, str, str]]) -> str:
        # The library writes names of views for a statement with parameters, where a percent sign is doubled.
        return super()._describe_to_create(table_name, columns).replace("%%", "%")


def read_quoted_names(dialect: Any) -> None:  # noqa: ANN401  # the library's own of MariaDB
    """Let the library read the tables of MariaDB with their names as they are."""
    if dialect.name == "mysql" and not isinstance(vars(dialect).get("_tabledef_parser"), NamesInQuotes):
        # The library has no other place for it.
        vars(dialect)["_tabledef_parser"] = NamesInQuotes(dialect, dialect.identifier_preparer)


def multi_references(connection: Connection, inspector: Inspector, **which: Any) -> Mapping[TableKey, Any]:  # noqa: ANN401  # as of the library
    """Return the foreign keys of several tables, as the library gives them; those of PostgreSQL from its catalogue."""
    if connection.dialect.name != "postgresql":
        return inspector.get_multi_foreign_keys(**which)
    found: dict[TableKey, dict[int, dict[str, Any]]] = {}
    for table, key, column, schema, other, named in connection.execute(REFERENCES, {"schema": which["schema"]}):
        of_table = found.setdefault((which["schema"], table), {})
        empty = {"referred_schema": schema, "referred_table": other, "constrained_columns": [], "referred_columns": []}
        one = of_table.setdefault(key, empty)
        one["constrained_columns"].append(column)
        one["referred_columns"].append(named)
    return {place: [*of_table.values()] for place, of_table in found.items()}


def name_parameters(dialect: Dialect) -> None:
    """Let statements compare columns with any blanks in their names: parameters get other signs in their place.

    `$` is in no name that the library makes of a column, so that two parameters have different names.
    """
    compiler = dialect.statement_compiler
    signs = {**compiler.bindname_escape_characters, **{sign: f"${ord(sign):x}$" for sign in BLANKS}}
    dialect.statement_compiler = type(compiler.__name__, (compiler,), {"bindname_escape_characters": signs})
