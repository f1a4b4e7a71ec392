"""Bad archives whose ZIP is wrong: its structure, its sizes, or the names of its entries."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

from archive.verify.faults import FaultCode
from archive.verify.zip_entries import CENTRAL, CENTRAL_SIGNATURE, END, LOCAL, LOCAL_SIGNATURE
from receiver.conformance import archive_faults as faults
from receiver.conformance.archive_faults import TEXT, ArchiveFaultCase, Cases, KitParty, Make
from receiver.conformance.drafts import MadeVolume, made
from receiver.conformance.zip_writer import ZipMember, run, written_zip

SYMLINK, ENCRYPTED = 0o120777, 1
BZIP2 = 12
BOMB_RUNS = 4096
"""Unpacks to 1 MiB: enough to be seen, and harmless."""
GIB = 1 << 30


def changed(change: Callable[[bytes], bytes]) -> Make:
    """Return the good volume with other bytes."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        volume = faults.good(party)
        return [volume.with_data(change(volume.data))]

    return make


def edited(change: Callable[[list[ZipMember]], list[ZipMember]]) -> Make:
    """Return the good volume, written once more with other entries after it was signed."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        volume = faults.good(party)
        return [volume.with_data(written_zip(change(list(volume.members))))]

    return make


def of_text(**quirks: object) -> Make:
    """Return the good volume with one other entry: that of the text file."""
    return edited(lambda members: [_quirk(member, quirks) for member in members])


def _quirk(member: ZipMember, quirks: dict[str, object]) -> ZipMember:
    return replace(member, **quirks) if member.name.endswith(TEXT.encode()) else member  # type: ignore[arg-type]  # its fields


def _cut_inside(data: bytes) -> bytes:
    return data[:600] + data[700:]


def _prefixed(data: bytes) -> bytes:
    """Put a program before the ZIP, with offsets that lead to its entries: as self-extracting archives are made."""
    stub = b"#!/bin/sh\nexit 1\n"
    out = bytearray(stub + data)
    end = len(out) - END.size
    (begin,) = struct.unpack_from("<L", out, end + 16)
    struct.pack_into("<L", out, end + 16, begin + len(stub))
    at = begin + len(stub)
    while out.startswith(CENTRAL_SIGNATURE, at):
        name, extra, comment = struct.unpack_from("<3H", out, at + 28)
        (offset,) = struct.unpack_from("<L", out, at + 42)
        struct.pack_into("<L", out, at + 42, offset + len(stub))
        at += CENTRAL.size + name + extra + comment
    return bytes(out)


def _commented(data: bytes) -> bytes:
    comment = b"open me"
    return data[:-2] + len(comment).to_bytes(2, "little") + comment


def _end_field(offset: int, layout: str, value: int) -> Make:
    def change(data: bytes) -> bytes:
        out = bytearray(data)
        struct.pack_into(layout, out, len(out) - END.size + offset, value)
        return bytes(out)

    return changed(change)


def _count_too_large(data: bytes) -> bytes:
    """State 300,000 entries in the end record of ZIP64."""
    count, listed, offset = 300_000, *struct.unpack_from("<2L", data, len(data) - 10)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, listed, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + listed, 1)
    return data[: -END.size] + end64 + locator + data[-END.size :]


def _local_field(offset: int, value: bytes) -> Make:
    """Change a field in the local header of the text file alone."""

    def change(data: bytes) -> bytes:
        at = data.index(TEXT.encode()) - len(data[: data.index(TEXT.encode())].rpartition(LOCAL_SIGNATURE)[2])
        begin = at - len(LOCAL_SIGNATURE)
        return data[: begin + offset] + value + data[begin + offset + len(value) :]

    return changed(change)


def _overlapping(data: bytes) -> bytes:
    """Let the directory lead to the first entry twice: one stream of data that is counted as two files."""
    (begin,) = struct.unpack_from("<L", data, len(data) - 6)
    out = bytearray(data)
    name, extra, comment = struct.unpack_from("<3H", out, begin + 28)
    second = begin + CENTRAL.size + name + extra + comment
    struct.pack_into("<L", out, second + 42, LOCAL.size)
    return bytes(out)


def _reordered(data: bytes) -> bytes:
    """List the first two entries in the other order."""
    (begin,) = struct.unpack_from("<L", data, len(data) - 6)
    ends = [begin]
    for _ in range(2):
        name, extra, comment = struct.unpack_from("<3H", data, ends[-1] + 28)
        ends.append(ends[-1] + CENTRAL.size + name + extra + comment)
    return data[:begin] + data[ends[1] : ends[2]] + data[begin : ends[1]] + data[ends[2] :]


def _damaged(member: ZipMember) -> ZipMember:
    return replace(member, packed=b"\x07\xff\xff") if member.name.endswith(TEXT.encode()) else member


def _doubled(party: KitParty) -> Sequence[MadeVolume]:
    """Return a volume, signed, with an entry twice: which of them a program unpacks depends on the program."""
    draft = faults.draft(party)
    claims = {"files": 3, "bytes": sum(map(len, draft.payload.values())) + len(draft.payload[TEXT])}
    return [made(replace(draft, before=lambda members: [members[0], members[1], *members[1:]], claims=claims))]


def _hidden(members: list[ZipMember]) -> list[ZipMember]:
    hidden = replace(members[0], name=members[0].name[:20] + b"/hidden.jsonl", is_listed=False)
    return [members[0], hidden, *members[1:]]


def _named(path: str) -> Make:
    return lambda party: faults.with_file(party, path)


def _outside(name: Callable[[bytes], bytes]) -> Make:
    """Return a volume, signed, with an entry that is not below its folder."""

    def make(party: KitParty) -> Sequence[MadeVolume]:
        def added(members: list[ZipMember]) -> list[ZipMember]:
            root = members[0].name.partition(b"/")[0]
            return [members[0], ZipMember(name(root), b"extra\n"), *members[1:]]

        return [made(faults.draft(party, before=added))]

    return make


def _bomb(party: KitParty) -> Sequence[MadeVolume]:
    """Return a volume, signed, whose text file declares 7 bytes and unpacks to a million."""
    _body, packed = run(0, BOMB_RUNS)
    return [made(faults.draft(party, packed={TEXT: packed}))]


def _spread(members: list[ZipMember]) -> list[ZipMember]:
    return [members[0], replace(members[1], before=b"\0" * 40), *members[2:]]


def case(rule: str, section: str, code: str, make: Make, **more: Sequence[str]) -> ArchiveFaultCase:
    """Return a bad archive."""
    return ArchiveFaultCase(rule, section, FaultCode(code), make, **more)


ZIP = faults.THE_ZIP
STRUCTURE: Cases = {
    "not-a-zip": case("the file is a ZIP", ZIP, "not_a_zip", changed(lambda data: b"%PDF-1.7\n" * (len(data) // 9))),
    "empty-file": case("the file is a ZIP", ZIP, "not_a_zip", changed(lambda _data: b"")),
    "cut-at-the-end": case("no bytes are missing", ZIP, "truncated_zip", changed(lambda data: data[:-100])),
    "cut-inside": case("no bytes are missing", ZIP, "truncated_zip", changed(_cut_inside)),
    "program-before": case("no bytes are before the first entry", ZIP, "stray_bytes", changed(_prefixed)),
    "bytes-between": case("no bytes are between entries", ZIP, "stray_bytes", edited(_spread)),
    "bytes-after": case("no bytes follow the end record", ZIP, "stray_bytes", changed(lambda data: data + b"\0" * 9)),
    "comment": case("there is no comment", ZIP, "stray_bytes", changed(_commented)),
    "hidden-entry": case("the directory lists each entry", ZIP, "hidden_entry", edited(_hidden)),
    "same-name-twice": case("names are unique", faults.NAMES, "duplicate_entry", _doubled),
    "same-name-in-capitals": case(
        "names are unique ignoring case",
        faults.NAMES,
        "duplicate_entry",
        _named(TEXT.replace("note", "NOTE")),
    ),
    "other-name-in-directory": case(
        "directory and local header agree",
        ZIP,
        "header_mismatch",
        edited(lambda members: [_quirk(member, {"listed_name": member.name[:-8] + b"other.sh"}) for member in members]),
    ),
    "other-time-in-header": case("directory and local header agree", ZIP, "header_mismatch", _local_field(10, b"\0\0")),
    "other-size-in-header": case(
        "directory and local header agree", ZIP, "header_mismatch", _local_field(22, b"\x05\0\0\0")
    ),
    "other-size-in-descriptor": case(
        "directory and data descriptor agree", ZIP, "header_mismatch", of_text(described_size=9)
    ),
    "overlapping-entries": case("entries do not overlap", ZIP, "header_mismatch", changed(_overlapping)),
    "wrong-number-of-entries": case(
        "the end record has the number of entries", ZIP, "header_mismatch", _end_field(10, "<H", 3)
    ),
    "directory-out-of-order": case("each entry follows the previous", ZIP, "header_mismatch", changed(_reordered)),
    "other-compression": case("every entry is deflated", ZIP, "header_mismatch", of_text(method=BZIP2)),
    "flag-of-encryption": case("there is no encryption", ZIP, "repacked", of_text(flags=8 | ENCRYPTED)),
    "symbolic-link": case("every entry has mode 0600 and is a file", ZIP, "repacked", of_text(mode=SYMLINK)),
    "extra-field": case("no entry has an extra field", ZIP, "repacked", of_text(extra=b"up\x04\0evil")),
    "declared-too-large": case(
        "sizes are those that are signed", faults.CHECKING, "too_large", of_text(size=GIB), receipts=faults.EITHER
    ),
    "too-many-entries": case(
        "sizes are those that are signed",
        faults.CHECKING,
        "too_large",
        changed(_count_too_large),
        receipts=faults.EITHER,
    ),
    "unpacks-to-more": case("an entry unpacks to its declared size", faults.CHECKING, "changed", _bomb),
    "damaged-data": case(
        "the compressed data can be read",
        faults.CHECKING,
        "changed",
        edited(lambda members: [_damaged(member) for member in members]),
    ),
    "wrong-crc": case("the content has its CRC", faults.CHECKING, "changed", of_text(crc=0x12345678)),
    "other-end-offset": case(
        "the directory is where the end record says", ZIP, "stray_bytes", _end_field(16, "<L", 90)
    ),
}
NAMED: Cases = {
    "path-to-parent": case("no path has `..`", faults.NAMES, "bad_name", _named("data/../../../evil.txt")),
    "absolute-path": case(
        "paths are below the volume's folder", faults.NAMES, "bad_name", _outside(lambda _: b"/evil.txt")
    ),
    "backslashes": case("only `/` separates folders", faults.NAMES, "bad_name", _named("data/..\\..\\evil.txt")),
    "drive-letter": case("no path has a colon", faults.NAMES, "bad_name", _named("data/C:evil.txt")),
    "hidden-file": case("no name begins with a dot", faults.NAMES, "bad_name", _named("data/.ssh/authorized_keys")),
    "name-that-windows-reserves": case(
        "no name is reserved by Windows", faults.NAMES, "bad_name", _named("data/account/con.txt")
    ),
    "trailing-dot": case("no name ends with a dot", faults.NAMES, "bad_name", _named("data/account/note.")),
    "long-path": case("a path has at most 200 characters", faults.NAMES, "bad_name", _named(f"data/{'a' * 200}.txt")),
    "control-character": case(
        "paths consist of `[A-Za-z0-9._/-]`", faults.NAMES, "bad_name", _named("data/note\x1b[2J.txt")
    ),
    "letter-beyond-ascii": case(
        "paths consist of `[A-Za-z0-9._/-]`", faults.NAMES, "bad_name", _named("data/\xe9.txt")
    ),
    "folder-entry": case("there is no folder entry", ZIP, "bad_name", _outside(lambda root: root + b"/data/extra/")),
    "second-folder": case(
        "all entries are in one folder", faults.NAMES, "bad_name", _outside(lambda root: root + b"x/data/extra.txt")
    ),
    "file-as-folder": case(
        "no file has the name of a folder", faults.NAMES, "bad_name", _named("data/account/note.txt/inside.txt")
    ),
    "other-folder-than-signed": case(
        "the folder has the name of the signed volume",
        faults.NAMES,
        "bad_name",
        lambda party: [made(faults.draft(party, root=f"export-{party.issuer.export}-007"))],
    ),
}
