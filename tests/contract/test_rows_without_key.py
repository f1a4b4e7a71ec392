"""Rows that have NULL in the key: no page can continue after them, so a gap counts them, and all others are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Gap, Selection, Slice, SubjectKind
from portability.api.errors import BadMap
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
TEXTS = ROWS.replace('"integer"', '"string"')
COUNT = 700
"""More than the first two pages."""
VIEW = ("create table bought (id varchar(20), who varchar(20))", "create view orders as select id, who from bought")
UNIQUE = ("create table orders (id varchar(20) unique, who varchar(20))",)
MADE = (
    ("sqlite", "bought", VIEW),
    ("sqlite", "orders", ("create table orders (id text primary key, who text)",)),
    ("postgresql", "bought", (*VIEW, "grant select on orders to public")),
    ("mysql", "bought", VIEW),
    *((database, "orders", UNIQUE) for database in ("sqlite", "postgresql", "mysql")),
)


@pytest.fixture(params=MADE, ids=lambda made: f"{made[0]}-{made[1]}-{len(made[2][0])}")
def keyless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MappedExporter]:
    """A source with rows of two people, of which some have no key."""
    database, table, statements = request.param
    owner, reader = owner_and_reader(request, database, tmp_path)
    made = create_engine(owner)
    with made.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        keys = [*(f"'k{number:03}'" for number in range(COUNT)), *["null"] * 70]
        rows = ", ".join(f"({key}, 'ann')" for key in keys)
        connection.exec_driver_sql(f"insert into {table} values {rows}, (null, 'bob')")  # noqa: S608  # of this test alone
    opened, engine = mapped_source(reader, TEXTS)
    yield opened
    engine.dispose()
    if table != "orders":
        with made.begin() as connection:
            connection.exec_driver_sql("drop view orders")
    made.dispose()


def test_a_column_of_the_order_alone_has_no_null(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Rows are left out only where nothing else names them: another order is possible beside a primary key."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path)
    made = create_engine(owner)
    with made.begin() as connection:
        connection.exec_driver_sql("create table orders (id varchar(20) primary key, code varchar(9) unique, who text)")
    made.dispose()
    opened, engine = mapped_source(reader, f'{TEXTS}order = ["code"]')
    with pytest.raises(BadMap, match="'code' may be NULL: such rows have no place in the order"):
        opened.prepare()
    engine.dispose()


def test_rows_without_key_are_a_gap(keyless: MappedExporter) -> None:
    """Wherever the database sorts NULL, the person's rows with a key arrive once, and the others are counted."""
    dataset = keyless.datasets[0]
    assert [one for one in keyless.check().findings if one.kind == "unfit"] == []
    batches = list(keyless.export(ANN, dataset, Selection()))

    assert [record["id"] for batch in batches for record in batch.records] == [f"k{n:03}" for n in range(COUNT)]
    assert [gap for batch in batches for gap in batch.gaps] == [Gap("orders: records without a key: 70", "unreadable")]
    assert keyless.count(ANN, dataset, Selection()).records == COUNT


def test_the_first_slice_has_the_gap(keyless: MappedExporter) -> None:
    """Slices are read by themselves, and each batch is where reading can go on: the gap comes once."""
    dataset = keyless.datasets[0]
    first, second = keyless.slices(ANN, dataset, Selection(), 2)
    assert (first.begin, second.end, first.end) == (None, None, second.begin)
    batches = [list(keyless.export(ANN, dataset, Selection(slice=one))) for one in (first, second)]

    assert [len(batch.gaps) for half in batches for batch in half if batch.gaps] == [1]
    assert batches[0][0].gaps
    resumed = list(keyless.export(ANN, dataset, Selection(slice=Slice()), after=batches[0][0].cursor))
    assert sum(len(batch.records) for batch in resumed) == COUNT
    assert [batch.gaps for batch in resumed if batch.gaps] == []
