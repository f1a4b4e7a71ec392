"""Statements that the tests of a process compile once: databases with other types have results of their own."""

from __future__ import annotations

from decimal import Decimal

import pytest
import servers
from sqlalchemy import Column, MetaData, Numeric, Table, create_engine, select, text

PRICES = Table("prices", MetaData(), Column("price", Numeric))


@pytest.mark.parametrize("order", [("double precision", "numeric"), ("numeric", "double precision")])
def test_a_statement_converts_as_the_types_of_its_database_need(
    pg_server: servers.Postgres, order: tuple[str, str]
) -> None:
    """SQLAlchemy gives a double ten decimals, and a numeric its own; the first database does not decide."""
    found: dict[str, Decimal | None] = {}
    for kind in order:
        name = pg_server.create_database()
        engine = create_engine(pg_server.url(name))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE prices AS SELECT 10.54::{kind} AS price"))
            found[kind] = connection.scalar(select(PRICES.c.price))
        engine.dispose()
        pg_server.drop_database(name)
    assert {kind: str(value) for kind, value in found.items()} == {
        "double precision": "10.5400000000",
        "numeric": "10.54",
    }
