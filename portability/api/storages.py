"""Protocols of object storage, and the keys that every storage accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable
from urllib.parse import SplitResult

from portability.api.errors import BadSetting, StorageError, StorageRefused

BLOCK_BYTES = 1 << 20


_NAME = r"(?!\.)[A-Za-z0-9._-]{1,255}"


_KEY = re.compile(rf"(?=.{{1,900}}\Z)(?:{_NAME}/)*{_NAME}")


_PREFIX = re.compile(rf"(?=.{{0,900}}\Z)(?:{_NAME}/)*(?:{_NAME})?")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as the storage describes it."""

    key: str
    bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that has begun and is neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at: datetime
    bytes: int | None = None
    """Bytes uploaded so far, if the storage reports them."""


@dataclass(frozen=True, slots=True)
class Litter:
    """What a killed process left in a storage that is neither object nor upload; `name` is for `clear` only."""

    name: str
    bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class StorageSpace:
    """The space of a storage."""

    free_bytes: int
    total_bytes: int


class Upload(Protocol):
    """One object being written. Nothing is visible under its key before `complete` returns."""

    @property
    def id(self) -> str:
        """The id of the upload for `Storage.abort`, also from another process; empty if none was needed yet."""
        ...

    def write(self, block: bytes) -> None:
        """Append bytes; memory stays bounded for any block size. Raises StorageError."""
        ...

    def complete(self) -> StoredObject:
        """Publish the object; returns the storage's description. If it raises StorageError, nothing is published."""
        ...

    def abort(self) -> None:
        """Discard everything that was written. Safe to call twice, and after a failed `complete`."""
        ...


@runtime_checkable
class Storage(Protocol):
    """A place for objects. Keys are relative, `[A-Za-z0-9._/-]`, without `..`."""

    @property
    def url(self) -> str:
        """The URL without credentials."""
        ...

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> Upload:
        """Start an upload under a new key.

        `begun` is called with the upload's id before the first byte is sent. A small object may be sent without an
        upload id: then `begun` is never called, and only the object itself can be left behind.
        """
        ...

    def abort(self, key: str, upload_id: str) -> None:
        """Abort an upload that another process began; an unknown upload is not an error."""
        ...

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        """List all open uploads below a prefix."""
        ...

    def stat(self, key: str) -> StoredObject:
        """Describe an object. Raises ObjectMissing."""
        ...

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Yield blocks of about BLOCK_BYTES from byte `offset` on.

        Raises: ObjectMissing; ObjectChanged if `etag` is given and is not the object's; StorageUnavailable, also in the
        middle of the object if the connection breaks: the caller resumes from its own offset.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """List all objects below a prefix."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object with all versions that the store keeps; a missing object is not an error."""
        ...

    def check(self) -> None:
        """Write, read back and delete a small object, for `portability doctor`. Raises StorageError with a hint."""
        ...


@runtime_checkable
class ConditionalStorage(Storage, Protocol):
    """Optional: a storage that can store an object only if its key has none, also if two processes try at once."""

    def create(self, key: str, body: bytes) -> bool:
        """Store a small object; returns whether it is stored now. False: the key has an object. Raises StorageError."""
        ...


@runtime_checkable
class LitteredStorage(Storage, Protocol):
    """Optional: a storage in which remnants other than uploads and objects can be left behind."""

    def litter(self) -> Iterator[Litter]:
        """List the storage's own temporary files and empty folders, also those of other processes."""
        ...

    def clear(self, name: str) -> None:
        """Remove what `litter` named; a folder that is no longer empty stays; what is missing is not an error."""
        ...


@runtime_checkable
class VersionedStorage(Storage, Protocol):
    """Optional: a storage that may keep deleted or overwritten objects. Its `delete` removes those versions, too."""

    def hidden(self, prefix: str = "") -> Iterator[StoredObject]:
        """List the keys with stored versions that `list` does not show, each once; empty without versioning.

        Raises: StorageRefused if the store does not allow us to list versions; StorageUnavailable.
        """
        ...

    def purge(self, key: str) -> None:
        """Delete the hidden versions of a key permanently; the object that `list` shows stays."""
        ...


@runtime_checkable
class LifecycleStorage(Storage, Protocol):
    """Optional: a storage that can abort abandoned uploads itself."""

    def upload_days(self) -> int | None:
        """Return after how many days all open uploads of this storage are aborted; None: never.

        Raises: StorageRefused if the store has no such rules, or does not allow us to read them.
        """
        ...

    def set_upload_days(self, days: int) -> None:
        """Make the storage abort its open uploads after `days`; other rules stay. Raises StorageError."""
        ...


@runtime_checkable
class PresigningStorage(Storage, Protocol):
    """Optional: a storage that gives temporary read access to one object through a signed URL."""

    def presigned(self, key: str, *, name: str, seconds: int) -> str:
        """Return a signed URL of an object, saved by browsers as `name`. It cannot be revoked: keep `seconds` small.

        Raises: StorageRefused, StorageUnavailable.
        """
        ...


@runtime_checkable
class GuardedStorage(Storage, Protocol):
    """Optional: a storage that reports its protections. Each method raises StorageRefused if the store cannot say."""

    def is_public(self) -> bool:
        """Return whether its policy opens it to the public."""
        ...

    def blocks_public_access(self) -> bool:
        """Return whether the store prevents public access by mistake."""
        ...

    def encryption(self) -> str | None:
        """Return how the store encrypts new objects by default; None: not at all."""
        ...


@runtime_checkable
class IdentifiedStorage(Storage, Protocol):
    """Optional: a storage whose URL may mean a different place on another machine, like the URL of a folder."""

    def store_id(self) -> str:
        """Read the id of this storage: a random text stored in it, made at the first call. Raises StorageError.

        The database remembers it, and no worker writes to a storage with a different id.
        """
        ...


@runtime_checkable
class MeasuredStorage(Storage, Protocol):
    """Optional: a storage that knows how much space it has."""

    def space(self) -> StorageSpace:
        """Return the free and the total space for new objects. Raises StorageError."""
        ...


@runtime_checkable
class PreparedStorage(Storage, Protocol):
    """Optional: a storage whose first use takes a long time."""

    def prepare(self) -> None:
        """Load what takes long, and leave no open connection, so that the process can fork. Raises StorageError."""
        ...


def check_key(key: str) -> str:
    """Return the key if it is valid: relative, `[A-Za-z0-9._/-]`, no part empty or beginning with a dot.

    Raises: StorageRefused, without the key in the message: it may come from a source's table.
    """
    if not is_key(key):
        raise _refused(key)
    return key


def is_key(text: str) -> bool:
    """Return whether a text is a valid key of an object."""
    return _KEY.fullmatch(text) is not None


def check_prefix(prefix: str) -> str:
    """Check the beginning of a key as `check_key` does; it may be empty."""
    if not _PREFIX.fullmatch(prefix):
        raise _refused(prefix)
    return prefix


def put(storage: Storage, key: str, body: bytes) -> StoredObject:
    """Store a small object in one step. Raises StorageError; then nothing is stored."""
    upload = storage.begin(key, begun=_ignore)
    try:
        upload.write(body)
        return upload.complete()
    except BaseException:
        with suppress(StorageError):
            upload.abort()
        raise


def _ignore(_upload_id: str) -> None:
    """With a listener a small object needs no multipart upload; the upload is aborted here if it fails."""


def _refused(key: str) -> StorageRefused:
    return StorageRefused(
        f"invalid key of {len(key)} characters: it is not relative, has characters other than [A-Za-z0-9._/-],"
        " or has a part that is empty or begins with a dot",
        hint="use keys like calls/recordings/0001.wav",
    )


StorageFactory: TypeAlias = Callable[[SplitResult, str | None], Storage]
"""Entry point group `portability.storages`: opens a URL with the entry point's scheme, given the setting STORAGE_SSE.

Opening makes no connection and writes nothing. Raises BadSetting (`bad_url`).
"""


def bad_url(fault: str) -> BadSetting:
    """Return the error for an invalid storage URL; it does not repeat the URL, which may contain secrets."""
    hint = "use file:///folder, s3://bucket/prefix?endpoint=... or an installed storage plug-in; see docs/storage.md"
    return BadSetting(f"the storage URL {fault}", hint=hint)
