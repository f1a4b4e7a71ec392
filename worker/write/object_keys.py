"""Keys of stored objects: `<export>/<number>.<fence>.<random>`, and `.zip`, `.excerpt`, `.index` or `.age`.

The marker of a closing is `<export>/<revision>.closing`. A sweep deletes only objects with such keys, because a bucket
may contain objects of other programs.
"""

from __future__ import annotations

import re
import secrets

_EXPORT = r"[a-z2-7]{24}"
_VOLUME = re.compile(rf"({_EXPORT}/[0-9]{{5,}}\.[0-9]+\.[0-9a-f]{{8}})\.(zip|excerpt|index)")
_COPY = re.compile(rf"{_EXPORT}/[0-9]{{5,}}\.[0-9]+\.[0-9a-f]{{8}}\.age")
_MARKER = re.compile(rf"({_EXPORT})/[0-9]+\.closing")
_FOLDER = re.compile(rf"{_EXPORT}")


def fresh(export_id: str, number: int, fence: int) -> str:
    """Make a new, unique key: an old worker with a smaller fence writes to keys that are never read."""
    return f"{export_id}/{number:05}.{fence}.{secrets.token_hex(4)}.zip"


def fresh_copy(export_id: str, number: int, fence: int) -> str:
    """Make a new key for a volume's encrypted copy."""
    return fresh(export_id, number, fence).removesuffix(".zip") + ".age"


def closing_marker(export_id: str, revision: int) -> str:
    """Return the key of the object that names the closing volume of a revision."""
    return f"{export_id}/{revision}.closing"


def closes(key: str) -> str | None:
    """Return the export whose closing an object marks; None for another object."""
    match = _MARKER.fullmatch(key)
    return match and match[1]


def is_copy(key: str) -> bool:
    """Return whether a key is an encrypted copy's."""
    return _COPY.fullmatch(key) is not None


def volume_of(key: str) -> str | None:
    """Return the key of the volume that a volume, an excerpt or an index belongs to; None for another program's key."""
    match = _VOLUME.fullmatch(key)
    return None if match is None else f"{match[1]}.zip"


def is_volume(key: str) -> bool:
    """Return whether one of our keys is a volume's, and not what is beside it."""
    return key.endswith(".zip")


def is_folder(name: str) -> bool:
    """Return whether a folder of a `file://` storage is one that contains volumes."""
    return _FOLDER.fullmatch(name) is not None
