"""Pieces: a bounded part of a dataset's records, whole batches only, encoded in every format of the export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from archive.recipients import RecipientTally, together
from portability.api import (
    Batch,
    Cursor,
    Dataset,
    Document,
    DocumentFormat,
    FieldType,
    File,
    Format,
    FormatWriter,
    Gap,
    Record,
    WriterFormat,
    encoded,
)
from portability.api.errors import ExporterFault, FormatError
from portability.api.rows import Batched, Rows
from portability.api.writers import BlockSink
from worker.read.reader import Reader
from worker.read.redaction import Redact, as_it_is
from worker.read.screening import Screen
from worker.read.screening.values import Counts
from worker.write import disclosures
from worker.write.changes import Choose, arrive, everything
from worker.write.excerpts import RECORDS_MAX
from worker.write.shards import ShardCutter

_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a batch reports as missing, and where to read it again."""

    gaps: tuple[Gap, ...]
    before: Cursor | None
    cursor: Cursor
    files: tuple[str, ...]
    """Names of the files that the batch has nevertheless."""
    records: int = 0
    """Number of records of the batch."""


@dataclass(frozen=True, slots=True)
class DatasetPiece:
    """What is written next; empty if the source has nothing more."""

    records: int
    bodies: Mapping[str, Sequence[bytes]] = field(repr=False)
    """Blocks of one whole member for each format, by its name; not joined, which would be a copy."""
    cursor: Cursor | None
    """The cursor after the last batch."""
    before: Cursor | None
    """The cursor before the last batch, from which its files can be read again."""
    files: tuple[File, ...]
    """Files of the last batch: a batch with files ends its piece."""
    shortfalls: tuple[Shortfall, ...]
    last_records: int = 0
    """Number of records of the last batch."""
    batches: Sequence[Sequence[Record]] = field(default=(), repr=False)
    """The records, slim where they are rows, for the forms of the volume; empty if it has none."""
    head: Sequence[Record] = field(default=(), repr=False)
    """The first records, for the viewer's excerpt."""
    documents: Sequence[tuple[DocumentFormat, Document]] = field(default=(), repr=False)
    """Documents, if the dataset's records become documents: one member each."""
    lost: tuple[Gap, ...] = ()
    """Gaps that reading again would not fill."""
    redactions: Counter[str] = field(default_factory=Counter)
    """Number of values that were replaced by marks, by rule."""
    findings: Counter[str] = field(default_factory=Counter)
    """Number of values that a rule reports and does not change."""
    remarks: Counter[str] = field(default_factory=Counter)
    """Number of remarkable records, by `RowRemark`."""
    withheld: Counter[str] = field(default_factory=Counter)
    """Number of records with a value that is withheld, by its name; 0 if the source says that no record has it."""
    recipients: RecipientTally = field(default_factory=RecipientTally)
    """The recipients that the records name."""
    shards: ShardCutter | None = field(default=None, repr=False)
    """Its records for the viewer; None: the viewer does not get them."""
    unsure: Sequence[Sequence[Record]] | None = field(default=None, repr=False)
    """Its records if a format refused others, so that a feed must not count on what was chosen; None: none was."""

    @property
    def members(self) -> int:
        """Return the number of its members."""
        return (len(self.bodies) if self.records else 0) + len(self.documents)


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """Batches as they came, ready for export: other people's details redacted, findings masked."""

    batches: list[Batch]
    """Slim rows: once they are encoded their values are not needed."""
    cursors: list[Cursor | None]
    """Cursors; the first is the one before the first batch."""
    counts: list[Counts]
    """Counts of replacements and findings in each batch."""
    head: list[Record]
    """The first records."""
    recipients: list[RecipientTally]
    """The recipients that the records of each batch name."""
    given: list[int]
    """How many records the source gave in each batch."""


def read(
    reader: Reader,
    dataset: Dataset,
    formats: Mapping[str, Format | WriterFormat],
    size_bytes: int,
    screen: Screen,
    redact: Redact = as_it_is,
    *,
    keep: bool = False,
    choose: Choose = everything,
    shards: ShardCutter | None = None,
) -> DatasetPiece:
    """Read batches until the first format has `size_bytes`, a batch has files, or the source ends.

    The size of a `Format` is unknown before its end: then the sizes of the batches, each encoded alone, are added.

    A record that a format cannot represent is the exporter's fault: the piece and the reading end before its batch.
    `keep` asks for the records of the piece too, and `shards` takes them for the viewer. Of what `choose` leaves out
    nothing is written or counted. Raises ScanBlocked.
    """
    arrived = _Arrivals([], [reader.after], [], [], [], [])
    batches, cursors, is_cut = arrived.batches, arrived.cursors, False
    try:
        arriving = _arriving(reader, dataset, redact, screen, arrived, choose)
        bodies = _write_while_reading(arriving, dataset, formats, size_bytes, shards)
        head = arrived.head
    except FormatError:
        batches, is_cut = _stopped_at_fault(reader, batches, dataset, formats), True
        bodies = {name: list(encoded(form, dataset, _records(batches))) for name, form in formats.items()}
        head = list(islice(_records(batches), RECORDS_MAX))
        shards = _cut_again(shards, batches) if shards else None
    count = len(batches)
    return DatasetPiece(
        records=sum(len(batch.records) for batch in batches),
        bodies=bodies,
        cursor=cursors[count],
        before=cursors[max(count - 1, 0)],
        files=batches[-1].files if batches else (),
        shortfalls=tuple(shortfalls(batches, cursors)),
        last_records=arrived.given[count - 1] if count else 0,
        batches=[batch.records for batch in batches] if keep else (),
        head=tuple(head),
        redactions=sum((counts.masked for counts in arrived.counts[:count]), Counter()),
        findings=sum((counts.reported for counts in arrived.counts[:count]), Counter()),
        remarks=count_rows(batch.remarks for batch in batches),
        withheld=count_rows(batch.withheld for batch in batches),
        recipients=together(arrived.recipients[:count]),
        shards=shards,
        unsure=[batch.records for batch in batches] if is_cut else None,
    )


def count_rows(marked: Iterable[Mapping[Any, Sequence[int]]]) -> Counter[str]:
    """Count the marked records of batches, by name; a name without a record stays, with 0.

    The names are plain texts: JSON objects of the archive cannot have members of an enumeration as keys.
    """
    counted: Counter[str] = Counter()
    for places in marked:
        counted.update({str(name): len(indexes) for name, indexes in places.items()})
    return counted


def shortfalls(batches: Sequence[Batch], cursors: Sequence[Cursor | None]) -> Iterator[Shortfall]:
    """Yield those of batches with gaps; `cursors` begins with the one before the first batch."""
    for batch, before in zip(batches, cursors, strict=False):
        if batch.gaps:
            names = tuple(file.name for file in batch.files)
            yield Shortfall(batch.gaps, before, batch.cursor, names, len(batch.records))


def _arriving(
    reader: Reader, dataset: Dataset, redact: Redact, screen: Screen, arrived: _Arrivals, choose: Choose
) -> Iterator[Batch]:
    while (batch := reader.next()) is not None:
        # Batch by batch, not all together: meanwhile the source reads on.
        screened, counts = arrive(dataset, batch, redact, screen, choose)
        arrived.batches.append(replace(screened, records=_slim(dataset, screened.records)))
        arrived.cursors.append(screened.cursor)
        arrived.given.append(len(batch.records))
        arrived.counts.append(counts)
        arrived.recipients.append(disclosures.recipients(dataset, screened.records))
        arrived.head.extend(islice(screened.records, RECORDS_MAX - len(arrived.head)))
        yield screened


def _slim(dataset: Dataset, records: Sequence[Record]) -> Sequence[Record]:
    if not isinstance(records, Rows):
        return records
    return records.slim(frozenset(field.name for field in dataset.fields if field.type in _NUMBERS))


def _write_while_reading(
    batches: Iterator[Batch],
    dataset: Dataset,
    formats: Mapping[str, Format | WriterFormat],
    size_bytes: int,
    shards: ShardCutter | None,
) -> Mapping[str, Sequence[bytes]]:
    """Give each batch to every writer, until the first format has `size_bytes` or a batch has files."""
    outs = {name: BlockSink() for name in formats}
    writers = {name: _writer(form, outs[name], dataset) for name, form in formats.items()}
    first = next(iter(formats))
    pulled = formats[first] if isinstance(writers[first], _PulledWriter) else None
    size = 0
    try:
        while size < size_bytes and (batch := next(batches, None)) is not None:
            for writer in writers.values():
                writer.write(batch.records)
            if shards:  # after the formats, which refuse what cannot be written
                shards.write(batch.records)
            if batch.files:
                break
            more = 0 if pulled is None else sum(map(len, encoded(pulled, dataset, batch.records)))
            size = outs[first].bytes if pulled is None else size + more
        for writer in writers.values():
            writer.close()
        if shards:
            shards.close()
    except BaseException:
        for writer in writers.values():
            writer.abort()
        raise
    return {name: out.blocks for name, out in outs.items()}


def _cut_again(shards: ShardCutter, batches: Sequence[Batch]) -> ShardCutter:
    again = ShardCutter(shards.exporter, shards.dataset)
    for batch in batches:
        again.write(batch.records)
    again.close()
    return again


class _PulledWriter:
    """The writer of a `Format`: it keeps the batches of one piece and encodes them at its end."""

    def __init__(self, form: Format, out: BlockSink) -> None:
        self._form, self._out = form, out
        self._batches: list[Sequence[Record]] = []

    @property
    def held(self) -> int:
        return 0

    def begin(self, exporter: str, dataset: Dataset) -> None:  # noqa: ARG002  # the host names the file
        self._dataset = dataset

    def write(self, records: Sequence[Record]) -> None:
        self._batches.append(_slim(self._dataset, records))

    def close(self) -> Mapping[str, int]:
        for block in self._form.encode(self._dataset, Batched(self._batches)):
            self._out.write(block)
        return {}

    def abort(self) -> None:
        self._batches.clear()


def _writer(form: Format | WriterFormat, out: BlockSink, dataset: Dataset) -> FormatWriter:
    writer = form.open(out) if isinstance(form, WriterFormat) else _PulledWriter(form, out)
    writer.begin("", dataset)
    return writer


def _stopped_at_fault(
    reader: Reader, batches: Sequence[Batch], dataset: Dataset, formats: Mapping[str, Format | WriterFormat]
) -> list[Batch]:
    """Return the batches before the one that a format refuses, and end the reading there."""
    for count, batch in enumerate(batches):
        try:
            for form in formats.values():
                for _block in encoded(form, dataset, batch.records):
                    pass
        except FormatError as fault:
            reader.stop(ExporterFault(str(fault)))
            return list(batches[:count])
    raise AssertionError("a format refused a piece although it accepts each of its batches")


def _records(batches: Iterable[Batch]) -> Batched:
    return Batched(batch.records for batch in batches)
