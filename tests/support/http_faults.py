"""Faults on purpose between an HTTP client and a server: a proxy that knows requests, and rules that break some."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from urllib.parse import parse_qs, urlsplit

from loopback import HEAD_BYTES_MAX, Loopback, reset

_BLOCK_BYTES = 65_536
_REFUSAL = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>on purpose</Message></Error>"
_FULL = b"<?xml version='1.0'?><Error><Code>QuotaExceeded</Code><Message>on purpose</Message></Error>"
_JSON = b'{"detail": "on purpose"}'
_ANSWERS_WITHOUT_BODY = {204, 304}
_SLOW_BYTES, _SLOW_SECONDS = 1_000, 0.1


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a rule judges by."""

    method: str
    path: str
    names: frozenset[str]
    """Of the query's parameters."""

    @property
    def is_part(self) -> bool:
        """Of a multipart upload to S3."""
        return self.method == "PUT" and "partNumber" in self.names

    @property
    def is_complete(self) -> bool:
        """Of a multipart upload to S3: the request that makes it an object."""
        return self.method == "POST" and "uploadId" in self.names


class Break(StrEnum):
    """How a request breaks."""

    REFUSE = "refuse"
    """503, and the server never sees it."""
    LOSE_ANSWER = "lose answer"
    """The server does it; the client gets 503."""
    CUT = "cut"
    """The connection is reset when half of the request's body has passed."""
    SLOW = "slow"
    """It waits first."""
    NARROW = "narrow"
    """Its body passes with 10 kB/s, for some seconds."""
    FULL = "full"
    """403 `QuotaExceeded`, and the server never sees it."""
    LIE = "lie"
    """The answer has another ETag than the object."""
    LIMIT = "limit"
    """429 with `Retry-After: 1`, and the server never sees it."""
    UNAUTHORIZED = "unauthorized"
    """401, and the server never sees it."""
    CUT_ANSWER = "cut answer"
    """The connection is reset when half of the answer's body has passed."""


_REFUSALS = {
    Break.REFUSE: ("503 Slow Down", {"content-type": "application/xml", "retry-after": "1"}, _REFUSAL),
    Break.FULL: ("403 Forbidden", {"content-type": "application/xml"}, _FULL),
    Break.LIMIT: ("429 Too Many Requests", {"content-type": "application/json", "retry-after": "1"}, _JSON),
    Break.UNAUTHORIZED: ("401 Unauthorized", {"content-type": "application/json"}, _JSON),
}
"""Status, headers and body of an answer that the server did not give."""


@dataclass
class Rule:
    """Breaks the next requests that fit it."""

    how: Break
    fits: Callable[[HttpRequest], bool]
    times: int = 1
    seconds: float = 0
    """Of waiting, for SLOW; of little bandwidth, for NARROW."""
    used: int = 0


@dataclass
class HttpFaults:
    """A proxy for HTTP/1.1 on loopback; `rules` may be appended to, at any time and from any thread."""

    server_port: int
    rules: list[Rule] = field(default_factory=list)
    part_bytes: int = 0
    """Bodies of parts that went to the server, whole or not."""
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
        server: asyncio.StreamWriter | None = None
        try:
            from_server, server = await asyncio.open_connection("127.0.0.1", self.server_port, limit=HEAD_BYTES_MAX)
            while await self._exchange(_Way(reader, server), _Way(from_server, writer)):
                pass
        except (OSError, EOFError, ValueError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, server):
                if end is not None:
                    reset(end)

    async def _exchange(self, up: _Way, down: _Way) -> bool:
        """One request and its answer; False where the client has gone."""
        line, headers = await up.head()
        if not line:
            return False
        method, target, _ = line.split(" ", 2)
        parts = urlsplit(target)
        request = HttpRequest(method, parts.path, frozenset(parse_qs(parts.query, keep_blank_values=True)))
        rule = self._rule(request)
        how = rule.how if rule else None
        if headers.pop("expect", None):  # answered here: the server need not be asked whether it wants the body
            down.out.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rule and how is Break.SLOW:
            await asyncio.sleep(rule.seconds)
        if how in _REFUSALS:
            await up.body(headers, None)
            await down.refuse(method, how)
            return True
        up.send_head(line, headers)
        size = int(headers.get("content-length", "0"))
        cut_after = size // 2 if how is Break.CUT else None
        narrow_until = time.monotonic() + rule.seconds if rule and how is Break.NARROW else 0.0
        await up.body(headers, up.out, cut_after, self._count if request.is_part else None, narrow_until)
        status, answer = await down.head()
        if not status:
            raise ConnectionResetError
        code = int(status.split(" ", 2)[1])
        has_body = method != "HEAD" and code not in _ANSWERS_WITHOUT_BODY
        if how is Break.LOSE_ANSWER:
            await down.body(answer if has_body else {}, None)
            await down.refuse(method, Break.REFUSE)
            return True
        if how is Break.LIE and "etag" in answer:
            answer["etag"] = '"00000000000000000000000000000000"'
        down.send_head(status, answer)
        cut_after = int(answer.get("content-length", "0")) // 2 if how is Break.CUT_ANSWER else None
        await down.body(answer if has_body else {}, down.out, cut_after)
        return True

    def _count(self, size: int) -> None:
        self.part_bytes += size

    def _rule(self, request: HttpRequest) -> Rule | None:
        for rule in self.rules:
            if rule.used < rule.times and rule.fits(request):
                rule.used += 1
                return rule
        return None


@dataclass(frozen=True, slots=True)
class _Way:
    """One direction of a connection."""

    into: asyncio.StreamReader
    out: asyncio.StreamWriter

    async def head(self) -> tuple[str, dict[str, str]]:
        try:
            raw = await self.into.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return "", {}
        line, *fields = raw.decode("latin-1").split("\r\n")
        pairs = (one.split(":", 1) for one in fields if one)
        return line, {name.strip().lower(): value.strip() for name, value in pairs}

    def send_head(self, line: str, headers: dict[str, str]) -> None:
        lines = [line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.out.write("\r\n".join(lines).encode("latin-1"))

    async def body(
        self,
        headers: dict[str, str],
        out: asyncio.StreamWriter | None,
        cut_after: int | None = None,
        seen: Callable[[int], None] | None = None,
        narrow_until: float = 0,
    ) -> None:
        """Forward a body, or drop it; `seen` is called with each block. Raises ConnectionResetError where it is cut.

        `narrow_until` is by the monotonic clock.
        """
        if "chunked" in headers.get("transfer-encoding", ""):
            await self._chunks(out, narrow_until)
            return
        size, passed = int(headers.get("content-length", "0")), 0
        while passed < size:
            is_narrow = time.monotonic() < narrow_until
            end = size if cut_after is None else max(cut_after, passed + 1)
            block = await self.into.readexactly(min(_SLOW_BYTES if is_narrow else _BLOCK_BYTES, end - passed))
            if is_narrow:
                await asyncio.sleep(_SLOW_SECONDS)
            passed += len(block)
            if seen is not None:
                seen(len(block))
            if out is not None:
                out.write(block)
                await out.drain()
            if cut_after is not None and passed >= cut_after:
                raise ConnectionResetError

    async def _chunks(self, out: asyncio.StreamWriter | None, narrow_until: float) -> None:
        size = 1
        while size:
            size_line = await self.into.readuntil(b"\r\n")
            size = int(size_line.split(b";")[0], 16)
            block = size_line + await self.into.readexactly(size + 2)
            while out is not None and time.monotonic() < narrow_until and len(block) > _SLOW_BYTES:
                block = await _pass_slowly(block, out)
            if out is not None:
                out.write(block)
                await out.drain()

    async def refuse(self, method: str, how: Break) -> None:
        """Answer in place of the server."""
        status, headers, refusal = _REFUSALS[how]
        body = b"" if method == "HEAD" else refusal
        self.send_head(f"HTTP/1.1 {status}", {**headers, "content-length": str(len(body))})
        self.out.write(body)
        with suppress(ConnectionError):
            await self.out.drain()


async def _pass_slowly(block: bytes, out: asyncio.StreamWriter) -> bytes:
    """Send the first bytes of a block after a while; returns the others."""
    await asyncio.sleep(_SLOW_SECONDS)
    out.write(block[:_SLOW_BYTES])
    await out.drain()
    return block[_SLOW_BYTES:]
