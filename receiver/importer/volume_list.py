"""The list of volumes in a closing volume, compared with the volumes that are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from receiver.importer.faults import BadArchive

NAMED = 10
"""Numbers that an error names: a stranger may list millions of volumes."""


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
        raise BadArchive(f"volumes are missing: {_some(missing)}")
    if unlisted := sorted(folders.keys() - listed):
        raise BadArchive(f"there are volumes that the closing volume does not list: {_some(unlisted)}")
    for number, stated in ((line["number"], line.get("tagmanifest_sha256")) for line in lines[:-1]):
        if stated != tag_manifests[number]:
            raise BadArchive(f"{folders[number]} is not the volume {number} that the closing volume lists")


def _some(numbers: Sequence[int]) -> str:
    """Return the first of many numbers, and how many more there are."""
    first = ", ".join(map(str, numbers[:NAMED]))
    return f"{first} and {len(numbers) - NAMED} more" if len(numbers) > NAMED else first
