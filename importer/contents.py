"""What unpacked volumes hold: their manifests and data packages, checked and listed in a scratch database on disk.

Memory stays bounded by one volume, however many there are.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import sqlite3
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from archive import bag
from archive.check import KEPT_BYTES
from archive.names import FULL_PATH_CHARS, is_safe
from archive.parts import FORMAT
from importer.faults import BadArchive, NotImportable
from portability.errors import BadInput
from portability.signing import ARCHIVE_TYPE, Jwks, check

PROFILES = frozenset({"switch", "portability"})
"""The others are copies to read, not to move with."""
JSON_LINES = "application/jsonl"
BLOCK_BYTES = 1 << 20
_PART = re.compile(r"\.part-([0-9]{4})$")
_SCHEMA = """
CREATE TABLE member (
    volume INTEGER, revision INTEGER, path TEXT, sha256 TEXT, bytes INTEGER, exporter TEXT, dataset TEXT,
    media_type TEXT, file TEXT, part INTEGER, truncated INTEGER, PRIMARY KEY (volume, path)
) WITHOUT ROWID;
CREATE INDEX files ON member (exporter, dataset, file, revision);
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """One payload file, and what the manifest says of it."""

    path: Path
    sha256: str
    size: int

    def blocks(self) -> Iterator[bytes]:
        """Its content. Raises BadArchive after the last block where it is not what the manifest lists."""
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    digest.update(block)
                    yield block
        except OSError as error:
            raise BadArchive(f"{self.path.name} cannot be read: {type(error).__name__}") from None
        if digest.hexdigest() != self.sha256:
            raise BadArchive(f"{self.path.name} is not the file that the manifest lists")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A recording or attachment, whole or in its pieces."""

    pieces: tuple[Piece, ...]
    media_type: str
    truncated: bool
    """Its source broke off: these are the bytes that there were."""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(piece.size for piece in self.pieces)

    @property
    def digest(self) -> str:
        """Names the content: the SHA-256 of the file, of several pieces that of their hashes."""
        if len(self.pieces) == 1:
            return self.pieces[0].sha256
        return hashlib.sha256("".join(piece.sha256 for piece in self.pieces).encode()).hexdigest()

    def blocks(self) -> Iterator[bytes]:
        for piece in self.pieces:
            yield from piece.blocks()


class _Part(NamedTuple):
    """A piece of a file, and what is said of it."""

    piece: Piece
    media_type: str
    truncated: bool


class Contents:
    """The members of an archive by exporter and dataset. Use it as a context; its scratch file goes with it."""

    def __init__(self, folders: Sequence[Path], jwks: Jwks | None) -> None:
        # An empty name is SQLite's own temporary database: in memory while small, else in a file without a name.
        self._scratch = sqlite3.connect("")
        self._scratch.executescript(_SCHEMA)
        self._folders: dict[int, Path] = {}
        self._export_id = ""
        self.export: Mapping[str, Any] = {}
        """export.json of the newest revision."""
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
        """Throw the scratch database away."""
        self._scratch.close()

    @property
    def total_bytes(self) -> int:
        """Of all records and files; other forms of the same records do not count."""
        query = "SELECT coalesce(sum(bytes), 0) FROM member WHERE file IS NOT NULL OR media_type = ?"
        return int(self._scratch.execute(query, (JSON_LINES,)).fetchone()[0])

    def datasets(self) -> list[tuple[str, str, frozenset[str]]]:
        """Exporter, dataset, and the media types of what there is of it beside its files."""
        query = (
            "SELECT DISTINCT exporter, dataset, CASE WHEN file IS NULL THEN media_type END FROM member ORDER BY 1, 2"
        )
        found: dict[tuple[str, str], set[str]] = {}
        for exporter, dataset, media_type in self._scratch.execute(query):
            found.setdefault((exporter, dataset), set()).update([media_type] if media_type else [])
        return [(exporter, dataset, frozenset(types)) for (exporter, dataset), types in found.items()]

    def pieces(self, exporter: str, dataset: str) -> list[Piece]:
        """The JSON Lines of a dataset: what a retry brought comes last, and therefore wins."""
        query = (
            "SELECT volume, path, sha256, bytes FROM member WHERE exporter = ? AND dataset = ? AND media_type = ?"
            " AND file IS NULL ORDER BY revision, volume, path"
        )
        return [self._piece(*row) for row in self._scratch.execute(query, (exporter, dataset, JSON_LINES))]

    def file(self, exporter: str, dataset: str, name: str) -> StoredFile | None:
        """A file by the name that its exporter gave it: of the newest revision that has it whole, else the newest."""
        query = (
            "SELECT revision, part, truncated, media_type, volume, path, sha256, bytes FROM member"
            " WHERE exporter = ? AND dataset = ? AND file = ? ORDER BY revision DESC, part, volume DESC"
        )
        revisions: dict[int, dict[int, _Part]] = {}
        for revision, part, truncated, media_type, *row in self._scratch.execute(query, (exporter, dataset, name)):
            revisions.setdefault(revision, {}).setdefault(part, _Part(self._piece(*row), media_type, bool(truncated)))
        found = [_joined(parts) for parts in revisions.values()]
        return next((file for file in found if not file.truncated), found[0] if found else None)

    def file_of(self, exporter: str, dataset: str, identifier: str) -> str | None:
        """The name of a file that is called as a record's id is, whatever its ending."""
        query = "SELECT file FROM member WHERE exporter = ? AND dataset = ? AND file >= ? AND file < ? LIMIT 1"
        row = self._scratch.execute(query, (exporter, dataset, f"{identifier}.", f"{identifier}/")).fetchone()
        return None if row is None else str(row[0])

    def _piece(self, volume: int, path: str, sha256: str, size: int) -> Piece:
        return Piece(self._folders[volume] / path, sha256, size)

    def _add(self, folder: Path, jwks: Jwks | None) -> None:
        tags = _parsed(bag.TAG_MANIFEST, _read(folder, bag.TAG_MANIFEST))
        claims = _claims(folder, jwks)
        volume = claims["volume"]
        if volume in self._folders:
            raise BadInput(f"{folder.name} and {self._folders[volume].name} are one volume", hint="name each once")
        if self._folders and claims["export"] != self._export_id:
            raise BadInput(f"{folder.name} is of another export", hint="import one archive at a time")
        self._folders[volume], self._export_id = folder, claims["export"]
        hashes = _parsed(bag.MANIFEST, _tag_file(folder, bag.MANIFEST, tags))
        package = _json(bag.DATA_PACKAGE, _tag_file(folder, bag.DATA_PACKAGE, tags))
        rows = [_row(volume, claims["revision"], resource, hashes) for resource in package.get("resources", [])]
        self._scratch.executemany(f"INSERT OR IGNORE INTO member VALUES ({','.join('?' * 11)})", rows)  # noqa: S608 - question marks
        if len({row[2] for row in rows}) != len(hashes):
            raise BadArchive(f"{folder.name}: {bag.DATA_PACKAGE} does not describe the files of the manifest")
        if bag.EXPORT in tags and claims["revision"] > self.export.get("revision", 0):
            self.export = _json(bag.EXPORT, _tag_file(folder, bag.EXPORT, tags))

    def _check_whole(self) -> None:
        if not self.export:
            raise BadArchive("the closing volume, which says what volumes there are, is not there")
        if self.export.get("format") != FORMAT:
            raise NotImportable(f"the archive has the format {self.export.get('format')!r}, not {FORMAT}")
        if (profile := self.export.get("profile")) not in PROFILES:
            raise NotImportable(f"an export of profile {profile!r} is a copy to read, not one to import")
        lines = self.export.get("volumes")
        listed = {line.get("number") for line in lines} if isinstance(lines, list) else set()
        if missing := sorted(listed - self._folders.keys()):
            raise BadArchive(f"volumes are missing: {', '.join(map(str, missing))}")
        if strange := sorted(self._folders.keys() - listed):
            raise BadArchive(f"volumes that the closing one does not list: {', '.join(map(str, strange))}")


def bags(path: Path) -> list[Path]:
    """The unpacked volumes in a folder, which may be one itself. Raises BadInput where there are none."""
    places = (path, path / "archive")
    found = [path] if _is_bag(path) else [one for place in places for one in sorted(place.glob("*")) if _is_bag(one)]
    if not found:
        hint = "name the folder that `portability receive` made, or one with the ZIPs"
        raise BadInput(f"there is no unpacked volume in {path}", hint=hint)
    return found


def _is_bag(path: Path) -> bool:
    return (path / bag.DECLARATION).is_file()


def _joined(parts: Mapping[int, _Part]) -> StoredFile:
    """Part 0 is a file in one piece; several are numbered from 1, and none may be absent."""
    numbers = [0] if 0 in parts else sorted(parts)
    is_gapless = numbers == [0] or numbers == list(range(1, len(numbers) + 1))
    found = [parts[number] for number in numbers]
    truncated = not is_gapless or any(part.truncated for part in found)
    return StoredFile(tuple(part.piece for part in found), found[0].media_type, truncated)


def _claims(folder: Path, jwks: Jwks | None) -> Mapping[str, Any]:
    """What the volume says that it is: signed where there are keys to check that, else only well formed."""
    token = _read(folder, bag.SIGNATURE).decode("latin-1")
    if jwks is not None:
        claims = check(token, jwks, typ=ARCHIVE_TYPE)
        digest = hashlib.sha256(_read(folder, bag.TAG_MANIFEST)).hexdigest()
        if claims.get("tagmanifest_sha256") != digest:
            raise BadArchive(f"{folder.name}: {bag.TAG_MANIFEST} is not the one that was signed")
    else:
        claims = _unsigned(token)
    if not isinstance(claims.get("export"), str) or any(
        type(claims.get(name)) is not int for name in ("volume", "revision")
    ):
        raise BadArchive(f"{folder.name}: {bag.SIGNATURE} lacks a claim")
    return claims


def _unsigned(token: str) -> Mapping[str, Any]:
    try:
        payload = token.split(".")[1]
        return _json(bag.SIGNATURE, urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, binascii.Error, ValueError):
        raise BadArchive(f"{bag.SIGNATURE} is no signature") from None


def _row(volume: int, revision: int, resource: Any, hashes: Mapping[str, str]) -> tuple[Any, ...]:  # noqa: ANN401  # JSON of a stranger
    path = resource.get("path") if isinstance(resource, dict) else None
    if not isinstance(path, str) or path not in hashes or not is_safe(path, longest=FULL_PATH_CHARS):
        raise BadArchive(f"{bag.DATA_PACKAGE} describes a file that no manifest lists")
    texts = [resource.get(name) for name in ("x-exporter", "x-dataset", "mediatype")]
    size, file = resource.get("bytes"), resource.get("x-file")
    if not all(isinstance(text, str) for text in texts) or type(size) is not int or not isinstance(file, str | None):
        raise BadArchive(f"{bag.DATA_PACKAGE} lacks a property of a file")
    part = _PART.search(path) if file is not None else None
    number = int(part[1]) if part and not str(file).endswith(part[0]) else 0
    return volume, revision, path, hashes[path], size, *texts, file, number, resource.get("x-state") == "truncated"


def _tag_file(folder: Path, name: str, tags: Mapping[str, str]) -> bytes:
    data = _read(folder, name)
    if hashlib.sha256(data).hexdigest() != tags.get(name):
        raise BadArchive(f"{folder.name}: {name} is not the file that the tag manifest lists")
    return data


def _read(folder: Path, name: str) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            data = file.read(KEPT_BYTES + 1)
    except OSError as error:
        raise BadArchive(f"{folder.name}: {name} cannot be read: {type(error).__name__}") from None
    if len(data) > KEPT_BYTES:
        raise BadArchive(f"{folder.name}: {name} is larger than {KEPT_BYTES} bytes")
    return data


def _parsed(name: str, data: bytes) -> Mapping[str, str]:
    try:
        return bag.parse_manifest(data)
    except bag.BadManifest as error:
        raise BadArchive(f"{name}: {error}") from None


def _json(name: str, data: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadArchive(f"{name} is no JSON object")
    return document
