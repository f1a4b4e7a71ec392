"""Files of HTTP sources: what an answer leaves out of a file is a fault, and no part of a file counts as the file."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from http_sources import Answers, Asked, StandIn, batches_of, open_source, person, resolved, stand_in

from portability.api import File
from portability.api.errors import SourceRefused, SourceUnavailable

DESK = """
title = "Desk"
role = "controller"
kinds = ["user", "email"]

[[identity]]
from = "email"
get = "/users"
items = "users"
verify = { "address" = "email" }
gives = "desk_user"

[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "provided"
for_each = "desk_user"
get = "/notes"
scoped = true
[dataset.file]
get = "/files/{id}"
resume = "RESUME"
[dataset.fields]
id = { text = "Identifier." }
"""
CONTENT = bytes(range(256)) * 100


@pytest.fixture
def stand() -> Iterator[StandIn]:
    with stand_in() as server:
        server.on("/users")(lambda _asked: {"users": [{"id": 7, "address": "ann@example.test"}]})
        server.on("/notes")(lambda _asked: [{"id": 1}])
        yield server


def file_from(stand: StandIn, answers: Answers, resume: str = "range") -> File:
    """The file of the only note."""
    stand.on("/files/1")(answers)
    exporter = open_source(DESK.replace("RESUME", resume), stand.url)
    (batch,) = batches_of(exporter, "notes", resolved(exporter, person()))
    (file,) = batch.files
    return file


def part(begin: int, end: int, stated: str, content: bytes = CONTENT, **more: str) -> Any:
    """An answer with some bytes of a content."""
    return 206, {"Content-Range": f"bytes {stated}", **more}, content[begin:end]


def first_byte(asked: Asked) -> int:
    """The byte from which an answer is wanted."""
    return int(asked.heard.headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def read_in_turns(file: File) -> bytes:
    """The content, as a worker reads it: from its own byte on, after each outage."""
    content = b""
    for _ in range(20):
        try:
            for block in file.open(len(content)):
                content += block
        except SourceUnavailable:
            continue
        return content
    raise AssertionError("the file never ends")


def test_a_part_of_a_file_is_not_the_file(stand: StandIn) -> None:
    """Some servers answer at most some bytes at a time, with 206: the rest is asked for, and missing without ranges."""

    def some(asked: Asked) -> Any:
        begin = first_byte(asked)
        end = min(begin + 10_000, len(CONTENT))
        return part(begin, end, f"{begin}-{end - 1}/{len(CONTENT)}")

    assert read_in_turns(file_from(stand, some)) == CONTENT
    whole = file_from(stand, lambda _asked: part(0, 10_000, f"0-9999/{len(CONTENT)}"), resume="restart")
    with pytest.raises(SourceUnavailable, match=r"^notes/1: the answer ends at byte 10000 of 25600$"):
        list(whole.open(0))


@pytest.mark.parametrize(("size", "read"), [("25600", 25600), ("9" * 5000, None), ("-1", None), ("many", None)])
def test_a_size_that_no_file_has_is_not_known(stand: StandIn, size: str, read: int | None) -> None:
    """It costs neither the record nor the file."""
    stand.on("/notes")(lambda _asked: [{"id": 1, "size": size}])
    exporter = open_source(DESK.replace('resume = "RESUME"', 'bytes = "size"'), stand.url)

    (batch,) = batches_of(exporter, "notes", resolved(exporter, person()))

    assert [file.size for file in batch.files] == [read]


@pytest.mark.parametrize("stated", [{"Content-Range": "bytes */9000"}, {}])
def test_a_range_behind_the_end_is_no_end_of_the_file(stand: StandIn, stated: Mapping[str, str]) -> None:
    """A file that became shorter than what was read of it is another file; 416 at its very end is the end."""
    size = len(CONTENT)

    def shorter(asked: Asked) -> Any:
        return (416, stated, b"") if "range" in asked.heard.headers else (200, {}, CONTENT[:size])

    file = file_from(stand, shorter)
    assert list(file.open(size)) == []
    size = 9000
    with pytest.raises(SourceUnavailable, match=r"^notes/1: the file has changed while it was read$"):
        list(file.open(10_000))


def test_a_whole_answer_may_not_be_shorter_than_what_was_read(stand: StandIn) -> None:
    """Without ranges the file is read from its first byte: one that ends before the own byte has changed."""
    file = file_from(stand, lambda _asked: (200, {}, CONTENT[:9000]), resume="restart")

    with pytest.raises(SourceUnavailable, match=r"^notes/1: the file has 9000 bytes, and 10000 were read$"):
        list(file.open(10_000))


def test_ranges_of_a_compressed_answer_are_not_those_of_the_file(stand: StandIn) -> None:
    """A range counts the bytes that are sent; of a file that comes compressed these are others."""
    packed = gzip.compress(CONTENT)

    def compressed(asked: Asked) -> Any:
        begin = first_byte(asked)
        if begin >= len(packed):
            return 416, {"Content-Range": f"bytes */{len(packed)}"}, b""
        if begin:
            stated = f"{begin}-{len(packed) - 1}/{len(packed)}"
            return part(begin, len(packed), stated, packed, **{"Content-Encoding": "gzip"})
        return 200, {"Content-Encoding": "gzip"}, packed

    file = file_from(stand, compressed)
    assert b"".join(file.open(0)) == CONTENT
    for begin in (10, len(packed), 20_000):
        assert b"".join(file.open(begin)) == CONTENT[begin:], begin


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_a_file_in_an_encoding_that_no_one_reads_is_no_file(stand: StandIn, encoding: str) -> None:
    """Object storage sends a file as it was stored, whatever a request accepts: it would be delivered packed."""
    packed = gzip.compress(gzip.compress(CONTENT))
    file = file_from(stand, lambda _asked: (200, {"Content-Encoding": encoding}, packed))

    with pytest.raises(SourceRefused, match=r"^notes/1: the answer has a Content-Encoding that is not read$"):
        list(file.open(0))
    stand.on("/notes")(lambda _asked: (200, {"Content-Encoding": encoding}, b"[]"))
    with pytest.raises(SourceRefused, match=r"^notes: the answer has a Content-Encoding that is not read$"):
        file_from(stand, lambda _asked: None)


PACKED = {
    "gzip": gzip.compress(CONTENT),
    "gzip ": gzip.compress(CONTENT[:10_000]) + gzip.compress(CONTENT[10_000:]),
    " gzip": gzip.compress(CONTENT) + bytes(8),
    "deflate": zlib.compress(CONTENT),
    "deflate ": zlib.compress(CONTENT, wbits=-15),
}
"""A content in each encoding: as one member of gzip, as two (RFC 1952, section 2.2), and with zeros behind it."""


@pytest.mark.parametrize("encoding", PACKED)
def test_a_compressed_file_is_unpacked_to_its_end(stand: StandIn, encoding: str) -> None:
    """A file may consist of several members of gzip, as logs that grow do; the library reads only the first."""
    file = file_from(stand, lambda _asked: (200, {"Content-Encoding": encoding.strip()}, PACKED[encoding]))

    assert b"".join(file.open(0)) == CONTENT
    assert b"".join(file.open(20_000)) == CONTENT[20_000:]


@pytest.mark.parametrize("lost", [1, 8, 100])
@pytest.mark.parametrize("encoding", ["gzip", "gzip ", "deflate", "deflate "])
def test_a_compressed_file_that_is_cut_is_not_the_file(stand: StandIn, encoding: str, lost: int) -> None:
    """A proxy that loses its source ends the answer as if it were whole: only the encoding says that more follows."""
    cut = PACKED[encoding][:-lost]
    file = file_from(stand, lambda _asked: (200, {"Content-Encoding": encoding.strip()}, cut))

    with pytest.raises(SourceUnavailable, match=r"^notes/1: .*the connection ended within the answer"):
        list(file.open(0))


def test_other_bytes_behind_a_compressed_file_are_refused(stand: StandIn) -> None:
    """They may be a part of the file that nothing can unpack."""
    packed = gzip.compress(CONTENT) + b"more"
    file = file_from(stand, lambda _asked: (200, {"Content-Encoding": "gzip"}, packed))

    with pytest.raises(SourceRefused, match="the answer is not in the Content-Encoding that it states"):
        list(file.open(0))


@pytest.mark.parametrize("resume", ["range", "restart"])
@pytest.mark.parametrize("head", ["Last-Modified", "size"])
def test_versions_of_a_file_without_a_tag_are_not_mixed(stand: StandIn, resume: str, head: str) -> None:
    """A file that is replaced while it is read: its time, or its size, says so where the source has no `ETag`."""
    versions = [(CONTENT, "Sun, 01 Nov 2026 10:00:00 GMT"), (CONTENT[::-1], "Sun, 01 Nov 2026 10:00:09 GMT")]
    if head == "size":
        versions = [(CONTENT, ""), (CONTENT[::-1] + b"more", "")]

    def answer(asked: Asked) -> Any:
        content, at = versions[0]
        more = {"Last-Modified": at} if at else {}
        if resume == "restart" or "range" not in asked.heard.headers:
            return 200, more, content
        begin = first_byte(asked)
        return part(begin, len(content), f"{begin}-{len(content) - 1}/{len(content)}", content, **more)

    file = file_from(stand, answer, resume)
    blocks = file.open(0)
    next(blocks)
    del versions[0]

    with pytest.raises(SourceUnavailable, match="the file has changed while it was read"):
        list(file.open(100))
    assert b"".join(file.open(0)) == versions[0][0]


TEXTS = ["application/json", "application/problem+json; charset=utf-8", "text/plain", "text/xml", "application/xml"]


def recording_from(stand: StandIn, answered: str, content: bytes, stated: str = "audio/x-m4a") -> bytes:
    """What is read of a file whose item states a type, and whose answer has another."""
    stand.on("/notes")(lambda _asked: [{"id": 1, "type": stated}])
    stand.on("/files/1")(lambda _asked: (200, {"Content-Type": answered}, content))
    exporter = open_source(DESK.replace('resume = "RESUME"', 'media_type = "type"'), stand.url)
    (batch,) = batches_of(exporter, "notes", resolved(exporter, person()))
    return b"".join(batch.files[0].open(0))


@pytest.mark.parametrize("content", [b'{"error": "the recording has expired"}', b""])
@pytest.mark.parametrize("answered", TEXTS)
def test_an_error_in_words_is_no_recording(stand: StandIn, answered: str, content: bytes) -> None:
    """Some interfaces report an error with status 200: a text in place of a recording is not the recording."""
    plain = answered.partition(";")[0]
    message = rf"^notes/1: the source answers with a text \({re.escape(plain)}\), and the file is audio/mp4$"

    with pytest.raises(SourceRefused, match=message):
        recording_from(stand, answered, content)


@pytest.mark.parametrize("answered", [*TEXTS, "text/html", "application/octet-stream", "video/mp4", ""])
@pytest.mark.parametrize("content", [b"\0\0\0 ftypM4A sound", b"ID3 sound", b"PK\3\4\x14\0\0\0\x08\0"])
def test_a_file_is_known_by_its_bytes_whatever_type_a_server_names(
    stand: StandIn, answered: str, content: bytes
) -> None:
    """Web servers name `text/plain` for an extension that they do not know, and PHP names `text/html`."""
    assert recording_from(stand, answered, content) == content


@pytest.mark.parametrize(("stated", "answered"), [("text/csv", "text/plain"), ("application/json", "text/plain")])
def test_a_text_may_come_in_the_place_of_a_text(stand: StandIn, stated: str, answered: str) -> None:
    """The names of types of texts differ between servers."""
    assert recording_from(stand, answered, b"name;number", stated) == b"name;number"


def test_a_part_of_a_file_of_unknown_size_is_not_the_file(stand: StandIn) -> None:
    """RFC 9110, section 14.4: a server may answer a part, and `*` in place of the size: more may follow."""

    def some(asked: Asked) -> Any:
        begin = first_byte(asked)
        end = min(begin + 10_000, len(CONTENT))
        return part(begin, end, f"{begin}-{end - 1}/*")

    blocks = file_from(stand, some).open(0)
    assert len(next(blocks)) == 10_000
    with pytest.raises(SourceUnavailable, match=r"^notes/1: the answer is a part of the file \(206\), .* byte 10000$"):
        next(blocks)


def test_the_rest_of_a_file_may_come_without_its_size(stand: StandIn) -> None:
    """Behind the end the source answers 416, and the whole file shows that it has ended."""

    def rest(asked: Asked) -> Any:
        begin = first_byte(asked)
        if "range" not in asked.heard.headers:
            return 200, {}, CONTENT
        ending = part(begin, len(CONTENT), f"{begin}-{len(CONTENT) - 1}/*")
        return ending if begin < len(CONTENT) else (416, {}, b"")

    file = file_from(stand, rest)
    blocks = file.open(10_000)
    assert next(blocks) == CONTENT[10_000:]
    with pytest.raises(SourceUnavailable, match="the answer is a part of the file"):
        next(blocks)
    assert list(file.open(len(CONTENT))) == []


@pytest.mark.parametrize("other", [b"b" * 3_000_000, b"b" * 100])
def test_versions_of_a_file_within_json_are_not_mixed(stand: StandIn, other: bytes) -> None:
    """The content within JSON comes whole each time: a file that is read on from a byte must be the same."""
    versions = [b"a" * 3_000_000]
    stand.on("/files/1")(lambda _asked: {"data": base64.b64encode(versions[-1]).decode()})
    exporter = open_source(DESK.replace('resume = "RESUME"', 'content = "data"'), stand.url)
    (batch,) = batches_of(exporter, "notes", resolved(exporter, person()))
    (file,) = batch.files
    next(file.open(0))
    assert b"".join(file.open(2_000_000)) == b"a" * 1_000_000
    versions.append(other)

    with pytest.raises(SourceUnavailable, match=r"^notes/1: the file has changed while it was read$"):
        list(file.open(1_000_000))
    assert b"".join(file.open(0)) == other
