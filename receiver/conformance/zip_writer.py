"""Writes ZIPs byte by byte, as portability/1 says it and with any fault: libraries refuse to write most faults.

The data is in blocks of deflate that are not compressed, or in runs of one byte: other compressors give other bytes
on other machines, and a test vector has the same bytes everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from archive.verify.zip_entries import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    DESCRIPTOR,
    DESCRIPTOR_SIGNATURE,
    END,
    END_SIGNATURE,
    HAS_DESCRIPTOR,
    LOCAL,
    LOCAL_SIGNATURE,
)

STAMP = (0x43C0, 0x5D78)
"""24 November 2026, 08:30."""
BLOCK_BYTES = 0xFFFF
UNIX, VERSION = 3 << 8, 20
RUN_BYTES = 258
"""The longest match of deflate (RFC 1951 section 3.2.5)."""


@dataclass(frozen=True, slots=True)
class ZipMember:
    """One entry. What is None follows from the content."""

    name: bytes
    body: bytes
    packed: bytes | None = None
    """The compressed data; None: blocks that are not compressed."""
    size: int | None = None
    """The declared size."""
    crc: int | None = None
    flags: int = HAS_DESCRIPTOR
    method: int = DEFLATED
    mode: int = 0o600
    listed_name: bytes | None = None
    """The name in the directory, if it is another."""
    described_size: int | None = None
    """The size in the data descriptor, if it is another."""
    extra: bytes = b""
    """The extra field in the directory."""
    is_listed: bool = True
    """Whether the directory lists it."""
    before: bytes = b""
    """Bytes before it that belong to no entry."""


@dataclass(frozen=True, slots=True)
class PlacedMember:
    """An entry and where it is."""

    member: ZipMember
    offset: int
    packed_bytes: int
    crc: int


def blocks(body: bytes) -> bytes:
    """Return a deflate stream of blocks that are not compressed (RFC 1951 section 3.2.4)."""
    parts = [body[begin : begin + BLOCK_BYTES] for begin in range(0, len(body), BLOCK_BYTES)] or [b""]
    return b"".join(
        bytes([number == len(parts) - 1])
        + len(part).to_bytes(2, "little")
        + (len(part) ^ BLOCK_BYTES).to_bytes(2, "little")
        + part
        for number, part in enumerate(parts)
    )


def run(byte: int, runs: int) -> tuple[bytes, bytes]:
    """Return a byte and `runs` times 258 copies of it, with its deflate stream of fixed codes (section 3.2.6).

    `byte` is below 144, whose code has 8 bits.
    """
    # A code begins with its highest bit, and each byte of the stream is filled from its lowest.
    bits = "110" + f"{0x30 + byte:08b}" + (f"{0b11000101:08b}" + "00000") * runs + "0000000"
    bits += "0" * (-len(bits) % 8)
    packed = bytes(int(bits[begin : begin + 8][::-1], 2) for begin in range(0, len(bits), 8))
    return bytes([byte]) * (1 + RUN_BYTES * runs), packed


def entries(members: Sequence[ZipMember], begin: int = 0) -> tuple[bytes, list[PlacedMember]]:
    """Return local headers, data and descriptors, and where each entry is."""
    written, placed = bytearray(), []
    for member in members:
        written += member.before
        data = blocks(member.body) if member.packed is None else member.packed
        crc = zlib.crc32(member.body) if member.crc is None else member.crc
        placed.append(PlacedMember(member, begin + len(written), len(data), crc))
        names = (len(member.name), 0)
        written += LOCAL.pack(LOCAL_SIGNATURE, VERSION, member.flags, member.method, *STAMP, 0, 0, 0, *names)
        size = _size(member) if member.described_size is None else member.described_size
        written += member.name + data + DESCRIPTOR.pack(DESCRIPTOR_SIGNATURE, crc, len(data), size)
    return bytes(written), placed


def directory(placed: Sequence[PlacedMember]) -> bytes:
    """Return the central directory."""
    return b"".join(_record(one) for one in placed if one.member.is_listed)


def end(placed: Sequence[PlacedMember], directory_bytes: int, offset: int, *, count: int | None = None) -> bytes:
    """Return the end record; `count`: the number of entries, if it is another."""
    number = sum(one.member.is_listed for one in placed) if count is None else count
    return END.pack(END_SIGNATURE, 0, 0, number, number, directory_bytes, offset, 0)


def written_zip(members: Sequence[ZipMember]) -> bytes:
    """Return a whole ZIP."""
    head, placed = entries(members)
    listed = directory(placed)
    return head + listed + end(placed, len(listed), len(head))


def _record(one: PlacedMember) -> bytes:
    member = one.member
    name = member.name if member.listed_name is None else member.listed_name
    sizes = (one.crc, one.packed_bytes, _size(member))
    # portability/1 writes no type of file, only permissions; a fault states a type.
    lengths = (len(name), len(member.extra), 0, 0, 0, member.mode << 16, one.offset)
    fixed = (UNIX | VERSION, VERSION, member.flags, member.method, *STAMP, *sizes, *lengths)
    return CENTRAL.pack(CENTRAL_SIGNATURE, *fixed) + name + member.extra


def _size(member: ZipMember) -> int:
    return len(member.body) if member.size is None else member.size
