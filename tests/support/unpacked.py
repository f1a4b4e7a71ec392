"""Archives unpacked by the standard library, and what is in them in a form that can be compared."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from archives import members

from receiver.importer.values import canonical


def unpacked(volumes: Sequence[Path], folder: Path) -> list[Path]:
    """The bags, a folder each."""
    for volume in volumes:
        with zipfile.ZipFile(volume) as archive:
            archive.extractall(folder)
    return [folder / volume.stem for volume in volumes]


def lines(volumes: Sequence[Path]) -> Counter[tuple[str, str]]:
    """Every record of every dataset as a canonical text, as often as it is there."""
    found: Counter[tuple[str, str]] = Counter()
    for name, body in members(volumes):
        if name.startswith("data/") and name.endswith(".jsonl"):
            dataset = "/".join(name.split("/")[1:3]).removesuffix(".jsonl").split("-")[0]
            found.update((dataset, canonical(json.loads(line))) for line in body.decode().split("\n") if line)
    return found


def hashes(volumes: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of every recording and attachment by its path."""
    return {
        name: hashlib.sha256(body).hexdigest()
        for name, body in members(volumes)
        if name.startswith(("data/calls/recordings/", "data/chats/attachments/"))
    }
