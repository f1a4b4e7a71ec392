"""Finds rows that need a row: its deletion would delete or change them, or make the commit fail, by a foreign key.

And rows that need another that is not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Table, Text, column, exists, select, table, text

from exporters.reference import schema
from receiver.ledger.bulk import among
from receiver.ledger.tables import ID

_POSTGRESQL = text("""
    SELECT n.nspname, r.relname, f.attname, true FROM pg_constraint AS c
    JOIN pg_class AS r ON r.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = r.relnamespace
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS key (referring, referred)
    JOIN pg_attribute AS f ON f.attrelid = c.conrelid AND f.attnum = key.referring
    JOIN pg_attribute AS i ON i.attrelid = c.confrelid AND i.attnum = key.referred AND i.attname = 'id'
    WHERE c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd') AND c.confrelid = to_regclass(quote_ident(:name))
""")
_SQLITE = text("""
    SELECT NULL, m.name, f."from", f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
    FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND lower(f."table") = :name AND coalesce(f."to", 'id') = 'id'
""")


_DEFERRED = text("""
    SELECT f.id, lower(f."table"), f."from",
        coalesce(f."to", (SELECT name FROM pragma_table_info(f."table") WHERE pk = f.seq + 1))
    FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND lower(m.name) = :name AND m.sql LIKE '%deferr%' ORDER BY f.id, f.seq
""")


def dangling(connection: Connection, of: Table, identifiers: Collection[str]) -> set[str]:
    """Return the rows whose foreign key leads to no row; on PostgreSQL their statement fails.

    On SQLite a key that is deferred fails at the commit, which could not say which row it is. A key with a NULL in one
    of its columns leads nowhere.
    """
    found: set[str] = set()
    for name, pairs in _deferred_keys(connection, of).items() if _is_sqlite(connection) else ():
        links, keys = zip(*pairs, strict=True)
        own = table(of.name, column("id", Text), *map(column, {*links} - {"id"}))
        other = table(name[1], *map(column, {*keys})).alias("referred")
        lacks = ~exists().where(*(other.c[to] == own.c[link] for link, to in pairs))
        leads = (own.c[link].is_not(None) for link in links)
        found.update(
            connection.scalars(select(own.c.id).where(among(connection, own.c.id, identifiers), *leads, lacks))
        )
    return found


def _deferred_keys(connection: Connection, of: Table) -> Mapping[tuple[int, str], Sequence[tuple[str, str]]]:
    """Return the columns of foreign keys, each with the one it leads to, by the key's number and the other table."""
    found: dict[tuple[int, str], list[tuple[str, str]]] = {}
    for number, name, link, to in connection.execute(_DEFERRED, {"name": of.name}):
        found.setdefault((number, name), []).append((link, to))
    return found


def _is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def needed_here(connection: Connection, of: Table, identifiers: Collection[str]) -> set[str]:
    """Return the rows of `of` to which rows of the platform refer that no import has made.

    On SQLite also those to which any row refers by a key that has no action: if the key is deferred, no statement fails
    but the commit.
    """
    keys = _SQLITE if _is_sqlite(connection) else _POSTGRESQL
    found: set[str] = set()
    for place, name, link, acts in connection.execute(keys, {"name": of.name}).all():
        referring = table(name, column(link, Text), column("id", Text), schema=place)
        query = select(referring.c[link]).where(among(connection, referring.c[link], identifiers))
        if not acts:
            # Rows that refer to each other go together.
            query = query.where(referring.c.id.not_in(identifiers)) if name == of.name else query
        elif name in schema.metadata.tables:
            made = exists().where(ID.c.name == name, ID.c.local_id == referring.c.id, ID.c.is_made)
            query = query.where(~made)
        found.update(connection.scalars(query))
    return found
