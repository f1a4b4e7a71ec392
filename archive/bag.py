"""The BagIt 1.0 tag files of a volume (RFC 8493), written and read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from archive.parts import VolumeMetadata

PAYLOAD = "data/"
DECLARATION = "bagit.txt"
INFO = "bag-info.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
SIGNATURE = "signature.jwt"
DATA_PACKAGE = "datapackage.json"
COUNTS = "counts.json"
EXPORT = "export.json"
NOTICE = "notice.json"
NOTICE_PAGE = "notice.html"
NOTICE_SCHEMA = "schemas/notice.schema.json"
README = "README.html"
CHANGES = "changes.json"
TOMBSTONES = "tombstones/"
UNLISTED = frozenset({TAG_MANIFEST, SIGNATURE})
"""The tag files that no manifest lists: the tag manifest, whose hash is in the signature, and the signature."""
KEPT_BYTES = 1 << 26
"""Maximum size of manifests and export.json, which are kept in memory; a larger file is a fault."""

DECLARATION_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")


def tombstones(exporter: str, dataset: str) -> str:
    """Return the path of the tombstones of a dataset."""
    return f"{TOMBSTONES}{exporter}/{dataset}.jsonl"


class BadManifest(ValueError):
    """A manifest differs from what `manifest` writes; the message says in which line."""


def info(envelope: VolumeMetadata, number: int, *, volumes: int | None, files: int, payload_bytes: int) -> bytes:
    """Return bag-info.txt (RFC 8493 section 2.2.2). `volumes` is their count, known in the closing volume only."""
    elements = {
        "Source-Organization": envelope.issuer,
        "External-Identifier": envelope.export,
        "Bagging-Date": f"{envelope.produced_at:%Y-%m-%d}",
        "Payload-Oxum": f"{payload_bytes}.{files}",
        "Bag-Group-Identifier": envelope.group,
        "Bag-Count": f"{number} of ?" if volumes is None else f"{volumes} of {volumes}",
    }
    return "".join(f"{label}: {value}\n" for label, value in elements.items()).encode()


def manifest(hashes: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Return the lines of a manifest (RFC 8493 section 2.1.3) from (path, SHA-256); `sha256sum -c` reads them too."""
    return (f"{sha256}  {path}\n".encode() for path, sha256 in hashes)


def parse_manifest(text: bytes) -> Mapping[str, str]:
    """Read a manifest; returns SHA-256 by path. Raises BadManifest."""
    if not text:
        return {}
    try:
        lines = text.decode("ascii").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise BadManifest("the manifest has characters that are not ASCII") from None
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if not match:
            raise BadManifest(f"line {number} is not of the form `<SHA-256>  <path>`")
        if match[2] in hashes:
            raise BadManifest(f"line {number} repeats the path of an earlier line")
        hashes[match[2]] = match[1]
    return hashes
