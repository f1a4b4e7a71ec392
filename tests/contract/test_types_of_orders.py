"""Columns of each type that can give the order of reading: each row comes once, or the map is refused at its check."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from source_accounts import ROWS, mapped_source, owner_and_reader
from sqlalchemy import create_engine

from portability.api import JSON, BadInput, Selection, SubjectKind
from portability.testing import sample_subject

COUNT = 150
"""More than the first page has, so that keys are compared."""


def random_bytes(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def rank(number: int) -> int:
    """A number of another order than its place, and no other has it."""
    return int.from_bytes(random_bytes(number)[:4], "big") * 1000 + number


def word(number: int) -> str:
    return f"{'kK'[number % 2]}\u00e4{rank(number)} {number}"


LITERALS: Mapping[str, Callable[[int], str]] = {
    "integer": lambda n: str((n * 7) % COUNT - 75),
    "positive": lambda n: str((n * 7) % COUNT),
    "decimal": lambda n: f"{rank(n) - 10**12}.{n:03}",
    "double": lambda n: repr(rank(n) / 977),
    "uuid": lambda n: f"'{uuid.UUID(bytes=random_bytes(n)[:16], version=4)}'",
    "text": lambda n: f"'{word(n)}'",
    "time": lambda n: f"'2026-01-{1 + n % 28:02} 10:{n % 60:02}:{n * 7 % 60:02}.{rank(n) % 10**6:06}'",
    "date": lambda n: f"'{1901 + n * 7 % COUNT}-02-03'",
    "clock": lambda n: f"'{n % 24:02}:{n % 60:02}:{n * 7 % 60:02}.{n:06}'",
    "address": lambda n: f"'10.0.{n % 7}.{n}'",
    "interval": lambda n: f"'{rank(n) % 10**6} seconds {n} days'",
    "bits": lambda n: f"b'{n:08b}'",
    "bytea": lambda n: rf"'\x{random_bytes(n)[:8].hex()}'",
    "bytes": lambda n: f"x'{random_bytes(n)[:8].hex()}'",
    "year": lambda n: str(1901 + n),
    "listed": lambda n: f"'{hashlib.sha1(str(n).encode(), usedforsecurity=False).hexdigest()[:8]}'",
}
WORDS = ", ".join(map(LITERALS["listed"], range(COUNT)))
ORDERS = {
    "postgresql": {
        "smallint": "integer",
        "numeric(20, 3)": "decimal",
        "double precision": "double",
        "uuid": "uuid",
        "text": "text",
        'text collate "en-x-icu"': "text",
        "char(40)": "text",
        "name": "text",
        "timestamptz": "time",
        "timestamp": "time",
        "date": "date",
        "time": "clock",
        "interval": "interval",
        "inet": "address",
        "bit(8)": "bits",
        "bytea": "bytea",
        "listed": "listed",
        "numbered": "integer",
        "oid": "positive",
    },
    "mysql": {
        "smallint": "integer",
        "decimal(20,3)": "decimal",
        "double": "double",
        "bigint unsigned": "positive",
        "varchar(60)": "text",
        "varchar(60) collate utf8mb4_bin": "text",
        "varchar(60) character set latin1": "text",
        "char(40)": "text",
        "datetime(6)": "time",
        "timestamp(6) null": "time",
        "date": "date",
        "time(6)": "clock",
        "bit(8)": "bits",
        "inet6": "address",
        "uuid": "uuid",
        "binary(8)": "bytes",
        "varbinary(8)": "bytes",
    },
    "sqlite": {
        "smallint": "integer",
        "numeric": "decimal",
        "decimal(20,3)": "decimal",
        "real": "double",
        "float": "double",
        "text": "text",
        "text collate nocase": "text",
        "": "text",
        "varchar(40)": "text",
        "date": "date",
        "datetime": "time",
        "timestamp": "time",
        "time": "clock",
        "blob": "bytes",
    },
}
REFUSED = [("postgresql", "real"), ("mysql", "float"), ("mysql", f"enum({WORDS})"), ("mysql", "set('a', 'b', 'c')")]
"""A number of single precision is compared as a double, and a word of a list as a text, not by its place there."""


def ordered_table(
    request: pytest.FixtureRequest, folder: Path, database: str, column: str, values: Sequence[str]
) -> str:
    """Make the table, and return its address for an account that can only read."""
    owner, reader = owner_and_reader(request, database, folder)
    made = create_engine(owner)
    with made.begin() as connection:
        if database == "postgresql":
            connection.exec_driver_sql(f"create type listed as enum ({WORDS})")
            connection.exec_driver_sql("create domain numbered as smallint check (value < 1000)")
        columns = f"id integer not null unique, who varchar(20), k {column}"
        connection.exec_driver_sql(f"create table orders ({columns}, primary key (k, id), unique (k))")
        for number, value in enumerate(values):
            row = f"{number}, 'usr_1', {value}"
            connection.exec_driver_sql(f"insert into orders values ({row})")  # noqa: S608  # of this test alone
    made.dispose()
    return reader


@pytest.mark.parametrize("order", ['order = ["k"]', 'order = ["k", "id"]'])
@pytest.mark.parametrize(("database", "column"), [(name, one) for name, columns in ORDERS.items() for one in columns])
def test_each_row_comes_once(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, column: str, order: str
) -> None:
    """As a whole, resumed after the first batch, and cut into three: the same rows in the same order."""
    values = [LITERALS[ORDERS[database][column]](number) for number in range(COUNT)]
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
