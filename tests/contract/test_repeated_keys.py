"""Views whose rows repeat a key: the reader continues after a key, so rows may be lost, and the export says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Gap, Selection, SubjectKind
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
COUNT = 700
"""More than the first two pages."""


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def repeating(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MappedExporter]:
    """A view in which each of the last rows comes three times, as a join makes it."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    made = create_engine(owner)
    times = "select 1 as n union all select 2 union all select 3"
    joined = f"select b.id, b.who from bought b join ({times}) t on t.n = 1 or b.id > {COUNT - 10}"  # noqa: S608  # of this test alone
    with made.begin() as connection:
        connection.exec_driver_sql("create table bought (id integer primary key, who varchar(20))")
        rows = ", ".join(f"({number}, 'ann')" for number in range(COUNT))
        connection.exec_driver_sql(f"insert into bought values {rows}")  # noqa: S608  # of this test alone
        connection.exec_driver_sql(f"create view orders as {joined}")
        if request.param == "postgresql":
            connection.exec_driver_sql("grant select on orders to public")
    exporter, engine = mapped_source(reader, ROWS)
    yield exporter
    engine.dispose()
    with made.begin() as connection:
        connection.exec_driver_sql("drop view orders")
    made.dispose()


def test_rows_that_repeat_a_key_are_a_gap(repeating: MappedExporter) -> None:
    """It is named once, with the page in which it is seen."""
    dataset = repeating.datasets[0]
    batches = list(repeating.export(ANN, dataset, Selection()))

    assert {record["id"] for batch in batches for record in batch.records} == set(range(COUNT))
    assert [batch.gaps for batch in batches if batch.gaps] == [
        (Gap("orders: several records have the same key", "unreadable"),)
    ]
    assert batches[0].gaps == ()
