"""The list of volumes in a closing volume, compared with the volumes that are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archive import bag
from receiver.importer.faults import BadArchive


def closing(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return export.json, once what is read of it has the right types. Raises BadArchive."""
    lines = document.get("volumes", [])
    is_listed = isinstance(lines, list) and all(
        isinstance(line, dict) and type(line.get("number")) is int for line in lines
    )
    is_named = all(isinstance(document.get(name), str | None) for name in ("profile", "subject_kind"))
    if not (is_listed and is_named and type(document.get("revision", 1)) is int):
        raise BadArchive(f"{bag.EXPORT} lacks a property, or has one of another type")
    return document


def check(lines: Sequence[Mapping[str, Any]], folders: Mapping[int, str], tag_manifests: Mapping[int, str]) -> None:
    """Check that all volumes are here, each as the closing volume lists it, and no other.

    A volume of an earlier attempt at the same export has the same number and a good signature: its hash differs.

    Args:
        lines: `volumes` of `export.json`. The last line is that of the closing volume, which has no hash of itself.
        folders: the names of the folders that are here, by the number of the volume.
        tag_manifests: the SHA-256 of their tag manifests, in hexadecimal, by the same number.

    Raises: BadArchive.
    """
    listed = {line["number"] for line in lines}
    if missing := sorted(listed - folders.keys()):
        raise BadArchive(f"volumes are missing: {', '.join(map(str, missing))}")
    if unlisted := sorted(folders.keys() - listed):
        raise BadArchive(f"there are volumes that the closing volume does not list: {', '.join(map(str, unlisted))}")
    for number, stated in ((line["number"], line.get("tagmanifest_sha256")) for line in lines[:-1]):
        if stated != tag_manifests[number]:
            raise BadArchive(f"{folders[number]} is not the volume {number} that the closing volume lists")
