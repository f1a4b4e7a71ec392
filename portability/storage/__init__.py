"""Object storage: `file://` and `s3://` behind one protocol, held by one contract suite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from portability.errors import BadSetting, StorageRefused

BLOCK_BYTES = 1 << 20

_NAME = r"(?!\.)[A-Za-z0-9._-]{1,255}"
_KEY = re.compile(rf"(?=.{{1,900}}\Z)(?:{_NAME}/)*{_NAME}")
_PREFIX = re.compile(rf"(?=.{{0,900}}\Z)(?:{_NAME}/)*(?:{_NAME})?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SSE = re.compile(r"AES256|aws:kms(:.+)?")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as storage has it."""

    key: str
    bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    begun_at: datetime
    bytes: int | None = None
    """What it holds so far, where the storage tells."""


@dataclass(frozen=True, slots=True)
class Litter:
    """What a killed process left in a storage and is neither object nor upload; `name` is for `clear` alone."""

    name: str
    bytes: int
    modified_at: datetime


class Upload(Protocol):
    """One object being written. Nothing is visible under its key before `complete` returns."""

    @property
    def id(self) -> str:
        """Names the upload to `Storage.abort`, also from another process; empty where none was needed yet."""
        ...

    def write(self, block: bytes) -> None:
        """Append bytes; memory stays bounded whatever the block's size. Raises StorageError."""
        ...

    def complete(self) -> StoredObject:
        """Publish; returns what storage says it holds. Raises StorageError, and then nothing is published."""
        ...

    def abort(self) -> None:
        """Throw away all that was written. Safe to call twice, and after a failed `complete`."""
        ...


class Storage(Protocol):
    """A place for objects. Keys are relative, `[A-Za-z0-9._/-]`, without `..`."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> Upload:
        """Start an upload under a fresh key.

        With `begun`, which is told the upload's id before the first byte leaves, a small object may go out without one:
        then it is never called, and nothing but the object can be left behind.
        """
        ...

    def abort(self, key: str, upload_id: str) -> None:
        """Abort an upload that another process began; unknown ones are no error."""
        ...

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        """All open uploads below a prefix."""
        ...

    def stat(self, key: str) -> StoredObject:
        """Raises ObjectMissing."""
        ...

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Blocks of about BLOCK_BYTES from byte `offset` on.

        Raises: ObjectMissing; ObjectChanged if `etag` is given and is not the object's; StorageUnavailable, also
        in the middle, when the connection breaks: the caller resumes from its own offset.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """All objects below a prefix."""
        ...

    def delete(self, key: str) -> None:
        """Delete, with all that a store keeps of it; an object that is not there is no error."""
        ...

    def check(self) -> None:
        """Write, read back and delete a small object, for `portability doctor`. Raises StorageError with a hint."""
        ...


@runtime_checkable
class LitteredStorage(Storage, Protocol):
    """Optional: a storage in which more than uploads and objects can be left behind."""

    def litter(self) -> Iterator[Litter]:
        """Temporary files of the storage's own, and folders without anything in them, whoever made them."""
        ...

    def clear(self, name: str) -> None:
        """Remove what `litter` named; a folder that is no longer empty stays, what is not there is no error."""
        ...


@runtime_checkable
class VersionedStorage(Storage, Protocol):
    """Optional: a storage that may keep what was deleted or written over. Its `delete` takes those along."""

    def hidden(self, prefix: str = "") -> Iterator[StoredObject]:
        """Keys under which something is kept that `list` does not show; each once. Without versioning: none.

        Raises: StorageRefused where the store does not let us see it; StorageUnavailable.
        """
        ...

    def purge(self, key: str) -> None:
        """Delete what is hidden under a key, for good; what `list` shows stays."""
        ...


@runtime_checkable
class LifecycleStorage(Storage, Protocol):
    """Optional: a storage that can abort forgotten uploads by itself."""

    def upload_days(self) -> int | None:
        """Days after which open uploads are aborted, all of this storage's; None: never.

        Raises: StorageRefused where the store has no such rules, or does not let us see them.
        """
        ...

    def set_upload_days(self, days: int) -> None:
        """Have open uploads of this storage aborted after so many days; every other rule stays. Raises StorageError."""
        ...


@runtime_checkable
class PresigningStorage(Storage, Protocol):
    """Optional: a storage that lets somebody else read one object for minutes, by an address that it signs."""

    def presigned(self, key: str, *, name: str, seconds: int) -> str:
        """The address of an object, saved by browsers under `name`. It cannot be revoked: keep `seconds` small.

        Raises: StorageRefused, StorageUnavailable.
        """
        ...


@runtime_checkable
class GuardedStorage(Storage, Protocol):
    """Optional: a storage with guards of its own. Each raises StorageRefused where the store cannot tell."""

    def is_public(self) -> bool:
        """Whether its policy opens it to everybody."""
        ...

    def blocks_public_access(self) -> bool:
        """Whether nobody can open it to everybody by mistake."""
        ...

    def encryption(self) -> str | None:
        """With what it encrypts whatever is written; None: with nothing."""
        ...


@runtime_checkable
class PreparedStorage(Storage, Protocol):
    """Optional: a storage whose first use takes long."""

    def prepare(self) -> None:
        """Make what takes long, and leave no connection: it survives a fork until its next use. Raises StorageError."""
        ...


def prepare(storage: Storage) -> None:
    """Prepare a storage, if there is something to prepare. Raises StorageError."""
    if isinstance(storage, PreparedStorage):
        storage.prepare()


def check_key(key: str) -> str:
    """The key, if it is one: relative, `[A-Za-z0-9._/-]`, no empty name and none that begins with a dot.

    Raises: StorageRefused, without the key, which may come from a stranger's table.
    """
    if not _KEY.fullmatch(key):
        raise _refused(key)
    return key


def check_prefix(prefix: str) -> str:
    """As `check_key`, for the beginning of a key, which may be empty."""
    if not _PREFIX.fullmatch(prefix):
        raise _refused(prefix)
    return prefix


def _refused(key: str) -> StorageRefused:
    return StorageRefused(
        f"storage refused a key of {len(key)} characters: it is not relative, or has other characters than"
        " [A-Za-z0-9._/-], or a name that is empty or begins with a dot",
        hint="give objects keys like calls/recordings/0001.wav",
    )


def open_storage(url: str, *, sse: str | None = None) -> Storage:
    """The storage that a URL names; nothing is touched before it is used. docs/storage.md describes the URLs.

    `file:///folder` or
    `s3://bucket/prefix?endpoint=URL&region=NAME&addressing=path|virtual&checksum=crc32|none&signing=headers|payload`;
    credentials of S3 come from where every AWS library looks for them, never from the URL.

    Args:
        url: where the storage is.
        sse: server-side encryption on S3: `AES256`, `aws:kms` or `aws:kms:KEY`.

    Raises:
        BadSetting: for any other URL; its text is not repeated, it may hold secrets.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _bad("is not a URL") from None
    if parts.username or parts.password or parts.fragment:
        raise _bad("may hold neither user, password nor fragment")
    if parts.scheme == "file":
        return _open_local(parts, sse)
    if parts.scheme == "s3":
        return _open_s3(parts, sse)
    raise _bad(f"begins with {parts.scheme + ':' if parts.scheme else 'no scheme'}")


def _open_local(parts: SplitResult, sse: str | None) -> Storage:
    from portability.storage.local import LocalStorage  # noqa: PLC0415  # it imports this module

    path = unquote(parts.path)
    if parts.netloc not in {"", "localhost"} or parts.query or not path.startswith("/") or "\0" in path:
        raise _bad("needs an absolute folder and nothing else after file:")
    if sse is not None:
        raise _bad("is a folder, which has no server-side encryption")
    return LocalStorage(Path(path))


def _open_s3(parts: SplitResult, sse: str | None) -> Storage:
    from portability.storage.s3 import S3Storage  # noqa: PLC0415  # boto3 costs 0.2 s and 50 MB

    query = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(query)
    if len(options) < len(query) or not options.keys() <= {"endpoint", "region", "addressing", "checksum", "signing"}:
        raise _bad("takes endpoint, region, addressing, checksum and signing, each once")
    endpoint = options.get("endpoint")
    if endpoint is not None and not _is_endpoint(endpoint):
        raise _bad("needs an endpoint that is http(s)://host[:port]")
    if options.get("addressing", "path") not in {"path", "virtual"}:
        raise _bad("needs addressing=path or addressing=virtual")
    if options.get("checksum", "crc32") not in {"crc32", "none"}:
        raise _bad("needs checksum=crc32 or checksum=none")
    is_open = bool(endpoint and endpoint.startswith("http:"))
    signing = options.get("signing", "payload" if is_open else "headers")
    if signing not in {"headers", "payload"} or (is_open and signing == "headers"):
        raise _bad("needs signing=payload, or over https signing=headers")
    prefix = parts.path.strip("/")
    if not _BUCKET.fullmatch(parts.netloc) or (prefix and not _KEY.fullmatch(prefix)):
        raise _bad("needs a bucket's name and a prefix of [A-Za-z0-9._/-]")
    if sse is not None and not _SSE.fullmatch(sse):
        raise BadSetting(
            "server-side encryption is none of AES256, aws:kms and aws:kms:KEY", hint="see docs/storage.md"
        )
    return S3Storage(
        parts.netloc,
        prefix,
        endpoint=endpoint,
        region=options.get("region"),
        addressing=options.get("addressing") or ("path" if endpoint else "virtual"),
        checksum=options.get("checksum", "crc32") == "crc32",
        sign_payload=signing == "payload",
        sse=sse,
    )


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it checks it
    except ValueError:
        return False
    extras = parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/")
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not extras


def _bad(fault: str) -> BadSetting:
    return BadSetting(
        f"the storage URL {fault}", hint="use file:///folder or s3://bucket/prefix?endpoint=...; see docs/storage.md"
    )
