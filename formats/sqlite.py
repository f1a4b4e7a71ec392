"""SQLite: one database of a volume, a table for each dataset, for people who query their data (docs/forms.md).

SQLite writes its first page last, so a database grows in a file of its own; the host takes that file over. The file has
no name from its beginning, so it is gone with the process.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from portability.api import Dataset, FieldType, FormatError, FormatWriter, Record, RecordChecker, Sink, Unit, rows
from portability.locale.translations import of_label, of_value

NAME = "my-data.sqlite"
APPLICATION_ID = 0x506F7274
"""What `file` and SQLite call the type of the database: `Port`."""
PAGE_BYTES = 8192
_SETTINGS = (
    f"page_size = {PAGE_BYTES}",
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    "cache_size = -8000",
    f"application_id = {APPLICATION_ID}",
    "user_version = 1",
)
_TABLES = (
    "create table _datasets (name text, exporter text, dataset text, title text, description text) strict",
    "create table _fields (name text, column_name text, field text, type text, description text) strict",
    "create table _labels (name text, field text, value text, language text, label text) strict",
)
# ANY keeps each value as it is given: an integer of more than 64 bits is a text, and 3 differs from 3.0.
_COLUMN_TYPES = {FieldType.INTEGER: "ANY", FieldType.NUMBER: "ANY", FieldType.BOOLEAN: "INTEGER"}
_INT64 = 2**63
_DISK = re.compile("SQLITE_(FULL|IOERR|CANTOPEN|READONLY)")


class SqliteForm:
    """The form `sqlite`."""

    unit = Unit.VOLUME

    @property
    def suffix(self) -> str:
        return ".sqlite"

    @property
    def media_type(self) -> str:
        return "application/vnd.sqlite3"

    def open(self, out: Sink) -> FormatWriter:
        """Begin a database; it has no file if no dataset begins."""
        return SqliteWriter(out)


class SqliteWriter:
    """Writes one database in one transaction."""

    _database: sqlite3.Connection
    _file: BinaryIO
    """Both are there while the database is open."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._is_open = False
        self._tables: dict[tuple[str, str], str] = {}

    @property
    def held(self) -> int:
        if not self._is_open:
            return 0
        (pages,) = self._database.execute("pragma page_count").fetchone()
        return int(pages) * PAGE_BYTES

    def begin(self, exporter: str, dataset: Dataset) -> None:
        if not self._is_open:
            self._create()
        database = self._database
        key = (exporter, dataset.name)
        columns = _unique(field.name for field in dataset.fields)
        if key not in self._tables:
            table = self._tables[key] = _unique([*self._tables.values(), _table_name(*key)])[-1]
            listed = ", ".join(
                f"{_quoted(column)} {_COLUMN_TYPES.get(field.type, 'TEXT')}"
                for column, field in zip(columns, dataset.fields, strict=True)
            )
            with _refusing(dataset.name):
                database.execute(f"create table {_quoted(table)} ({listed}) strict")
                database.execute(
                    "insert into _datasets values (?,?,?,?,?)", (table, *key, dataset.title, dataset.description)
                )
                fields = [
                    (table, column, field.name, str(field.type), field.description)
                    for column, field in zip(columns, dataset.fields, strict=True)
                ]
                database.executemany("insert into _fields values (?,?,?,?,?)", fields)
                database.executemany("insert into _labels values (?,?,?,?,?)", _labels(table, exporter, dataset))
        marks = ",".join("?" for _column in columns)
        self._insert = f"insert into {_quoted(self._tables[key])} values ({marks})"  # noqa: S608  # quoted names and question marks
        self._checker = RecordChecker(dataset)
        self._kinds = [field.type for field in dataset.fields]

    def write(self, records: Sequence[Record]) -> None:
        columns = [
            _CONVERT[kind](column) if kind in _CONVERT else column
            for kind, column in zip(self._kinds, self._checker.columns(records), strict=True)
        ]
        with _refusing("a record"):
            self._database.executemany(self._insert, zip(*columns, strict=True))

    def close(self) -> Mapping[str, int]:
        if self._is_open:
            with _refusing("the database"):
                self._database.execute("commit")
            self._database.close()
            self._is_open = False
            self._out.take(NAME, self._file)
        return {}

    def abort(self) -> None:
        if self._is_open:
            self._database.close()
            self._file.close()
            self._is_open = False

    def _create(self) -> None:
        handle, path = tempfile.mkstemp(prefix="portability-", suffix=".sqlite")
        self._file = os.fdopen(handle, "r+b")
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._is_open = True
            with _refusing("the database"):
                for statement in (*(f"pragma {setting}" for setting in _SETTINGS), "begin exclusive", *_TABLES):
                    self._database.execute(statement)
        finally:
            Path(path).unlink()


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Raise OSError for a fault of the disk, which passes, and FormatError for what SQLite cannot hold."""
    try:
        yield
    except sqlite3.Error as error:
        # Errors of the module itself, such as that of a value that it cannot bind, have no name.
        if _DISK.match(name := getattr(error, "sqlite_errorname", "")):
            number = errno.ENOSPC if name == "SQLITE_FULL" else errno.EIO
            raise OSError(number, os.strerror(number)) from None
        raise FormatError(f"{what}: SQLite raised {type(error).__name__}") from None


def _unique(names: Any) -> list[str]:  # noqa: ANN401  # any iterable of names
    """Return the names, of which SQLite ignores the case, with a number where one came before."""
    found: dict[str, str] = {}
    for name in names:
        unique, number = name, 1
        while unique.lower() in found:
            number += 1
            unique = f"{name}_{number}"
        found[unique.lower()] = unique
    return list(found.values())


def _labels(table: str, exporter: str, dataset: Dataset) -> Iterator[tuple[str, str, str | None, str, str]]:
    """Yield the names of fields, with NULL as their value, and the labels of values, in all languages."""
    for field in dataset.fields:
        labels = {None: of_label(field.name)} | {
            one.value: of_value(exporter, dataset, field, one) for one in field.values
        }
        for value, texts in labels.items():
            yield from ((table, field.name, value, language, text) for language, text in texts.items())


def _table_name(exporter: str, dataset: str) -> str:
    name = f"{exporter}_{dataset}"
    return f"_{name}" if name.lower().startswith("sqlite_") else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _numbers(column: Sequence[Any]) -> Sequence[Any]:
    return [str(value) if isinstance(value, int) and not -_INT64 <= value < _INT64 else value for value in column]


def _objects(column: Sequence[Any]) -> Sequence[Any]:
    return [None if value is None else rows.text(value).decode() for value in column]


_CONVERT: Mapping[FieldType, Callable[[Sequence[Any]], Sequence[Any]]] = {
    FieldType.INTEGER: _numbers,
    FieldType.NUMBER: _numbers,
    FieldType.OBJECT: _objects,
}
format = SqliteForm()  # noqa: A001  # the name in the entry point and the plug-in guide
