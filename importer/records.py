"""One dataset on its way into one table: each record checked value by value, its file stored with its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from importer.contents import Contents, Piece, StoredFile
from importer.files import is_stored, key_of, store
from importer.lines import records
from importer.report import Files, RefusedRecord, Taken
from importer.targets import FILE, STORAGE_KEY, fields_of
from importer.values import Reason, Refused, column_value
from importer.write import Writer
from portability.errors import StorageUnavailable
from portability.storage import Storage

Progress = Callable[[int], object]
"""Called with a number of bytes of the payload that were just dealt with."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one import needs all the way."""

    contents: Contents
    storage: Storage | None
    dry_run: bool
    progress: Progress


class Dataset:
    """The records of one dataset, in the caller's transaction."""

    def __init__(self, connection: Connection, job: Job, table: Table, taken: Taken) -> None:
        self._job = job
        self._table = table
        self._taken = taken
        self._dialect = connection.dialect.name
        self._writer = Writer(connection, table, taken, self._accepted)
        self._files: dict[str, tuple[str, StoredFile]] = {}
        """By id of the records that wait in the writer: where their files go."""

    def run(self) -> None:
        """Take all records. Raises BadArchive, StorageError."""
        line = 0
        for piece in self._job.contents.pieces(self._taken.exporter, self._taken.dataset):
            for record, size in records(self._told(piece)):
                line += 1
                self._take(line, record, size)
        self._writer.flush()

    def _told(self, piece: Piece) -> Iterator[bytes]:
        for block in piece.blocks():
            yield block
            self._job.progress(len(block))

    def _take(self, line: int, record: dict[str, Any] | Reason, size: int) -> None:
        if isinstance(record, Reason):
            self._taken.refuse(RefusedRecord(line, None, None, record))
            return
        identifier = record.get("id")
        if not isinstance(identifier, str) or not identifier:
            self._taken.refuse(RefusedRecord(line, None, "id", Reason.NO_ID))
            return
        fields = fields_of(self._table, frozenset(record))
        self._taken.ignored_fields |= fields.ignored
        values: dict[str, Any] = {}
        for column in self._table.columns:
            if column.name not in fields.taken and not _is_needed(column):
                continue
            try:
                values[column.name] = column_value(column, record.get(column.name), self._dialect)
            except Refused as refused:
                self._taken.refuse(RefusedRecord(line, identifier, column.name, refused.reason))
                return
        if self._taken.files is not None and (key := self._key(identifier, record, self._taken.files)):
            values[STORAGE_KEY] = key
        self._writer.add(line, values, size)

    def _key(self, identifier: str, record: dict[str, Any], counts: Files) -> str | None:
        """Where the record's file will be; None: nowhere, and a row that has one keeps it."""
        exporter, dataset, contents = self._taken.exporter, self._taken.dataset, self._job.contents
        name = record.get(FILE)
        if not isinstance(name, str):
            # What a retry brought later lies beside records that did not know of it yet.
            name = contents.file_of(exporter, dataset, identifier)
        file = None if name is None else contents.file(exporter, dataset, name)
        if name is None or file is None:
            counts.missing += 1
            return None
        if self._job.storage is None:
            counts.left += 1
            return None
        key = key_of(exporter, dataset, name, file)
        self._files[identifier] = key, file
        return key

    def _accepted(self, identifiers: list[str]) -> None:
        """The rows are written: now their files. Those of rows that were refused are not stored."""
        counts, storage = self._taken.files, self._job.storage
        waiting, self._files = self._files, {}
        if counts is None or storage is None:
            return
        for key, file in (waiting[identifier] for identifier in identifiers if identifier in waiting):
            if self._is_stored(storage, key, file):
                counts.same += 1
            else:
                counts.new += 1
                if not self._job.dry_run:
                    store(storage, key, file)
            counts.truncated += file.truncated
            self._job.progress(file.size)

    def _is_stored(self, storage: Storage, key: str, file: StoredFile) -> bool:
        try:
            return is_stored(storage, key, file)
        except StorageUnavailable:
            if not self._job.dry_run:
                raise
            return False  # the folder is not there yet


def _is_needed(column: Any) -> bool:  # noqa: ANN401  # a Column[Any]
    """Whether a row cannot be without a value of the archive."""
    return not column.nullable and column.default is None
