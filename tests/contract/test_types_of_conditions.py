"""Values of a map's conditions for columns of each type: they choose the rows that they mean, or the map is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import Engine, create_engine

from exporters.sql.mapped.exporter import MappedExporter
from portability.api import JSON, BadInput, Selection, SubjectKind
from portability.testing import sample_subject

UUID, OTHER_UUID = "0b3c7c0e-6c1f-4f2e-9a51-1f6c2f1f7f10", "0b3c7c0e-6c1f-4f2e-9a51-1f6c2f1f7f11"
TYPES: Mapping[str, Mapping[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]]] = {
    "postgresql": {
        "integer": ("1", "2", ("1",), ('"1"', "1.5")),
        "smallint": ("1", "2", ("1",), ('"a"',)),
        "numbered": ("1", "2", ("1",), ('"1"',)),
        "boolean": ("true", "false", ("true", "1"), ('"true"', '"t"', "2")),
        "numeric(5, 2)": ("1.50", "2", ("1.5", '"1.50"', '"1.5"'), ('"a"',)),
        "double precision": ("1.5", "2", ("1.5", '"1.5"'), ('"a"',)),
        "real": ("1.5", "2", ("1.5", '"1.5"'), ("0.1", "1e300", '"a"')),
        "text": ("'a'", "'b'", ('"a"',), ("1", "true")),
        "char(5)": ("'a'", "'b'", ('"a"',), ("1",)),
        "citext": ("'A'", "'b'", ('"a"',), ("1",)),
        "listed": ("'a'", "'b'", ('"a"',), ('"c"', "1")),
        "uuid": (f"'{UUID}'", f"'{OTHER_UUID}'", (f'"{UUID}"', f'"{UUID.upper()}"'), ('"a"', "1")),
        "date": ("'2026-01-01'", "'2026-01-02'", ('"2026-01-01"', "2026-01-01"), ('"1.1.2026"', "1")),
        "timestamptz": ("'2026-01-01 00:00Z'", "'2026-01-02 00:00Z'", ('"2026-01-01T00:00:00Z"',), ('"2026-01-01"',)),
        "bytea": (r"'\x61'", r"'\x62'", (), ('"a"',)),
        "jsonb": ("'1'", "'2'", (), ('"1"',)),
    },
    "mysql": {
        "int": ("1", "2", ("1",), ('"1"',)),
        "tinyint(1)": ("1", "0", ("true", "1"), ('"true"', '"1"')),
        "bit(1)": ("1", "0", ("true", "1"), ('"true"',)),
        "bit(4)": ("5", "2", ("5",), ('"5"',)),
        "decimal(5,2)": ("1.50", "2", ("1.5", '"1.50"'), ('"a"',)),
        "varchar(9)": ("'a'", "'b'", ('"a"',), ("1",)),
        "varchar(9) character set utf16": ("'a'", "'b'", ('"a"',), ("1",)),
        "varbinary(9)": ("'a'", "'b'", ('"a"',), ("1",)),
        "enum('a','b')": ("'a'", "'b'", ('"a"',), ("1",)),
        "date": ("'2026-01-01'", "'2026-01-02'", ('"2026-01-01"',), ('"a"', '"0000-00-00"')),
        "year": ("2026", "2025", ("2026",), ('"2026"', "1.5")),
        "float": ("1.5", "2", ("1.5", '"1.5"'), ("0.1", "1e300", '"a"')),
        "time": ("'10:00'", "'11:00'", (), ("1", '"10:00"')),
    },
    "sqlite": {
        "integer": ("1", "2", ("1",), ('"1"',)),
        "boolean": ("1", "0", ("true", "1"), ('"true"',)),
        "text": ("'a'", "'b'", ('"a"',), ("1",)),
        "string": ("'a'", "'b'", ('"a"',), ("1",)),
        "": ("'a'", "'b'", ('"a"',), ()),
        "real": ("1.5", "2", ("1.5", '"1.5"'), ('"a"',)),
    },
}
"""By database and type: two values in SQL, those of a map that mean the first, and those that cannot be compared."""
COLUMNS = [(database, column) for database, by_type in TYPES.items() for column in by_type]
FITTING = [(*place, value) for place in COLUMNS for value in TYPES[place[0]][place[1]][2]]
REFUSED = [(*place, value) for place in COLUMNS for value in TYPES[place[0]][place[1]][3]]
OpenShop: TypeAlias = Callable[[str, str, Sequence[str]], Sequence[MappedExporter]]


@pytest.fixture
def open_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenShop]:
    """Makes three orders of an account, with the first value, the second and none, and opens a map by condition."""
    opened: list[Engine] = []

    def make(database: str, column: str, conditions: Sequence[str]) -> Sequence[MappedExporter]:
        owner, reader = owner_and_reader(request, database, tmp_path)
        made = create_engine(owner)
        first, second, _fitting, _refused = TYPES[database][column]
        own_types = (
            "create extension if not exists citext",
            "create domain numbered as int",
            "create type listed as enum ('a', 'b')",
        )
        with made.begin() as connection:
            for statement in (
                *(own_types if database == "postgresql" else ()),
                f"create table orders (id integer primary key, who varchar(20), state {column} null)",
                *(f"insert into orders values ({n}, 'usr_1', {one})" for n, one in enumerate((first, second, "null"))),  # noqa: S608  # of this test alone
            ):
                connection.exec_driver_sql(statement)
        made.dispose()
        found = [mapped_source(reader, f'{ROWS}where = [{{ column = "state", {one} }}]') for one in conditions]
        opened.extend(engine for _exporter, engine in found)
        return [exporter for exporter, _engine in found]

    yield make
    for engine in opened:
        engine.dispose()


def chosen_orders(exporter: MappedExporter) -> list[JSON]:
    batches = exporter.export(sample_subject(SubjectKind.USER, "usr_1"), exporter.datasets[0], Selection())
    return [record["id"] for batch in batches for record in batch.records]


@pytest.mark.parametrize(("database", "column", "value"), FITTING)
def test_a_value_of_the_type_of_the_column(open_shop: OpenShop, database: str, column: str, value: str) -> None:
    """It chooses the rows that have the same value, in whichever of its forms the map writes it."""
    texts = ("equals = {}", "among = [{}]", "other_than = {}")
    equal, among, others = open_shop(database, column, [text.format(value) for text in texts])
    assert chosen_orders(equal) == chosen_orders(among) == [0]
    assert chosen_orders(others) == [1, 2]


@pytest.mark.parametrize(("database", "column", "value"), REFUSED)
def test_a_value_that_no_row_can_have(open_shop: OpenShop, database: str, column: str, value: str) -> None:
    """The check of the map says what it must be; before, MariaDB took "true" for 0 and chose the other rows."""
    with pytest.raises(BadInput, match=r"'state' of orders is .*: .* must be (an? |true or|one of|left out)"):
        open_shop(database, column, [f"equals = {value}"])[0].prepare()
