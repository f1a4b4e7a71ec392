"""What an archive of a feed says about itself: changes.json and its tombstones (docs/archive-format.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive import bag
from receiver.importer.faults import BadArchive
from receiver.importer.lines import records
from receiver.importer.payload import ArchivedPiece
from receiver.importer.values import Reason
from receiver.ledger.feeds import FeedPlace, FeedPoint
from receiver.untrusted import is_name, is_number, is_optional, is_text

FEED_CHARACTERS = 64
"""Of the id of a feed: the column that keeps it."""


@dataclass(frozen=True, slots=True)
class FeedChanges:
    """The place of an archive in its feed, and the tombstones of what is gone since the archive before."""

    place: FeedPlace
    tombstones: Mapping[tuple[str, str], ArchivedPiece]
    """By exporter and dataset."""

    @classmethod
    def parse(cls, document: Mapping[str, Any], export: str, folder: Path, tags: Mapping[str, str]) -> FeedChanges:
        """Read changes.json of an unpacked volume of an export, whose tag manifest is `tags`. Raises BadArchive."""
        feed, number, listed = document.get("feed"), document.get("number"), document.get("tombstones")
        is_long = len(str(feed)) > FEED_CHARACTERS
        if is_long or not (is_name(feed) and is_number(number) and isinstance(listed, list)):
            raise BadArchive(f"{bag.CHANGES} lacks a property, or has one of another type")
        cursor = document.get("cursor")
        here = FeedPoint(number, export, _sha256(cursor) if isinstance(cursor, str) else None)
        place = FeedPlace(feed, here, _after(document.get("after"), number - 1))
        return cls(place, dict(_pieces(listed, folder, tags)))

    def keys(self, exporter: str, dataset: str) -> Iterator[Mapping[str, Any]]:
        """Yield the keys of the tombstones of a dataset. Raises BadArchive."""
        piece = self.tombstones[exporter, dataset]
        for record, _size in records(piece.blocks()):
            key = None if isinstance(record, Reason) else record.get("key")
            if not isinstance(key, Mapping):
                raise BadArchive(f"{piece.path.name} has a line that is not a tombstone")
            yield key


def _after(named: Any, number: int) -> FeedPoint | None:  # noqa: ANN401  # JSON of a stranger
    """Return the archive before, as changes.json names it; None: this is the first archive. Raises BadArchive."""
    before = named if isinstance(named, Mapping) else {}
    export, cursor = before.get("export"), before.get("cursor_sha256")
    is_named = is_optional(is_text, export) and is_optional(is_text, cursor)
    if (number > 0) is not isinstance(export, str) or not is_named:
        raise BadArchive(f"{bag.CHANGES} does not say which archive it follows")
    return FeedPoint(number, export, cursor) if export else None


def _sha256(cursor: str) -> str:
    return hashlib.sha256(cursor.encode()).hexdigest()


def _pieces(
    listed: list[Any], folder: Path, tags: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], ArchivedPiece]]:
    for entry in listed:
        named = entry if isinstance(entry, Mapping) else {}
        exporter, dataset, path = named.get("exporter"), named.get("dataset"), named.get("path")
        if not (is_name(exporter) and is_name(dataset)) or path != bag.tombstones(exporter, dataset):
            raise BadArchive(f"{bag.CHANGES} names a file that holds no tombstones")
        if path not in tags:
            raise BadArchive(f"{folder.name}: {bag.TAG_MANIFEST} does not list the tombstones of {exporter}/{dataset}")
        place = folder / path
        size = place.stat().st_size if place.is_file() else 0
        yield (exporter, dataset), ArchivedPiece(place, tags[path], size)
