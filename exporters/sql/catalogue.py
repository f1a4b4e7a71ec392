"""Reads the catalogue of a database: tables, columns, keys, references, indexes and comments, never a row."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn, TableKey
from sqlalchemy.engine.reflection import Inspector, ObjectKind
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine


@dataclass(frozen=True, slots=True)
class CatalogueColumn:
    """A column as the database describes it."""

    name: str
    type: TypeEngine[Any]
    nullable: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns of a table that name a row of another table."""

    columns: tuple[str, ...]
    table: str
    keys: tuple[str, ...]
    """The columns of the other table, in the same order."""


@dataclass(frozen=True, slots=True)
class CatalogueTable:
    """A table or view as the database describes it."""

    name: str
    """`table`, or `schema.table` outside of the database's default schema."""
    columns: Mapping[str, CatalogueColumn]
    key: tuple[str, ...]
    """The columns of the primary key; empty for a view."""
    references: tuple[Reference, ...]
    indexes: tuple[tuple[str, ...], ...]
    """The columns of each index in its order, with the primary key and unique constraints."""
    unique: tuple[frozenset[str], ...]
    """Sets of columns whose values identify a row."""
    comment: str = ""
    is_view: bool = False

    def has_index(self, columns: Sequence[str]) -> bool:
        """Return whether an index begins with these columns in this order, so that a keyset needs no sort."""
        return any(index[: len(columns)] == tuple(columns) for index in self.indexes)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tables and views of a database."""

    tables: Mapping[str, CatalogueTable]


def read(connection: Connection, schemas: Iterable[str] = ()) -> Catalogue:
    """Read the default schema and the named schemas, with a few queries a schema.

    The connection sees what its account may see: some databases hide the columns of tables without rights.
    """
    inspector = inspect(connection)
    default = inspector.default_schema_name
    tables: dict[str, CatalogueTable] = {}
    with warnings.catch_warnings():
        # Of indexes over expressions, and of types that the library does not know: neither matters here.
        warnings.simplefilter("ignore", SAWarning)
        for schema in dict.fromkeys([None, *(name for name in schemas if name != default)]):
            tables |= _schema(inspector, schema, default)
    return Catalogue(dict(sorted(tables.items())))


def table_name(schema: str | None, name: str, default: str | None) -> str:
    """Return the name of a table in maps and findings."""
    return name if schema in {None, default} else f"{schema}.{name}"


def _schema(inspector: Inspector, schema: str | None, default: str | None) -> dict[str, CatalogueTable]:
    every: dict[str, Any] = {"schema": schema, "kind": ObjectKind.ANY}
    columns = inspector.get_multi_columns(**every)
    keys, references = inspector.get_multi_pk_constraint(**every), inspector.get_multi_foreign_keys(**every)
    indexes, unique = inspector.get_multi_indexes(**every), inspector.get_multi_unique_constraints(**every)
    views = {*inspector.get_view_names(schema), *_materialised(inspector, schema)}
    comments = _comments(inspector, every)
    found: dict[str, CatalogueTable] = {}
    for place, described in columns.items():
        key = tuple((keys[place]["constrained_columns"] if keys.get(place) else ()) or ())
        listed = [tuple(filter(None, one["column_names"])) for one in indexes.get(place) or ()]
        uniques = [tuple(one["column_names"]) for one in unique.get(place) or ()]
        identifying = [tuple(filter(None, one["column_names"])) for one in indexes.get(place) or () if one["unique"]]
        name = table_name(place[0], place[1], default)
        found[name] = CatalogueTable(
            name,
            {one["name"]: _column(one) for one in described},
            key,
            tuple(_reference(one, schema, default) for one in references.get(place) or ()),
            tuple(dict.fromkeys(index for index in (key, *listed, *uniques) if index)),
            tuple(frozenset(one) for one in dict.fromkeys((key, *uniques, *identifying)) if one),
            comments.get(place, ""),
            place[1] in views,
        )
    return found


def _materialised(inspector: Inspector, schema: str | None) -> Sequence[str]:
    try:
        return inspector.get_materialized_view_names(schema)
    except NotImplementedError:
        return ()


def _comments(inspector: Inspector, every: Mapping[str, Any]) -> dict[TableKey, str]:
    try:
        return {place: one["text"] or "" for place, one in inspector.get_multi_table_comment(**every).items()}
    except NotImplementedError:
        return {}  # SQLite has no comments


def _column(described: ReflectedColumn) -> CatalogueColumn:
    return CatalogueColumn(described["name"], described["type"], described["nullable"], described.get("comment") or "")


def _reference(described: Any, schema: str | None, default: str | None) -> Reference:  # noqa: ANN401  # the library's dictionary
    other = described["referred_schema"] or schema
    name = table_name(other, described["referred_table"], default)
    return Reference(tuple(described["constrained_columns"]), name, tuple(described["referred_columns"]))
