"""Views whose rows repeat a key: the reader continues after a key, so rows may be lost, and the export says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import Batch, Gap, Selection, SubjectKind
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
COUNT = 700
"""More than the first two pages, which have 64 and 512 rows."""
SEVERAL = (Gap("orders: several records have the same key", "unreadable"),)
TIMES = "select 1 as n union all select 2 union all select 3"

View: TypeAlias = Callable[..., MappedExporter]


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def view(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[View]:
    """A function that makes and maps the view `orders`: it has a row n times where `times` is true for 1 to n."""
    owner, reader = owner_and_reader(request, request.param, tmp_path)
    made = create_engine(owner)
    engines = []

    def make(times: str, columns: str = "b.id, b.who", lines: str = ROWS) -> MappedExporter:
        statement = f"select {columns} from bought b join ({TIMES}) t on {times}"  # noqa: S608  # of this test alone
        with made.begin() as connection:
            connection.exec_driver_sql(f"create view orders as {statement}")
            if request.param == "postgresql":
                connection.exec_driver_sql("grant select on orders to public")
        exporter, engine = mapped_source(reader, lines)
        engines.append(engine)
        return exporter

    with made.begin() as connection:
        connection.exec_driver_sql("create table bought (id integer primary key, code varchar(20), who varchar(20))")
        rows = ", ".join(f"({number}, 'n{number:04}', 'ann')" for number in range(COUNT))
        connection.exec_driver_sql(f"insert into bought values {rows}")  # noqa: S608  # of this test alone
    yield make
    for engine in engines:
        engine.dispose()
    with made.begin() as connection:
        connection.exec_driver_sql("drop view orders")
    made.dispose()


def _batches(exporter: MappedExporter) -> list[Batch]:
    return list(exporter.export(ANN, exporter.datasets[0], Selection()))


def _gaps(batches: list[Batch]) -> list[tuple[Gap, ...]]:
    return [batch.gaps for batch in batches if batch.gaps]


def test_rows_that_repeat_a_key_are_a_gap(view: View) -> None:
    """It is named once, with the page in which it is seen: here each of the last rows comes three times."""
    batches = _batches(view(f"t.n = 1 or b.id > {COUNT - 10}"))

    assert {record["id"] for batch in batches for record in batch.records} == set(range(COUNT))
    assert _gaps(batches) == [SEVERAL]
    assert batches[0].gaps == ()


@pytest.mark.parametrize("number", [0, 62, 63, 64, 575, 576, 699])
def test_one_pair_is_seen_wherever_a_page_ends(view: View, number: int) -> None:
    """Also where the first of two rows ends a page: the next page begins behind the second, which is never read."""
    batches = _batches(view(f"t.n = 1 or t.n = 2 and b.id = {number}"))

    assert {record["id"] for batch in batches for record in batch.records} == set(range(COUNT))
    assert _gaps(batches) == [SEVERAL]


def test_rows_with_keys_of_their_own_have_no_gap(view: View) -> None:
    """Each page asks for the rows at its end, and finds one."""
    batches = _batches(view("t.n = 1"))

    assert [len(batch.records) for batch in batches] == [64, 512, 124]
    assert _gaps(batches) == []


@pytest.mark.parametrize("view", ["mysql"], indirect=True)
def test_keys_that_the_database_takes_for_equal_are_seen(view: View) -> None:
    """MariaDB compares texts without the case of letters: n0063 and N0063 are one place in its order."""
    columns = "if(t.n = 1, b.code, upper(b.code)) as id, b.who"
    batches = _batches(view("t.n = 1 or t.n = 2 and b.id = 63", columns, ROWS.replace('"integer"', '"string"')))

    assert sum(len(batch.records) for batch in batches) == COUNT
    assert _gaps(batches) == [SEVERAL]
