"""Settings of a company's server, database or account: they change neither values nor which rows are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from portability.api import JSON, Selection, SubjectKind
from portability.testing import sample_subject

ANN = sample_subject(SubjectKind.USER, "ann")
COUNT = 1_300
"""More than the pages that are read value by value: the rest arrives as joined columns."""
BATCHES_MAX = 10
FIELDS = """
fields.single = { type = "number", text = "Value." }
fields.written = { type = "string", text = "Value.", column = "double" }
fields.doubles = { type = "object", text = "Value." }
fields.span = { type = "string", text = "Value." }
fields.bytes = { type = "object", text = "Value." }
fields.moment = { type = "datetime", text = "Value." }
"""
COLUMNS = (
    "single real",
    "double double precision not null unique",
    "doubles double precision[]",
    "span interval",
    "bytes bytea[]",
    "moment timestamptz",
)
VALUES = (
    "16777215",
    "100 + n / 1024::float8 / 1024",
    "array[0.30000000000000004]",
    "'1 month -2 days 03:04:05.5'",
    r"array['\xff00'::bytea]",
    "'2026-01-02 03:04:05.5+02'",
)
SETTINGS = (
    "extra_float_digits = 0",
    "extra_float_digits = -15",
    "IntervalStyle = 'iso_8601'",
    "IntervalStyle = 'sql_standard'",
    "bytea_output = 'escape'",
    "DateStyle = 'German, DMY'",
    "TimeZone = 'Asia/Jakarta'",
    "quote_all_identifiers = on",
)
OpenSource: TypeAlias = Callable[[str], list[dict[str, JSON]]]


@pytest.fixture(scope="module")
def rows_of_postgresql(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A table of many types: its address for its owner, and for an account that can only read."""
    owner, reader = owner_and_reader(request, "postgresql", tmp_path_factory.mktemp("shop"))
    made = create_engine(owner)
    with made.begin() as connection:
        columns, values = ", ".join(COLUMNS), ", ".join(VALUES)
        connection.exec_driver_sql(f"create table orders (id integer primary key, who text, {columns})")
        rows = f"select n, 'ann', {values} from generate_series(1, {COUNT}) n"  # noqa: S608  # of this test alone
        connection.exec_driver_sql(f"insert into orders {rows}")
    made.dispose()
    return owner, reader


@pytest.fixture
def read_with(rows_of_postgresql: tuple[str, str]) -> Iterator[OpenSource]:
    """Reads the records in the order of a double, by an account that has this setting."""
    owner, reader = rows_of_postgresql
    role = reader.split("//")[1].split("@")[0]
    opened: list[Engine] = [create_engine(owner)]

    def change(statement: str) -> None:
        with opened[0].begin() as connection:
            connection.exec_driver_sql(f"alter role {role} {statement}")

    def read(setting: str) -> list[dict[str, JSON]]:
        change(f"set {setting}")
        exporter, engine = mapped_source(reader, f'{ROWS}{FIELDS}order = ["double"]')
        opened.append(engine)
        # Keys that are not those of their rows may lead to the same rows again, without an end.
        batches = list(islice(exporter.export(ANN, exporter.datasets[0], Selection()), BATCHES_MAX))
        assert [batch.gaps for batch in batches if batch.gaps] == []
        return [dict(record) for batch in batches for record in batch.records]

    yield read
    change("reset all")
    for engine in opened:
        engine.dispose()


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_an_account_change_no_value(read_with: OpenSource, setting: str) -> None:
    """Each row arrives once, with all digits, and in one form, whatever an account of PostgreSQL has by default."""
    records = read_with(setting)

    assert [record["id"] for record in records] == list(range(1, COUNT + 1))
    for record in (records[0], records[-1]):
        assert {name: value for name, value in record.items() if name not in {"id", "written"}} == {
            "single": 16777215.0,
            "doubles": [0.30000000000000004],
            "span": "1 mon -2 days +03:04:05.5",
            "bytes": [r"\xff00"],
            "moment": "2026-01-02T01:04:05.500000Z",
        }
    assert (records[0]["written"], records[-1]["written"]) == ("100.00000095367432", "100.00123977661133")
