"""Bodies of requests, and of answers: bounded in size and time, and JSON in them."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpcore
import httpx

from exporters.http.guard import AllowedUrl
from exporters.maps.exact_json import refuse_constant
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.read_limits import reads_within
from portability.strict_json import DoubleName, single_names

GZIP, DEFLATE = "gzip", "deflate"
PIECE_BYTES = 1 << 20
"""Unpacked at a time: 64 KiB of zeros that are packed make 64 MiB, and the bound of a body is often smaller."""
READ_ENCODINGS = frozenset({"", "identity", GZIP, DEFLATE, "aws-chunked"})
"""`aws-chunked` was the encoding of an upload to object storage, and stays in the headers of what is stored plain."""


def sent(body: object, url: AllowedUrl, what: str) -> Mapping[str, Any]:
    """Return the argument with which httpx sends a body: `content` for bytes, `json` for other values; none for None.

    Raises: SourceRefused if the URL is of a host that is not the source's: the body may contain the address of the
    person or a key, and a request without it would ask for something else.
    """
    match body:
        case None:
            return {}
        case _ if url.is_own:
            return {"content": body} if isinstance(body, bytes) else {"json": body}
    hint = "if the host belongs to the source, add it to `login_hosts` of the section"
    raise SourceRefused(f"{what}: the source leads a request with a body to another host", hint=hint)


def whole(response: httpx.Response, most_bytes: int, ends_at: float, what: str) -> bytes:
    """Return the body; `ends_at` is by the monotonic clock.

    Raises: SourceRefused for a larger body and one in another encoding than it states, SourceUnavailable after the end
    of the time, httpx.TransportError.
    """
    check_encoding(response, what)
    body = bytearray()
    try:
        # Not each block alone: the length of a block, a trailer and empty blocks of gzip may have no end either.
        with decoding(what), reads_within(ends_at - time.monotonic()):
            for block in _unpacked(response):
                body += block
                if len(body) > most_bytes:
                    hint = "raise `limits.page_bytes` or `most_bytes` in the map, or ask for smaller pages"
                    raise SourceRefused(f"{what}: the answer is larger than {most_bytes} bytes", hint=hint)
    except httpx.ReadTimeout:
        if time.monotonic() < ends_at:
            raise
        raise SourceUnavailable(f"{what}: the answer came too slowly") from None
    return bytes(body)


def blocks_of(response: httpx.Response, size: int) -> Iterator[bytes]:
    """Yield the body in blocks of a size. Raises httpx.TransportError, httpx.DecodingError."""
    return httpx.Response(response.status_code, content=_unpacked(response)).iter_bytes(size)


def _unpacked(response: httpx.Response) -> Iterable[bytes]:
    """Return the blocks of a body without its encoding. Few have one, because no request asks for it."""
    stream = response.stream
    assert isinstance(stream, Iterable)  # noqa: S101  # for the type checker: the client is not asynchronous
    encoding = _encoding(response)
    is_empty = response.headers.get("Content-Length") == "0"
    return _inflated(stream, encoding, int(is_empty)) if encoding in {GZIP, DEFLATE} else stream


def has_end(headers: httpx.Headers) -> bool:
    """Return whether an answer says where it ends; else a broken connection looks like its end (RFC 9112, 8)."""
    return "Content-Length" in headers or "Transfer-Encoding" in headers


def _inflated(blocks: Iterable[bytes], encoding: str, count: int) -> Iterator[bytes]:
    """Yield what the members of a compressed body contain (RFC 1952, section 2.2); zeros may fill it up.

    The library reads the first member alone, and takes a member that is cut for a whole one. `count`: 0 if there must
    be a member.

    Raises: httpx.DecodingError; httpx.RemoteProtocolError for a body that ends within a member, or before the first.
    """
    member = None
    for block in blocks:
        left = block
        while left if member or not count else left.strip(b"\0"):
            if not member:
                member, count = zlib.decompressobj(_window(left, encoding)), count + 1
            try:
                yield from _pieces(member, left)
            except zlib.error:
                raise httpx.DecodingError("it is not compressed, or damaged") from None
            left = member.unused_data
            member = member if not member.eof else None
    if member or not count:
        raise httpx.RemoteProtocolError("it is cut") from httpcore.RemoteProtocolError()


def _pieces(member: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """Yield what a member makes of some bytes, PIECE_BYTES at a time. Raises zlib.error."""
    yield (piece := member.decompress(packed, PIECE_BYTES))
    # A full piece may have a rest of which no byte is left to read.
    while member.unconsumed_tail or len(piece) == PIECE_BYTES:
        yield (piece := member.decompress(member.unconsumed_tail, PIECE_BYTES))


def _window(begin: bytes, encoding: str) -> int:
    """Return the size of the window as zlib takes it; some servers send `deflate` without its frame (RFC 9110, 8.4)."""
    if encoding == GZIP:
        return zlib.MAX_WBITS | 16
    has_frame = begin[0] % 16 == zlib.DEFLATED and int.from_bytes(begin[:2]) % 31 * (len(begin) - 1) == 0
    return zlib.MAX_WBITS if has_frame else -zlib.MAX_WBITS


def in_time(blocks: Iterator[bytes], restart: Callable[[], float]) -> Iterator[bytes]:
    """Yield the blocks of a body, each read within the seconds that `restart` returns. Raises httpx.ReadTimeout."""
    block = b"begin"
    while block:
        with reads_within(restart()):
            block = next(blocks, b"")
        if block:
            yield block


def check_encoding(response: httpx.Response, what: str) -> None:
    """Raise SourceRefused for a body in an encoding that the library does not read: it gives its bytes as they are.

    Several encodings, one in the other, are refused: of a few bytes they make more than any bound of a body expects.
    """
    if _encoding(response) not in READ_ENCODINGS:
        hint = "the source must send it as it is, or with gzip or deflate"
        raise SourceRefused(f"{what}: the answer has a Content-Encoding that is not read", hint=hint)


def _encoding(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Encoding", "")).strip().lower()


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Read a body within the block. Raises SourceRefused if it is not in the encoding that it states."""
    try:
        yield
    except httpx.DecodingError:
        raise SourceRefused(f"{what}: the answer is not in the Content-Encoding that it states") from None


def parsed(body: bytes, what: str, *, is_ended: bool = True) -> Any:  # noqa: ANN401  # any JSON value
    """Return a body as JSON; numbers with a point are Decimal, so that no digit is lost.

    `is_ended`: whether the answer has said where it ends, as `has_end` returns.

    Raises: SourceRefused; httpx.RemoteProtocolError if the body may be cut.
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=refuse_constant, object_pairs_hook=single_names)
    except DoubleName:
        raise SourceRefused(f"{what}: an object of the answer has a name twice, and readers drop one value") from None
    except (ValueError, ArithmeticError, RecursionError):
        begin = body.lstrip()[:1]
        if not is_ended and begin in {b"{", b"[", b""}:
            raise httpx.RemoteProtocolError("it is cut") from httpcore.RemoteProtocolError()
        if not begin:
            raise SourceRefused(f"{what}: the answer has no body") from None
        hint = "it may be a page to sign in: check `base_url` and `auth` of the source" if begin == b"<" else None
        raise SourceRefused(f"{what}: the answer is not JSON", hint=hint) from None
