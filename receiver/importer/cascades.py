"""Finds rows that the target would delete or change together with a row, by ON DELETE of their foreign keys."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, Table, Text, column, exists, select, table, text

from exporters.reference import schema
from receiver.ledger.bulk import among
from receiver.ledger.tables import ID

_POSTGRESQL = text("""
    SELECT n.nspname, r.relname, f.attname FROM pg_constraint AS c
    JOIN pg_class AS r ON r.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = r.relnamespace
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS key (referring, referred)
    JOIN pg_attribute AS f ON f.attrelid = c.conrelid AND f.attnum = key.referring
    JOIN pg_attribute AS i ON i.attrelid = c.confrelid AND i.attnum = key.referred AND i.attname = 'id'
    WHERE c.contype = 'f' AND c.confdeltype IN ('c', 'n', 'd') AND c.confrelid = to_regclass(quote_ident(:name))
""")
_SQLITE = text("""
    SELECT NULL, m.name, f."from" FROM sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f
    WHERE m.type = 'table' AND lower(f."table") = :name AND coalesce(f."to", 'id') = 'id'
    AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
""")


def needed_here(connection: Connection, of: Table, identifiers: Collection[str]) -> set[str]:
    """Return the rows of `of` to which rows of the platform refer that no import has made."""
    keys = _POSTGRESQL if connection.dialect.name == "postgresql" else _SQLITE
    found: set[str] = set()
    for place, name, link in connection.execute(keys, {"name": of.name}).all():
        referring = table(name, column(link, Text), column("id", Text), schema=place)
        query = select(referring.c[link]).where(among(connection, referring.c[link], identifiers))
        if name in schema.metadata.tables:
            made = exists().where(ID.c.name == name, ID.c.local_id == referring.c.id, ID.c.is_made)
            query = query.where(~made)
        found.update(connection.scalars(query))
    return found
