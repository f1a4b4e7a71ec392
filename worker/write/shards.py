"""Shards of the viewer: all records of a volume as scripts among its tag files, and an index beside the volume.

They are cut while the records of a piece pass, since their values are there by column then: to take them from lines of
JSON again would cost several times as much. `write_members` is the only place that adds them to a volume. The shards
are part of the volume, and die with it if it is written again; the index counts once the volume is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import RowMapping

from archive.viewer.entries import Sums, TalkEntry, makes_talks, sums, talk_entries
from archive.viewer.index import DamagedIndex, ViewerIndex
from archive.viewer.shards import SHARD_BYTES, lines, path, script
from archive.write.facts import VolumeFacts
from portability.api import JSON, Dataset, Record, RecordChecker
from portability.api.errors import ObjectMissing, StorageError
from portability.api.storages import Storage
from portability.errors import VolumeFault
from worker.write.uploads import aborted_on_error

JSON_LINES = "jsonl"
"""The format that the viewer shows: without it, there are no shards, and it shows the excerpt."""


class TagFiles(Protocol):
    """The part of a volume that is being written that takes tag files."""

    @property
    def name(self) -> str: ...
    @property
    def facts(self) -> VolumeFacts: ...
    def tag(self, path: str, blocks: Iterable[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class CutShard:
    """A shard whose place is not known yet."""

    text: bytes = field(repr=False)
    rows: int
    talks: Sequence[TalkEntry] = field(repr=False)


class ShardCutter:
    """Cuts the records of a piece into shards as they arrive; notes what index and schemas say of them."""

    def __init__(self, exporter: str, dataset: Dataset) -> None:
        self.exporter, self.dataset = exporter, dataset
        self.shards: list[CutShard] = []
        self.facts = VolumeFacts()
        self.sums = Sums()
        self._checker = RecordChecker(dataset)
        self._names = [field.name for field in dataset.fields]
        self._makes_talks = makes_talks(exporter, dataset)
        self._lines: list[bytes] = []
        self._talks: list[Record] = []
        self._bytes = 0

    def write(self, records: Sequence[Record]) -> None:
        """Take a batch that JSON Lines can represent. Raises FormatError."""
        by_place = self._checker.columns(records)
        columns = dict(zip(self._names, by_place, strict=True))
        self.facts.add(self.exporter, self.dataset, columns)
        self.sums.update(sums(self.exporter, self.dataset, columns))
        begin, made = 0, lines(by_place)
        for end, line in enumerate(made, 1):
            self._bytes += len(line)
            if self._bytes >= SHARD_BYTES:
                self._take(made, by_place, begin, end)
                self.close()
                begin = end
        self._take(made, by_place, begin, len(made))

    def close(self) -> None:
        """End the shard that is open."""
        if self._lines:
            talks = talk_entries(self.exporter, self.dataset, self._talks) if self._makes_talks else ()
            self.shards.append(CutShard(b"".join(self._lines), len(self._lines), talks))
        self._lines, self._talks, self._bytes = [], [], 0

    def _take(self, made: Sequence[bytes], by_place: Sequence[Sequence[JSON]], begin: int, end: int) -> None:
        self._lines += made[begin:end]
        if self._makes_talks:
            rows = zip(*(column[begin:end] for column in by_place), strict=True)
            self._talks += [dict(zip(self._names, row, strict=True)) for row in rows]


class Shards:
    """The shards of an open volume."""

    def __init__(self, output: TagFiles) -> None:
        self.index = ViewerIndex()
        self._output = output
        self._count = 0

    def take(self, cut: ShardCutter, *, corrects: bool = False, earlier: Sequence[Record] = ()) -> None:
        """Write the shards of a piece's records; a piece that `corrects` replaces the `earlier` records.

        Raises: VolumeFault; what storage raises.
        """
        exporter, dataset = cut.exporter, cut.dataset
        for shard in cut.shards:
            self._count += 1
            place = (self._output.name, self._count)
            self._output.tag(path(self._count), script(f"{place[0]}/{path(self._count)}", shard.text))
            self.index.add(exporter, dataset, place, shard.rows, shard.talks, corrects=corrects)
        self._output.facts.absorb(cut.facts)
        replaced = {field.name: [record.get(field.name) for record in earlier] for field in dataset.fields}
        counted = Counter(cut.sums)
        counted.subtract(sums(exporter, dataset, replaced))
        self.index.count(exporter, dataset, counted)


def key(object_key: str) -> str:
    """Return the key of a volume's index: beside it."""
    return f"{object_key.removesuffix('.zip')}.index"


def save(storage: Storage, object_key: str, index: ViewerIndex) -> None:
    """Store the index beside a volume, before it is committed. Raises StorageError."""
    upload = storage.begin(key(object_key))
    with aborted_on_error(upload):
        for block in index.dump():
            upload.write(block)
        upload.complete()


def merge(storage: Storage, own: ViewerIndex, stored: Sequence[RowMapping], revision: int) -> ViewerIndex:
    """Return the index of the archive: that of the revision before, of this revision's volumes, and the `own`.

    `stored` are the export's volumes in order. An index that is gone is left out: the page says that it shows less.

    Raises: StorageUnavailable; VolumeFault if one is damaged.
    """
    merged = ViewerIndex()
    before = [row["object_key"] for row in stored if row["closing"] and row["revision"] < revision]
    for object_key in [*before[-1:], *(row["object_key"] for row in stored if row["revision"] == revision)]:
        try:
            with suppress(ObjectMissing):
                merged.absorb(storage.read(key(object_key)))
        except DamagedIndex as error:
            raise VolumeFault(f"the viewer's index beside {object_key}: {error}") from None
    merged.absorb(own.dump())
    return merged


def discard(storage: Storage, object_keys: Iterable[str]) -> None:
    """Delete the indexes of volumes when their export is closed; the sweep deletes the rest."""
    for object_key in object_keys:
        with suppress(StorageError):
            storage.delete(key(object_key))


def withdraw(storage: Storage, object_key: str) -> None:
    """Delete the index beside an aborted volume, and its open upload of a dead worker. Raises StorageError."""
    for upload in storage.uploads(key(object_key)):
        storage.abort(upload.key, upload.upload_id)
    storage.delete(key(object_key))
