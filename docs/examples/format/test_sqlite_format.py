"""The format meets the requirements."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlite_format import sqlite

from portability.api import Dataset, FieldType, Record
from portability.testing import check_format


def decode(dataset: Dataset, data: bytes) -> Iterator[Record]:
    """Read a database back."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(data)
        for row in database.execute("select * from records"):
            yield {field.name: _value(field.type, cell) for field, cell in zip(dataset.fields, row, strict=True)}


def _value(kind: FieldType, cell: Any) -> Any:
    if cell is None or kind not in {FieldType.OBJECT, FieldType.BOOLEAN}:
        return cell
    return json.loads(cell) if kind is FieldType.OBJECT else bool(cell)


def test_requirements() -> None:
    """Every value is the same after a round trip."""
    check_format(sqlite, decode=decode)
