"""Types of columns as a database means them, where the library does not know them: shapes, JSON, names of SQLite."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text, types
from sqlalchemy.dialects import mysql
from sqlalchemy.engine.interfaces import ReflectedColumn, TableKey
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.types import TypeEngine

from exporters.sql.columns import LooseText, Shape, Untyped, Vector
from exporters.sql.quoted_names import read_quoted_names

SHAPES = tuple(f"{many}{shape}" for many in ("", "multi") for shape in ("point", "linestring", "polygon"))
SHAPED = text(
    "select column_name from information_schema.columns where table_schema = coalesce(:schema, database())"
    " and table_name = :table and column_name in :names and data_type in :shapes"
).bindparams(bindparam("names", expanding=True), bindparam("shapes", expanding=True))
CHECKED = text(
    "select table_name, check_clause from information_schema.check_constraints"
    " where constraint_schema = coalesce(:schema, database())"
)
JSON_VALID = re.compile(r"\(*json_valid\(`((?:[^`]|``)+)`\)\)*( and .*)?", re.IGNORECASE | re.DOTALL)
"""The condition by which MariaDB has JSON: its own type is a text."""
CHECKED_SINCE = (10, 3, 10)
"""The release of MariaDB that lists conditions, with their tables."""
DECLARED = text("select type from pragma_table_info(:table, :schema) where name = :column")
NUMBERS_SQLITE = re.compile(r"(?i)num|dec|money|currency|fixed")
"""In names of types of SQLite that mean numbers."""


class _UnknownType(types.NullType):
    """A type that the library does not know: by itself it fails at one with a number, such as `vector(3)`."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        super().__init__()


class _TypesByName(dict[str, type[TypeEngine[Any]]]):
    """The types of MariaDB by name."""

    def __missing__(self, _name: str) -> type[TypeEngine[Any]]:
        return _UnknownType


def multi_columns(
    connection: Connection,
    inspector: Inspector,
    **which: Any,  # noqa: ANN401  # as of the library
) -> Mapping[TableKey, Sequence[ReflectedColumn]]:
    """Return what the library finds of the columns of several tables, with texts of SQLite as texts.

    In SQLite any name is a type. The library takes unknown names such as `uuid` or `string` for numbers. Of MariaDB it
    does not know points, lines and areas.
    """
    dialect: Any = connection.dialect
    if dialect.name == "mysql" and not isinstance(dialect.ischema_names, _TypesByName):
        dialect.ischema_names = _TypesByName({**dialect.ischema_names, "vector": Vector})
    read_quoted_names(dialect)
    found = inspector.get_multi_columns(**which)
    if connection.dialect.name == "mysql":
        for place, columns in found.items():
            _know_shapes(connection, place, columns)
    if connection.dialect.name != "sqlite":
        return found
    return {place: [_declared(connection, place, one) for one in columns] for place, columns in found.items()}


def _know_shapes(connection: Connection, place: TableKey, columns: Sequence[ReflectedColumn]) -> None:
    """Give the columns of a table of MariaDB that the library does not know their type, if it is that of a shape."""
    if unknown := {one["name"]: one for one in columns if isinstance(one["type"], types.NullType)}:
        names = {
            "schema": place[0],
            "table": place[1],
            "names": [*unknown],
            "shapes": [*SHAPES, "geometry", "geometrycollection"],
        }
        for name in connection.scalars(SHAPED, names):
            unknown[name]["type"] = Shape()


def know_json(
    connection: Connection, schema: str | None, columns: Mapping[TableKey, Sequence[ReflectedColumn]]
) -> None:
    """Give the columns of MariaDB that contain JSON this type, as those of MySQL have it."""
    is_mariadb = getattr(connection.dialect, "is_mariadb", False)
    if not is_mariadb or (connection.dialect.server_version_info or ()) < CHECKED_SINCE:
        return
    by_table = {place[1]: found for place, found in columns.items()}
    for table, clause in connection.execute(CHECKED, {"schema": schema}):
        found = JSON_VALID.fullmatch(clause or "")
        for one in by_table.get(table, ()) if found else ():
            if found and one["name"] == found[1].replace("``", "`"):
                one["type"] = mysql.JSON()


def _declared(connection: Connection, place: TableKey, found: ReflectedColumn) -> ReflectedColumn:
    if type(found["type"]) is types.NullType:
        return {**found, "type": Untyped()}
    if type(found["type"]) is not types.NUMERIC:
        return found
    names = {"schema": place[0] or "main", "table": place[1], "column": found["name"]}
    name = connection.execute(DECLARED, names).scalar() or ""
    return found if NUMBERS_SQLITE.search(name) else {**found, "type": LooseText()}
