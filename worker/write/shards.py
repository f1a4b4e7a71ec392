"""Shards of the viewer: all records of a volume as scripts among its tag files, and an index beside the volume.

`write_members` is the only place that adds records. The shards are part of the volume, and die with it if it is written
again; the index counts once the volume is committed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import orjson
from sqlalchemy import RowMapping

from archive.viewer.index import DamagedIndex, ViewerIndex
from archive.viewer.shards import cut, path, script, values
from archive.write.facts import VolumeFacts
from portability.api import Dataset, Record
from portability.api.errors import ObjectMissing, StorageError
from portability.api.storages import Storage
from portability.errors import VolumeFault
from worker.write.uploads import aborted_on_error

JSON_LINES = "jsonl"
"""The format whose members are cut into shards: without it, the viewer shows the excerpt."""


class TagFiles(Protocol):
    """The part of a volume that is being written that takes tag files."""

    @property
    def name(self) -> str: ...
    @property
    def facts(self) -> VolumeFacts: ...
    def tag(self, path: str, blocks: Iterable[bytes]) -> None: ...


class Shards:
    """The shards of an open volume."""

    def __init__(self, output: TagFiles) -> None:
        self.index = ViewerIndex()
        self._output = output
        self._count = 0

    def take(
        self,
        exporter: str,
        dataset: Dataset,
        bodies: Mapping[str, Sequence[bytes]],
        *,
        corrects: bool = False,
        earlier: Iterable[Record] = (),
    ) -> None:
        """Write the shards of a piece's records; a piece that `corrects` replaces the `earlier` records.

        Raises: VolumeFault; what storage raises.
        """
        for text in cut(bodies.get(JSON_LINES, ())):
            self._count += 1
            place = (self._output.name, self._count)
            rows = orjson.loads(b"[" + text[:-1].replace(b"\n", b",") + b"]")
            self._output.tag(path(self._count), script(f"{place[0]}/{path(self._count)}", values(rows)))
            self._output.facts.add(exporter, dataset, rows)
            self.index.add(exporter, dataset, place, rows, corrects=corrects, earlier=earlier)
            earlier = ()


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
