"""Files of records: as the body of an answer or as base64 in JSON, from any offset, with or without ranges."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from exporters.http import bodies
from exporters.http.client import HttpCall, SourceClient
from exporters.http.expressions import find, from_base64
from exporters.http.forms import HttpFileForm, RequestForm
from exporters.http.templates import Names
from exporters.http.truth import says_yes
from exporters.maps.media_types import OPAQUE, SHA256, file_name, known_type, type_of_bytes
from portability.api import File
from portability.api.errors import SourceRefused, SourceUnavailable
from portability.read_limits import reads_within

BLOCK_BYTES = 1 << 20
WITH_CONTENT = frozenset({200, 203, 206})
"""The statuses of an answer that has the file; 202 and 204 mean that it is not there."""
PAGES = frozenset({"text/html", "application/xhtml+xml"})
TEXT = re.compile(r"text/.+|application/(.+\+)?(json|xml)")
"""Types of texts, such as an error in words."""
BEGINNING_BYTES = 1024
"""Among the first of a binary file, some are 0."""
SIGN_IN = "it may be a page to sign in: check that the account of the source may read files"
AN_ERROR = "it may be an error in words; where the type of the item is wrong, leave `media_type` out of the map"
SIZE = re.compile("[0-9]{1,18}")
"""What may be a size in bytes; a number of thousands of digits is refused by Python."""
BASE64_SHARE = 1.5
"""Bytes of a JSON answer for each byte of the file, with room for the other members."""


@dataclass
class SourceFile:
    """The file of one record; each opening has connections of its own, because files are read in other threads."""

    what: str
    form: HttpFileForm
    item: Any = field(repr=False)
    names: Names = field(repr=False)
    call: Callable[..., HttpCall] = field(repr=False)
    """`call(what, request, names, link)`, as `ReadingContext.call`."""
    connect: Callable[[], SourceClient] = field(repr=False)
    _etag: str | None = field(default=None, init=False, repr=False)
    _version: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    """What the answers have said of the version; counts where the source has no `ETag`."""

    def open(self, offset: int) -> Iterator[bytes]:
        """Yield blocks from a byte on. Raises SourceUnavailable, SourceRefused."""
        client = self.connect()
        try:
            call = replace(self._located(client), most_bytes=self.form.most_bytes)
            yield from self._decoded(client, call, offset) if self.form.content else self._body(client, call, offset)
        finally:
            client.close()

    def _located(self, client: SourceClient) -> HttpCall:
        """Return the call of the content; a signed URL is asked for each time, because it expires."""
        if self.form.get is not None:
            return self.call(self.what, RequestForm(get=self.form.get), self.names)
        request, at, value = RequestForm(get="/"), self.form.url, self.item
        if self.form.url_from is not None:
            request, at = RequestForm(get=self.form.url_from.get), self.form.url_from.at
            page = client.json(self.call(self.what, request, self.names))
            value = page.value if page is not None else None
        found = _stated(at, value)
        if not isinstance(found, str) or not found:
            raise SourceRefused(f"{self.what}: the source names no URL of the file")
        return self.call(self.what, request, self.names, found)

    def _decoded(self, client: SourceClient, call: HttpCall, offset: int) -> Iterator[bytes]:
        most_bytes = int(self.form.most_bytes * BASE64_SHARE) + BLOCK_BYTES
        page = client.json(replace(call, most_bytes=most_bytes))
        found = _stated(self.form.content, page.value if page is not None else None)
        if not isinstance(found, str):
            raise SourceRefused(f"{self.what}: the answer has no content of the file")
        try:
            content = from_base64(found)
        except ValueError:
            raise SourceRefused(f"{self.what}: the content is not base64") from None
        if len(content) > self.form.most_bytes:
            raise self._too_large()
        version = {"content": hashlib.sha256(content).hexdigest()}
        if offset and self._version not in ({}, version):
            raise self._changed()
        self._version = version
        for begin in range(offset, len(content), BLOCK_BYTES):
            yield content[begin : begin + BLOCK_BYTES]

    def _body(self, client: SourceClient, call: HttpCall, offset: int) -> Iterator[bytes]:
        call = replace(call, none_on=())
        if self.form.resume == "range" and offset > 0:
            headers = {**call.headers, "Range": f"bytes={offset}-"}
            if self._etag is not None:
                headers["If-Range"] = self._etag
            ranged = replace(call, headers=headers, none_on=(httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE,))
            with client.stream(ranged) as response:
                # The range of a compressed answer counts its own bytes, and one behind the end may be of another file.
                if response is not None and not _is_packed_part(response):
                    yield from self._behind(client, call, response, offset)
                    return
        with client.stream(call) as whole:
            assert whole is not None  # noqa: S101  # for the type checker: the call has no `none_on`
            yield from self._behind(client, call, whole, offset)

    def _behind(self, client: SourceClient, call: HttpCall, response: httpx.Response, offset: int) -> Iterator[bytes]:
        """Yield what an answer has from a byte of the file on. Raises SourceUnavailable, SourceRefused."""
        at = self._begin(response, offset)
        for block in bodies.in_time(bodies.blocks_of(response, BLOCK_BYTES), client.budget.restart):
            if not at:
                self._check_type(response, block)
            at += len(block)
            if at > self.form.most_bytes:
                raise self._too_large()
            if at > offset:
                yield block[max(0, len(block) - (at - offset)) :]
        if not at:
            self._check_type(response, b"")
        if at < offset:
            raise SourceUnavailable(f"{self.what}: the file has {at} bytes, and {offset} were read")
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            self._check_end(at, _size(response.headers.get("Content-Range", "").rpartition("/")[2]))
        elif not bodies.has_end(response.headers) and self.stated == (None, None):
            self._check_again(client, call, at)

    def _check_again(self, client: SourceClient, call: HttpCall, size: int) -> None:
        """Read a file again whose answer does not say where it ends: a connection that breaks looks like its end.

        Raises: SourceUnavailable if it ends at another byte, or later than the time of a call; SourceRefused.
        """
        again = 0
        with reads_within(client.budget.restart()), client.stream(call) as response:
            assert response  # noqa: S101  # for the type checker: the call has no `none_on`
            for block in bodies.blocks_of(response, BLOCK_BYTES):
                again += len(block)
                if again > size:
                    break
        if again != size:
            raise SourceUnavailable(f"{self.what}: two answers end at other bytes, and none says where the file ends")

    def _begin(self, response: httpx.Response, offset: int) -> int:
        """Return the first byte of an answer: without ranges, that of the file. Raises SourceUnavailable."""
        if response.status_code not in WITH_CONTENT:
            raise SourceUnavailable(f"{self.what}: the source answers {response.status_code}, without the file")
        etag = response.headers.get("ETag")
        stated = _version_of(response)
        known = self._version if offset and not etag else {}
        is_other = any(stated.get(name, value) != value for name, value in known.items())
        if is_other or (self._etag and etag and etag != self._etag):
            raise self._changed()
        self._etag, self._version = self._etag or etag, {**known, **stated}
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            return 0
        if not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            raise SourceUnavailable(f"{self.what}: the source gives another range than it was asked for")
        return offset

    def _check_type(self, response: httpx.Response, beginning: bytes) -> None:
        """Raise SourceRefused for a text where the item states another type; the name of the type may be wrong."""
        answered = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        stated = self._media_type
        is_page, is_text = answered in PAGES, TEXT.fullmatch(answered) and not TEXT.fullmatch(stated)
        is_binary = b"\0" in beginning[:BEGINNING_BYTES] or type_of_bytes(beginning) != OPAQUE
        if stated != OPAQUE and not is_binary and (is_page or is_text):
            kind, hint = ("page", SIGN_IN) if is_page else ("text", AN_ERROR)
            what = f"the source answers with a {kind} ({answered}), and the file is {stated}"
            raise SourceRefused(f"{self.what}: {what}", hint=hint)

    def _check_end(self, at: int, size: int | None) -> None:
        """Raise SourceUnavailable if a part of a file ends before the file, or may do so (RFC 9110, section 14.4)."""
        if isinstance(size, int) and at < size:
            raise SourceUnavailable(f"{self.what}: the answer ends at byte {at} of {size}")
        if not isinstance(size, int):
            raise SourceUnavailable(
                f"{self.what}: the answer is a part of the file (206), and does not say what is behind byte {at}"
            )

    @property
    def stated(self) -> tuple[int | None, str | None]:
        """The size and the SHA-256 that the item states, with which a file is compared when it is read."""
        size, sha256 = _stated(self.form.bytes, self.item), _stated(self.form.sha256, self.item)
        return _size(size), sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None

    @property
    def _media_type(self) -> str:
        """Return the type that the item states; OPAQUE if it is not known."""
        return known_type(self.form.fixed_media_type or _stated(self.form.media_type, self.item))

    def _changed(self) -> SourceUnavailable:
        return SourceUnavailable(f"{self.what}: the file has changed while it was read", reason="changed")

    def _too_large(self) -> SourceRefused:
        hint = "raise `most_bytes` of the file in the map"
        return SourceRefused(f"{self.what}: the file is larger than {self.form.most_bytes} bytes", hint=hint)


def _is_packed_part(response: httpx.Response) -> bool:
    return response.status_code == httpx.codes.PARTIAL_CONTENT and "Content-Encoding" in response.headers


def _version_of(response: httpx.Response) -> Mapping[str, str]:
    """Return what an answer states of the version of a file: the time of its change, and its size."""
    headers = response.headers
    is_part = response.status_code == httpx.codes.PARTIAL_CONTENT
    size = headers.get("Content-Range", "").rpartition("/")[2] if is_part else headers.get("Content-Length", "")
    stated = {"time": headers.get("Last-Modified", ""), "size": "" if "Content-Encoding" in headers else size}
    return {name: value for name, value in stated.items() if value.strip("*")}


def _size(stated: object) -> int | None:
    """Return a size that a source states; None: no file has it."""
    written = str(stated)
    return int(written) if SIZE.fullmatch(written) else None


def file_of(source_file: SourceFile, name: str) -> File | None:
    """Return the file of a record; None: the item has none. Its size and hash are those that the source states."""
    form, item = source_file.form, source_file.item
    if form.when is not None and not says_yes(_stated(form.when, item)):
        return None
    media_type = known_type(form.fixed_media_type or _stated(form.media_type, item))
    size, sha256 = source_file.stated
    return File(
        name=file_name(name, media_type),
        media_type=media_type,
        size=size,
        open=source_file.open,
        sha256=sha256,
    )


def _stated(at: str | None, item: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Return what an item states; None if it states nothing, or something of another type."""
    try:
        return None if at is None else find(at, item)
    except ValueError:
        return None
