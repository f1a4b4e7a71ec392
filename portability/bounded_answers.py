"""Whole answers of servers that an operator has configured: bounded in size and time, whatever the server sends."""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from contextlib import closing
from typing import Any

import httpx

from portability import strict_json
from portability.certificates import trusted_certificates
from portability.read_limits import limit_client, reads_within

ANSWER_BYTES = 1 << 20
ENCODINGS = frozenset({"", "identity", "gzip"})


class AnswerTooLarge(httpx.TransportError):
    """The body of an answer is larger than ANSWER_BYTES."""


def open_client(seconds: float, **more: Any) -> httpx.Client:  # noqa: ANN401  # as httpx.Client takes them
    """Open a client for `bounded_answer`. It follows no redirects; `seconds` limit each step."""
    verify = trusted_certificates()
    return limit_client(httpx.Client(timeout=seconds, follow_redirects=False, verify=verify, **more))


def bounded_answer(client: httpx.Client, method: str, url: str, seconds: float, **sent: Any) -> httpx.Response:  # noqa: ANN401  # as httpx takes them
    """Send a request, and return its answer with at most ANSWER_BYTES; all reads together take at most the seconds.

    Raises: httpx.HTTPError, such as AnswerTooLarge, ReadTimeout, and UnsupportedProtocol for a text that is not a URL.
    """
    try:
        request = client.build_request(method, url, **sent)
    except httpx.InvalidURL:
        raise httpx.UnsupportedProtocol("not a URL") from None
    # Few servers compress then, and each block that the library unpacks may be a thousand times larger.
    request.headers["Accept-Encoding"] = "identity"
    body = bytearray()
    with reads_within(seconds), closing(client.send(request, stream=True)) as answer:
        for block in answer.iter_raw():
            body += block
            _check_size(body)
    content = _unpacked(bytes(body), answer.headers.get("Content-Encoding", "").strip().lower())
    return httpx.Response(answer.status_code, content=content, request=request)


def json_of(answer: httpx.Response) -> Any:  # noqa: ANN401  # any JSON value
    """Return the body of an answer as JSON. Raises ValueError, also for a name twice in one object."""
    # A reader may ignore a mark before UTF-8 (RFC 8259, 8.1).
    return strict_json.parse(answer.content.removeprefix(BOM_UTF8))


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > ANSWER_BYTES:
        raise AnswerTooLarge(f"the answer is larger than {ANSWER_BYTES} bytes")


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding not in ENCODINGS:
        raise httpx.DecodingError("the answer is in an encoding that was not asked for")
    if encoding != "gzip":
        return body
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unpacking.decompress(body, ANSWER_BYTES + 1)
    except zlib.error:
        raise httpx.DecodingError("the answer is not in its encoding") from None
    _check_size(content)
    if not unpacking.eof:
        raise httpx.DecodingError("the answer is cut")
    return content
