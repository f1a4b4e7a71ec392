"""Reads the catalogue of a database: tables, columns, keys, references, indexes and comments, never a row."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, TextClause, inspect, text, types
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn, TableKey
from sqlalchemy.engine.reflection import Inspector, ObjectKind, ObjectScope
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from exporters.sql.columns import BitNumber, BitTruth, ExactNumeric, FixedText, IntegerTruth, LooseText, Single
from exporters.sql.described_columns import know_json, multi_columns
from exporters.sql.identifiers import plain_type
from exporters.sql.key_types import unordered_types
from exporters.sql.quoted_names import multi_references
from exporters.sql.stored_names import DENIED_MYSQL, stored_names, table_faults
from exporters.sql.values import field_type
from portability.api import FieldType
from portability.database.engine import UtcTime

PARTITIONS = text(
    "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
    " where c.relispartition and c.relkind in ('r', 'p', 'f')"
)
INHERITED = text(
    "select distinct n.nspname, c.relname from pg_catalog.pg_inherits i"
    " join pg_catalog.pg_class c on c.oid = i.inhparent join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
    " where c.relkind in ('r', 'f')"
)
MEANT = text(
    "select distinct on (c.relname) c.relname, n.nspname"
    " from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality as path(schema, place)"
    " join pg_catalog.pg_namespace n on n.nspname = path.schema join pg_catalog.pg_class c on c.relnamespace = n.oid"
    " where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'"
    " and n.nspname not in ('pg_catalog', 'information_schema') order by c.relname, path.place"
)


@dataclass(frozen=True, slots=True)
class CatalogueColumn:
    """A column as the database describes it."""

    name: str
    type: TypeEngine[Any]
    nullable: bool
    comment: str = ""
    is_renewed: bool = False
    """Whether MariaDB sets it to the time of each change of its row."""
    is_unordered: bool = False
    """Whether rows cannot be read in its order."""


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
    """`table`, or `schema.table` where a name without schema does not mean it."""
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
    is_partition: bool = False
    """Whether its rows and columns are those of another table, of which it is a part."""
    is_dotted: bool = False
    """Whether its own name has a dot, before which a map reads the name of a schema."""
    is_inherited: bool = False
    """Whether tables inherit from it: its rows are theirs, too, and may have the same keys."""

    def has_index(self, columns: Sequence[str]) -> bool:
        """Return whether an index begins with these columns in this order, so that a keyset needs no sort."""
        return any(index[: len(columns)] == tuple(columns) for index in self.indexes)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The tables and views of a database."""

    tables: Mapping[str, CatalogueTable]


def read(connection: Connection, schemas: Iterable[str] = (), stated: Collection[str] = ()) -> Catalogue:
    """Read the default schema and the named schemas, with a few queries a schema.

    `stated` are names of tables in a map: one that is stated with its schema has it in its name.
    The connection sees what its account may see: some databases hide the columns of tables without rights.
    """
    inspector = inspect(connection)
    meant = meant_schemas(connection)
    default = inspector.default_schema_name
    own = sorted(set(meant.values())) if connection.dialect.name == "postgresql" else [None]
    meant = {table: schema for table, schema in meant.items() if f"{schema}.{table}" not in stated}
    tables: dict[str, CatalogueTable] = {}
    renamed: dict[str, str] = {}
    with unwarned():
        for schema in dict.fromkeys([*own, *(name for name in schemas if name != default)]):
            tables |= _schema(connection, inspector, schema, meant)
        stored = {*tables}
        for name in sorted({*stated} - tables.keys()):
            tables |= _stated(connection, inspector, name, tables, stated)
            renamed |= dict.fromkeys(stored - tables.keys() - renamed.keys(), name)
    for name in _listed(connection, PARTITIONS, meant) & tables.keys():
        tables[name] = replace(tables[name], is_partition=True)
    for name in _listed(connection, INHERITED, meant) & tables.keys():
        tables[name] = replace(tables[name], is_inherited=True)
    return Catalogue({name: _with_names(table, renamed) for name, table in sorted(tables.items())})


def _with_names(table: CatalogueTable, renamed: Mapping[str, str]) -> CatalogueTable:
    """Return a table whose references have the names that a map gives to other tables."""
    named = (replace(one, table=renamed.get(one.table, one.table)) for one in table.references)
    return replace(table, references=tuple(named))


def meant_schemas(connection: Connection) -> Mapping[str, str]:
    """Return the schema of each table that a name without schema means in PostgreSQL; other databases have none.

    Temporary tables do not count: they are those of one session, and through a pooler of another client.
    """
    if connection.dialect.name != "postgresql":
        return {}
    return {row.relname: row.nspname for row in connection.execute(MEANT)}


@contextmanager
def unwarned() -> Iterator[None]:
    """Read a catalogue without the library's warnings.

    They are about indexes over expressions, and about types that it does not know: both are read as they are.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        yield


def comparable(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type by which a column is compared and converted, for a type of the catalogue."""
    match kind:
        case types.Enum() | types.ARRAY() | postgresql.CITEXT() | LooseText() if not isinstance(kind, mysql.ENUM):
            return kind
        case types.CHAR(length=int() as characters):
            return FixedText(characters)
        case types.String():
            return types.Text()
        case types.Uuid():
            return types.Uuid(as_uuid=False)
        case types.DateTime():
            return UtcTime()
    return _number(kind)


def _number(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type by which numbers, truths and bits are compared and converted."""
    match kind:
        case mysql.BIT():
            return BitTruth() if kind.length in {None, 1} else BitNumber()
        case mysql.FLOAT():
            return Single()
        case mysql.TINYINT(display_width=1) | types.Boolean():
            return IntegerTruth() if isinstance(kind, mysql.TINYINT) else types.Boolean()
        case types.Float():
            return types.Double()
        case types.Numeric():
            return ExactNumeric()
    return kind


def type_in_maps(kind: TypeEngine[Any]) -> FieldType:
    """Return the type that a field has by default for a column with this type of the catalogue."""
    plain = plain_type(kind)
    return FieldType.OBJECT if isinstance(plain, types.ARRAY) else field_type(comparable(plain))


def table_name(schema: str | None, name: str, meant: Mapping[str, str]) -> str:
    """Return the name of a table in maps and findings."""
    return name if schema in {None, meant.get(name)} else f"{schema}.{name}"


def _stated(
    connection: Connection,
    inspector: Inspector,
    name: str,
    tables: dict[str, CatalogueTable],
    stated: Collection[str],
) -> Mapping[str, CatalogueTable]:
    """Return a table that a map writes in other letters or with its database; its other name is removed."""
    schema, _, table = name.rpartition(".")
    if connection.dialect.name == "postgresql":
        return {}
    if schema in {"", "main" if connection.dialect.name == "sqlite" else inspector.default_schema_name}:
        stored = stored_names(connection, None, [table]).get(table, "")
        found = {stored: tables[stored] if stored in stated else tables.pop(stored)} if stored in tables else {}
    else:
        names = list(stored_names(connection, schema, [table]).values())
        found = _schema(connection, inspector, schema, {}, names)
    named = [replace(one, name=name) for one in found.values()]
    return {one.name: one for one in named}


def _schema(
    connection: Connection,
    inspector: Inspector,
    schema: str | None,
    meant: Mapping[str, str],
    names: list[str] | None = None,
) -> dict[str, CatalogueTable]:
    every: dict[str, Any] = {"schema": schema, "kind": ObjectKind.ANY}
    faults = dict.fromkeys(names, "") if isinstance(names, list) else table_faults(connection, schema)
    found: dict[str, CatalogueTable] = {}
    if isinstance(faults, dict):
        denied = [table_name(schema, name, meant) for name, code in faults.items() if code in DENIED_MYSQL]
        found |= {name: CatalogueTable(name, {}, (), (), (), ()) for name in denied}
        chosen = [name for name, code in faults.items() if not code]
        every |= {"filter_names": chosen, "scope": ObjectScope.ANY}
        if not chosen:
            return found  # the library takes an empty list for all
    columns = multi_columns(connection, inspector, **every)
    know_json(connection, schema, columns)
    keys, references = inspector.get_multi_pk_constraint(**every), multi_references(connection, inspector, **every)
    indexes, unique = inspector.get_multi_indexes(**every), inspector.get_multi_unique_constraints(**every)
    views = {*inspector.get_view_names(schema), *_materialised(inspector, schema)}
    comments = _comments(inspector, every)
    unordered = unordered_types(connection, schema, [place[1] for place in columns])
    for place, described in columns.items():
        key = tuple((keys[place]["constrained_columns"] if keys.get(place) else ()) or ())
        listed = [tuple(filter(None, one["column_names"])) for one in indexes.get(place) or ()]
        uniques = [tuple(one["column_names"]) for one in unique.get(place) or ()]
        identifying = [tuple(filter(None, one["column_names"])) for one in indexes.get(place) or () if one["unique"]]
        name = table_name(place[0], place[1], meant)
        found[name] = CatalogueTable(
            name,
            {one["name"]: _column(one, is_unordered=(place[1], one["name"]) in unordered) for one in described},
            key,
            tuple(_reference(one, meant) for one in references.get(place) or () if _is_whole(one)),
            tuple(dict.fromkeys(index for index in (key, *listed, *uniques) if index)),
            tuple(frozenset(one) for one in dict.fromkeys((key, *uniques, *identifying)) if one),
            comments.get(place, ""),
            place[1] in views,
            is_dotted="." in place[1],
        )
    return found


def _listed(connection: Connection, query: TextClause, meant: Mapping[str, str]) -> set[str]:
    """Return the tables that a query about a PostgreSQL database lists; other databases have no such tables."""
    if connection.dialect.name != "postgresql":
        return set()
    return {table_name(schema, name, meant) for schema, name in connection.execute(query)}


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


def _column(described: ReflectedColumn, *, is_unordered: bool) -> CatalogueColumn:
    kind, comment = described["type"], described.get("comment") or ""
    is_renewed = isinstance(kind, types.DateTime) and " on update " in (described.get("default") or "").lower()
    return CatalogueColumn(described["name"], kind, described["nullable"], comment, is_renewed, is_unordered)


def _is_whole(described: Any) -> bool:  # noqa: ANN401  # the library's dictionary
    """Return whether each column names one of the other table: SQLite allows a key to a table that does not exist."""
    return len(described["constrained_columns"]) == len(described["referred_columns"])


def _reference(described: Any, meant: Mapping[str, str]) -> Reference:  # noqa: ANN401  # the library's dictionary
    # Without a schema the library means the table that a name without schema means.
    name = table_name(described["referred_schema"], described["referred_table"], meant)
    return Reference(tuple(described["constrained_columns"]), name, tuple(described["referred_columns"]))
