"""Storage in a folder: for one machine, or for several that mount the same folder.

Objects are `<folder>/<key>`, open uploads `<folder>/.uploads/<key>/<upload id>`: keys cannot name them, since no part
of a key begins with a dot. Files have mode 0600 and folders 0700. Symbolic links inside the folder are not followed.
"""

from __future__ import annotations

import errno
import os
import random
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, unquote

from portability.api import probe
from portability.api.errors import (
    ObjectChanged,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageRefused,
    StorageUnavailable,
)
from portability.api.storages import BLOCK_BYTES, Litter, OpenUpload, StoredObject, bad_url, check_key, check_prefix

STORE_FILE = ".portability-store"
UPLOADS = ".uploads"

_UPLOAD_ID = re.compile(r"([0-9a-f]{8})-[0-9a-f]{16}")
_HALF_STORE_ID = re.compile(rf"{re.escape(STORE_FILE)}\.[0-9a-f]{{16}}")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.EISDIR}
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
        """Return the folder's id: 32 random hex digits, stored in the folder, made at the first call."""
        with _errors("read the store id of", self.url), _opened_folder(self.folder, (), create=True) as folder:
            fresh = f"{STORE_FILE}.{secrets.token_hex(8)}"
            with _created(fresh, folder) as file:
                file.write(secrets.token_hex(16).encode())
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(fresh, STORE_FILE, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            os.unlink(fresh, dir_fd=folder)
            with FileIO(os.open(STORE_FILE, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)) as file:
                return file.read().decode().strip()

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> LocalUpload:
        """Start an upload. A folder cannot store the media type."""
        del media_type
        upload_id = f"{int(time.time()):08x}-{secrets.token_hex(8)}"
        names = (UPLOADS, *check_key(key).split("/"))
        with _errors("begin", key):
            file = self._in_folder(names, lambda folder: _created(upload_id, folder))
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
            with _errors("abort", key):
                self._remove(names, upload_id)

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        check_prefix(prefix)
        with _errors("list uploads of", self.url):
            for path, status in _walk(self.folder / UPLOADS, "", prefix):
                key, _, upload_id = path.rpartition("/")
                if key.startswith(prefix) and (match := _UPLOAD_ID.fullmatch(upload_id)):
                    begun_at = datetime.fromtimestamp(int(match[1], 16), UTC)
                    yield OpenUpload(key, upload_id, begun_at, status.st_size)

    def stat(self, key: str) -> StoredObject:
        with self._opened(key) as file:
            return _described(key, os.fstat(file.fileno()))

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Read as the protocol says; errors are raised during iteration. A file that changes is `ObjectChanged`."""
        with self._opened(key) as file, _errors("read", key):
            seen = _etag(os.fstat(file.fileno()))
            if etag is not None and etag != seen:
                raise ObjectChanged(f"{key} is not the requested version")
            file.seek(offset)
            while block := file.read(BLOCK_BYTES):
                yield block
            if _etag(os.fstat(file.fileno())) != seen:
                raise ObjectChanged(f"{key} changed while it was read")

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        check_prefix(prefix)
        with _errors("list", self.url):
            for path, status in _walk(self.folder, "", prefix):
                if path.startswith(prefix):
                    yield _described(path, status)

    def delete(self, key: str) -> None:
        *names, name = check_key(key).split("/")
        with _errors("delete", key):
            self._remove(names, name)

    def check(self) -> None:
        probe(self)

    def litter(self) -> Iterator[Litter]:
        """List unfinished store ids, and empty folders."""
        with _errors("list", self.url):
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
        with _errors("clear", name):
            if _HALF_STORE_ID.fullmatch(name):
                self._remove((), name)
            else:
                self._prune(name.split("/"))

    def publish(self, key: str, upload_id: str) -> StoredObject:
        """Make a finished upload the object of its key."""
        *names, name = check_key(key).split("/")

        def move(folder: int) -> StoredObject:
            os.rename(self.folder.joinpath(UPLOADS, key, upload_id), name, dst_dir_fd=folder)
            try:
                os.fsync(folder)
            except OSError:
                os.unlink(name, dir_fd=folder)
                raise
            return _described(key, os.stat(name, dir_fd=folder, follow_symlinks=False))

        stored = self._in_folder(names, move)
        self._prune((UPLOADS, *key.split("/")))
        return stored

    def _in_folder(self, names: Sequence[str], act: Callable[[int], T]) -> T:
        """Act in a folder, creating it if it is missing."""
        for _ in range(_FOLDER_ATTEMPTS - 1):
            # `_prune` in another process may delete the empty folder while it is open here: then it is created again.
            with suppress(FileNotFoundError), _opened_folder(self.folder, names, create=True) as folder:
                return act(folder)
            time.sleep(random.uniform(0, _PAUSE_SECONDS_MAX))  # noqa: S311  # jitter, not a secret
        with _opened_folder(self.folder, names, create=True) as folder:
            return act(folder)

    @contextmanager
    def _opened(self, key: str) -> Iterator[FileIO]:
        *names, name = check_key(key).split("/")
        with _errors("open", key), ExitStack() as stack:
            if not self.folder.is_dir():
                raise StorageUnavailable(f"cannot open {key}: the storage folder does not exist")
            try:
                folder = stack.enter_context(_opened_folder(self.folder, names))
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
                file = stack.enter_context(FileIO(os.open(name, flags, dir_fd=folder)))
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}:
                    raise ObjectMissing(f"{key} does not exist") from None
                raise
            yield file

    def _remove(self, names: Sequence[str], name: str) -> None:
        with suppress(FileNotFoundError), _opened_folder(self.folder, names) as folder:
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        self._prune(names)

    def _prune(self, names: Sequence[str]) -> None:
        """Delete empty folders, innermost first."""
        with suppress(OSError):
            for depth in range(len(names), 0, -1):
                self.folder.joinpath(*names[:depth]).rmdir()


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

    def complete(self) -> StoredObject:
        with self._poisoning("complete"):
            os.fsync(self._file.fileno())
            self._file.close()
            return self._storage.publish(self._key, self.id)

    def abort(self) -> None:
        self._sound = False
        with _errors("abort", self._key):
            self._file.close()
        self._storage.abort(self._key, self.id)

    @contextmanager
    def _poisoning(self, doing: str) -> Iterator[None]:
        if not self._sound or self._file.closed:
            raise StorageUnavailable(f"cannot {doing} {self._key}: the upload has already failed or ended")
        try:
            with _errors(doing, self._key):
                yield
        except BaseException:
            self._sound = False
            raise


@contextmanager
def _errors(doing: str, what: str) -> Iterator[None]:
    """Convert errors of the operating system into storage errors, without its paths."""
    try:
        yield
    except OSError as error:
        kind: type[StorageError] = StorageUnavailable
        if error.errno in _FULL:
            kind = StorageFull
        elif error.errno in _REFUSED:
            kind = StorageRefused
        raise kind(f"cannot {doing} {what}: {error.strerror or type(error).__name__}") from None


@contextmanager
def _opened_folder(root: Path, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Open a folder below root, name by name: symbolic links are never followed, even if created meanwhile."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    with ExitStack() as stack:

        def opened(path: str | Path, folder: int | None, extra: int = 0) -> int:
            descriptor = os.open(path, flags | extra, dir_fd=folder)
            stack.callback(os.close, descriptor)
            return descriptor

        if create:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = opened(root, None)
        for name in names:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=folder)
                    os.fsync(folder)
            folder = opened(name, folder, os.O_NOFOLLOW)
        yield folder


def _created(name: str, folder: int) -> FileIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return FileIO(os.open(name, flags, 0o600, dir_fd=folder), "wb")


def _walk(folder: Path, path: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield regular files below a folder, with paths that begin with `path` and can begin with the prefix."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".")]
    except FileNotFoundError:
        return
    for entry in sorted(entries, key=lambda entry: entry.name):
        inner = path + entry.name
        if entry.is_dir(follow_symlinks=False):
            if f"{inner}/".startswith(prefix) or prefix.startswith(f"{inner}/"):
                yield from _walk(folder / entry.name, f"{inner}/", prefix)
        elif entry.is_file(follow_symlinks=False):
            with suppress(FileNotFoundError):
                yield inner, entry.stat(follow_symlinks=False)


def _etag(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"


def _described(key: str, status: os.stat_result) -> StoredObject:
    if not stat.S_ISREG(status.st_mode):
        raise ObjectMissing(f"{key} does not exist")
    return StoredObject(key, status.st_size, _etag(status), datetime.fromtimestamp(status.st_mtime, UTC))
