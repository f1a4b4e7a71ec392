"""A linter of the ZIP's structure: what Windows Explorer, macOS Archive Utility and strict readers are known to need.

Our machines cannot run those programs, so their rules are checked instead, each with its source. APPNOTE is PKWARE's
specification, version 6.3.10.
"""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from judges.zip_structure import DESCRIPTOR, Entry, Zip, read

ENCRYPTED, DESCRIBED, STRONGLY_ENCRYPTED, UTF8, MASKED = 1 << 0, 1 << 3, 1 << 6, 1 << 11, 1 << 13
DEFLATED = 8
ZIP64_EXTRA = 0x0001
ZIP64_OFFSET_BYTES = 12
UNIX, FOLDER_BIT = 3, 0x10
PATH_CHARS = 200
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


class Breach(NamedTuple):
    """A rule that is broken: its name, the entry or None for the whole ZIP, and what was seen."""

    rule: str
    entry: str | None
    seen: str


EntryRule: TypeAlias = Callable[[Entry], str | None]
ZipRule: TypeAlias = Callable[[Zip], str | None]


def breaches(path: Path) -> list[Breach]:
    """Every rule that a ZIP breaks."""
    with path.open("rb") as file:
        whole = read(file)
    of_entries = [
        Breach(rule.__name__, entry.name, seen)
        for entry in whole.entries
        for rule in ENTRY_RULES
        if (seen := rule(entry)) is not None
    ]
    of_all = [Breach(rule.__name__, None, seen) for rule in ZIP_RULES if (seen := rule(whole)) is not None]
    return of_entries + of_all


# --- Rules of one entry: None, or what is wrong ------------------------------------------------------------------


def method_is_deflate(entry: Entry) -> str | None:
    """Deflate is known to all: Explorer's code is of 2000 (devblogs.microsoft.com/oldnewthing/20180515-00).

    STORED with a descriptor cannot be streamed: "only DEFLATED entries can have EXT descriptor" in Java
    (actions/upload-artifact#675).
    """
    return None if entry.central.method == DEFLATED else f"method {entry.central.method}"


def version_is_of_deflate(entry: Entry) -> str | None:
    """2.0 is deflate, 4.5 is ZIP64 (APPNOTE 4.4.3.2); readers refuse an entry above what they know."""
    wanted = 45 if entry.central.extra_ids else 20
    seen = (entry.local.needed & 0xFF, entry.central.needed & 0xFF)
    return None if seen[0] == 20 and seen[1] <= wanted else f"versions {seen}"


def no_encryption(entry: Entry) -> str | None:
    """Explorer has no AES (devblogs.microsoft.com/oldnewthing/20180515-00); ZipCrypto is broken. APPNOTE 4.4.4."""
    is_encrypted = entry.central.flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED)
    return f"flags {entry.central.flags:#06x}" if is_encrypted else None


def flags_are_known(entry: Entry) -> str | None:
    """Descriptor and UTF-8, nothing else (APPNOTE 4.4.4), and the same in both headers."""
    seen = (entry.local.flags, entry.central.flags)
    return None if seen[0] == seen[1] and not seen[0] & ~(DESCRIBED | UTF8) else f"flags {seen}"


def name_says_its_encoding(entry: Entry) -> str | None:
    """Without bit 11 a name is in code page 437 (APPNOTE appendix D), for any system of the reader."""
    is_declared = entry.central.name.isascii() or entry.central.flags & UTF8
    return None if is_declared else "not ASCII, and bit 11 is not set"


def descriptor_has_signature(entry: Entry) -> str | None:
    """32-bit sizes behind a signature (APPNOTE 4.3.9): Archive Utility needs both (gildas-lormeau/SingleFileZ#131)."""
    if not entry.central.flags & DESCRIBED:
        return None
    expected = DESCRIPTOR.pack(b"PK\x07\x08", entry.central.crc, entry.central.packed, entry.central.size)
    return None if entry.tail == expected else f"descriptor {entry.tail.hex()}"


def local_sizes_are_honest(entry: Entry) -> str | None:
    """Zeros where a descriptor follows (APPNOTE 4.4.4), else the sizes. 0xFFFFFFFF is an error to Archive Utility.

    uktrade/stream-zip#27 and filesender/filesender#2765: "Error 79" on macOS, the same in libarchive.
    """
    seen = (entry.local.crc, entry.local.packed, entry.local.size)
    known = (entry.central.crc, entry.central.packed, entry.central.size)
    return None if seen == ((0, 0, 0) if entry.central.flags & DESCRIBED else known) else f"local sizes {seen}"


def no_zip64_in_the_local_header(entry: Entry) -> str | None:
    """Java's streaming reader takes a small entry with the ZIP64 field for broken (openjdk/jdk#12524)."""
    return f"extra {entry.local.extra.hex()}" if entry.local.extra else None


def directory_extra_is_zip64_at_most(entry: Entry) -> str | None:
    """Only the offset may need it (APPNOTE 4.5.3): the directory is read by all that know ZIP64."""
    ids = entry.central.extra_ids
    is_offset = ids == [ZIP64_EXTRA] and len(entry.central.extra) == ZIP64_OFFSET_BYTES
    return None if not ids or is_offset else f"extra fields {ids}"


def size_fits_31_bits(entry: Entry) -> str | None:
    """Below 2 GiB a size is the same number signed and unsigned, and needs no ZIP64 (ZipStream-PHP#116 on macOS)."""
    largest = max(entry.central.size, entry.central.packed)
    return None if largest < 1 << 31 else f"{largest} bytes"


def headers_agree(entry: Entry) -> str | None:
    """Name, method and time stand twice; readers differ in which they believe (APPNOTE 4.3.7, 4.3.12)."""
    one, other = entry.local, entry.central
    same = (one.name, one.method, one.time, one.date) == (other.name, other.method, other.time, other.date)
    return None if same else "local header and directory differ"


def name_is_portable(entry: Entry) -> str | None:
    """No drive, no leading slash, forward slashes (APPNOTE 4.4.17.1), and what Windows allows.

    Explorer shows a ZIP as empty for a leading slash (robinrodricks/FluentStorage#39) or a folder without a name
    (codesandbox/codesandbox-client#8328). Reserved names, trailing dots and MAX_PATH (260, of which the user's own
    folder takes some): learn.microsoft.com/windows/win32/fileio/naming-a-file.
    """
    parts = entry.name.split("/")
    is_portable = re.fullmatch(r"[A-Za-z0-9._/-]+", entry.name) and len(entry.name) <= PATH_CHARS
    bad = [part for part in parts if part.strip(".") != part or not part or _RESERVED.match(part)]
    return None if is_portable and not bad else "not portable"


def file_is_readable(entry: Entry) -> str | None:
    """A plain file that its owner can read: Unix attributes 0 unpack as an unreadable file (APPNOTE 4.4.15)."""
    mode = entry.attributes >> 16
    is_plain = stat.S_IFMT(mode) in (0, stat.S_IFREG) and not entry.attributes & FOLDER_BIT
    is_readable = entry.made_by >> 8 == UNIX and mode & stat.S_IRUSR
    return None if is_plain and is_readable else f"attributes {entry.attributes:#x}"


def time_is_a_time(entry: Entry) -> str | None:
    """MS-DOS format (APPNOTE 4.4.6): month and day 0, as in a zeroed field, are not a valid date."""
    date, time = entry.central.date, entry.central.time
    is_date = 1 <= date >> 5 & 15 <= 12 and 1 <= date & 31 <= 31
    is_time = time >> 11 < 24 and time >> 5 & 63 < 60 and (time & 31) < 30
    return None if is_date and is_time else f"date {date:#06x}, time {time:#06x}"


def no_entry_comment(entry: Entry) -> str | None:
    """Nothing reads it, and it is a place to hide bytes in (APPNOTE 4.4.18)."""
    return f"{len(entry.comment)} bytes of comment" if entry.comment else None


# --- Rules of the whole ZIP --------------------------------------------------------------------------------------


def entries_lie_side_by_side(whole: Zip) -> str | None:
    """From the first byte to the directory: readers that go by local headers and by directory see the same.

    Bytes behind an entry that no flag tells of stop Archive Utility (splitbrain/php-archive#3).
    """
    ends = [0, *(entry.end for entry in whole.entries)]
    begins = [*(entry.offset for entry in whole.entries), whole.directory_at]
    wrong = [begin for end, begin in zip(ends, begins, strict=True) if end != begin]
    return f"something else before byte {wrong[0]}" if wrong else None


def names_are_unique_ignoring_case(whole: Zip) -> str | None:
    """Windows and macOS keep one of two (learn.microsoft.com/windows/win32/fileio/naming-a-file)."""
    twins = [name for name, count in Counter(entry.name.casefold() for entry in whole.entries).items() if count > 1]
    return f"{len(twins)} names twice" if twins else None


def no_file_is_also_a_folder(whole: Zip) -> str | None:
    """No file system holds both."""
    names = sorted(entry.name.casefold() for entry in whole.entries)
    # "a" < "a-b" < "a/b": a file and what is below it need not be neighbours.
    files = set(names)
    folders = {"/".join(name.split("/")[:depth]) for name in names for depth in range(1, name.count("/") + 1)}
    return f"{len(files & folders)} names" if files & folders else None


def one_disk(whole: Zip) -> str | None:
    """Explorer and Archive Utility know no split archives (APPNOTE 4.4.19)."""
    return None if whole.disks == {0} else f"disks {sorted(whole.disks)}"


def no_archive_comment(whole: Zip) -> str | None:
    """Readers look for the end record from the end; a comment can contain a second one (APPNOTE 4.3.16)."""
    return f"{whole.comment_bytes} bytes of comment" if whole.comment_bytes else None


def count_is_right(whole: Zip) -> str | None:
    """The number in the end record (APPNOTE 4.4.21, 4.4.22) is what progress bars and limits go by."""
    return None if whole.count == len(whole.entries) else f"{whole.count} stated, {len(whole.entries)} found"


def zip64_only_where_needed(whole: Zip) -> str | None:
    """Old macOS opens no ZIP64 (maennchen/ZipStream-PHP#116, before 10.15: #160), so small volumes have none."""
    last = whole.entries[-1].end if whole.entries else 0
    is_needed = last > 0x7FFFFFFF or len(whole.entries) >= 0xFFFF
    return "ZIP64 end record in a small ZIP" if whole.has_zip64 and not is_needed else None


ENTRY_RULES: tuple[EntryRule, ...] = (
    method_is_deflate,
    version_is_of_deflate,
    no_encryption,
    flags_are_known,
    name_says_its_encoding,
    descriptor_has_signature,
    local_sizes_are_honest,
    no_zip64_in_the_local_header,
    directory_extra_is_zip64_at_most,
    size_fits_31_bits,
    headers_agree,
    name_is_portable,
    file_is_readable,
    time_is_a_time,
    no_entry_comment,
)
ZIP_RULES: tuple[ZipRule, ...] = (
    entries_lie_side_by_side,
    names_are_unique_ignoring_case,
    no_file_is_also_a_folder,
    one_disk,
    no_archive_comment,
    count_is_right,
    zip64_only_where_needed,
)
