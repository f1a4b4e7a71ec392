"""A ZIP taken apart, as it stands there; shares nothing with the reader of `portability verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO, NamedTuple

# APPNOTE 6.3.10, sections 4.3.7, 4.3.9, 4.3.12, 4.3.14, 4.3.15 and 4.3.16
LOCAL = Struct("<4s5H3L2H")
DESCRIPTOR = Struct("<4s3L")
CENTRAL = Struct("<4s6H3L5H2L")
ZIP64_END = Struct("<4sQ2H2L4Q")
ZIP64_LOCATOR = Struct("<4sLQL")
END = Struct("<4s4H2LH")
COMMENT_BYTES = 0xFFFF
IN_EXTRA = 0xFFFFFFFF
DESCRIBED = 1 << 3


@dataclass(frozen=True, slots=True)
class Header:
    """What a local header and a directory record have in common."""

    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    name: bytes
    extra: bytes

    @property
    def extra_ids(self) -> list[int]:
        """Of the extra fields, in order (4.5.1)."""
        ids, at = [], 0
        while at + 4 <= len(self.extra):
            ids.append(int.from_bytes(self.extra[at : at + 2], "little"))
            at += 4 + int.from_bytes(self.extra[at + 2 : at + 4], "little")
        return ids


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: both its headers, where it and its data begin, and the bytes after its data."""

    central: Header
    local: Header
    offset: int
    data_at: int
    made_by: int
    attributes: int
    comment: bytes
    tail: bytes
    """As many as a descriptor has."""

    @property
    def name(self) -> str:
        return self.central.name.decode("utf-8", "backslashreplace")

    @property
    def end(self) -> int:
        """Where the next thing begins, if the sizes have 32 bits."""
        return self.data_at + self.central.packed + (DESCRIPTOR.size if self.central.flags & DESCRIBED else 0)


@dataclass(frozen=True, slots=True)
class Zip:
    """A whole ZIP; `count` is the number that the end record tells."""

    entries: Sequence[Entry]
    directory_at: int
    count: int
    has_zip64: bool
    comment_bytes: int
    disks: frozenset[int]


def read(file: BinaryIO) -> Zip:
    """Take a ZIP apart. Raises ValueError and struct.error if it is not a ZIP."""
    file_bytes = file.seek(0, os.SEEK_END)
    tail_at = max(0, file_bytes - COMMENT_BYTES - END.size - ZIP64_LOCATOR.size)
    file.seek(tail_at)
    tail = file.read()
    end_at = tail.rindex(b"PK\x05\x06")
    _, disk, directory_disk, _, count, directory_bytes, directory_at, comment_bytes = END.unpack_from(tail, end_at)
    locator = tail[max(0, end_at - ZIP64_LOCATOR.size) : end_at]
    has_zip64 = locator.startswith(b"PK\x06\x07")
    if has_zip64:
        file.seek(ZIP64_LOCATOR.unpack(locator)[2])
        *_, count, directory_bytes, directory_at = ZIP64_END.unpack(file.read(ZIP64_END.size))
    file.seek(directory_at)
    directory = file.read(directory_bytes)
    records = list(_records(directory))
    entries = [_entry(file, record) for record in records]
    disks = frozenset({disk, directory_disk, *(record.disk for record in records)})
    return Zip(entries, directory_at, count, has_zip64, comment_bytes, disks)


class _Record(NamedTuple):
    """Of the directory."""

    header: Header
    disk: int
    made_by: int
    attributes: int
    offset: int
    comment: bytes


def _records(directory: bytes) -> Iterator[_Record]:
    at = 0
    while at < len(directory):
        _, made_by, *common, name_bytes, extra_bytes, comment_bytes, disk, _, attributes, offset = CENTRAL.unpack_from(
            directory, at
        )
        at += CENTRAL.size
        name, at = directory[at : at + name_bytes], at + name_bytes
        extra, at = directory[at : at + extra_bytes], at + extra_bytes
        comment, at = directory[at : at + comment_bytes], at + comment_bytes
        if offset == IN_EXTRA:
            # The offset is the last of what the ZIP64 field holds here (4.5.3).
            offset = int.from_bytes(extra[-8:], "little")
        yield _Record(_header(common, name, extra), disk, made_by, attributes, offset, comment)


def _entry(file: BinaryIO, record: _Record) -> Entry:
    file.seek(record.offset)
    _, *common, name_bytes, extra_bytes = LOCAL.unpack(file.read(LOCAL.size))
    local = _header(common, file.read(name_bytes), file.read(extra_bytes))
    data_at = file.tell()
    file.seek(data_at + record.header.packed)
    return Entry(
        central=record.header,
        local=local,
        offset=record.offset,
        data_at=data_at,
        made_by=record.made_by,
        attributes=record.attributes,
        comment=record.comment,
        tail=file.read(DESCRIPTOR.size),
    )


def _header(common: Sequence[int], name: bytes, extra: bytes) -> Header:
    needed, flags, method, time, date, crc, packed, size = common
    return Header(needed, flags, method, time, date, crc, packed, size, name, extra)
