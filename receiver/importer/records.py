"""Imports one dataset into one table: each value is checked, and a file is stored with its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from portability.api.errors import StorageUnavailable
from portability.api.storages import Storage
from receiver.binding.tables import FILE, STORAGE_KEY
from receiver.importer.contents import Contents
from receiver.importer.faults import BadArchive
from receiver.importer.files import clear_uploads, is_stored, key_of, store
from receiver.importer.lines import count, records
from receiver.importer.payload import ArchivedPiece, StoredFile
from receiver.importer.plans import RecordPlans, RefusedValue
from receiver.importer.report import DatasetResult, Files, RefusedRecord
from receiver.importer.values import Reason
from receiver.importer.write import WriteJob, Writer
from receiver.ledger import pending_files

Progress = Callable[[int], object]
"""Called with a number of payload bytes that were just processed."""


@dataclass(frozen=True, slots=True)
class ImportJob:
    """The parameters of an import."""

    contents: Contents
    write: WriteJob
    dialect: str
    storage: Storage | None
    dry_run: bool
    progress: Progress


class ImportedDataset:
    """The import of one dataset, in transactions of its batches."""

    def __init__(self, job: ImportJob, table: Table, taken: DatasetResult) -> None:
        self._job = job
        self._table = table
        self.taken = taken
        dataset = f"{taken.exporter}/{taken.dataset}"
        allowed = {one.column: one for one in job.write.target.allowed if one.dataset == dataset}
        self._plans = RecordPlans(dataset, table, allowed, job.dialect)
        self._writer = Writer(job.write, table, taken, self._accepted, self._files_noted)
        self._files: dict[str, tuple[str, StoredFile]] = {}
        """By id of the records that wait in the writer: the keys of their files."""
        self._stored: set[str] = set()

    def run(self) -> None:
        """Import all records. Raises BadArchive, StorageError."""
        contents, name = self._job.contents, (self.taken.exporter, self.taken.dataset)
        line = 0
        corrections = contents.corrections(*name)
        _check_all(self._job, self.taken)
        for piece in corrections:
            for record, size in self._records(piece):
                line += 1
                if not isinstance(identifier := _id_of(record), str) or contents.note_corrected(*name, identifier):
                    self.take(line, record, size)
        for piece in contents.pieces(*name):
            for record, size in self._records(piece):
                line += 1
                identifier = _id_of(record) if corrections else None
                if not isinstance(identifier, str) or not contents.is_corrected(*name, identifier):
                    self.take(line, record, size)
        self.finish()

    def finish(self) -> None:
        """Write the last batch."""
        self._writer.flush()
        if self._stored and self._job.storage:
            clear_uploads(self._job.storage, f"{self.taken.exporter}/{self.taken.dataset}/", self._stored)

    def _records(self, piece: ArchivedPiece) -> Iterator[tuple[dict[str, Any] | Reason, int]]:
        return records(_with_progress(self._job, piece))

    def take(self, line: int, record: dict[str, Any] | Reason, size: int) -> None:
        """Check one record, and write it with its batch."""
        if isinstance(record, Reason):
            self.taken.refuse(RefusedRecord(line, None, None, record))
            return
        identifier = record.get("id")
        if not isinstance(identifier, str) or not identifier:
            self.taken.refuse(RefusedRecord(line, None, "id", Reason.NO_ID))
            return
        plan = self._plans.of(record)
        self.taken.ignore(plan.ignored)
        try:
            values = plan.values(record, self.taken.not_imported)
        except RefusedValue as refused:
            self.taken.refuse(RefusedRecord(line, identifier, refused.column, refused.reason))
            return
        if self.taken.files is not None and (key := self._key(identifier, record, self.taken.files)):
            values[STORAGE_KEY] = key
        self._writer.add(line, values, size)

    def _key(self, identifier: str, record: dict[str, Any], counts: Files) -> str | None:
        """Return the key for the record's file; None if it has none; then the row's existing key stays."""
        exporter, dataset, contents = self.taken.exporter, self.taken.dataset, self._job.contents
        name = record.get(FILE)
        if not isinstance(name, str):
            # A file that a retry added may be missing in an older record.
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

    @contextmanager
    def _files_noted(self) -> Iterator[None]:
        """Note the files of a batch until it has ended: an undo deletes those of a batch that was rolled back."""
        keys = [] if self._job.dry_run else [key for key, _file in self._files.values()]
        batch, run = self._job.write.batch, self._job.write.scope.run
        if not keys:
            yield
            return
        with batch() as connection:
            pending_files.note(connection, run, keys)
        yield
        with batch() as connection:
            pending_files.settle(connection, run, keys)

    def _accepted(self, identifiers: list[str]) -> None:
        """Store the files of the written rows; those of refused rows are not stored."""
        counts, storage = self.taken.files, self._job.storage
        waiting, self._files = self._files, {}
        if counts is None or storage is None:
            return
        for key, file in (waiting[identifier] for identifier in identifiers if identifier in waiting):
            if self._is_stored(storage, key, file):
                counts.same += 1
                # The key is made of a hash that the archive states: without its content it must not lead to a file.
                for _block in file.blocks():
                    pass
            else:
                counts.new += 1
                if not self._job.dry_run:
                    store(storage, key, file)
                    self._stored.add(key)
            counts.truncated += file.truncated
            self._job.progress(file.size)

    def _is_stored(self, storage: Storage, key: str, file: StoredFile) -> bool:
        try:
            return is_stored(storage, key, file)
        except StorageUnavailable:
            if not self._job.dry_run:
                raise
            return False  # the folder does not exist yet


def checked_records(job: ImportJob, taken: DatasetResult) -> Iterator[tuple[dict[str, Any] | Reason, int]]:
    """Yield all records of a dataset with their sizes, corrections last. Raises BadArchive before the first record."""
    _check_all(job, taken)
    name = (taken.exporter, taken.dataset)
    for piece in [*job.contents.pieces(*name), *reversed(job.contents.corrections(*name))]:
        yield from records(_with_progress(job, piece))


def _with_progress(job: ImportJob, piece: ArchivedPiece) -> Iterator[bytes]:
    for block in piece.blocks():
        yield block
        job.progress(len(block))


def _check_all(job: ImportJob, taken: DatasetResult) -> None:
    """Compare a dataset with the manifest before its first row is written: batches are not rolled back later."""
    name = (taken.exporter, taken.dataset)
    for piece in [*job.contents.corrections(*name), *job.contents.pieces(*name)]:
        _check(piece)


def _check(piece: ArchivedPiece) -> None:
    """Compare a piece with its manifest and with the number that its volume states. Raises BadArchive."""
    found = count(piece.blocks())
    if piece.records is not None and found != piece.records:
        raise BadArchive(f"{piece.path.name} has {found} records; its volume says {piece.records}")


def _id_of(record: dict[str, Any] | Reason) -> object:
    return record.get("id") if isinstance(record, dict) else None
