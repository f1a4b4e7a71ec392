"""Databases of a company, each with an account that can only read, and the exporter of a map for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import servers
from sqlalchemy import Engine, create_engine, inspect

from exporters.maps.reading import MapText
from exporters.sql.mapped.databases import SectionSources, kind_of, open_database
from exporters.sql.mapped.exporter import MappedExporter, MappedSection
from exporters.sql.mapped.kind import kind
from portability.testing import MemoryFiles, SampleSources

ROWS = """
title = "Shop"
role = "controller"
kinds = ["user"]
[[dataset]]
name = "orders"
title = "Orders"
description = "Your orders."
provenance = "provided"
table = "orders"
rows = [{ column = "who", identities = ["user_id"] }]
fields.id = { type = "integer", text = "Id." }
"""
"""A map of the table `orders`, whose column `who` names the account; further lines are of its dataset."""

MADE = pytest.StashKey[dict[tuple[str, str | None], tuple[str, str]]]()
"""Databases by kind and encoding."""


def owner_and_reader(
    request: pytest.FixtureRequest, database: str, folder: Path, encoding: str | None = None
) -> tuple[str, str]:
    """Return a database of this kind without tables, for its owner and for an account that can only read.

    Tests one by one get the same database again, because making one takes longer than most of them. In SQLite, which
    has no accounts, both addresses are the same. `encoding` is that of a database of PostgreSQL.
    """
    if database == "sqlite":
        url = f"sqlite:///{folder / 'shop.db'}"
        return url, url
    if request.scope != "function":
        return _made(request, database, encoding)
    made = request.session.stash.setdefault(MADE, {})
    if (database, encoding) in made:
        _empty(made[database, encoding][0])
    else:
        made[database, encoding] = _made(request, database, encoding)
    return made[database, encoding]


def _made(request: pytest.FixtureRequest, database: str, encoding: str | None) -> tuple[str, str]:
    if database == "mysql":
        maria: servers.MariaDB = request.getfixturevalue("mariadb_server")
        name = maria.create_database()
        return maria.url(name), maria.url(name, name, password="reader")
    server: servers.Postgres = request.getfixturevalue("pg_server")
    name = server.create_encoded_database(encoding) if encoding else server.create_database()
    with server.connect(name) as connection:
        connection.execute(f"create role reader_{name} login")
        connection.execute(f"alter default privileges grant select on tables to reader_{name}")
    return server.url(name), server.url(name).replace("postgres@", f"reader_{name}@")


def _empty(owner: str) -> None:
    is_postgresql = owner.startswith("postgresql")
    engine = create_engine(owner, connect_args={"client_encoding": "utf8"} if is_postgresql else {})
    with engine.begin() as connection:
        if is_postgresql:
            statements = [
                "drop schema public cascade",
                "create schema public",
                "grant usage on schema public to public",
            ]
        else:
            found = inspect(connection)
            statements = ["set foreign_key_checks = 0"]
            statements += [f"drop view `{name}`" for name in found.get_view_names()]
            statements += [f"drop table `{name}`" for name in found.get_table_names()]
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def execute_all(url: str, *statements: str) -> None:
    """Execute statements as they are, in one transaction."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@contextmanager
def mapped_sources() -> Iterator[Callable[[str, str], MappedExporter]]:
    """Open exporters of maps by the address of a database and the text of the map; all are closed at the end."""
    with ExitStack() as engines:

        def open_source(url: str, text: str) -> MappedExporter:
            exporter, engine = mapped_source(url, text)
            engines.callback(engine.dispose)
            return exporter

        yield open_source


def mapped_source(url: str, text: str) -> tuple[MappedExporter, Engine]:
    """Return the exporter of a map for the database at this address, and its engine, which the caller disposes of."""
    backend, address = kind_of(url, "url")
    engine = open_database(backend, address, 60)
    sources = SectionSources(engine, SampleSources(engine, MemoryFiles({})))
    return MappedExporter(MappedSection("shop", kind.parse(MapText("shop.toml", text)), backend, sources)), engine
