"""Looking up many keys in one statement, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Engine, MetaData, Table, Text, insert, select

from receiver.ledger.bulk import among, look_up

PLACES = Table("places", MetaData(), Column("id", Text, primary_key=True), Column("name", Text))
KEYS = ["", "1", "01", "1e1", "null", '"', "\\", "é", "e\u0301", "\U0001f600", "\u2028", "A", "a", "'"]
"""Keys that SQL or JSON could read as something else, or as each other."""


@pytest.fixture
def connection(control_engine: Engine) -> Iterator[Connection]:
    """A database with a row for every second key."""
    with control_engine.begin() as opened:
        PLACES.create(opened)
        opened.execute(insert(PLACES), [{"id": key, "name": f"of {key}"} for key in KEYS[::2]])
        yield opened


def test_each_key_finds_its_own_row(connection: Connection) -> None:
    """And no row of a key that looks like it. A key may be asked for twice."""
    chosen = among(connection, PLACES.c.id, KEYS)
    assert sorted(connection.scalars(select(PLACES.c.id).where(chosen))) == sorted(KEYS[::2])
    found = look_up(
        connection, [*KEYS, *KEYS], lambda key: select(PLACES.c.name).where(PLACES.c.id == key).scalar_subquery()
    )
    assert found == {key: f"of {key}" for key in KEYS[::2]}


def test_no_key_finds_nothing(connection: Connection) -> None:
    """An empty list is not all rows."""
    assert connection.scalars(select(PLACES.c.id).where(among(connection, PLACES.c.id, []))).all() == []
    assert look_up(connection, [], lambda key: select(PLACES.c.name).where(PLACES.c.id == key).scalar_subquery()) == {}


def test_keys_are_more_than_a_statement_has_parameters(connection: Connection) -> None:
    """300,000 keys: by default SQLite takes 32,766 parameters, and PostgreSQL 65,535."""
    listed = [f"key-{number}" for number in range(300_000)] + KEYS
    chosen = among(connection, PLACES.c.id, listed)
    assert len(connection.scalars(select(PLACES.c.id).where(chosen)).all()) == len(KEYS[::2])
