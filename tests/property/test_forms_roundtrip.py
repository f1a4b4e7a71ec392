"""CSV, workbook, database and Parquet of any records, as polars, calamine, sqlite3 and pyarrow read them.

The values are compared by the rules of docs/archive-format.md and docs/forms.md, and without any code of the formats.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow.parquet
from hypothesis import given
from python_calamine import CalamineWorkbook
from record_strategies import datasets_with_records

from formats import csv, parquet, sqlite, xlsx
from portability.api import Dataset, FieldType, Record, WriterFormat
from portability.testing.forms import MemorySink

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
READ_CELL: Mapping[FieldType, Callable[[str], Any]] = {
    FieldType.INTEGER: int,
    FieldType.NUMBER: lambda cell: float(cell) if set(cell) & set(".e") else int(cell),
    FieldType.BOOLEAN: {"true": True, "false": False}.__getitem__,
    FieldType.OBJECT: json.loads,
}


def _written(form: WriterFormat, dataset: Dataset, records: Sequence[Record]) -> tuple[bytes, Mapping[str, int]]:
    """The only file of a form, and what it says that it leaves out."""
    out = MemorySink()
    writer = form.open(out)
    writer.begin("exporter", dataset)
    writer.write(records)
    losses = writer.close()
    (file,) = out.files.values()
    return bytes(file), losses


def _same(found: object, value: object) -> bool:
    """Whether two values are equal and of one type; -0.0 is another number than 0.0."""
    is_float = isinstance(found, float) and isinstance(value, float)
    sign = math.copysign(1, found) == math.copysign(1, value) if is_float else True  # type: ignore[arg-type]  # floats
    return found == value and type(found) is type(value) and sign


@given(datasets_with_records())
def test_polars_finds_every_value_of_a_csv(given_data: tuple[Dataset, list[Record]]) -> None:
    """By the types of the Table Schema: an empty cell without quotes is NULL, one `'` is removed, `any` is JSON."""
    dataset, records = given_data
    if len(dataset.fields) == 1:  # NULL is an empty line there, which polars skips
        return
    data = b"".join(csv.format.encode(dataset, records))
    rows = pl.read_csv(data, infer_schema=False).to_dicts()

    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for field in dataset.fields:
            cell = row[field.name]
            found = READ_CELL.get(field.type, str)(cell.removeprefix("'")) if cell is not None else None
            assert _same(found, record[field.name]), field.type


@given(datasets_with_records())
def test_calamine_finds_every_value_of_a_workbook(given_data: tuple[Dataset, list[Record]]) -> None:
    """Integers of more than 15 digits as texts, objects as JSON, and signs for what XML cannot hold."""
    dataset, records = given_data
    book, losses = _written(xlsx.format, dataset, records)
    head, *rows = CalamineWorkbook.from_filelike(BytesIO(book)).get_sheet_by_name("exporter.things").to_python()
    replaced = 0

    assert head == [field.name for field in dataset.fields]
    for row, record in zip(rows, records, strict=False):  # without the last rows, if they have no cell
        for field, found in zip(dataset.fields, row, strict=True):
            value = record[field.name]
            if field.type is FieldType.OBJECT and value is not None:
                assert json.loads(str(found)) == value
                replaced += CONTROL.search(str(found)) is not None
            elif isinstance(value, str):
                text, signs = CONTROL.subn(_sign, value.replace("\r\n", "\n").replace("\r", "\n"))
                replaced += bool(signs)
                assert found == text
            elif type(value) is int and abs(value) >= 10**15:
                assert found == str(value)
            else:
                assert found == (value if value is not None else "")
    assert len(rows) == len(records) or all(set(one.values()) == {None} for one in records[len(rows) :])
    assert losses.get("controls_replaced", 0) >= replaced


def _sign(found: re.Match[str]) -> str:
    return chr(0x2400 + ord(found[0])) if found[0] < " " else "\ufffd"


@given(datasets_with_records())
def test_sqlite_finds_every_value_of_a_database(given_data: tuple[Dataset, list[Record]]) -> None:
    """Booleans are 0 and 1, integers of more than 64 bits their digits, objects JSON; nothing else changes."""
    dataset, records = given_data
    body, losses = _written(sqlite.format, dataset, records)
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(body)
        rows = database.execute("select * from exporter_things").fetchall()

    assert losses == {}
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for field, found in zip(dataset.fields, row, strict=True):
            value = record[field.name]
            if field.type is FieldType.OBJECT and value is not None:
                assert json.loads(found) == value
            elif type(value) is int and not -(2**63) <= value < 2**63:
                assert found == str(value)
            else:
                assert _same(found, int(value) if isinstance(value, bool) else value)


@given(datasets_with_records())
def test_pyarrow_finds_every_value_of_parquet(given_data: tuple[Dataset, list[Record]]) -> None:
    """Times and dates of any year, decimals and JSON as texts; what is NULL instead of a value is counted."""
    dataset, records = given_data
    body, losses = _written(parquet.format, dataset, records)
    rows = pyarrow.parquet.read_table(BytesIO(body)).to_pylist()
    read: Mapping[FieldType, Callable[[Any], object]] = {
        FieldType.DATETIME: datetime.fromisoformat,
        FieldType.DATE: date.fromisoformat,
        FieldType.NUMBER: float,
    }
    left = 0

    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for field in dataset.fields:
            found, value = row[field.name], record[field.name]
            if found is not None and field.type is FieldType.OBJECT:
                assert json.loads(found) == value
            elif found is not None:
                assert _same(found, read[field.type](value) if field.type in read else value)
            else:
                left += value is not None
    assert losses.get("values_left", 0) == left
