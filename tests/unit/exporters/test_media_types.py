from __future__ import annotations

import pytest

from exporters.maps.media_types import ALIASES, EXTENSIONS, OPAQUE, file_name, known_type, type_of_bytes
from exporters.sql.files import StatedFile, find
from portability.api import File
from portability.testing import MemoryFiles

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
MACROS = (
    "application/vnd.ms-excel.sheet.macroEnabled.12",
    "application/vnd.ms-word.document.macroEnabled.12",
    "application/msword",
    "application/vnd.ms-excel",
    "text/html",
    "image/svg+xml",
    "application/javascript",
)


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        ("audio/ogg; codecs=opus", "audio/ogg"),
        ("audio/vnd.wave", "audio/wav"),
        ("audio/mp3", "audio/mpeg"),
        ("AUDIO/WAV", "audio/wav"),
        (" Image/JPG ;q=1", "image/jpeg"),
        ("audio/amr", "audio/amr"),
        (None, OPAQUE),
        ("", OPAQUE),
        (7, OPAQUE),
        ("audio", OPAQUE),
        *((stated, OPAQUE) for stated in MACROS),
    ],
)
def test_types_are_known_in_every_spelling(stated: object, known: str) -> None:
    """Parameters, aliases and case do not matter; what may contain programs is never known."""
    assert known_type(stated) == known


def test_every_alias_is_of_a_known_type() -> None:
    """An alias gives a type with an extension, and has no extension itself."""
    assert set(ALIASES.values()) <= set(EXTENSIONS)
    assert not set(ALIASES) & set(EXTENSIONS)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (WAV, "x.wav"),
        (b"OggS\x00\x02", "x.ogg"),
        (b"ID3\x04", "x.mp3"),
        (b"\xff\xfb\x90", "x.mp3"),
        (b"\x00\x00\x00\x20ftypM4A ", "x.m4a"),
        (b"\x89PNG\r\n\x1a\n", "x.png"),
        (b"\xff\xd8\xff\xe0", "x.jpg"),
        (b"%PDF-1.7", "x.pdf"),
        (b"PK\x03\x04", "x.bin"),
        (b"<html>", "x.bin"),
        (b"", "x.bin"),
    ],
)
def test_the_first_bytes_show_the_type(beginning: bytes, name: str) -> None:
    """Recordings, pictures and PDF are recognised; a ZIP may be a document with macros, and a page may run."""
    assert file_name("x", type_of_bytes(beginning)) == name


@pytest.mark.parametrize(
    ("stated", "content", "name"),
    [
        (None, WAV, "rec_1.wav"),
        ("application/octet-stream", WAV, "rec_1.wav"),
        ("audio/ogg; codecs=opus", WAV, "rec_1.ogg"),
        ("text/html", WAV, "rec_1.bin"),
        (None, b"<script>", "rec_1.bin"),
        (None, b"", "rec_1.bin"),
    ],
)
def test_a_row_without_a_type_gets_the_type_of_its_bytes(stated: str | None, content: bytes, name: str) -> None:
    """A stated type counts; the bytes are looked at only where the row states none."""
    found = find(MemoryFiles({"key": content}), StatedFile("recordings/rec_1", "rec_1", "key", stated, None, None))
    assert isinstance(found, File)
    assert found.name == name
    assert b"".join(found.open(0)) == content
