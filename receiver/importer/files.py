"""Stores recordings and attachments under a key made of their content: storing twice makes one object."""

from __future__ import annotations

from collections.abc import Collection, Container
from contextlib import suppress
from pathlib import PurePosixPath

from sqlalchemy import ColumnElement, Connection, Table, inspect, select

from archive.names import safe_name
from exporters.reference import schema
from portability.api.errors import ObjectMissing, StorageRefused
from portability.api.storages import Storage
from receiver.binding.tables import STORAGE_KEY
from receiver.importer.payload import StoredFile
from receiver.ledger import pending_files

LEADING = tuple(table for table in schema.metadata.sorted_tables if STORAGE_KEY in table.c)
"""Tables whose rows lead to files."""


def key_of(exporter: str, dataset: str, name: str, file: StoredFile) -> str:
    """Return the key of a file: no other content can have it."""
    return f"{exporter}/{dataset}/{file.digest}/{PurePosixPath(safe_name(name)).name}"


def store(storage: Storage, key: str, file: StoredFile) -> None:
    """Write the file; it appears under its key only after all of it was read and checked.

    Raises: BadArchive, StorageError.
    """
    upload = storage.begin(key, media_type=file.media_type)
    try:
        for block in file.blocks():
            upload.write(block)
        upload.complete()
    except BaseException:
        upload.abort()
        raise


def clear_uploads(storage: Storage, prefix: str, keys: Container[str]) -> None:
    """Abort the uploads of these keys that a killed process has left: nothing else deletes them.

    An account that may not list or abort uploads leaves them to the rule of its bucket. Raises StorageUnavailable.
    """
    with suppress(StorageRefused, ObjectMissing):
        for found in [one for one in storage.uploads(prefix) if one.key in keys]:
            storage.abort(found.key, found.upload_id)


def removed(storage: Storage, key: str, *, dry_run: bool) -> bool:
    """Delete a file, or look at it in a dry run; returns whether it was there. Raises StorageError."""
    if not dry_run:
        clear_uploads(storage, key, {key})
    try:
        storage.stat(key)  # deleting says nothing of a file that is not there
    except ObjectMissing:
        return False
    if not dry_run:
        storage.delete(key)
    return True


def is_needed(connection: Connection, key: str, tables: Collection[Table] = LEADING) -> bool:
    """Return whether a row of the target leads to a file."""
    queries = (select(table.c.id).where(table.c[STORAGE_KEY] == key).limit(1) for table in tables)
    return any(connection.execute(query).first() for query in queries)


def delete_left(connection: Connection, storage: Storage, which: ColumnElement[bool], *, forget_absent: bool) -> None:
    """Delete the files that killed batches of some imports have left, and forget their keys; what a row needs stays.

    `which` is a condition for rows of runs. The caller's transaction has its turn, so no batch stores them meanwhile.
    Without `forget_absent` the key of a file that this storage does not have stays: it may be in another storage.
    Raises StorageError.
    """
    keys, present = pending_files.of(connection, which), inspect(connection).get_table_names()
    tables = [table for table in LEADING if table.name in present]
    needed = {key for key in keys if is_needed(connection, key, tables)}
    gone = {key for key in {*keys} - needed if removed(storage, key, dry_run=False)}
    pending_files.forget(connection, which, keys if forget_absent else needed | gone)


def is_stored(storage: Storage, key: str, file: StoredFile) -> bool:
    """Return whether it is already stored: the key identifies the content, and uploads are atomic."""
    try:
        return storage.stat(key).bytes == file.size
    except ObjectMissing:
        return False
