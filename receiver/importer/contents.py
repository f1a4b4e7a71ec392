"""The content of unpacked volumes: manifests and data packages, checked and listed in a temporary database on disk.

Memory is bounded by one volume, for any number of volumes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from archive import bag
from archive.counts import VolumeCounts
from archive.names import FULL_PATH_CHARS, is_safe
from archive.parts import FORMAT
from archive.verify import counting
from portability.api.errors import BadInput
from receiver.importer import documents, volume_list
from receiver.importer.faults import BadArchive, NotImportable
from receiver.importer.feed_changes import FeedChanges
from receiver.importer.payload import ArchivedPiece, FilePiece, StoredFile, joined, reads
from receiver.importer.scratch_database import ScratchDatabase
from receiver.untrusted import is_count, is_name, is_optional, is_text

if TYPE_CHECKING:
    from portability.trust.signing import Jwks

PROFILES = frozenset({"switch", "portability"})
"""Profiles that can be imported; the others are copies to read."""
JSON_LINES = "application/jsonl"
_PART = re.compile(r"\.part-([0-9]{4})$")
_SCHEMA = """
CREATE TABLE member (
    volume INTEGER, revision INTEGER, path TEXT, sha256 TEXT, bytes INTEGER, exporter TEXT, dataset TEXT,
    media_type TEXT, file TEXT, part INTEGER, truncated INTEGER, corrects INTEGER, records INTEGER,
    PRIMARY KEY (volume, path)
) WITHOUT ROWID;
CREATE TABLE corrected (
    exporter TEXT, dataset TEXT, id TEXT, PRIMARY KEY (exporter, dataset, id)
) WITHOUT ROWID;
CREATE INDEX files ON member (exporter, dataset, file, revision);
"""


class Contents:
    """The members of an archive by exporter and dataset. A context manager; it deletes its temporary file."""

    def __init__(self, folders: Sequence[Path], jwks: Jwks | None) -> None:
        self._scratch = ScratchDatabase(_SCHEMA)
        self._folders: dict[int, Path] = {}
        self._export_id = ""
        self.issuer = ""
        """Who has signed the volumes, as they say; with keys it was checked."""
        self._counts: dict[int, VolumeCounts | None] = {}
        self._tag_manifests: dict[int, str] = {}
        """The SHA-256 of the tag manifest of each volume, which stands for all of its content."""
        self.export: Mapping[str, Any] = {}
        """export.json of the newest revision."""
        self.changes: FeedChanges | None = None
        """What an archive of a feed says about itself; None: the archive belongs to no feed."""
        try:
            for folder in folders:
                self._add(folder, jwks)
            self._check_whole()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Delete the temporary database."""
        self._scratch.close()

    @property
    def read_at(self) -> datetime | None:
        """Return when the export began to be read, as export.json says; None: it does not say a time."""
        text = self.export.get("began_at")
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text) if isinstance(text, str) else None
            return moment.astimezone(UTC) if moment and moment.tzinfo else None
        return None

    @property
    def total_bytes(self) -> int:
        """Return the size of all records and files; other forms of the same records do not count."""
        query = "SELECT coalesce(sum(bytes), 0) FROM member WHERE file IS NOT NULL OR media_type = ?"
        return int(self._scratch.rows(query, (JSON_LINES,))[0][0])

    def datasets(self) -> list[tuple[str, str, frozenset[str]]]:
        """Return exporter, dataset, and the media types of its records."""
        query = (
            "SELECT DISTINCT exporter, dataset, CASE WHEN file IS NULL THEN media_type END FROM member ORDER BY 1, 2"
        )
        found: dict[tuple[str, str], set[str]] = {}
        for exporter, dataset, media_type in self._scratch.rows(query):
            found.setdefault((exporter, dataset), set()).update([media_type] if media_type else [])
        return [(exporter, dataset, frozenset(types)) for (exporter, dataset), types in found.items()]

    def pieces(self, exporter: str, dataset: str) -> list[ArchivedPiece]:
        """Return the JSON Lines of a dataset without corrections; a later piece replaces records of earlier pieces."""
        return self._records(exporter, dataset, "corrects = 0", "revision, volume, path")

    def corrections(self, exporter: str, dataset: str) -> list[ArchivedPiece]:
        """Return the JSON Lines with corrections of a dataset, the newest first."""
        return self._records(exporter, dataset, "corrects = 1", "revision DESC, volume DESC, path DESC")

    def note_corrected(self, exporter: str, dataset: str, identifier: str) -> bool:
        """Note that the newest form of a record was read; returns whether it was not noted before."""
        add = "INSERT OR IGNORE INTO corrected VALUES (?, ?, ?)"
        return self._scratch.add(add, [(exporter, dataset, identifier)]) > 0

    def is_corrected(self, exporter: str, dataset: str, identifier: str) -> bool:
        """Return whether the newest form of a record was read."""
        query = "SELECT 1 FROM corrected WHERE exporter = ? AND dataset = ? AND id = ?"
        return bool(self._scratch.rows(query, (exporter, dataset, identifier)))

    def file(self, exporter: str, dataset: str, name: str) -> StoredFile | None:
        """Return a file by its exporter's name: of the newest revision that has it completely, else the newest."""
        query = (
            "SELECT revision, part, truncated, media_type, volume, path, sha256, bytes FROM member"
            " WHERE exporter = ? AND dataset = ? AND file = ? ORDER BY revision DESC, part, volume DESC"
        )
        revisions: dict[int, dict[int, FilePiece]] = {}
        for revision, part, truncated, media_type, *row in self._scratch.rows(query, (exporter, dataset, name)):
            revisions.setdefault(revision, {}).setdefault(
                part, FilePiece(self._piece(*row), media_type, bool(truncated))
            )
        found = [joined(parts) for parts in revisions.values()]
        return next((file for file in found if not file.truncated), found[0] if found else None)

    def file_of(self, exporter: str, dataset: str, identifier: str) -> str | None:
        """Return the name of the file that is named like a record's id, with any extension."""
        query = "SELECT file FROM member WHERE exporter = ? AND dataset = ? AND file >= ? AND file < ? LIMIT 1"
        found = self._scratch.rows(query, (exporter, dataset, f"{identifier}.", f"{identifier}/"))
        return str(found[0][0]) if found else None

    def _records(self, exporter: str, dataset: str, which: str, order: str) -> list[ArchivedPiece]:
        query = (
            "SELECT volume, path, sha256, bytes, records FROM member"  # noqa: S608 - constants
            f" WHERE exporter = ? AND dataset = ? AND media_type = ? AND file IS NULL AND {which} ORDER BY {order}"
        )
        return [self._piece(*row) for row in self._scratch.rows(query, (exporter, dataset, JSON_LINES))]

    def _piece(self, volume: int, path: str, sha256: str, size: int, records: int | None = None) -> ArchivedPiece:
        return ArchivedPiece(self._folders[volume] / path, sha256, size, records)

    def _add(self, folder: Path, jwks: Jwks | None) -> None:
        tag_manifest = _read(folder, bag.TAG_MANIFEST)
        tags = _parsed(bag.TAG_MANIFEST, tag_manifest)
        claims = _claims(folder, jwks)
        volume = claims["volume"]
        if self._folders and claims["export"] != self._export_id:
            raise BadInput(f"{folder.name} belongs to another export", hint="import one archive at a time")
        if self._folders and claims["iss"] != self.issuer:
            raise BadInput(f"{folder.name} is signed by another issuer", hint="import one archive at a time")
        if volume in self._folders:
            raise BadInput(
                f"{folder.name} and {self._folders[volume].name} are the same volume", hint="give each volume once"
            )
        self._folders[volume], self._export_id, self.issuer = folder, claims["export"], claims["iss"]
        self._tag_manifests[volume] = hashlib.sha256(tag_manifest).hexdigest()
        hashes = _parsed(bag.MANIFEST, _tag_file(folder, bag.MANIFEST, tags))
        package = documents.parsed(bag.DATA_PACKAGE, _tag_file(folder, bag.DATA_PACKAGE, tags))
        resources = package.get("resources", [])
        if not isinstance(resources, list):
            raise BadArchive(f"{folder.name}: {bag.DATA_PACKAGE} has no list of files")
        rows = [_row(volume, claims["revision"], resource, hashes) for resource in resources]
        self._scratch.add(f"INSERT OR IGNORE INTO member VALUES ({','.join('?' * 13)})", rows)  # noqa: S608 - question marks
        if len({row[2] for row in rows}) != len(hashes):
            raise BadArchive(f"{folder.name}: {bag.DATA_PACKAGE} describes other files than the manifest")
        self._counts[volume] = _counts(folder, tags, rows)
        if bag.EXPORT in tags and claims["revision"] > self.export.get("revision", 0):
            self.export = documents.closing(documents.parsed(bag.EXPORT, _tag_file(folder, bag.EXPORT, tags)), claims)
            if bag.CHANGES in tags:
                document = documents.parsed(bag.CHANGES, _tag_file(folder, bag.CHANGES, tags))
                self.changes = FeedChanges.parse(document, self._export_id, folder, tags)

    def _check_whole(self) -> None:
        if not self.export:
            raise BadArchive("the closing volume, which lists all volumes, is missing")
        if self.export.get("format") != FORMAT:
            raise NotImportable(f"the archive has format {self.export.get('format')!r}; expected {FORMAT}")
        if (profile := self.export.get("profile")) not in PROFILES:
            raise NotImportable(f"an export with profile {profile!r} cannot be imported: it is a copy to read")
        lines = self.export.get("volumes", [])
        volume_list.check(lines, {number: path.name for number, path in self._folders.items()}, self._tag_manifests)
        names = {line["number"]: str(line.get("name")) for line in lines}
        present = {names[number]: found for number, found in self._counts.items()}
        for difference in counting.of_archive(self.export, present):
            raise BadArchive(f"its volumes contain other numbers than {bag.EXPORT}: {difference}")


def bags(path: Path) -> list[Path]:
    """Return the unpacked volumes in a folder, or the folder itself. Raises BadInput without any; OSError."""
    places = (path, path / "archive")
    found = (
        [path]
        if _is_bag(path)
        else [one for place in places if place.is_dir() for one in sorted(place.iterdir()) if _is_bag(one)]
    )
    if not found:
        hint = "use the folder of `portability receive`, or a folder with the ZIPs"
        raise BadInput(f"{path} contains no unpacked volume", hint=hint)
    return found


def _is_bag(path: Path) -> bool:
    return (path / bag.DECLARATION).is_file()


def _claims(folder: Path, jwks: Jwks | None) -> Mapping[str, Any]:
    """Return the volume's claims: with a checked signature if keys are given, else only well-formed."""
    found = documents.claims(_read(folder, bag.SIGNATURE).decode("latin-1"), jwks)
    if jwks:
        digest = hashlib.sha256(_read(folder, bag.TAG_MANIFEST)).hexdigest()
        if found.get("tagmanifest_sha256") != digest:
            raise BadArchive(f"{folder.name}: {bag.TAG_MANIFEST} differs from the signed one")
    return found


def _row(volume: int, revision: int, resource: Any, hashes: Mapping[str, str]) -> tuple[Any, ...]:  # noqa: ANN401  # JSON of a stranger
    path = resource.get("path") if isinstance(resource, dict) else None
    if not isinstance(path, str) or path not in hashes or not is_safe(path, longest=FULL_PATH_CHARS):
        raise BadArchive(f"{bag.DATA_PACKAGE} describes a file that is not in the manifest")
    texts = [resource.get(name) for name in ("x-exporter", "x-dataset", "mediatype")]
    is_named = all(map(is_name, texts[:2])) and is_text(texts[2])
    size, file, records = (resource.get(name) for name in ("bytes", "x-file", "x-records"))
    is_counted = is_count(size) and is_optional(is_count, records)
    if not (is_named and is_counted and isinstance(file, str | None)):
        raise BadArchive(f"{bag.DATA_PACKAGE} lacks a property of a file")
    part = _PART.search(path) if file is not None else None
    number = int(part[1]) if part and not str(file).endswith(part[0]) else 0
    truncated, corrects = resource.get("x-state") == "truncated", resource.get("x-corrects") is True
    return volume, revision, path, hashes[path], size, *texts, file, number, truncated, corrects, records


def _counts(folder: Path, tags: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> VolumeCounts | None:
    """Read a volume's counts, which agree with its data package; None: an earlier release did not count."""
    if bag.COUNTS not in tags:
        return None
    stated = {row[2]: row[-1] or 0 for row in rows}
    try:
        return counting.checked(_tag_file(folder, bag.COUNTS, tags), stated)
    except counting.WrongCounts as wrong:
        raise BadArchive(f"{folder.name}: {wrong.file or bag.COUNTS}: {wrong}") from None


def _tag_file(folder: Path, name: str, tags: Mapping[str, str]) -> bytes:
    data = _read(folder, name)
    if hashlib.sha256(data).hexdigest() != tags.get(name):
        raise BadArchive(f"{folder.name}: {name} differs from its entry in the tag manifest")
    return data


def _read(folder: Path, name: str) -> bytes:
    with reads(folder / name, f"{name} of {folder.name}"), (folder / name).open("rb") as file:
        data = file.read(bag.KEPT_BYTES + 1)
    if len(data) > bag.KEPT_BYTES:
        raise BadArchive(f"{folder.name}: {name} is larger than {bag.KEPT_BYTES} bytes")
    return data


def _parsed(name: str, data: bytes) -> Mapping[str, str]:
    try:
        return bag.parse_manifest(data)
    except bag.BadManifest as error:
        raise BadArchive(f"{name}: {error}") from None
