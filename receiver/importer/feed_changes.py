"""What an archive of a feed says about itself: changes.json and its tombstones (docs/archive-format.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archive import bag
from receiver.importer.faults import BadArchive
from receiver.importer.lines import records
from receiver.importer.payload import ArchivedPiece
from receiver.importer.values import Reason


@dataclass(frozen=True, slots=True)
class FeedChanges:
    """The place of an archive in its feed, and the tombstones of what is gone since the archive before."""

    feed: str
    number: int
    after_export: str | None
    """The export of the archive before; None: this is the first archive."""
    tombstones: Mapping[tuple[str, str], ArchivedPiece]
    """By exporter and dataset."""

    @classmethod
    def parse(cls, document: Mapping[str, Any], folder: Path, tags: Mapping[str, str]) -> FeedChanges:
        """Read changes.json of an unpacked volume, whose tag manifest is `tags`. Raises BadArchive."""
        feed, number, after = document.get("feed"), document.get("number"), document.get("after")
        listed = document.get("tombstones")
        if not isinstance(feed, str) or type(number) is not int or number < 1 or not isinstance(listed, list):
            raise BadArchive(f"{bag.CHANGES} lacks a property, or has one of another type")
        export = after.get("export") if isinstance(after, Mapping) else None
        if (number > 1) is not isinstance(export, str):
            raise BadArchive(f"{bag.CHANGES} does not say which archive it follows")
        return cls(feed, number, export, dict(_pieces(listed, folder, tags)))

    def keys(self, exporter: str, dataset: str) -> Iterator[Mapping[str, Any]]:
        """Yield the keys of the tombstones of a dataset. Raises BadArchive."""
        piece = self.tombstones[exporter, dataset]
        for record, _size in records(piece.blocks()):
            key = None if isinstance(record, Reason) else record.get("key")
            if not isinstance(key, Mapping):
                raise BadArchive(f"{piece.path.name} has a line that is not a tombstone")
            yield key


def _pieces(
    listed: list[Any], folder: Path, tags: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], ArchivedPiece]]:
    for entry in listed:
        named = entry if isinstance(entry, Mapping) else {}
        exporter, dataset, path = named.get("exporter"), named.get("dataset"), named.get("path")
        if not isinstance(exporter, str) or not isinstance(dataset, str) or path != bag.tombstones(exporter, dataset):
            raise BadArchive(f"{bag.CHANGES} names a file that holds no tombstones")
        if path not in tags:
            raise BadArchive(f"{folder.name}: {bag.TAG_MANIFEST} does not list the tombstones of {exporter}/{dataset}")
        place = folder / path
        size = place.stat().st_size if place.is_file() else 0
        yield (exporter, dataset), ArchivedPiece(place, tags[path], size)
