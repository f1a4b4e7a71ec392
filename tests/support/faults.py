"""Deliberate faults: a TCP proxy that breaks connections, and a storage that fails on demand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

from loopback import Loopback, reset

from portability.api.errors import StorageError, StorageUnavailable
from portability.api.storages import OpenUpload, Storage, StoredObject, Upload

Operation = Literal["begin", "write", "complete", "abort", "read", "stat", "delete"]

_BLOCK_BYTES = 65_536


class Killed(BaseException):
    """As if the process were gone: nothing catches it."""


@dataclass
class FaultProxy:
    """Between a client and a server on loopback; the faults are fields, changed at any time from any thread.

    with FaultProxy(server_port) as proxy:
        proxy.cut_up_after = 5_000_000     # connections are reset after this number of bytes from the client ...
        proxy.cuts_left = 2                # ... this many times; None: always
    """

    server_port: int
    cut_up_after: int | None = None
    """Bytes from client to server, per connection, until it is reset."""
    cut_down_after: int | None = None
    """Bytes from server to client, per connection, until it is reset."""
    cuts_left: int | None = None
    refuse: bool = False
    """Reset connections as soon as they are there."""
    on_up: Callable[[bytes], None] = field(default=lambda _block: None)
    """Sees each block on its way to the server; an OSError from here resets the connection."""
    connections: int = 0
    cuts: int = 0
    port: int = field(init=False, default=0)

    def __enter__(self) -> Self:
        self._loopback = Loopback(self._serve).__enter__()
        self.port = self._loopback.port
        return self

    def __exit__(self, *exc: object) -> None:
        self._loopback.__exit__(*exc)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuse:
            reset(writer)
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            reset(writer)
            return
        pumps = [
            asyncio.ensure_future(self._pump(reader, up_writer, up=True)),
            asyncio.ensure_future(self._pump(up_reader, writer, up=False)),
        ]
        try:
            await asyncio.gather(*pumps)
        except (OSError, asyncio.CancelledError):
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            reset(writer)
            reset(up_writer)
        else:
            writer.close()
            up_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        passed = 0
        while block := await reader.read(_BLOCK_BYTES):
            if up:
                self.on_up(block)
            limit = self.cut_up_after if up else self.cut_down_after
            passed += len(block)
            if limit is not None and passed > limit and self.cuts_left != 0:
                if self.cuts_left is not None:
                    self.cuts_left -= 1
                self.cuts += 1
                raise ConnectionResetError
            writer.write(block)
            await writer.drain()
        writer.write_eof()


@dataclass
class FaultyStorage:
    """A storage that passes every call to another storage, except where a test makes it fail.

    Operations are counted from 1 over the storage's life, blocks read and written each for themselves.
    `fail_at_...` is the count at which that operation raises `error`; `before` is called ahead of every operation
    and may raise, or do something else at that moment.
    """

    inner: Storage
    fail_at_begin: int | None = None
    fail_at_write: int | None = None
    fail_at_complete: int | None = None
    fail_at_read: int | None = None
    error: Callable[[str], StorageError] = StorageUnavailable
    before: Callable[[Operation, int], None] = field(default=lambda _operation, _count: None)
    counts: Counter[Operation] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return self.inner.url

    def step(self, operation: Operation) -> None:
        """Count an operation; raise if it is the one that must fail."""
        self.counts[operation] += 1
        count = self.counts[operation]
        self.before(operation, count)
        failing: dict[Operation, int | None] = {
            "begin": self.fail_at_begin,
            "write": self.fail_at_write,
            "complete": self.fail_at_complete,
            "read": self.fail_at_read,
        }
        if failing.get(operation) == count:
            raise self.error(f"{operation} {count} fails on purpose")

    def begin(
        self, key: str, *, media_type: str = "application/octet-stream", begun: Callable[[str], object] | None = None
    ) -> FaultyUpload:
        self.step("begin")
        return FaultyUpload(self, self.inner.begin(key, media_type=media_type, begun=begun))

    def abort(self, key: str, upload_id: str) -> None:
        self.step("abort")
        self.inner.abort(key, upload_id)

    def uploads(self, prefix: str = "") -> Iterator[OpenUpload]:
        return self.inner.uploads(prefix)

    def stat(self, key: str) -> StoredObject:
        self.step("stat")
        return self.inner.stat(key)

    def read(self, key: str, offset: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        for block in self.inner.read(key, offset, etag=etag):
            self.step("read")
            yield block

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        return self.inner.list(prefix)

    def delete(self, key: str) -> None:
        self.step("delete")
        self.inner.delete(key)

    def check(self) -> None:
        self.inner.check()


@dataclass
class FaultyUpload:
    """An upload of a `FaultyStorage`."""

    storage: FaultyStorage
    inner: Upload

    @property
    def id(self) -> str:
        return self.inner.id

    def write(self, block: bytes) -> None:
        self.storage.step("write")
        self.inner.write(block)

    def complete(self) -> StoredObject:
        self.storage.step("complete")
        return self.inner.complete()

    def abort(self) -> None:
        self.storage.step("abort")
        self.inner.abort()
