"""Deletes rows whose records are gone at the sender: those that an import has made, and that are as it made them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, select

from portability.api.errors import ObjectMissing
from receiver.binding.tables import STORAGE_KEY
from receiver.importer.exact_rows import delete_rows
from receiver.importer.feed_changes import FeedChanges
from receiver.importer.records import ImportJob
from receiver.importer.report import ConflictingRecord, DatasetResult
from receiver.importer.stored_forms import stored_forms
from receiver.importer.stored_rows import stored_rows
from receiver.importer.values import is_same
from receiver.ledger.identifiers import IdMap
from receiver.ledger.journal import RowEntry, RowJournal
from receiver.ledger.merge import OnConflict

BATCH_ROWS = 500


def delete_gone(job: ImportJob, changes: FeedChanges, table: Table, taken: DatasetResult) -> None:
    """Delete the rows of a dataset's tombstones, in batches of one transaction each with its journal.

    A row that was changed here stays, unless conflicts are decided for the archive. A row to which others here refer
    stays. Raises BadArchive, StorageError.
    """
    for piece in (changes.tombstones[taken.exporter, taken.dataset],):
        for _block in piece.blocks():
            pass  # compares the whole file with the manifest before its first row is deleted
    keys = changes.keys(taken.exporter, taken.dataset)
    while some := list(islice(keys, BATCH_ROWS)):
        foreign = [key["id"] for key in some if isinstance(key.get("id"), str)]
        with job.write.batch() as connection:
            files = _delete(connection, job, table, taken, foreign)
        _delete_files(job, table, files)


def _delete(
    connection: Connection, job: ImportJob, table: Table, taken: DatasetResult, foreign: Sequence[str]
) -> Sequence[str]:
    """Delete one batch; returns the keys of the files of the deleted rows."""
    write = job.write
    ids = IdMap(connection, write.scope)
    local = list(ids.known(table.name, foreign).values())
    rows = stored_rows(connection, table, local)
    journal = RowJournal(connection, write.scope, write.cipher, table)
    bases, made = journal.bases(list(rows)), ids.made(table.name, list(rows))
    gone = dict(_gone(table, taken, {name: rows[name] for name in rows if name in made}, bases, write.on_conflict))
    taken.kept += len(rows.keys() - made)
    forms = stored_forms(connection, table, gone)
    for name in delete_rows(connection, table, gone):
        taken.conflict(ConflictingRecord(name, ()))
        taken.kept += 1
        del gone[name]
    entries = [RowEntry(name, "deleted", {}, row, {}, forms.get(name, {})) for name, row in gone.items()]
    # An import that was killed has deleted these rows, and maybe not their files.
    earlier = journal.deleted([name for name in local if name not in rows])
    journal.add(entries, gone)
    ids.note_deleted(table.name, gone)
    taken.deleted += len(gone)
    return [row[STORAGE_KEY] for row in (*gone.values(), *earlier.values()) if row.get(STORAGE_KEY)]


def _gone(
    table: Table,
    taken: DatasetResult,
    rows: Mapping[str, dict[str, Any]],
    bases: Mapping[str, Mapping[str, Any]],
    on_conflict: OnConflict,
) -> Iterator[tuple[str, dict[str, Any]]]:
    for identifier, row in rows.items():
        base = bases.get(identifier, {})
        edited = tuple(sorted(name for name, value in base.items() if not is_same(table.c[name], row[name], value)))
        if edited:
            taken.conflict(ConflictingRecord(identifier, edited))
            if on_conflict is not OnConflict.TAKE:
                taken.kept += 1
                continue
        yield identifier, row


def _delete_files(job: ImportJob, table: Table, keys: Sequence[str]) -> None:
    """Delete files to which no row leads any more, after the commit: a row never leads to a file that is deleted."""
    if job.storage is None or job.dry_run or not keys:
        return
    with job.write.batch() as connection:
        used = set(connection.scalars(select(table.c[STORAGE_KEY]).where(table.c[STORAGE_KEY].in_(keys))))
    for key in dict.fromkeys(keys):
        if key not in used:
            try:
                job.storage.delete(key)
            except ObjectMissing:
                continue
