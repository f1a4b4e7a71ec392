"""A multipart upload with bounded memory: boto3's own buffers ten parts, hides the upload id and ends at 80 GiB.

At most `threads` parts are being sent while one more is filled: peak memory is `(threads + 1)` parts. Their buffers
are reused, which saves the memory pages of new buffers.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from queue import LifoQueue
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from portability.api.errors import ObjectMissing, StorageError, StorageUnavailable
from portability.api.storages import StoredObject
from portability.storage.retry import Retry
from portability.storage.s3.errors import s3_errors

try:
    from isal.isal_zlib import crc32
except ImportError:  # no wheel for this machine; the fallback has a seventh of the speed
    from zlib import crc32

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CompletedPart: TypeAlias = dict[str, Any]
"""A part in the form for CompleteMultipartUpload: number, ETag, checksum."""

PART_BYTES = 6 << 20
"""Near the 5 MiB that S3 needs at least: three parts are in memory (bench: `rss`, `recordings`)."""
EQUAL_PARTS = 1_000
GROWTH_PARTS = 46
TOKEN = "portability-upload"  # noqa: S105  # the name of a metadata field, not a secret


def part_bytes(number: int, first: int = PART_BYTES) -> int:
    """Return the size of part `number` (from 1): equal up to 6 GiB, then growing, so that 10,000 parts hold 5 TiB."""
    return first * max(1, -((EQUAL_PARTS - number) // GROWTH_PARTS))


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """The target and the options of an upload."""

    client: S3Client
    bucket: str
    path: str
    """The key with the storage's prefix."""
    key: str
    media_type: str
    encryption: dict[str, Any]
    checksum: bool
    first_part_bytes: int
    threads: int
    retry: Retry
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    """Stored with the object: after a lost answer it shows whether the object is ours."""

    @property
    def address(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.path}

    @property
    def description(self) -> dict[str, Any]:
        return {"ContentType": self.media_type, "Metadata": {TOKEN: self.token}, **self.encryption}

    def begin(self) -> str:
        """Start the upload at the store; returns its id."""
        algorithm: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if self.checksum else {}

        def attempt() -> str:
            with s3_errors("begin", self.key):
                return self.client.create_multipart_upload(**self.address, **self.description, **algorithm)["UploadId"]

        return self.retry.call(attempt, Event())

    def abort(self, upload_id: str) -> None:
        """Delete the upload's parts; a missing upload is not an error."""
        with suppress(ObjectMissing), s3_errors("abort", self.key):
            self.client.abort_multipart_upload(**self.address, UploadId=upload_id)

    def head(self) -> tuple[StoredObject, bool]:
        """Return the object stored under the key, and whether this upload made it."""
        with s3_errors("look at", self.key):
            found = self.client.head_object(**self.address)
            stored = StoredObject(
                self.key, found["ContentLength"], found["ETag"].strip('"'), found["LastModified"].astimezone(UTC)
            )
            return stored, found["Metadata"].get(TOKEN) == self.token

    def take_back(self) -> None:
        """Delete the object if this upload made it."""
        with suppress(ObjectMissing):
            if self.head()[1]:
                with s3_errors("delete", self.key):
                    self.client.delete_object(**self.address)


class S3Upload:
    """One object being uploaded. Any error aborts it; for one thread, and not across a fork."""

    def __init__(self, target: UploadTarget, begun: Callable[[str], object] | None = None) -> None:
        """Prepare an upload. With `begun` it starts when a first part is full; smaller objects use one request."""
        self._target = target
        self._begun = begun
        self.id = "" if begun else target.begin()
        self._bytes = 0
        self._filling = bytearray()
        self._filled = 0
        self._parts: list[Future[CompletedPart]] = []
        # A stack: the buffer returned last is used first, so that fast uploads allocate fewer buffers.
        self._free: LifoQueue[bytearray] = LifoQueue()
        for _ in range(target.threads + 1):
            self._free.put(bytearray())
        self._pool = ThreadPoolExecutor(target.threads, thread_name_prefix="s3-upload")
        self._failure: StorageError | None = None
        self._stop = Event()
        self._state: Literal["open", "broken", "aborted", "complete"] = "open"
        self._may_be_public = False

    def write(self, block: bytes) -> None:
        with self._aborting("write"):
            view = memoryview(block)
            while view:
                if not self._filled:
                    self._filling = self._empty_buffer()
                taken = view[: self._part_bytes() - self._filled]
                end = self._filled + len(taken)
                self._filling[self._filled : end] = taken
                self._filled = end
                self._bytes += len(taken)
                if end == self._part_bytes():
                    self._send()
                view = view[len(taken) :]

    def complete(self) -> StoredObject:
        with self._aborting("complete"):
            del self._filling[self._filled :]
            if self._filled and self.id:
                self._send()
            self._pool.shutdown()
            if self._failure:
                raise self._failure
            parts = [part.result() for part in self._parts]
            if self.id and not parts:  # a multipart upload needs at least one part: an empty object is sent with PUT
                self._target.abort(self.id)
            self._may_be_public = True
            self._target.retry.call(lambda: self._publish(parts), self._stop)
            stored = self._confirmed()
        self._forget_buffers()
        self._state = "complete"
        return stored

    def abort(self) -> None:
        if self._state in {"aborted", "complete"}:
            return
        self._state = "broken"
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)  # a part that arrives after the abort would remain
        self._forget_buffers()
        if self.id:
            self._target.abort(self.id)
        if self._may_be_public:
            self._target.take_back()
        self._state = "aborted"

    @contextmanager
    def _aborting(self, doing: str) -> Iterator[None]:
        if self._state != "open":
            raise StorageUnavailable(f"cannot {doing} {self._target.key}: the upload is {self._state}")
        try:
            yield
        except BaseException as error:
            with suppress(StorageError):  # the first error is reported; a sweep finds the upload by its id
                self.abort()
            if isinstance(error, ObjectMissing):
                hint = "a person or a lifecycle rule aborted it: it is written again"
                raise StorageUnavailable(f"{error}: the upload is gone", hint=hint) from None
            raise

    def _empty_buffer(self) -> bytearray:
        """Return a buffer for the next part, as soon as one is free. Raises the error of an earlier part."""
        free = self._free.get()
        if self._failure:
            raise self._failure
        # Later buffers get their full size at once: growing would fragment memory. Often there is only one buffer.
        return free or bytearray(self._part_bytes() if self._parts else 0)

    def _part_bytes(self) -> int:
        return part_bytes(len(self._parts) + 1, self._target.first_part_bytes)

    def _send(self) -> None:
        if not self.id and self._begun:
            self.id = self._target.begin()
            self._begun(self.id)
        body, self._filling = self._filling, bytearray()
        del body[self._filled :]
        self._filled = 0
        self._parts.append(self._pool.submit(self._put, len(self._parts) + 1, body))

    def _forget_buffers(self) -> None:
        """Release the buffers, even if a reference to the upload remains."""
        self._filling, self._free = bytearray(), LifoQueue()

    def _put(self, number: int, body: bytearray) -> CompletedPart:
        try:
            return self._target.retry.call(lambda: self._put_once(number, body), self._stop)
        except StorageError as error:
            self._failure = self._failure or error
            self._stop.set()
            raise
        finally:
            self._free.put(body)

    def _put_once(self, number: int, body: bytearray) -> CompletedPart:
        target = self._target
        checksum = self._checksum(body)
        content: Any = body  # the stubs allow bytes only; botocore takes a bytearray without a copy
        with s3_errors(f"store part {number} of", target.key):
            answer = target.client.upload_part(
                **target.address, UploadId=self.id, PartNumber=number, Body=content, **checksum
            )
            return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def _publish(self, parts: list[CompletedPart]) -> None:
        target = self._target
        listing: Any = {"Parts": parts}
        content: Any = self._filling  # as above; empty where there are parts
        try:
            with s3_errors("complete", target.key):
                if parts:
                    target.client.complete_multipart_upload(**target.address, UploadId=self.id, MultipartUpload=listing)
                else:
                    described = {**target.description, **self._checksum(self._filling)}
                    target.client.put_object(**target.address, Body=content, **described)
        except (StorageUnavailable, ObjectMissing):
            # The answer may be lost although the store did the work: then the upload is gone and the object exists.
            with suppress(StorageError):
                if target.head()[1]:
                    return
            raise

    def _checksum(self, body: bytearray) -> dict[str, Any]:
        if not self._target.checksum:
            return {}
        return {"ChecksumCRC32": b64encode(crc32(body).to_bytes(4, "big")).decode()}

    def _confirmed(self) -> StoredObject:
        stored, _ = self._target.retry.call(self._target.head, self._stop)
        if stored.bytes == self._bytes:
            return stored
        raise StorageUnavailable(
            f"{self._target.key} has {stored.bytes} bytes after {self._bytes} were written",
            hint="the storage loses data: do not use it",
        )
