"""Reads untrusted ZIPs: directory, local headers and data must agree (APPNOTE 6.3.10).

Forgiving in what it can read, so that the manifests can name what changed in a ZIP that was packed again; strict
in that nothing may hide: no byte between entries, no entry in one place only, no size or CRC believed.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from struct import Struct
from typing import BinaryIO

from archive.deflate import INFLATE_ERRORS, crc32, inflater
from archive.verify.faults import FaultCode, ZipFault

BLOCK_BYTES = 1 << 20
DIRECTORY_BYTES = 1 << 26
"""Maximum size of a directory, which is read into memory."""
ENTRIES = 1 << 18
"""Maximum number of entries: each takes some hundred bytes of memory. Settings allow fewer."""

LOCAL = Struct("<4s5H3L2H")  # section 4.3.7
DESCRIPTOR = Struct("<4s3L")  # 4.3.9
CENTRAL = Struct("<4s6H3L5H2L")  # 4.3.12
ZIP64_OFFSET = Struct("<2HQ")  # 4.5.3
END64 = Struct("<4sQ2H2L4Q")  # 4.3.14
LOCATOR = Struct("<4sLQL")  # 4.3.15
END = Struct("<4s4H2LH")  # 4.3.16
LOCAL_SIGNATURE = b"PK\x03\x04"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
CENTRAL_SIGNATURE = b"PK\x01\x02"
LOCATOR_SIGNATURE = b"PK\x06\x07"
END_SIGNATURE = b"PK\x05\x06"
HAS_DESCRIPTOR = 1 << 3
STORED, DEFLATED = 0, 8
OFFSET_IN_EXTRA = 0xFFFFFFFF
_COMMENT_BYTES = 0xFFFF


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry as the directory has it; sizes and offset in bytes, `stamp` its time and date (section 4.4.6)."""

    name: str
    flags: int
    method: int
    stamp: tuple[int, int]
    crc: int
    packed_bytes: int
    bytes: int
    offset: int


@dataclass(frozen=True, slots=True)
class CentralDirectory:
    """All entries in the order of the directory, which begins at `offset` of a file of `size` bytes."""

    entries: tuple[ZipEntry, ...]
    offset: int
    size: int

    @property
    def root(self) -> str:
        """Return the folder that all entries should be in: the folder of most entries."""
        folders = Counter(entry.name.partition("/")[0] for entry in self.entries)
        return folders.most_common(1)[0][0] if folders else ""

    @property
    def files(self) -> list[ZipEntry]:
        """Return the entries without those that other programs add for the folders of files."""
        names = sorted(entry.name for entry in self.entries)
        return [entry for entry in self.entries if entry.bytes or not _is_folder(entry.name, names)]


def _is_folder(name: str, names: Sequence[str]) -> bool:
    """Return whether an entry is the folder of another entry; `names` are those of all entries, sorted."""
    after = bisect_right(names, name)
    return name.endswith("/") and after < len(names) and names[after].startswith(name)


class Tape:
    """A file read once, from a byte to its end, and hashed on the way; `progress` gets the bytes read."""

    def __init__(self, file: BinaryIO, position: int = 0, progress: Callable[[int], object] = lambda _: None) -> None:
        self.position = position
        self._file = file
        self._progress = progress
        self._sha256 = hashlib.sha256()
        file.seek(position)

    def take(self, size: int) -> bytes:
        """Read the next bytes. Raises ZipFault where the file ends before."""
        data = self._file.read(size)
        self.position += len(data)
        self._sha256.update(data)
        self._progress(len(data))
        if len(data) < size:
            raise ZipFault(FaultCode.TRUNCATED_ZIP, f"the file ends at byte {self.position}")
        return data

    def skip_to(self, offset: int) -> None:
        """Read on to an offset; an offset that was passed already changes nothing."""
        while self.position < offset:
            self.take(min(BLOCK_BYTES, offset - self.position))

    def sha256(self) -> str:
        """Return the hash of all bytes up to here."""
        return self._sha256.copy().hexdigest()


def read_directory(file: BinaryIO) -> CentralDirectory:
    """Read the directory of a ZIP. Raises ZipFault where it is missing, or is not where the end record says."""
    size = file.seek(0, os.SEEK_END)
    count, directory_bytes, offset, end = _end(file, size)
    if (excess := offset + directory_bytes - end) > 0:
        raise ZipFault(FaultCode.TRUNCATED_ZIP, f"{excess} bytes are missing")
    if excess < 0:
        raise ZipFault(FaultCode.STRAY_BYTES, f"{-excess} bytes belong to no entry")
    if directory_bytes > DIRECTORY_BYTES:
        raise ZipFault(FaultCode.TOO_LARGE, f"the directory has {directory_bytes} bytes")
    if count > ENTRIES:
        raise ZipFault(FaultCode.TOO_LARGE, f"it claims {count} entries")
    file.seek(offset)
    entries = tuple(islice(_entries(file.read(directory_bytes)), count + 1))
    if len(entries) != count:
        more_or_less = "more" if len(entries) > count else "fewer"
        raise ZipFault(
            FaultCode.HEADER_MISMATCH, f"the directory has {more_or_less} entries than the {count} of the end record"
        )
    if any(one.offset >= next_one.offset for one, next_one in pairwise(entries)):
        raise ZipFault(FaultCode.HEADER_MISMATCH, "the directory is not in the order of the entries")
    return CentralDirectory(entries, offset, size)


def skip_gap(tape: Tape, offset: int) -> ZipFault | None:
    """Read on to `offset`, where an entry or the directory begins; returns what lies before it and must not.

    Raises: ZipFault where that offset lies inside the entry before it.
    """
    begin = tape.position
    if begin > offset:
        raise ZipFault(FaultCode.HEADER_MISMATCH, f"two entries share the bytes from {offset} to {begin}")
    if begin == offset:
        return None
    found = tape.take(min(offset - begin, len(LOCAL_SIGNATURE)))
    tape.skip_to(offset)
    if found == LOCAL_SIGNATURE:
        return ZipFault(FaultCode.HIDDEN_ENTRY, f"the directory does not list the entry at byte {begin}")
    return ZipFault(FaultCode.STRAY_BYTES, f"{offset - begin} bytes at byte {begin} belong to no entry")


def read_entry(tape: Tape, entry: ZipEntry) -> Iterator[bytes]:
    """Yield the content of the entry at the tape's position, in blocks; memory stays bounded whatever it claims to be.

    Raises: ZipFault where headers and directory differ, or where the data is not what they say.
    """
    _check_local_header(tape, entry)
    end = tape.position + entry.packed_bytes
    size = crc = 0
    for block in _stored(tape, end) if entry.method == STORED else _inflated(tape, end):
        size, crc = size + len(block), crc32(block, crc)
        if size > entry.bytes:
            break
        yield block
    if (size, crc) != (entry.bytes, entry.crc):
        raise ZipFault(FaultCode.CHANGED, "its content has not the size and CRC that the directory gives")
    descriptor = DESCRIPTOR.pack(DESCRIPTOR_SIGNATURE, entry.crc, entry.packed_bytes, entry.bytes)
    if entry.flags & HAS_DESCRIPTOR and tape.take(len(descriptor)) != descriptor:
        raise ZipFault(FaultCode.HEADER_MISMATCH, "its data descriptor differs from the directory")


def _check_local_header(tape: Tape, entry: ZipEntry) -> None:
    signature, _, flags, method, time, date, crc, packed_bytes, size, name_bytes, extra_bytes = LOCAL.unpack(
        tape.take(LOCAL.size)
    )
    name = tape.take(name_bytes).decode("latin-1")
    tape.take(extra_bytes)
    sizes = (crc, packed_bytes, size)
    known = (entry.crc, entry.packed_bytes, entry.bytes)
    same = (signature, name, flags, method, (time, date)) == (
        LOCAL_SIGNATURE,
        entry.name,
        entry.flags,
        entry.method,
        entry.stamp,
    )
    if not same or (sizes != known and not (entry.flags & HAS_DESCRIPTOR and sizes == (0, 0, 0))):
        raise ZipFault(FaultCode.HEADER_MISMATCH, "its local header differs from the directory")
    if entry.method not in (STORED, DEFLATED):
        raise ZipFault(FaultCode.HEADER_MISMATCH, f"it is compressed by method {entry.method}")


def _stored(tape: Tape, end: int) -> Iterator[bytes]:
    while tape.position < end:
        yield tape.take(min(BLOCK_BYTES, end - tape.position))


def _inflated(tape: Tape, end: int) -> Iterator[bytes]:
    stream = inflater()
    damaged = ZipFault(FaultCode.CHANGED, "its compressed data is damaged")
    while not stream.eof:
        data = stream.unconsumed_tail or tape.take(min(BLOCK_BYTES, end - tape.position))
        try:
            block = stream.decompress(data, BLOCK_BYTES)
        except INFLATE_ERRORS:
            raise damaged from None
        if not block and not data:
            raise damaged
        yield block
    if stream.unused_data or tape.position != end:
        raise damaged


def _end(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """(number of entries, bytes of the directory, its offset, where it must end), from the end records."""
    tail_bytes = min(size, _COMMENT_BYTES + END.size)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(END_SIGNATURE)
    if at < 0 or at + END.size > len(tail):
        file.seek(0)
        is_zip = file.read(len(LOCAL_SIGNATURE)) == LOCAL_SIGNATURE
        raise ZipFault(FaultCode.TRUNCATED_ZIP if is_zip else FaultCode.NOT_A_ZIP, "it has no end record")
    if at + END.size < len(tail):
        raise ZipFault(FaultCode.STRAY_BYTES, f"{len(tail) - at - END.size} bytes follow the end record")
    end = size - END.size
    _, _, _, _, count, directory_bytes, offset, _ = END.unpack_from(tail, at)
    zip64_bytes = END64.size + LOCATOR.size
    if at >= zip64_bytes and tail.startswith(LOCATOR_SIGNATURE, at - LOCATOR.size):
        *_, count, directory_bytes, offset = END64.unpack_from(tail, at - zip64_bytes)
        end -= zip64_bytes
    return count, directory_bytes, offset, end


def _entries(directory: bytes) -> Iterator[ZipEntry]:
    at = 0
    while at < len(directory):
        entry, at = _entry(directory, at)
        yield entry


def _entry(directory: bytes, at: int) -> tuple[ZipEntry, int]:
    """Return the entry of the record at `at`, and where the next record begins."""
    if len(directory) - at < CENTRAL.size or not directory.startswith(CENTRAL_SIGNATURE, at):
        raise ZipFault(FaultCode.HEADER_MISMATCH, f"the directory has no record at its byte {at}")
    fields = CENTRAL.unpack_from(directory, at)
    flags, method, time, date, crc, packed_bytes, size, name_bytes, extra_bytes, comment_bytes = fields[3:13]
    name_at = at + CENTRAL.size
    extra_at = name_at + name_bytes
    end = extra_at + extra_bytes + comment_bytes
    if end > len(directory):
        raise ZipFault(FaultCode.HEADER_MISMATCH, f"the directory ends inside the record at its byte {at}")
    name = directory[name_at:extra_at].decode("latin-1")
    offset = fields[16]
    if offset == OFFSET_IN_EXTRA and extra_bytes == ZIP64_OFFSET.size:
        offset = ZIP64_OFFSET.unpack_from(directory, extra_at)[2]
    return ZipEntry(name, flags, method, (time, date), crc, packed_bytes, size, offset), end
