"""The only way in which portability/1 writes a ZIP: what ends a volume, byte for byte.

The signature holds the hash of all bytes before its own entry (`head_sha256`). What comes after, its entry, the
directory and the end records, follows from what is known by then; it is written down here and compared. So no byte
of a volume can change without a fault, not even one that unpacks to the same files.
"""

from __future__ import annotations

from collections.abc import Sequence

from archive.verify.zip_entries import (
    CENTRAL,
    CENTRAL_SIGNATURE,
    DEFLATED,
    DESCRIPTOR,
    DESCRIPTOR_SIGNATURE,
    END,
    END64,
    END_SIGNATURE,
    HAS_DESCRIPTOR,
    LOCAL,
    LOCAL_SIGNATURE,
    LOCATOR,
    LOCATOR_SIGNATURE,
    OFFSET_IN_EXTRA,
    ZIP64_OFFSET,
    ZipEntry,
)

_UNIX, _VERSION, _VERSION_64 = 3 << 8, 20, 45
_OWNER_ONLY = 0o600 << 16
_LIMIT_16, _LIMIT_31 = 0xFFFF, (1 << 31) - 1


def tail(entries: Sequence[ZipEntry], token: bytes) -> bytes:
    """Return all bytes of a volume from the local header of its last entry, the signature, to the end of the file."""
    signature = entries[-1]
    name = signature.name.encode("latin-1")
    local = LOCAL.pack(
        LOCAL_SIGNATURE, _VERSION, HAS_DESCRIPTOR, DEFLATED, *signature.stamp, 0, 0, 0, len(name), 0
    )  # fmt: skip
    descriptor = DESCRIPTOR.pack(DESCRIPTOR_SIGNATURE, signature.crc, signature.packed_bytes, signature.bytes)
    head = local + name + _stored_block(token) + descriptor
    directory = b"".join(map(_record, entries))
    return head + directory + _end(len(entries), len(directory), signature.offset + len(head))


def _stored_block(data: bytes) -> bytes:
    """Make a deflate stream of one block that is not compressed (RFC 1951 section 3.2.4)."""
    size = len(data) & _LIMIT_16
    return b"\x01" + size.to_bytes(2, "little") + (size ^ _LIMIT_16).to_bytes(2, "little") + data


def _record(entry: ZipEntry) -> bytes:
    name = entry.name.encode("latin-1")
    is_far = entry.offset > _LIMIT_31
    version = _VERSION_64 if is_far else _VERSION
    extra = ZIP64_OFFSET.pack(1, 8, entry.offset) if is_far else b""
    fixed = CENTRAL.pack(
        CENTRAL_SIGNATURE,
        _UNIX | version,
        version,
        HAS_DESCRIPTOR,
        DEFLATED,
        *entry.stamp,
        entry.crc,
        entry.packed_bytes,
        entry.bytes,
        len(name),
        len(extra),
        0,
        0,
        0,
        _OWNER_ONLY,
        OFFSET_IN_EXTRA if is_far else entry.offset,
    )
    return fixed + name + extra


def _end(count: int, directory_bytes: int, offset: int) -> bytes:
    """Make the end record, with its ZIP64 companions where a number is too large for it."""
    zip64 = b""
    if count >= _LIMIT_16 or offset > _LIMIT_31:
        zip64 = END64.pack(
            b"PK\x06\x06", 44, _VERSION_64, _VERSION_64, 0, 0, count, count, directory_bytes, offset
        )  # fmt: skip
        zip64 += LOCATOR.pack(LOCATOR_SIGNATURE, 0, offset + directory_bytes, 1)
    count, offset = min(count, _LIMIT_16), min(offset, OFFSET_IN_EXTRA)
    return zip64 + END.pack(END_SIGNATURE, 0, 0, count, count, directory_bytes, offset, 0)
