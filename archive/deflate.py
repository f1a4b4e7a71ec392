"""Deflate and CRC-32 by isal where it works on this machine, by zlib elsewhere, and zipstream-ng made to use them.

isal level 1 is four times as fast as zlib level 1 and packs a little better (bench/). It is accelerated by hand-written
assembly for each processor, so it proves itself once at start-up before it is trusted.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Protocol
from zipfile import ZIP_DEFLATED

from zipstream import ZipStream, ng

FAST_LEVEL = 1
SOUND_LEVEL = 3
"""For media that shrink, as uncompressed sound does: isal leaves a tenth less of it than at level 1."""
STORED_LEVEL = 0
"""Stored blocks inside a deflate stream: for what does not shrink. ZIP's own STORED cannot be streamed to Java."""
PACKED_MEDIA = (
    *("audio/", "video/", "image/", "application/zip", "application/gzip", "application/vnd.apache.parquet"),
    "application/vnd.openxmlformats-officedocument.",
)
"""How media types begin that are usually compressed already."""
LEVELS = (FAST_LEVEL, SOUND_LEVEL)
"""Levels that compress."""
SAMPLE_BYTES = 1 << 16
SHRINKS_TO = 0.9
"""A sample that keeps a larger share of its bytes is not worth packing."""


class Compressor(Protocol):
    """One raw deflate stream being written."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Inflater(Protocol):
    """One raw deflate stream being read."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _packed(packer: Compressor, blocks: Sequence[bytes]) -> bytes:
    return b"".join([*(packer.compress(block) for block in blocks), packer.flush()])


def works(codec: ModuleType) -> bool:
    """Whether a zlib-like module writes what zlib reads, reads what zlib writes, and agrees on the CRC-32."""
    sample = [bytes(range(256)) * 300, b"", b"a" * 70_000, b'{"id": 1}\n' * 9_000]
    whole = b"".join(sample)
    try:
        packed = [_packed(codec.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS), sample) for level in LEVELS]
        crc = 0
        for block in sample:
            crc = codec.crc32(block, crc)
        reader, writer = codec.decompressobj(-zlib.MAX_WBITS), zlib.compressobj(wbits=-zlib.MAX_WBITS)
        back = reader.decompress(writer.compress(whole) + writer.flush())
        unpacked = [zlib.decompress(stream, -zlib.MAX_WBITS) for stream in packed]
        return unpacked == [whole] * len(LEVELS) and back == whole and crc == zlib.crc32(whole)
    except Exception:  # noqa: BLE001 - whatever a broken build raises, zlib takes over
        return False


def best_codec() -> ModuleType:
    """Choose the module: isal where a working build for this processor is installed, else zlib."""
    try:
        module = import_module("isal.isal_zlib")
    except ImportError:
        return zlib
    return module if works(module) else zlib


codec = best_codec()
INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, codec.error, ValueError, OverflowError)
"""Errors of an inflater for data that is not deflated."""


def compressor(level: int) -> Compressor:
    """A raw deflate stream to write; level 0 stores."""
    if level == STORED_LEVEL:
        return zlib.compressobj(STORED_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packer: Compressor = codec.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer


def is_packed(media_type: str) -> bool:
    """Whether files of a media type are usually compressed already: their beginning then decides about the level."""
    return media_type.startswith(PACKED_MEDIA)


def media_level(beginning: bytes) -> int:
    """Return the level for a recording or picture by its first bytes: most formats are compressed already."""
    sample = beginning[:SAMPLE_BYTES]
    shrinks = len(_packed(compressor(FAST_LEVEL), [sample])) < SHRINKS_TO * len(sample)
    return SOUND_LEVEL if shrinks else STORED_LEVEL


def inflater() -> Inflater:
    """A raw deflate stream to read."""
    reader: Inflater = codec.decompressobj(-zlib.MAX_WBITS)
    return reader


def crc32(data: bytes, value: int = 0) -> int:
    """CRC-32 as ZIP has it (APPNOTE 4.4.7), continued from `value`."""
    return int(codec.crc32(data, value))


def new_zip() -> ZipStream:
    """A ZIP to stream, of deflated members."""
    return ZipStream(compress_type=ZIP_DEFLATED, compress_level=FAST_LEVEL)


def _zipstream_compressor(_method: int, level: int | None = None) -> Compressor:
    return compressor(FAST_LEVEL if level is None else level)


# zipstream-ng takes compressor and CRC from module globals and has no parameter for them. Should a later version name
# them otherwise, they are simply not found there and it goes on with zlib.
vars(ng).update(_get_compressor=_zipstream_compressor, crc32=crc32)

# It also warns of each member that is smaller than its `size=`, which is an upper bound here. A level, not a filter: to
# make a log record that is not read takes as long as to deflate a small member.
logging.getLogger(ng.__name__).setLevel(logging.ERROR)
