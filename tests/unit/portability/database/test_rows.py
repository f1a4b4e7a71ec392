"""Inserts in the form that both databases have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, MetaData, String, Table, func, insert, select

from portability.database.engine import open_engine, writing
from portability.database.rows import insert_row, inserting

TABLE = Table(
    "thing", MetaData(), Column("id", String, primary_key=True), Column("word", String), Column("size", String)
)


def things_of(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(select(TABLE).order_by(TABLE.c.id))]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with writing(engine) as opened:
        TABLE.create(opened)
        yield opened
    engine.dispose()


def test_a_row_may_have_parts_of_a_statement(connection: Connection) -> None:
    """What the database computes and what it is given stand in one row; None and missing columns are empty."""
    insert_row(connection, insert(TABLE), {"id": "1", "word": func.upper("abc"), "size": None})
    insert_row(connection, insert(TABLE), {"id": "2", "word": "it's"})
    insert_row(connection, insert(TABLE), {"id": func.lower("X")})
    assert things_of(connection) == [("1", "ABC", None), ("2", "it's", None), ("x", None, None)]


def test_a_row_that_exists_stays_or_changes(connection: Connection) -> None:
    """As the statement says; what is returned tells whether the row is new."""
    once = inserting(connection, TABLE).on_conflict_do_nothing().returning(TABLE.c.id)
    assert insert_row(connection, once, {"id": "1", "word": "first"}).scalar() == "1"
    assert insert_row(connection, once, {"id": "1", "word": "second"}).scalars().all() == []
    changed = inserting(connection, TABLE).on_conflict_do_update(index_elements=["id"], set_={"size": "large"})
    insert_row(connection, changed, {"id": "1", "word": "third"})
    assert things_of(connection) == [("1", "first", "large")]
