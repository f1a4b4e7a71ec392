"""Changes: which records and files of a batch a feed has not delivered yet, and what it has delivered afterwards.

A record is unchanged if its line of JSON, as this archive would contain it, has the hash that was delivered. So the
comparison needs nothing of a source, and sees a changed relation, instruction, rule or map like a changed value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import Self, TypeAlias

import orjson
from sqlalchemy import RowMapping

from portability.api import NEEDS_REVIEW, Batch, Dataset, File, Record
from portability.api.rows import Rows, line
from portability.database.engine import reading
from portability.feeds import feeds, parts
from portability.feeds.parts import UNKNOWN, DeliveredEntry, DeliveredGroup, DeliveredName, FeedKey
from worker.context import WorkerContext
from worker.read.record_columns import column
from worker.read.redaction import Redact
from worker.read.screening import Screen
from worker.read.screening.values import Counts
from worker.write.delivered import DeliveredRecords

PART_ENTRIES = 20_000
"""Entries of one encrypted part: about 1 MB."""
MEMORY_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Choice:
    """The indexes of the records and files of a batch that the archive contains."""

    records: Sequence[int]
    files: Sequence[int]


Key: TypeAlias = tuple[str | int | float | bool | None, ...]
Choose: TypeAlias = Callable[[Dataset, Batch], Choice | None]
"""Chooses what to write of a redacted batch; None: all of it."""


def everything(_dataset: Dataset, _batch: Batch) -> None:
    """Choose the whole batch: of an archive that belongs to no feed."""


def arrive(
    dataset: Dataset, batch: Batch, redact: Redact, screen: Screen, choose: Choose = everything
) -> tuple[Batch, Counts]:
    """Return a batch as it is written, and what was replaced in it; counts are those of the chosen records alone.

    Raises: ScanBlocked.
    """
    whole, counts = _screened(dataset, batch, redact, screen)
    choice = choose(dataset, whole)
    if choice is None:
        return whole, counts
    files = tuple(whole.files[place] for place in choice.files)
    chosen, counts = _screened(dataset, _narrowed(batch, choice.records), redact, screen)
    return replace(chosen, files=files), counts


def _screened(dataset: Dataset, batch: Batch, redact: Redact, screen: Screen) -> tuple[Batch, Counts]:
    redacted, redactions = redact(dataset, batch)
    counts = Counts(masked=redactions)
    return screen.batch(dataset, redacted, counts), counts


def _narrowed(batch: Batch, wanted: Sequence[int]) -> Batch:
    """Return the batch with some of its records, and without files."""
    places = {old: new for new, old in enumerate(wanted)}

    def still(marked: Sequence[int]) -> tuple[int, ...]:
        return tuple(places[place] for place in marked if place in places)

    return replace(
        batch,
        records=_only(batch.records, wanted),
        files=(),
        remarks={name: still(marked) for name, marked in batch.remarks.items()},
        withheld={name: still(marked) for name, marked in batch.withheld.items()},
    )


def _only(records: Sequence[Record], wanted: Sequence[int]) -> Sequence[Record]:
    if not isinstance(records, Rows) or not wanted:
        return tuple(records[place] for place in wanted)
    columns = [[column[place] for place in wanted] for column in records.columns]
    found = records.lines.splitlines(keepends=True)
    texts = records.texts and [[column[place] for place in wanted] for column in records.texts]
    return Rows(records.names, columns, b"".join(found[place] for place in wanted), texts)


class VolumeChanges:
    """What an open volume adds to a feed's entries: a piece's entries count once the piece is written.

    A context manager; it deletes its temporary files.
    """

    def __init__(self, key: FeedKey, feed: RowMapping, base: DeliveredRecords) -> None:
        self.key = key
        self.feed = feed
        """The feed's row: this archive follows its `number`."""
        self.base = base
        """What was delivered before."""
        self._pending: list[DeliveredGroup] = []
        self._kept: list[DeliveredGroup] = []
        self._file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # closed by `close`
        self._sizes: list[int] = []
        self._kept_parts = 0

    @classmethod
    def open(cls, context: WorkerContext, feed_id: str) -> Self:
        """Load what a feed has delivered. Raises FeedEnded, UnknownFeed, NoSigningKey, DatabaseUnavailable."""
        with reading(context.engine) as connection:
            row = feeds.get(connection, feed_id)
        key = FeedKey.unsealed(row, context.settings.keys)
        return cls(key, row, DeliveredRecords(key, parts.until(context.engine, feed_id, row["number"])))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.base.close()
        self._file.close()

    def choose(self, exporter: str, dataset: Dataset, batch: Batch) -> Choice | None:
        """Note a batch's records, and return what of it was not delivered as it is now; None: all of it."""
        unsure = {tuple(gap.key) for gap in batch.gaps if gap.reason != NEEDS_REVIEW}
        keys = _keys(dataset, batch.records)
        hashes = [UNKNOWN] * len(keys) if () in unsure else self.key.hashes(_lines(dataset, batch.records))
        if unsure:
            hashes = [UNKNOWN if key in unsure else found for key, found in zip(keys, hashes, strict=True)]
        entries = self._entries(DeliveredName(exporter, dataset.name, dataset.key), keys, hashes)
        files = self._of_files(exporter, dataset, batch.files)
        records, wanted_files = self._changed(entries[1]), self._changed(files[1])
        unchanged = set(range(len(batch.files))) - set(wanted_files)
        self._pending += [entries, (files[0], [files[1][place] for place in sorted(unchanged)])]
        if _count(self._pending) >= PART_ENTRIES:
            self._write_pending()
        is_all = len(records) == len(batch.records) and len(wanted_files) == len(batch.files)
        return None if is_all else Choice(records, wanted_files)

    def _entries(self, name: DeliveredName, keys: Sequence[Key], hashes: Sequence[bytes]) -> DeliveredGroup:
        return name, list(map(DeliveredEntry, keys, hashes, self.key.digests(name, keys)))

    def _of_files(self, exporter: str, dataset: Dataset, files: Sequence[File]) -> DeliveredGroup:
        """Return entries of files; the hash is unknown if the source states nothing about the content."""
        versions = [(file.etag, file.sha256, file.modified) for file in files]
        stated = [
            orjson.dumps([file.media_type, file.size, *version]) for file, version in zip(files, versions, strict=True)
        ]
        hashes = [
            found if any(version) else UNKNOWN for found, version in zip(self.key.hashes(stated), versions, strict=True)
        ]
        return self._entries(DeliveredName(exporter, dataset.name, ()), [(file.name,) for file in files], hashes)

    def _changed(self, entries: Sequence[DeliveredEntry]) -> Sequence[int]:
        known = self.base.hashes([entry.digest for entry in entries])
        return [
            place
            for place, entry in enumerate(entries)
            if entry.hash == UNKNOWN or known.get(entry.digest) != entry.hash
        ]

    def keep(self) -> None:
        """Keep what the piece that was just written has noted."""
        self._kept_parts = len(self._sizes)
        self._kept += self._pending
        self._pending = []
        if _count(self._kept) >= PART_ENTRIES:
            self._write_kept()

    def drop(self) -> None:
        """Forget what a piece has noted that is not written."""
        self._pending = []
        del self._sizes[self._kept_parts :]
        self._file.seek(sum(self._sizes))
        self._file.truncate()

    def note(self, exporter: str, dataset: Dataset, records: Iterable[Record]) -> None:
        """Note records that are written, if it is unknown whether with all their values."""
        keys = _keys(dataset, list(records))
        name = DeliveredName(exporter, dataset.name, dataset.key)
        self._pending.append(self._entries(name, keys, [UNKNOWN] * len(keys)))

    def keep_file(self, exporter: str, dataset: Dataset, file: File) -> None:
        """Keep a file that is written completely."""
        self._kept.append(self._of_files(exporter, dataset, [file]))

    def carry(self, name: DeliveredName, entries: Sequence[DeliveredEntry]) -> None:
        """Keep earlier entries about which this archive says nothing."""
        self._kept.append((name, entries))
        if _count(self._kept) >= PART_ENTRIES:
            self._write_kept()

    def parts(self) -> Iterator[bytes]:
        """Yield everything that is kept, encrypted; what a piece noted that is not written is dropped."""
        self.drop()
        if self._kept:
            self._write_kept()
        self._file.seek(0)
        for size in self._sizes:
            yield self._file.read(size)

    def _write_pending(self) -> None:
        if self._kept:
            # First what came first: of two entries about one record the later counts.
            self._write_kept()
        self._write(self._pending)
        self._pending = []

    def _write_kept(self) -> None:
        self._write(self._kept)
        self._kept = []
        self._kept_parts = len(self._sizes)

    def _write(self, noted: Sequence[DeliveredGroup]) -> None:
        groups = groupby((one for one in noted if one[1]), itemgetter(0))
        part = self.key.seal((name, [entry for _name, found in of for entry in found]) for name, of in groups)
        self._file.seek(sum(self._sizes))
        self._file.write(part)
        self._sizes.append(len(part))


def _count(noted: Sequence[DeliveredGroup]) -> int:
    return sum(len(entries) for _name, entries in noted)


def _keys(dataset: Dataset, records: Sequence[Record]) -> list[Key]:
    """Return the keys of records as `corrections.key_of` does, column by column."""
    columns = [
        [value if isinstance(value, str | int | float | None) else str(value) for value in column(records, name)]
        for name in dataset.key
    ]
    return list(zip(*columns, strict=True))


def _lines(dataset: Dataset, records: Sequence[Record]) -> Iterator[bytes]:
    if isinstance(records, Rows):
        yield from records.lines.splitlines()
        return
    names = [str.__str__(field.name) for field in dataset.fields]
    for record in records:
        yield line(names, [record.get(name) for name in names]).rstrip(b"\n")
