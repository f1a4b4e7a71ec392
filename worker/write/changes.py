"""Changes: which records and files of a batch a feed has not delivered yet, and what it has delivered afterwards.

A record is unchanged if its line of JSON, as this archive would contain it, has the hash that was delivered. So the
comparison needs nothing of a source, and sees a changed relation, instruction, rule or map like a changed value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import Self, TypeAlias

import orjson
from sqlalchemy import RowMapping

from archive.parts import ArchiveFeed
from portability.api import NEEDS_REVIEW, Batch, Dataset, File, Record, RecordKey
from portability.api.rows import Rows, line
from portability.database.engine import reading
from portability.feeds import feeds, parts, steps
from portability.feeds.archives import FeedArchive
from portability.feeds.parts import (
    GONE,
    UNKNOWN,
    DeliveredEntry,
    DeliveredGroup,
    DeliveredName,
    FeedKey,
    SealedPart,
)
from portability.feeds.steps import FeedProgress, FeedStep
from worker.context import WorkerContext
from worker.read.record_columns import column
from worker.read.redaction import Redact
from worker.read.screening import Screen
from worker.read.screening.values import Counts
from worker.write.delivered import DeliveredRecords, Wanted

PART_ENTRIES = 20_000
"""Entries of one encrypted part: about 1 MB."""
MEMORY_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Choice:
    """The indexes of the records and files of a batch that the archive contains."""

    records: Sequence[int]
    files: Sequence[int]


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
    if len(choice.records) < len(batch.records):
        whole, counts = _screened(dataset, _narrowed(batch, choice.records), redact, screen)
    return replace(whole, files=files), counts


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

    def __init__(
        self,
        key: FeedKey,
        feed: RowMapping,
        base: DeliveredRecords,
        step: FeedStep | None = None,
        before_at: datetime | None = None,
    ) -> None:
        self.key = key
        self.feed = feed
        """The feed's row: this archive follows its `number`."""
        self.base = base
        """What was delivered before."""
        self.step = step
        """How this archive is read, as far as sources state changes."""
        self.place = ArchiveFeed(feed["number"] + 1, feed["number"] or None, before_at)
        self.progress: FeedProgress | None = None
        """That of the feed after this archive; None: the next archive compares everything."""
        self.archive: FeedArchive | None = None
        """What the closing volume states; None until it is made."""
        self._pending: list[DeliveredGroup] = []
        self._kept: list[DeliveredGroup] = []
        self._file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # closed by `close`
        self._sizes: list[tuple[int, int]] = []
        self._kept_parts = 0

    @classmethod
    def open(cls, context: WorkerContext, feed_id: str, export_id: str) -> Self:
        """Load what a feed has delivered, as far as an archive compares it.

        Raises: FeedEnded, UnknownFeed, NoSigningKey, DatabaseUnavailable.
        """
        with reading(context.engine) as connection:
            row = feeds.get(connection, feed_id)
            key = FeedKey.unsealed(row, context.settings.keys)
            step = steps.load(connection, key, export_id)
            before_at = feeds.last_ready_at(connection, row)
        place = (context.engine, feed_id, row["number"])
        if step is None or not step.is_by_changes:
            base = DeliveredRecords(key, parts.until(*place))
        else:
            others, of_changes = parts.until(*place, but_by_changes=True), parts.lookups(*place)
            base = DeliveredRecords(key, others, of_changes, _wanted(key, step))
        return cls(key, row, base, step, before_at)

    @property
    def is_by_changes(self) -> bool:
        """Return whether datasets are read by the changes that sources state."""
        return self.step is not None and self.step.is_by_changes

    def keys_of(self, exporter: str, dataset: str) -> Sequence[RecordKey] | None:
        """Return the keys of the records to read; None: all of the dataset."""
        touched = () if self.step is None else self.step.touched
        return next((one.keys for one in touched if (one.exporter, one.dataset) == (exporter, dataset)), None)

    def touched(self) -> Iterator[DeliveredGroup]:
        """Yield the records that may have changed, as entries without a hash."""
        for one in () if self.step is None else self.step.touched:
            name = DeliveredName(one.exporter, one.dataset, one.fields)
            yield self._entries(name, one.keys, [GONE] * len(one.keys))

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
        records = self._changed(entries[1])
        wanted_files = sorted({*self._changed(files[1]), *self._of_new(batch, entries[1])})
        unchanged = set(range(len(batch.files))) - set(wanted_files)
        self._pending += [entries, (files[0], [files[1][place] for place in sorted(unchanged)])]
        if _count(self._pending) >= PART_ENTRIES:
            self._write_pending()
        is_all = len(records) == len(batch.records) and len(wanted_files) == len(batch.files)
        return None if is_all else Choice(records, wanted_files)

    def _entries(self, name: DeliveredName, keys: Sequence[RecordKey], hashes: Sequence[bytes]) -> DeliveredGroup:
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
            if entry.hash == UNKNOWN or not entry.hash.startswith(known.get(entry.digest, GONE))
        ]

    def _of_new(self, batch: Batch, entries: Sequence[DeliveredEntry]) -> Iterator[int]:
        """Yield the files of records that come again: with its record, the recipient may have deleted a file."""
        if not batch.files or not self.is_by_changes:
            return
        known = self.base.hashes([entry.digest for entry in entries])
        new = [record for record, entry in zip(batch.records, entries, strict=True) if entry.digest not in known]
        names = {value for record in new for value in record.values() if isinstance(value, str)}
        yield from (place for place, file in enumerate(batch.files) if file.name in names)

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
        self._file.seek(sum(map(sum, self._sizes)))
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

    def parts(self) -> Iterator[SealedPart]:
        """Yield everything that is kept, encrypted; what a piece noted that is not written is dropped."""
        self.drop()
        if self._kept:
            self._write_kept()
        self._file.seek(0)
        for size, size_of_lookup in self._sizes:
            yield SealedPart(self._file.read(size), self._file.read(size_of_lookup) or None)

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
        covered = frozenset[tuple[str, str]]() if self.step is None else self.step.covered
        for by_changes in (False, True):
            chosen = [one for one in noted if one[1] and ((one[0].exporter, one[0].dataset) in covered) is by_changes]
            if chosen:
                by_name = groupby(chosen, itemgetter(0))
                groups = [(name, [entry for _name, found in of for entry in found]) for name, of in by_name]
                part, lookup = self.key.seal(groups), self.key.seal_lookup(groups) if by_changes else b""
                self._file.seek(sum(map(sum, self._sizes)))
                self._file.write(part + lookup)
                self._sizes.append((len(part), len(lookup)))


def _wanted(key: FeedKey, step: FeedStep) -> Wanted:
    """Return the digests of the records that an archive by changes compares."""
    names = ((DeliveredName(one.exporter, one.dataset, one.fields), one.keys) for one in step.touched)
    return {(name.exporter, name.dataset): key.digests(name, keys) for name, keys in names}


def _count(noted: Sequence[DeliveredGroup]) -> int:
    return sum(len(entries) for _name, entries in noted)


def _keys(dataset: Dataset, records: Sequence[Record]) -> list[RecordKey]:
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
