"""Answers of HTTP sources that do not say where they end: a connection that breaks looks like their end."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from http_sources import StandIn, batches_of, ids_of, open_source, person, records_of, stand_in

from portability.api import File
from portability.api.errors import SourceRefused, SourceUnavailable

NOTES = """
title = "Notes"
role = "controller"
kinds = ["email"]

[[dataset]]
name = "notes"
title = "Notes"
description = "Notes."
provenance = "provided"
for_each = "email"
get = "/notes"
scoped = true
[dataset.fields]
id = { text = "Identifier." }
[dataset.file]
get = "/files/{id}"
resume = "range"
bytes = "bytes"
sha256 = "sha256"
"""
PAGE = b'[{"id": "1"}, {"id": "2"}]'
SOUND = bytes(range(256)) * 12


@pytest.fixture
def old_server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def answers(
    old_server: StandIn, path: str, *bodies: bytes, head: str = "Content-Type: application/octet-stream"
) -> None:
    """Answer a path with these bodies in turn, the last one again and again, and close: no answer has its length.

    Other paths are answered as the stand-in says.
    """
    left = list(bodies)

    def raw(handler: BaseHTTPRequestHandler) -> None:
        heard = old_server.listener.heard[-1]
        status, headers, body = old_server.reply(heard)
        lines = [f"{name}: {value}" for name, value in {**headers, "Content-Length": len(body)}.items()]
        if handler.path.startswith(path):
            status, lines, body = 200, [head], left.pop(0) if len(left) > 1 else left[0]
        handler.wfile.write("\r\n".join([f"HTTP/1.0 {status} OK", *lines, "", ""]).encode() + body)

    old_server.listener.raw = raw


def file_of(old_server: StandIn, **stated: object) -> File:
    """The file of the only note; what its item states of it."""
    old_server.on("/notes")(lambda _asked: [{"id": "1", **stated}])
    (batch,) = batches_of(open_source(NOTES, old_server.url), "notes", person())
    (file,) = batch.files
    return file


def times_asked(old_server: StandIn) -> int:
    return old_server.paths().count("/files/1")


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("other", [SOUND[:-1], SOUND[:2000], SOUND + b"more", b""])
def test_a_file_of_which_two_answers_end_at_other_bytes_is_not_whole(
    old_server: StandIn, other: bytes, offset: int
) -> None:
    """One of them is cut, and nothing else says so: the file is an outage, which the host retries or calls a gap."""
    answers(old_server, "/files", SOUND, other)

    with pytest.raises(SourceUnavailable, match=r"^notes/1: two answers end at other bytes, and none says where"):
        list(file_of(old_server).open(offset))


def test_a_file_that_is_cut_once_is_read_on(old_server: StandIn) -> None:
    """The first answer lost its end: the host reads on behind the bytes that it has, and gets the whole file."""
    answers(old_server, "/files", SOUND[:2000], SOUND)
    file, content = file_of(old_server), list[bytes]()

    with pytest.raises(SourceUnavailable):
        content.extend(file.open(0))
    content.extend(file.open(len(b"".join(content))))
    assert b"".join(content) == SOUND


@pytest.mark.parametrize(
    ("stated", "asked"), [({}, 2), ({"bytes": "many"}, 2), ({"bytes": 3072}, 1), ({"sha256": "0" * 64}, 1)]
)
def test_a_file_is_read_twice_only_where_nothing_says_where_it_ends(
    old_server: StandIn, stated: dict[str, object], asked: int
) -> None:
    """The size or hash of the item is compared with the file by the host: one reading is enough."""
    answers(old_server, "/files", SOUND)

    assert b"".join(file_of(old_server, **stated).open(0)) == SOUND
    assert times_asked(old_server) == asked


def test_a_file_with_its_length_is_read_once(old_server: StandIn) -> None:
    """Its answer says where it ends: a shorter one is a broken connection."""
    old_server.on("/files/1")(lambda _asked: (200, {}, SOUND))

    assert b"".join(file_of(old_server).open(0)) == SOUND
    assert times_asked(old_server) == 1


@pytest.mark.parametrize("length", range(len(PAGE)))
def test_a_page_that_is_cut_is_asked_for_again(old_server: StandIn, length: int) -> None:
    """Wherever the connection broke: without the length of the answer it is a fault of the network, not of the form."""
    answers(old_server, "/notes", PAGE[:length], PAGE)

    assert ids_of(records_of(open_source(NOTES, old_server.url), "notes", person())) == ["1", "2"]


def test_a_page_that_stays_cut_is_an_outage(old_server: StandIn) -> None:
    """It may pass, so `retry --gaps` reads the list again; a page to sign in is refused at once."""
    answers(old_server, "/notes", PAGE[:20])
    with pytest.raises(SourceUnavailable, match=r"^notes: .*the connection ended within the answer"):
        batches_of(open_source(NOTES, old_server.url), "notes", person())

    answers(old_server, "/notes", b"<html>Sign in")
    with pytest.raises(SourceRefused, match=r"^notes: the answer is not JSON$"):
        batches_of(open_source(NOTES, old_server.url), "notes", person())


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_answer_without_a_byte_is_cut(old_server: StandIn, encoding: str) -> None:
    """What is compressed has some bytes at least: only a stated length of 0 means an empty file."""
    answers(old_server, "/files", b"", head=f"Content-Encoding: {encoding}")
    with pytest.raises(SourceUnavailable, match=r"^notes/1: .*the connection ended within the answer"):
        list(file_of(old_server).open(0))

    answers(old_server, "/files", b"", head=f"Content-Encoding: {encoding}\r\nContent-Length: 0")
    assert list(file_of(old_server).open(0)) == []


def _peak_bytes(read: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_fills_no_memory(old_server: StandIn) -> None:
    """60 kB of gzip are 60 MB of zeros: they are unpacked piece by piece, up to the bound of an answer."""
    packed = gzip.compress(bytes(60_000_000))
    answers(old_server, "/notes", packed, head=f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}")
    exporter = open_source(NOTES + "[limits]\npage_bytes = 1000000\n", old_server.url)

    def read() -> None:
        with pytest.raises(SourceRefused, match="the answer is larger than 1000000 bytes"):
            batches_of(exporter, "notes", person())

    assert _peak_bytes(read) < 10_000_000


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 20) + 100, 3 << 20])
@pytest.mark.parametrize(("encoding", "window"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
def test_a_compressed_file_of_any_size_is_whole(old_server: StandIn, encoding: str, window: int, size: int) -> None:
    """Sizes around a piece: the last byte of the packed file may be read before the last of the file is made."""
    packed = zlib.compress(bytes(size), wbits=window)
    answers(old_server, "/files", packed, head=f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}")

    assert b"".join(file_of(old_server).open(0)) == bytes(size)


def test_a_page_without_its_length_is_read(old_server: StandIn) -> None:
    """HTTP/1.0 ends an answer with its connection: whole JSON shows that it is whole."""
    answers(old_server, "/notes", PAGE)

    assert ids_of(records_of(open_source(NOTES, old_server.url), "notes", person())) == ["1", "2"]
    assert len(old_server.asked) == 1
