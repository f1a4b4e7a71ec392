"""Databases on PostgreSQL that tests use one after the other: control databases, and filled platforms.

Making and dropping a database takes longer than most tests. A database that a test has given back gets its first rows
again, and is used again if its schema did not change. A further database is a copy of the first, which no test gets.
The connection that restores a database stays open: PostgreSQL takes 20 ms to fill the caches of a new one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import servers
from psycopg import sql
from sqlalchemy import Engine

from portability.database.engine import open_engine

SCHEMA = """
select md5(string_agg(line, ',' order by line)) from (
    select format('%s %s %s %s', relname, relkind, relacl, relowner) as line from pg_class
        where relnamespace = 'public'::regnamespace
    union all
    select format('%s.%s %s %s', attrelid::regclass, attname, atttypid, attnotnull) from pg_attribute
        join pg_class on pg_class.oid = attrelid where relnamespace = 'public'::regnamespace and attnum > 0
    union all
    select format('%s %s %s', tgrelid::regclass, tgname, tgenabled) from pg_trigger where not tgisinternal
    union all
    select format('%s %s', proname, md5(prosrc)) from pg_proc where pronamespace = 'public'::regnamespace
    union all
    select nspname from pg_namespace where nspname !~ '^pg_'
    union all
    select setconfig::text from pg_db_role_setting where setdatabase = (
        select oid from pg_database where datname = current_database())
) as lines
"""
TABLES = """
select c.relname, c.oid from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
    order by c.relname
"""
EMPTY = """
set session_replication_role = replica;
do $$
declare
    name text;
begin
    for name in select relname from ({tables}) as tables where pg_relation_size(oid) > 0 loop
        execute format('delete from %I', name);
    end loop;
    -- `alter sequence ... restart` would give each a new file.
    perform setval(format('public.%I', sequencename)::regclass, start_value, false) from pg_sequences
        where schemaname = 'public' and last_value is not null;
end $$
"""
NAME = "reused databases"
"""Of these connections, in pg_stat_activity."""
LEAVE = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s and application_name = %s"
OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
"""


class ReusedDatabases:
    """Databases of one server that `make` has filled; a test that takes one has it alone.

    `again` is a statement that runs after the first rows were restored.
    """

    def __init__(self, server: servers.Postgres, make: Callable[[Engine], None], again: LiteralString = "") -> None:
        self._server = server
        self._make = make
        self._again = again
        self._free: list[str] = []
        self._connections: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}
        self._template = ""
        self._schema = ""
        self._rows: dict[str, list[dict[str, Any]]] = {}

    def take(self) -> str:
        """Return the name of a database, as `make` leaves it."""
        return self._free.pop() if self._free else self._new()

    def give_back(self, name: str) -> None:
        """Restore a database; it is dropped if the test changed its schema."""
        try:
            is_same = self._restored(self._connected(name))
        except psycopg.OperationalError:  # the test has ended this connection, or has replaced the database
            self._connections.pop(name).close()
            is_same = self._restored(self._connected(name))
        if is_same:
            self._free.append(name)
        else:
            self._connections.pop(name).close()
            self._server.drop_database(name)

    def close(self) -> None:
        """Close the connections; the databases stay."""
        for connection in self._connections.values():
            connection.close()

    def _connected(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        if name not in self._connections:
            self._connections[name] = self._server.connect(name, application_name=NAME)
        return self._connections[name]

    def _restored(self, connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
        """Restore a database whose schema is still the first; returns whether it is."""
        connection.execute(OTHERS)
        is_same = self._read_schema(connection) == self._schema
        if is_same:
            self._restore(connection)
        return is_same

    def _new(self) -> str:
        if not self._template:
            self._template = self._server.create_database()
            engine = open_engine(self._server.url(self._template))
            self._make(engine)
            engine.dispose()
            with self._server.connect(self._template) as connection:
                self._schema = self._read_schema(connection)
                self._rows = dict(self._read_rows(connection))
        name = self._server.create_database(self._template)
        if self._again:
            with self._server.connect(name) as connection:
                connection.execute(self._again)
        return name

    def _restore(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        connection.execute(sql.SQL(EMPTY).format(tables=sql.SQL(TABLES)))
        for table, rows in self._rows.items():
            again = "insert into {table} select * from json_populate_recordset(null::{table}, %s)"
            connection.execute(sql.SQL(again).format(table=sql.Identifier(table)), [json.dumps(rows)])
        if self._again:
            connection.execute(self._again)

    @staticmethod
    def _read_schema(connection: psycopg.Connection[tuple[Any, ...]]) -> str:
        row = connection.execute(SCHEMA).fetchone()
        assert row
        return str(row[0])

    @staticmethod
    def _read_rows(connection: psycopg.Connection[tuple[Any, ...]]) -> Any:  # pairs of a table and rows
        for table, _oid in connection.execute(TABLES).fetchall():
            query = sql.SQL("select json_agg(t) from {} as t").format(sql.Identifier(table))
            row = connection.execute(query).fetchone()
            if row and row[0]:
                yield table, row[0]
