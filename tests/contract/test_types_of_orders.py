"""Columns of each type that can give the order of reading: each row comes once, or the map is refused at its check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from column_values import COLUMNS, COUNT, LITERALS, TYPES_OF, WORDS
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from portability.api import JSON, BadInput, Selection, SubjectKind
from portability.testing import sample_subject

REFUSED = [("postgresql", "real"), ("mysql", "float"), ("mysql", f"enum({WORDS})"), ("mysql", "set('a', 'b', 'c')")]
"""A number of single precision is compared as a double, and a word of a list as a text, not by its place there."""


def ordered_table(
    request: pytest.FixtureRequest, folder: Path, database: str, column: str, values: Sequence[str]
) -> str:
    """Make the table, and return its address for an account that can only read."""
    owner, reader = owner_and_reader(request, database, folder)
    made = create_engine(owner)
    with made.begin() as connection:
        for statement in TYPES_OF.get(database, ()):
            connection.exec_driver_sql(statement)
        columns = f"id integer not null unique, who varchar(20), k {column}"
        connection.exec_driver_sql(f"create table orders ({columns}, primary key (k, id), unique (k))")
        for number, value in enumerate(values):
            row = f"{number}, 'usr_1', {value}"
            connection.exec_driver_sql(f"insert into orders values ({row})")  # noqa: S608  # of this test alone
    made.dispose()
    return reader


@pytest.mark.parametrize("order", ['order = ["k"]', 'order = ["k", "id"]'])
@pytest.mark.parametrize(("database", "column"), [(name, one) for name, columns in COLUMNS.items() for one in columns])
def test_each_row_comes_once(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, column: str, order: str
) -> None:
    """As a whole, resumed after the first batch, and cut into three: the same rows in the same order."""
    values = [LITERALS[COLUMNS[database][column]](number) for number in range(COUNT)]
    source = ordered_table(request, tmp_path, database, f"{column} not null", values)
    exporter, engine = mapped_source(source, ROWS + order)
    exporter.prepare()
    subject, dataset = sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0]

    def numbers(selection: Selection, after: str | None = None) -> list[JSON]:
        batches = exporter.export(subject, dataset, selection, after=after)
        return [one["id"] for batch in batches for one in batch.records]

    first = next(iter(exporter.export(subject, dataset, Selection())))
    resumed = [*(one["id"] for one in first.records), *numbers(Selection(), first.cursor)]
    parts = exporter.slices(subject, dataset, Selection(), 3)
    cut = [number for part in parts for number in numbers(Selection(slice=part))]
    whole = numbers(Selection())
    engine.dispose()

    assert sorted(whole, key=str) == sorted(range(COUNT), key=str)
    assert (len(parts), len(first.records) < COUNT) == (3, True)
    assert resumed == cut == whole


@pytest.mark.parametrize(("database", "column"), REFUSED, ids=lambda value: value.partition("(")[0])
def test_what_gives_no_order_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, column: str
) -> None:
    """Rows would come twice or not at all, without a word: the check of the map says so."""
    source = ordered_table(request, tmp_path, database, f"{column} not null", [])
    exporter, engine = mapped_source(source, f'{ROWS}order = ["k"]')
    with pytest.raises(BadInput, match=r"'k' is \w+: its order is not that of its values as they are read"):
        exporter.prepare()
    engine.dispose()
