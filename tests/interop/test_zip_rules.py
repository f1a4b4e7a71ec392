"""Windows Explorer and macOS Archive Utility by their rules; and that the linter finds what breaks them."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from judges.cases import Archive
from judges.zip_rules import breaches
from judges.zip_structure import END, ZIP64_END, ZIP64_LOCATOR

Bytes: TypeAlias = Callable[[], bytes]
MOMENT = (2026, 11, 24, 8, 30, 0)


def test_no_volume_breaks_a_rule(archive: Archive) -> None:
    """What Explorer, Archive Utility and streaming readers are known to stumble over is in no volume."""
    assert [breach for volume in archive.volumes for breach in breaches(volume)] == []


class _Pipe(io.RawIOBase):
    """What cannot be written to twice, so that zipfile streams."""

    def __init__(self) -> None:
        self.written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(data)  # type: ignore[call-overload]  # whatever has a buffer
        self.written += block
        return len(block)


def streamed(*names: str, method: int = zipfile.ZIP_DEFLATED, zip64: bool = False, **changes: object) -> bytes:
    """A ZIP with a small member for each name, written as a stream by the standard library."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name in names or ("a.txt",):
            info = zipfile.ZipInfo(name, MOMENT)
            info.compress_type, info.external_attr = method, 0o600 << 16
            for attribute, value in changes.items():
                setattr(info, attribute, value)
            with archive.open(info, "w", force_zip64=zip64) as member:
                member.write(b"hello\n" * 50)
    return bytes(pipe.written)


def overwritten(raw: bytes, offset: int, data: bytes) -> bytes:
    """The bytes with others at an offset, counted from the end where negative."""
    offset %= len(raw)
    return raw[:offset] + data + raw[offset + len(data) :]


def put_in_both_headers(raw: bytes, offset: int, data: bytes) -> bytes:
    """The same change of a one-entry ZIP at a field of the local header and of the directory's record."""
    return overwritten(overwritten(raw, offset, data), raw.index(b"PK\1\2") + offset + 2, data)


def without_descriptor_signature() -> bytes:
    """A descriptor of 12 bytes, and an end record that knows."""
    raw = streamed()
    at, directory = raw.index(b"PK\7\x08"), raw.index(b"PK\1\2")
    return overwritten(raw[:at] + raw[at + 4 :], -6, struct.pack("<L", directory - 4))


def behind_other_bytes() -> bytes:
    """A ZIP in the end of another file, as programs that unpack themselves have it."""
    file = io.BytesIO(b"MZ")
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.txt", MOMENT), b"hello\n" * 50, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def with_zip64_end() -> bytes:
    """The records for large ZIPs in a small one."""
    raw = streamed()
    *_, count, size, offset, _ = END.unpack(raw[-END.size :])
    end = len(raw) - END.size
    record = ZIP64_END.pack(b"PK\6\6", ZIP64_END.size - 12, 45, 45, 0, 0, count, count, size, offset)
    return raw[:end] + record + ZIP64_LOCATOR.pack(b"PK\6\7", 0, end, 1) + raw[end:]


BROKEN: dict[str, tuple[Bytes, set[str]]] = {
    "stored as a stream": (lambda: streamed(method=zipfile.ZIP_STORED), {"method_is_deflate"}),
    "bzip2": (lambda: streamed(method=zipfile.ZIP_BZIP2), {"method_is_deflate", "version_is_of_deflate"}),
    "small member with ZIP64": (
        lambda: streamed(zip64=True),
        {
            "no_zip64_in_the_local_header",
            "local_sizes_are_honest",
            "version_is_of_deflate",
            "descriptor_has_signature",
            "entries_lie_side_by_side",
        },
    ),
    "encrypted": (
        lambda: put_in_both_headers(streamed(), 6, struct.pack("<H", 9)),
        {"no_encryption", "flags_are_known"},
    ),
    "name of another code page": (
        lambda: put_in_both_headers(streamed("a\u00e9.txt"), 6, struct.pack("<H", 8)),
        {"name_says_its_encoding", "name_is_portable"},
    ),
    "descriptor without signature": (
        without_descriptor_signature,
        {"descriptor_has_signature", "entries_lie_side_by_side"},
    ),
    "headers that differ": (lambda: overwritten(streamed(), 30, b"b"), {"headers_agree"}),
    "up": (lambda: streamed("../a.txt"), {"name_is_portable"}),
    "absolute": (lambda: streamed("/a.txt"), {"name_is_portable"}),
    "backslash": (lambda: streamed("a\\b.txt"), {"name_is_portable"}),
    "reserved": (lambda: streamed("x/con.txt"), {"name_is_portable"}),
    "trailing dot": (lambda: streamed("a."), {"name_is_portable"}),
    "too long": (lambda: streamed("a" * 201), {"name_is_portable"}),
    "not ASCII": (lambda: streamed("\N{SPEAKER}.wav"), {"name_is_portable"}),
    "a link": (lambda: streamed(external_attr=(stat.S_IFLNK | 0o777) << 16), {"file_is_readable"}),
    "without a right to read": (lambda: streamed(external_attr=0o200 << 16), {"file_is_readable"}),
    "no date": (lambda: streamed(date_time=(1980, 0, 0, 0, 0, 0)), {"time_is_a_time"}),
    "comment of an entry": (lambda: streamed(comment=b"psst"), {"no_entry_comment"}),
    "extra field": (
        lambda: streamed(extra=b"UT\1\0\0"),
        {"no_zip64_in_the_local_header", "directory_extra_is_zip64_at_most"},
    ),
    "bytes before the first entry": (behind_other_bytes, {"entries_lie_side_by_side"}),
    "twins": (lambda: streamed("a.txt", "A.txt"), {"names_are_unique_ignoring_case"}),
    "a file that is a folder": (lambda: streamed("a", "a-b", "a/b"), {"no_file_is_also_a_folder"}),
    "two disks": (lambda: overwritten(streamed(), -18, b"\1"), {"one_disk"}),
    "a comment": (lambda: overwritten(streamed(), -2, b"\4\0") + b"psst", {"no_archive_comment"}),
    "wrong count": (lambda: overwritten(streamed(), -12, b"\2"), {"count_is_right"}),
    "ZIP64 end record": (with_zip64_end, {"zip64_only_where_needed"}),
}


def test_a_plain_streamed_zip_breaks_no_rule(tmp_path: Path) -> None:
    """The broken files below are made from it, so each breaks its rules by its change alone."""
    path = tmp_path / "plain.zip"
    path.write_bytes(streamed("a.txt", "b/c.txt"))

    assert breaches(path) == []


@pytest.mark.parametrize(("broken", "rules"), BROKEN.values(), ids=BROKEN)
def test_what_other_programs_refuse_breaks_its_rule(tmp_path: Path, broken: Bytes, rules: set[str]) -> None:
    """Each rule finds what it is there for, and only that."""
    path = tmp_path / "broken.zip"
    path.write_bytes(broken())

    assert {breach.rule for breach in breaches(path)} == rules
