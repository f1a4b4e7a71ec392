"""Storage in a folder: for one machine, or for several that mount the same folder.

Objects are `<folder>/<key>`, open uploads `<folder>/.uploads/<key>/<upload id>`: keys cannot name them, since no part
of a key begins with a dot. Files have mode 0600 and folders 0700. Symbolic links inside the folder are not followed.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, unquote

from portability.api import probe
from portability.api.errors import (
    ObjectChanged,
    StorageError,
    StorageUnavailable,
)
from portability.api.storages import (
    Litter,
    OpenUpload,
    StorageSpace,
    StoredObject,
    bad_url,
    check_key,
    check_prefix,
)
from portability.storage.folders import created, described, folder_errors, link_new, opened_folder, walk
from portability.storage.local_files import (
    SOURCE_FILE,
    STORE_FILE,
    UPLOADS,
    opened_file,
    read_blocks,
    source_names,
)

_UPLOAD_ID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{16}")
_HALF_STORE_ID = re.compile(rf"{re.escape(STORE_FILE)}\.[0-9a-f]{{16}}")
_FOLDER_ATTEMPTS = 50
_PAUSE_SECONDS_MAX = 0.01

T = TypeVar("T")


def open_folder(parts: SplitResult, sse: str | None) -> LocalStorage:
    """Open `file:///folder`, an absolute path. Raises BadSetting."""
    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or parts.query or not path.startswith("/") or "\0" in path:
        raise bad_url("must be file: with an absolute folder and nothing else")
    if sse is not None:
        raise bad_url("names a folder, which has no server-side encryption")
    return LocalStorage(Path(path))


class LocalStorage:
    """A folder as `Storage`; it is created at the first write. Safe in several processes and threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def url(self) -> str:
        return self.folder.absolute().as_uri()

    def store_id(self) -> str:
        """Return the folder's id: 32 random hex digits, stored in the folder, made at the first call.

        A folder that has one is only read: its disk may be full, and what is deleted makes room.
        """
        with folder_errors("read the store id of", self.url), opened_folder(self.folder, (), create=True) as folder:
            with suppress(FileNotFoundError):
                return _store_id(folder)
            fresh = f"{STORE_FILE}.{secrets.token_hex(8)}"
            try:
                with created(fresh, folder) as file:
                    file.write(secrets.token_hex(16).encode())
                    os.fsync(file.fileno())
                with suppress(FileExistsError):
                    os.link(fresh, STORE_FILE, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(fresh, dir_fd=folder)
            return _store_id(folder)

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> LocalUpload:
        """Start an upload. A folder cannot store the media type."""
        del media_type
        upload_id = f"{int(time.time()):08x}-{secrets.token_hex(8)}"
        names = (UPLOADS, *check_key(key).split("/"))
        with folder_errors("begin", key):
            file = self._in_folder(names, lambda folder: created(upload_id, folder))
        upload = LocalUpload(self, key, upload_id, file)
        if begun is not None:
            try:
                begun(upload_id)
            except BaseException:
                with suppress(StorageError):
                    upload.abort()
                raise
        return upload

    def abort(self, key: str, upload_id: str) -> None:
        names = (UPLOADS, *check_key(key).split("/"))
        if _UPLOAD_ID.fullmatch(upload_id):
            with folder_errors("abort", key):
                self._remove(names, upload_id)

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        check_prefix(prefix)
        with folder_errors("list uploads of", self.url):
            for path, status in walk(self.folder / UPLOADS, "", prefix):
                key, _, upload_id = path.rpartition("/")
                if key.startswith(prefix) and (match := _UPLOAD_ID.fullmatch(upload_id)):
                    begun_at = datetime.fromtimestamp(int(match[1], 16), UTC)
                    yield OpenUpload(key, upload_id, begun_at, status.st_size)

    def stat(self, key: str) -> StoredObject:
        with opened_file(self.folder, check_key(key).split("/"), key) as file:
            return described(key, os.fstat(file.fileno()))

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Read as the protocol says; errors are raised during iteration. A file that changes is `ObjectChanged`."""
        yield from read_blocks(self.folder, check_key(key).split("/"), key, offset, etag)

    def stat_any(self, key: str) -> StoredObject:
        with opened_file(self.folder, source_names(key), SOURCE_FILE) as file:
            return described(key, os.fstat(file.fileno()))

    def read_any(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        yield from read_blocks(self.folder, source_names(key), SOURCE_FILE, offset, etag)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        check_prefix(prefix)
        with folder_errors("list", self.url):
            for path, status in walk(self.folder, "", prefix):
                if path.startswith(prefix):
                    yield described(path, status)

    def delete(self, key: str) -> None:
        *names, name = check_key(key).split("/")
        with folder_errors("delete", key):
            self._remove(names, name)

    def check(self) -> None:
        probe(self)

    def space(self) -> StorageSpace:
        """Return the space of the folder's disk for an account without special rights."""
        with folder_errors("measure", self.url):
            # The folder is created at the first write.
            existing = next(folder for folder in (self.folder, *self.folder.absolute().parents) if folder.exists())
            measured = os.statvfs(existing)
        return StorageSpace(measured.f_bavail * measured.f_frsize, measured.f_blocks * measured.f_frsize)

    def litter(self) -> Iterator[Litter]:
        """List unfinished store ids, and empty folders."""
        with folder_errors("list", self.url):
            for path, folders, files in os.walk(self.folder):
                here = Path(path).relative_to(self.folder)
                halves = [name for name in files if _HALF_STORE_ID.fullmatch(name) and not here.parts]
                empty = [""] if here.parts and not folders and not files else []
                for name in [*halves, *empty]:
                    with suppress(FileNotFoundError):
                        status = Path(path, name).lstat()
                        size_bytes = status.st_size if name else 0
                        yield Litter((here / name).as_posix(), size_bytes, datetime.fromtimestamp(status.st_mtime, UTC))

    def clear(self, name: str) -> None:
        with folder_errors("clear", name):
            if _HALF_STORE_ID.fullmatch(name):
                self._remove((), name)
            else:
                self._prune(name.split("/"))

    def create(self, key: str, body: bytes) -> bool:
        """Store a small object if none has its key: a link cannot replace a file."""
        upload = self.begin(key)
        try:
            upload.write(body)
            upload.complete(self.publish_new)
        except ObjectChanged:
            return False
        finally:
            self.abort(key, upload.id)
        return True

    def publish_new(self, key: str, upload_id: str) -> StoredObject:
        """Do as `publish` does, beside the upload. Raises ObjectChanged if the key has an object."""
        return self._publish(key, upload_id, link_new)

    def publish(self, key: str, upload_id: str) -> StoredObject:
        """Make a finished upload the object of its key."""
        stored = self._publish(key, upload_id, os.rename)
        self._prune((UPLOADS, *key.split("/")))
        return stored

    def _publish(self, key: str, upload_id: str, move: Callable[..., None]) -> StoredObject:
        *names, name = check_key(key).split("/")

        def publish(folder: int) -> StoredObject:
            move(self.folder.joinpath(UPLOADS, key, upload_id), name, dst_dir_fd=folder)
            try:
                os.fsync(folder)
            except OSError:
                os.unlink(name, dir_fd=folder)
                raise
            return described(key, os.stat(name, dir_fd=folder, follow_symlinks=False))

        return self._in_folder(names, publish)

    def _in_folder(self, names: Sequence[str], act: Callable[[int], T]) -> T:
        """Act in a folder, creating it if it is missing."""
        for _ in range(_FOLDER_ATTEMPTS - 1):
            # `_prune` in another process may delete the empty folder while it is open here: then it is created again.
            with suppress(FileNotFoundError), opened_folder(self.folder, names, create=True) as folder:
                return act(folder)
            time.sleep(random.uniform(0, _PAUSE_SECONDS_MAX))  # noqa: S311  # jitter, not a secret
        with opened_folder(self.folder, names, create=True) as folder:
            return act(folder)

    def _remove(self, names: Sequence[str], name: str) -> None:
        with suppress(FileNotFoundError), opened_folder(self.folder, names) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        self._prune(names)

    def _prune(self, names: Sequence[str]) -> None:
        """Delete empty folders, innermost first."""
        with suppress(OSError):
            for depth in range(len(names), 0, -1):
                self.folder.joinpath(*names[:depth]).rmdir()


def _store_id(folder: int) -> str:
    """Read the id of an open folder. Raises FileNotFoundError if it has none."""
    with FileIO(os.open(STORE_FILE, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)) as file:
        return file.read().decode().strip()


class LocalUpload:
    """One file being written outside of the objects, under a name that no key can have."""

    def __init__(self, storage: LocalStorage, key: str, upload_id: str, file: FileIO) -> None:
        self.id = upload_id
        self._storage = storage
        self._key = key
        self._file = file
        self._sound = True

    def write(self, block: bytes) -> None:
        with self._poisoning("write"):
            view = memoryview(block)
            while view:
                view = view[self._file.write(view) :]

    def complete(self, publish: Callable[[str, str], StoredObject] | None = None) -> StoredObject:
        with self._poisoning("complete"):
            os.fsync(self._file.fileno())
            self._file.close()
            return (publish or self._storage.publish)(self._key, self.id)

    def abort(self) -> None:
        self._sound = False
        with folder_errors("abort", self._key):
            self._file.close()
        self._storage.abort(self._key, self.id)

    @contextmanager
    def _poisoning(self, doing: str) -> Iterator[None]:
        if not self._sound or self._file.closed:
            raise StorageUnavailable(f"cannot {doing} {self._key}: the upload has already failed or ended")
        try:
            with folder_errors(doing, self._key):
                yield
        except BaseException:
            self._sound = False
            raise
