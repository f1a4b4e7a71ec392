"""Databases of a company: each has an address for its owner, and one for an account that can only read."""

from __future__ import annotations

from pathlib import Path

import pytest
import servers


def owner_and_reader(request: pytest.FixtureRequest, database: str, folder: Path) -> tuple[str, str]:
    """Make a database of this kind; in SQLite, which has no accounts, both addresses are the same."""
    if database == "sqlite":
        url = f"sqlite:///{folder / 'shop.db'}"
        return url, url
    if database == "mysql":
        maria: servers.MariaDB = request.getfixturevalue("mariadb_server")
        name = maria.create_database()
        return maria.url(name), maria.url(name, name, password="reader")
    server: servers.Postgres = request.getfixturevalue("pg_server")
    name = server.create_database()
    with server.connect(name) as connection:
        connection.execute(f"create role reader_{name} login")
        connection.execute(f"alter default privileges grant select on tables to reader_{name}")
    return server.url(name), server.url(name).replace("postgres@", f"reader_{name}@")
