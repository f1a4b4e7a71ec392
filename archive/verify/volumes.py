"""One volume checked: its ZIP, its signature, its manifests, in this order, in one pass and bounded memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from archive import bag
from archive.counts import VolumeCounts
from archive.hashing import Digest, Hasher
from archive.names import FULL_PATH_CHARS, is_safe
from archive.parts import FORMAT
from archive.verify import bag_info, counting
from archive.verify.canonical import tail
from archive.verify.faults import ArchiveFault, FaultCode, ZipFault
from archive.verify.zip_entries import CentralDirectory, Tape, ZipEntry, read_directory, read_entry, skip_gap
from portability import strict_json
from portability.trust.signing import ARCHIVE_TYPE, Jwks, SignatureFault, check

TOKEN_BYTES = 1 << 14
TRUSTED_RATIO = 200
"""Maximum ratio of unpacked to packed size without a good signature; a good signature names the size."""
PREFIX = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""The beginning of a volume's name, which its issuer chooses; the signed hash of the ZIP covers it."""
_KEPT = frozenset({bag.MANIFEST, bag.TAG_MANIFEST, bag.EXPORT, bag.COUNTS, bag.DECLARATION, bag.INFO})
_CLAIMS: Mapping[str, type] = {
    "iss": str,
    "sub": str,
    "profile": str,
    "export": str,
    "volume": int,
    "revision": int,
    "closing": bool,
    "tagmanifest_sha256": str,
    "head_sha256": str,
    "files": int,
    "bytes": int,
}
Progress = Callable[[int], object]
"""Called with a number of bytes that were just read."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a volume's signature, which was verified."""

    iss: str
    sub: str
    profile: str
    export: str
    volume: int
    revision: int
    closing: bool
    tagmanifest_sha256: str
    head_sha256: str
    files: int
    bytes: int


@dataclass(slots=True)
class CheckedVolume:
    """The result of checking a ZIP. `name` is its file name, `files` and `bytes` its payload as it was found."""

    name: str
    faults: list[ArchiveFault] = field(default_factory=list)
    claims: Claims | None = None
    closing: Mapping[str, Any] | None = None
    """export.json, where it is there and an object."""
    counts: VolumeCounts | None = None
    """counts.json, where it is there and its sums are right."""
    holds_export: bool = False
    """Whether export.json is there, with any content: then the volume claims to be the closing volume."""
    root: str = ""
    size: int = 0
    sha256: str = ""
    files: int = 0
    bytes: int = 0

    def fault(self, code: FaultCode, detail: str, file: str | None = None) -> None:
        """Add a fault."""
        self.faults.append(ArchiveFault(code, self.name, file, detail))

    def inside(self, entry: ZipEntry) -> str:
        """The entry's path inside the bag."""
        return entry.name.removeprefix(f"{self.root}/")


@dataclass(slots=True)
class _Contents:
    """What was read from a ZIP, by path inside the bag."""

    digests: dict[str, Digest | None] = field(default_factory=dict)
    """SHA-256 of each file that was read to its end."""
    kept: dict[str, bytes] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Number of lines of each file; 0 where it is not JSON Lines."""
    damaged: set[str] = field(default_factory=set)
    """Files that have a fault already: their hashes are not compared."""
    head_sha256: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Known when the walk is over; empty text for what was not read to its end."""


def check_volume(path: Path, jwks: Jwks, progress: Progress = lambda _: None) -> CheckedVolume:
    """Check a ZIP by itself. Raises nothing for any content of the file."""
    volume = CheckedVolume(path.name)
    try:
        with path.open("rb") as file:
            _check(volume, file, jwks, progress)
    except ZipFault as fault:
        volume.fault(fault.code, fault.detail)
    except OSError as error:
        volume.fault(FaultCode.UNREADABLE, f"the operating system cannot read it: {type(error).__name__}")
    return volume


def _check(volume: CheckedVolume, file: BinaryIO, jwks: Jwks, progress: Progress) -> None:
    directory = read_directory(file)
    volume.root = directory.root
    payload = [entry for entry in directory.files if volume.inside(entry).startswith(bag.PAYLOAD)]
    volume.files, volume.bytes = len(payload), sum(entry.bytes for entry in payload)
    volume.holds_export = any(volume.inside(entry) == bag.EXPORT for entry in directory.entries)
    _check_names(volume, directory)
    token = _token(volume, file, directory)
    if isinstance(token, bytes):
        volume.claims = _signed_claims(volume, token, jwks)
    _check_ratio(volume, directory)
    with Hasher() as hasher:
        contents = _walk(volume, file, directory, hasher, progress)
    _check_manifests(volume, contents)
    _check_claims(volume, contents)
    if not volume.faults:
        volume.faults.extend(bag_info.faults_of(volume.name, contents.kept, volume.files, volume.bytes))
    _check_counts(volume, contents)
    volume.closing = _closing(volume, contents)
    _check_bytes(volume, file, directory, token, contents)


def _check_names(volume: CheckedVolume, directory: CentralDirectory) -> None:
    seen = Counter(entry.name.lower() for entry in directory.entries)
    for entry in directory.files:
        if seen[entry.name.lower()] > 1:
            volume.fault(FaultCode.DUPLICATE_ENTRY, "more than one entry has this name", volume.inside(entry))
        if not is_safe(entry.name, longest=FULL_PATH_CHARS) or not entry.name.startswith(f"{volume.root}/"):
            volume.fault(FaultCode.BAD_NAME, "a name that may not be in an archive", repr(entry.name))


def _token(volume: CheckedVolume, file: BinaryIO, directory: CentralDirectory) -> bytes | None:
    """Read signature.jwt before all else, because it bounds what is believed of the rest. None: a fault says why."""
    entry = next((e for e in directory.entries if volume.inside(e) == bag.SIGNATURE), None)
    if entry is None:
        volume.fault(FaultCode.MISSING, "the volume is not signed", bag.SIGNATURE)
        return None
    if entry.bytes > TOKEN_BYTES:
        volume.fault(FaultCode.TOO_LARGE, f"it has {entry.bytes} bytes", bag.SIGNATURE)
        return None
    try:
        return b"".join(read_entry(Tape(file, entry.offset), entry))
    except ZipFault:
        return None  # the check of all entries reads it again and reports what is wrong


def _signed_claims(volume: CheckedVolume, token: bytes, jwks: Jwks) -> Claims | None:
    try:
        claims = check(token.decode("latin-1"), jwks, typ=ARCHIVE_TYPE)
    except SignatureFault as fault:
        volume.fault(FaultCode(fault.fault), str(fault), bag.SIGNATURE)
        return None
    if any(type(claims.get(name)) is not kind for name, kind in _CLAIMS.items()):
        volume.fault(FaultCode.BAD_CLAIMS, "a claim is missing or of another type", bag.SIGNATURE)
        return None
    return Claims(**{name: claims[name] for name in _CLAIMS})


def _check_ratio(volume: CheckedVolume, directory: CentralDirectory) -> None:
    signed_bytes = volume.bytes if volume.claims is not None and volume.bytes == volume.claims.bytes else 0
    unsigned_bytes = sum(entry.bytes for entry in directory.entries) - signed_bytes
    if unsigned_bytes > TRUSTED_RATIO * directory.size:
        raise ZipFault(FaultCode.TOO_LARGE, f"{directory.size} bytes say that they unpack to {unsigned_bytes}")


def _walk(
    volume: CheckedVolume, file: BinaryIO, directory: CentralDirectory, hasher: Hasher, progress: Progress
) -> _Contents:
    """Read each byte once, in order; a fault of an entry is noted, and the next entry is read."""
    contents, tape = _Contents(), Tape(file, progress=progress)
    begins = [*(entry.offset for entry in directory.entries), directory.offset]
    gaps = [skip_gap(tape, begins[0])]
    for entry, next_begin in zip(directory.entries, begins[1:], strict=True):
        path = volume.inside(entry)
        if path == bag.SIGNATURE:
            contents.head_sha256 = tape.sha256()
        try:
            _read(tape, entry, path, contents, hasher.begin())
        except ZipFault as fault:
            contents.damaged.add(path)
            volume.fault(fault.code, fault.detail, path)
            tape.skip_to(next_begin)
        gaps.append(skip_gap(tape, next_begin))
    for gap in filter(None, gaps):
        volume.fault(gap.code, gap.detail)
    tape.skip_to(directory.size)
    files = {path: digest for path, digest in contents.digests.items() if not f"/{path}".endswith("/")}
    contents.sha256 = {path: digest.hexdigest() if digest else "" for path, digest in files.items()}
    volume.size, volume.sha256 = directory.size, tape.sha256()
    return contents


def _read(tape: Tape, entry: ZipEntry, path: str, contents: _Contents, digest: Digest) -> None:
    contents.digests[path] = None
    if path in _KEPT and entry.bytes > bag.KEPT_BYTES:
        raise ZipFault(FaultCode.TOO_LARGE, f"it has {entry.bytes} bytes")
    kept = bytearray()
    is_lines, lines = path.endswith(counting.LINES), 0
    for block in read_entry(tape, entry):
        digest.update(block)
        if is_lines:
            lines += block.count(b"\n")
        if path in _KEPT:
            kept += block
    contents.digests[path] = digest
    contents.kept[path], contents.lines[path] = bytes(kept), lines


def _check_manifests(volume: CheckedVolume, contents: _Contents) -> None:
    """Check that each file is in exactly one manifest with its hash, and the tag manifest against the signature."""
    listed: dict[str, str] = {}
    for manifest in (bag.TAG_MANIFEST, bag.MANIFEST):
        if manifest not in contents.sha256:
            volume.fault(FaultCode.MISSING, "the volume has no such manifest", manifest)
            continue
        try:
            hashes = bag.parse_manifest(contents.kept.get(manifest, b""))
        except bag.BadManifest as error:
            volume.fault(FaultCode.BAD_MANIFEST, str(error), manifest)
            continue
        is_payload = manifest == bag.MANIFEST
        wrong = sum(path.startswith(bag.PAYLOAD) is not is_payload or path in bag.UNLISTED for path in hashes)
        if wrong:
            volume.fault(FaultCode.BAD_MANIFEST, f"{wrong} files belong into another manifest", manifest)
        listed.update(hashes)
    volume.faults.extend(_differences(volume.name, listed, contents))


def _differences(name: str, listed: Mapping[str, str], contents: _Contents) -> Iterator[ArchiveFault]:
    found = {path: sha256 for path, sha256 in contents.sha256.items() if path not in bag.UNLISTED}
    added: defaultdict[str, list[str]] = defaultdict(list)
    for path, sha256 in found.items():
        if path not in listed:
            added[sha256].append(path)
    for path, sha256 in listed.items():
        if path in contents.damaged:
            continue
        if path in found and found[path] != sha256:
            yield ArchiveFault(FaultCode.CHANGED, name, path, "its SHA-256 is not the manifest's")
        elif path not in found and added[sha256]:
            yield ArchiveFault(FaultCode.RENAMED, name, path, f"it is there as {added[sha256].pop()}")
        elif path not in found:
            yield ArchiveFault(FaultCode.MISSING, name, path, "the manifest lists it")
    for path in chain.from_iterable(added.values()):
        yield ArchiveFault(FaultCode.ADDED, name, path, "no manifest lists it")


def _check_claims(volume: CheckedVolume, contents: _Contents) -> None:
    claims = volume.claims
    if claims is None:
        return
    if claims.tagmanifest_sha256 != contents.sha256.get(bag.TAG_MANIFEST):
        volume.fault(FaultCode.CHANGED, "its SHA-256 differs from the signed SHA-256", bag.TAG_MANIFEST)
    if (claims.files, claims.bytes) != (volume.files, volume.bytes):
        detail = f"{volume.files} files of {volume.bytes} bytes; signed are {claims.files} of {claims.bytes}"
        volume.fault(FaultCode.COUNT_MISMATCH, detail)
    prefix, found, _ = (volume.root or "").rpartition(name := f"-{claims.export}-{claims.volume:03}")
    if not found or volume.root != f"{prefix}{name}" or not PREFIX.fullmatch(prefix):
        volume.fault(FaultCode.BAD_NAME, f"its folder is not PREFIX{name}", repr(volume.root))


def _check_counts(volume: CheckedVolume, contents: _Contents) -> None:
    """Check counts.json against the payload. Volumes of earlier releases have none; those with faults are left out."""
    if volume.faults or bag.COUNTS not in contents.kept:
        return
    try:
        volume.counts = counting.checked(contents.kept[bag.COUNTS], contents.lines)
    except counting.WrongCounts as wrong:
        volume.fault(FaultCode.WRONG_COUNTS, str(wrong), wrong.file or bag.COUNTS)


def _closing(volume: CheckedVolume, contents: _Contents) -> Mapping[str, Any] | None:
    """Check export.json against the signature; only the closing volume has it."""
    text = contents.kept.get(bag.EXPORT)
    claims = volume.claims
    is_doubted = any(fault.file in (bag.EXPORT, bag.TAG_MANIFEST) for fault in volume.faults)
    if claims is None or is_doubted or (text is None and not claims.closing):
        return None
    try:
        document = strict_json.parse(text or b"")
    except ValueError:
        document = None
    expected = {
        "format": FORMAT,
        "export": claims.export,
        "subject": claims.sub,
        "profile": claims.profile,
        "revision": claims.revision,
    }
    is_closing = isinstance(document, dict) and all(document.get(name) == value for name, value in expected.items())
    if is_closing is not claims.closing:
        volume.fault(FaultCode.BAD_CLOSING, "it differs from the claims of the signature", bag.EXPORT)
        return None
    return document if isinstance(document, dict) else None


def _check_bytes(
    volume: CheckedVolume, file: BinaryIO, directory: CentralDirectory, token: bytes | None, contents: _Contents
) -> None:
    """Find a ZIP that was written again. Last, because every other fault is also a difference here."""
    if volume.faults or not (volume.claims and token):
        return
    expected = tail(directory.entries, token)
    file.seek(directory.entries[-1].offset)
    if contents.head_sha256 != volume.claims.head_sha256 or file.read(len(expected) + 1) != expected:
        volume.fault(FaultCode.REPACKED, "the files are as signed, but another program wrote the ZIP")
