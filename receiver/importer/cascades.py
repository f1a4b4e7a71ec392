"""Finds rows that need a row: its deletion would delete or change them, or make the commit fail, by a foreign key."""

from __future__ import annotations

from collections.abc import Collection

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


def needed_here(connection: Connection, of: Table, identifiers: Collection[str]) -> set[str]:
    """Return the rows of `of` to which rows of the platform refer that no import has made.

    On SQLite also those to which any row refers by a key that has no action: if the key is deferred, no statement fails
    but the commit.
    """
    keys = _POSTGRESQL if connection.dialect.name == "postgresql" else _SQLITE
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
