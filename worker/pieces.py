"""Pieces: a bounded run of a dataset's records, whole batches only, in the bytes of every format of the export."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from portability.api import Batch, Cursor, Dataset, Document, DocumentFormat, File, Format, Gap, Record
from portability.errors import ExporterFault, FormatError
from portability.rows import Batched, Rows
from worker.excerpt import RECORDS_MAX
from worker.people import Treat, as_it_is
from worker.reader import Reader
from worker.screening import Screen
from worker.screening.values import Counts


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What a batch says is missing in it, and where to ask for it again."""

    gaps: tuple[Gap, ...]
    before: Cursor | None
    cursor: Cursor
    files: tuple[str, ...]
    """Names of the files that it brought all the same."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is written next; empty where the source gave nothing more."""

    records: int
    bodies: Mapping[str, Sequence[bytes]] = field(repr=False)
    """Blocks of one whole member for each format, by its name: as they came, for joining them would be a copy."""
    cursor: Cursor | None
    """After the last batch."""
    before: Cursor | None
    """Before the last batch: its files can be asked for again from here."""
    files: tuple[File, ...]
    """Of the last batch: a batch with files ends its piece."""
    shortfalls: tuple[Shortfall, ...]
    head: Sequence[Record] = field(default=(), repr=False)
    """Its first records, for the viewer's excerpt."""
    documents: Sequence[tuple[DocumentFormat, Document]] = field(default=(), repr=False)
    """Of a dataset whose records become documents: one member each."""
    lost: tuple[Gap, ...] = ()
    """What asking again would not bring."""
    redactions: Counter[str] = field(default_factory=Counter)
    """Values that were replaced by marks, by rule."""
    findings: Counter[str] = field(default_factory=Counter)
    """Values that a rule reports and leaves as they are."""

    @property
    def members(self) -> int:
        """How many it becomes."""
        return (len(self.bodies) if self.records else 0) + len(self.documents)


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """Batches as they came, as far as they may leave: other people's details replaced, what is found masked."""

    batches: list[Batch]
    """Slim: once they are encoded nobody needs their values."""
    cursors: list[Cursor | None]
    """Begins with the one before the first batch."""
    counts: list[Counts]
    """What was replaced or found in each."""
    head: list[Record]
    """The first records."""


def read(
    reader: Reader,
    dataset: Dataset,
    formats: Mapping[str, Format],
    size_bytes: int,
    screen: Screen,
    treat: Treat = as_it_is,
) -> Piece:
    """Read batches until the first format has `size_bytes`, a batch brings files, or the source ends.

    A record that a format cannot carry is the exporter's fault: the piece ends before its batch, and so does the run.
    Raises ScanBlocked.
    """
    arrived = _Arrivals([], [reader.after], [], [])
    batches, cursors = arrived.batches, arrived.cursors
    try:
        arriving = _arriving(reader, dataset, treat, screen, arrived)
        bodies = _encode_while_reading(arriving, batches, dataset, formats, size_bytes)
        head = arrived.head
    except FormatError:
        sound, fault = _sound(batches, dataset, formats)
        reader.stop(ExporterFault(str(fault)))
        batches = list(sound)
        bodies = {name: list(form.encode(dataset, _records(batches))) for name, form in formats.items()}
        head = list(islice(_records(batches), RECORDS_MAX))
    count = len(batches)
    return Piece(
        records=sum(len(batch.records) for batch in batches),
        bodies=bodies,
        cursor=cursors[count],
        before=cursors[max(count - 1, 0)],
        files=batches[-1].files if batches else (),
        shortfalls=tuple(shortfalls(batches, cursors)),
        head=tuple(head),
        redactions=sum((counts.masked for counts in arrived.counts[:count]), Counter()),
        findings=sum((counts.reported for counts in arrived.counts[:count]), Counter()),
    )


def shortfalls(batches: Sequence[Batch], cursors: Sequence[Cursor | None]) -> Iterator[Shortfall]:
    """Of those batches that have gaps; `cursors` begins with the one before the first batch."""
    for batch, before in zip(batches, cursors, strict=False):
        if batch.gaps:
            yield Shortfall(batch.gaps, before, batch.cursor, tuple(file.name for file in batch.files))


def _arriving(reader: Reader, dataset: Dataset, treat: Treat, screen: Screen, arrived: _Arrivals) -> Iterator[Batch]:
    while (batch := reader.next()) is not None:
        treated, redactions = treat(dataset, batch)
        counts = Counts(masked=redactions)
        # Batch by batch, not all together: meanwhile the source reads on.
        screened = screen.batch(dataset, treated, counts)
        arrived.batches.append(_slim(screened))
        arrived.cursors.append(screened.cursor)
        arrived.counts.append(counts)
        arrived.head.extend(islice(screened.records, RECORDS_MAX - len(arrived.head)))
        yield screened


def _slim(batch: Batch) -> Batch:
    return replace(batch, records=batch.records.slim()) if isinstance(batch.records, Rows) else batch


def _encode_while_reading(
    batches: Iterator[Batch],
    arrived: Sequence[Batch],
    dataset: Dataset,
    formats: Mapping[str, Format],
    size_bytes: int,
) -> Mapping[str, Sequence[bytes]]:
    """A format that streams takes each batch soon after it has come: it need not be kept until another's end."""
    bodies: dict[str, list[bytes]] = {name: [] for name in formats}
    first, *others = formats
    in_step = [name for name in others if getattr(formats[name], "streams", False)]

    def arriving() -> Iterator[Sequence[Record]]:
        # The first format's own output says when the piece is large enough.
        while sum(map(len, bodies[first])) < size_bytes and (batch := next(batches, None)) is not None:
            yield batch.records
            if batch.files:
                return

    shared = _Shared(arriving(), [first, *in_step])
    encoders = {name: formats[name].encode(dataset, Batched(shared.of(name))) for name in (first, *in_step)}
    for block in encoders[first]:
        bodies[first].append(block)
        for other in in_step:
            while shared.taken[other] < shared.taken[first] and (text := next(encoders[other], None)) is not None:
                bodies[other].append(text)
    for other in others:
        # Who gives nothing before its end would, in step, pull in the whole source for its first block.
        bodies[other] += encoders[other] if other in in_step else formats[other].encode(dataset, _records(arrived))
    return bodies


class _Shared:
    """Records for several formats, each at its own pace; what all have taken is let go at once, not as tee does."""

    def __init__(self, arriving: Iterator[Sequence[Record]], names: Iterable[str]) -> None:
        self._arriving = arriving
        self._waiting: dict[str, deque[Sequence[Record]]] = {name: deque() for name in names}
        self.taken = dict.fromkeys(self._waiting, 0)
        """How many batches each has."""

    def of(self, name: str) -> Iterator[Sequence[Record]]:
        """All that arrives, for one of them."""
        while self._waiting[name] or self._pull():
            self.taken[name] += 1
            yield self._waiting[name].popleft()

    def _pull(self) -> bool:
        records = next(self._arriving, None)
        if records is None:
            return False
        for queue in self._waiting.values():
            queue.append(records)
        return True


def _sound(
    batches: Sequence[Batch], dataset: Dataset, formats: Mapping[str, Format]
) -> tuple[Sequence[Batch], FormatError]:
    for count, batch in enumerate(batches):
        try:
            for form in formats.values():
                for _block in form.encode(dataset, batch.records):
                    pass
        except FormatError as fault:
            return batches[:count], fault
    raise AssertionError("a format refused a piece whose every batch it takes")


def _records(batches: Iterable[Batch]) -> Batched:
    return Batched(batch.records for batch in batches)
