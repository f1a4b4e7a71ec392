"""SQLite: a database with one table, `records`, for people who query their data with SQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from portability.api import JSON, Dataset, FieldType, FormatError, Record, RecordChecker


class SqliteFormat:
    """Writes an SQLite database. It does not stream: a database is written as a whole."""

    @property
    def suffix(self) -> str:
        return ".sqlite"

    @property
    def media_type(self) -> str:
        return "application/vnd.sqlite3"

    def encode(self, dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        """Write the database; objects become JSON text, booleans become 0 and 1.

        Raises: FormatError for what RecordChecker refuses, and an integer of more than 64 bits.
        """
        columns = ", ".join('"' + field.name.replace('"', '""') + '"' for field in dataset.fields)
        marks = ", ".join("?" for _field in dataset.fields)
        with closing(sqlite3.connect(":memory:")) as database:
            try:
                database.execute(f"create table records ({columns})")
                insert = f"insert into records values ({marks})"  # noqa: S608  # only question marks
                database.executemany(insert, _rows(dataset, records))
            except sqlite3.Error as error:
                raise FormatError(f"{dataset.name}: SQLite raised {type(error).__name__}") from None
            database.commit()
            yield database.serialize()


def _rows(dataset: Dataset, records: Iterable[Record]) -> Iterator[list[JSON]]:
    checker = RecordChecker(dataset)
    for number, record in enumerate(records, 1):
        row: list[JSON] = []
        for field, value in zip(dataset.fields, checker.values(record), strict=True):
            if field.type is FieldType.OBJECT and value is not None:
                row.append(json.dumps(value))
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise FormatError(f"{dataset.name}.{field.name}, record {number}: an integer of more than 64 bits")
            else:
                row.append(value)
        yield row


sqlite = SqliteFormat()
