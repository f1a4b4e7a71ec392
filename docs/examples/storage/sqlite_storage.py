"""Objects in an SQLite database: `sqlite:///absolute/file.db`, for the processes of one machine.

Each block except an object's last has BLOCK_BYTES. An upload is published in the transaction that ends it.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote

from portability.api import (
    BLOCK_BYTES,
    ObjectChanged,
    ObjectMissing,
    OpenUpload,
    StorageFull,
    StorageUnavailable,
    StoredObject,
    bad_url,
    check_key,
    check_prefix,
    probe,
)

BUSY_SECONDS = 60
SCHEMA = (
    "create table if not exists uploads (id text primary key, key text, begun_at text)",
    "create table if not exists objects (key text primary key, etag text, bytes integer, modified_at text)",
    "create table if not exists blocks (etag text, number integer, body blob, primary key (etag, number))",
)
"""The id of an upload becomes the etag of its object."""


def open_file(parts: SplitResult, sse: str | None) -> SqliteStorage:
    """Open the storage that a URL names; the entry point names this function. Raises BadSetting."""
    path = unquote(parts.path)
    if parts.netloc or parts.query or not path.startswith("/") or "\0" in path:
        raise bad_url("needs the absolute path of a file and nothing else after sqlite:")
    if sse is not None:
        raise bad_url("is a file, which has no server-side encryption")
    return SqliteStorage(Path(path))


class SqliteStorage:
    """An SQLite database as `Storage`. Each call has a connection of its own, so threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def url(self) -> str:
        return f"sqlite://{quote(str(self._path))}"

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> SqliteUpload:
        del media_type  # a database has no place for it
        upload = SqliteUpload(self, check_key(key), secrets.token_hex(16))
        with self.transaction() as database:
            database.execute("insert into uploads values (?, ?, ?)", (upload.id, key, datetime.now(UTC).isoformat()))
        try:
            if begun is not None:
                begun(upload.id)
        except BaseException:
            upload.abort()
            raise
        return upload

    def abort(self, key: str, upload_id: str) -> None:
        with self.transaction() as database:
            known = (upload_id, check_key(key))
            if database.execute("delete from uploads where id = ? and key = ?", known).rowcount:
                database.execute("delete from blocks where etag = ?", (upload_id,))

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        for upload_id, key, begun_at in self._below(prefix, "select * from uploads where substr(key, 1, ?) = ?"):
            yield OpenUpload(key, upload_id, datetime.fromisoformat(begun_at))

    def stat(self, key: str) -> StoredObject:
        with self.transaction() as database:
            row = database.execute("select * from objects where key = ?", (check_key(key),)).fetchone()
        if row is None:
            raise ObjectMissing(f"{key} is not there")
        return _described(row)

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        stored = self.stat(key)
        if etag not in {None, stored.etag}:
            raise ObjectChanged(f"{key} is another version than the one asked for")
        first, skipped = divmod(offset, BLOCK_BYTES)
        for number in range(first, -(-stored.bytes // BLOCK_BYTES)):
            with self.transaction() as database:
                wanted = (stored.etag, number)
                row = database.execute("select body from blocks where etag = ? and number = ?", wanted).fetchone()
            if row is None:
                raise ObjectChanged(f"{key} changed while it was read")
            if block := row[0][skipped:] if number == first else row[0]:
                yield block

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        yield from map(_described, self._below(prefix, "select * from objects where substr(key, 1, ?) = ?"))

    def delete(self, key: str) -> None:
        with self.transaction() as database:
            database.execute("delete from blocks where etag in (select etag from objects where key = ?)", (key,))
            database.execute("delete from objects where key = ?", (check_key(key),))

    def check(self) -> None:
        probe(self)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the database, and commit if no exception is raised."""
        try:
            self._path.touch(mode=0o600)
            with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                database.execute("pragma secure_delete = on")  # a deleted archive must not stay in free pages
                for statement in SCHEMA:
                    database.execute(statement)
                database.execute("begin immediate")
                yield database
                database.execute("commit")
        except (sqlite3.Error, OSError) as error:
            is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            kind = StorageFull if is_full else StorageUnavailable
            raise kind(f"the SQLite storage does not answer: {type(error).__name__}") from None

    def _below(self, prefix: str, query: str) -> Sequence[tuple[str, ...]]:
        with self.transaction() as database:
            found: Sequence[tuple[str, ...]] = database.execute(query, (len(check_prefix(prefix)), prefix)).fetchall()
        return found


class SqliteUpload:
    """Writes one object: complete blocks go to the database, the rest stays in memory."""

    def __init__(self, storage: SqliteStorage, key: str, upload_id: str) -> None:
        self.id = upload_id
        self._storage = storage
        self._key = key
        self._rest = bytearray()
        self._blocks = 0
        self._open = True

    def write(self, block: bytes) -> None:
        self._check_open()
        for begin in range(0, len(block), BLOCK_BYTES):
            self._rest += block[begin : begin + BLOCK_BYTES]
            if len(self._rest) >= BLOCK_BYTES:
                with self._own_transaction() as database:
                    self._add(database, bytes(self._rest[:BLOCK_BYTES]))
                del self._rest[:BLOCK_BYTES]

    def complete(self) -> StoredObject:
        self._check_open()
        size = self._blocks * BLOCK_BYTES + len(self._rest)
        row = (self._key, self.id, size, datetime.now(UTC).isoformat())
        with self._own_transaction() as database:
            if self._rest:
                self._add(database, bytes(self._rest))
            older = "delete from blocks where etag in (select etag from objects where key = ?)"
            database.execute(older, (self._key,))
            database.execute("insert or replace into objects values (?, ?, ?, ?)", row)
            database.execute("delete from uploads where id = ?", (self.id,))
        self._open = False
        return _described(row)

    def abort(self) -> None:
        self._open = False
        self._storage.abort(self._key, self.id)

    def _check_open(self) -> None:
        if not self._open:
            raise StorageUnavailable(f"the upload of {self._key} failed or was closed before")

    @contextmanager
    def _own_transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction of this upload; an exception in it ends the upload."""
        self._open = False
        with self._storage.transaction() as database:
            if database.execute("select 1 from uploads where id = ?", (self.id,)).fetchone() is None:
                raise StorageUnavailable(f"the upload of {self._key} was aborted")
            yield database
        self._open = True

    def _add(self, database: sqlite3.Connection, block: bytes) -> None:
        database.execute("insert into blocks values (?, ?, ?)", (self.id, self._blocks, block))
        self._blocks += 1


def _described(row: tuple[object, ...]) -> StoredObject:
    key, etag, size, modified_at = row
    return StoredObject(str(key), int(str(size)), str(etag), datetime.fromisoformat(str(modified_at)))
