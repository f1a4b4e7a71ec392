"""Long lists of the closing volume: conversations and files, in parts that the page loads when it needs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import orjson

from archive.viewer.index import ViewerIndex
from archive.viewer.parts import Excerpt, Shown
from archive.viewer.shards import path, script
from archive.viewer.talks import TALKS
from portability.api import JSON

T = TypeVar("T")

ENTRIES = 250
"""Number of entries in one part."""
IDS = 2_000
"""Number of identifiers in one part."""


class ViewerLists:
    """The lists of an archive; where they are is known once `write` has yielded all parts."""

    def __init__(self, index: ViewerIndex | None, here: str) -> None:
        self._index = index
        self._here = here
        self._count = 0
        self._talks: dict[str, list[int]] = {exporter: [] for exporter in TALKS}
        self._ids: dict[str, list[Sequence[JSON]]] = {exporter: [] for exporter in TALKS}
        self._totals = dict.fromkeys(TALKS, 0)
        self._files: defaultdict[tuple[str, str], list[Sequence[JSON]]] = defaultdict(list)

    def write(self, excerpts: Iterable[Excerpt]) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Yield (path, blocks) of each part: all conversations, and the files of datasets whose excerpt lacks some."""
        if self._index:
            yield from self._parts_of(self._index, excerpts)

    def _parts_of(self, index: ViewerIndex, excerpts: Iterable[Excerpt]) -> Iterator[tuple[str, Iterable[bytes]]]:
        for exporter in TALKS:
            for part in _parts(index.listed(exporter)):
                self._totals[exporter] += len(part)
                yield self._part(part)
                self._talks[exporter].append(self._count)
            for ids in _parts(index.listed_ids(exporter), IDS):
                yield self._part(ids)
                self._ids[exporter].append((ids[0][0], self._count))
        for excerpt in excerpts:
            name = (excerpt.exporter, excerpt.dataset.name)
            for files in _parts(index.files(*name)) if excerpt.more_members else ():
                yield self._part([pointer(file, self._here) for file in files])
                self._files[name].append((files[0].file, self._count))

    def talks(self) -> dict[str, JSON]:
        """Return by exporter what conversations are made of, and in which parts their list is."""
        return {
            exporter: {
                **talk.to_json(),
                "total": self._totals[exporter],
                "parts": self._talks[exporter],
                "size": ENTRIES,
                "ids": self._ids[exporter],
            }
            for exporter, talk in TALKS.items()
        }

    def of(self, exporter: str, dataset: str) -> Mapping[str, JSON]:
        """Return where all records and files of a dataset are, and its sums; nothing without an index."""
        if not self._index:
            return {}
        places = self._index.shards().get((exporter, dataset), ())
        return {
            "shards": [[place.volume, place.number, place.rows, place.corrects] for place in places],
            "sums": self._index.sums(exporter, dataset),
            "fileParts": self._files[exporter, dataset],
        }

    def _part(self, entries: Sequence[JSON]) -> tuple[str, Iterable[bytes]]:
        self._count += 1
        where = path(self._count, "list")
        return where, script(f"{self._here}/{where}", b"".join(orjson.dumps(entry) + b"\n" for entry in entries))


def pointer(file: Shown, here: str) -> dict[str, JSON]:
    """Return how the page of the volume `here` reaches a file."""
    return {
        # Volumes are extracted side by side: files of another volume are reached through the folder above.
        "path": file.path if file.volume == here else f"../{file.volume}/{file.path}",
        "volume": None if file.volume == here else file.volume,
        "bytes": file.bytes,
        "media_type": file.media_type,
        "records": file.records,
        "name": file.file,
        "state": file.state,
    }


def _parts(entries: Iterator[T], size: int = ENTRIES) -> Iterator[list[T]]:
    for first in entries:
        yield [first, *islice(entries, size - 1)]
